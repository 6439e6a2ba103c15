"""Records to figures to one page; never trains."""

from vael.report.grid import Display, display_of, grid_image, on_white, save_grid
from vael.report.record import JudgedNumbers, ReportInput
from vael.report.write import write

__all__ = ["Display", "JudgedNumbers", "ReportInput", "display_of", "grid_image", "on_white", "save_grid", "write"]
