"""Tables coded losslessly: symbols of columns, and what stands beside them."""

from vael.compression.tabular.beside import Beside, unpacked
from vael.compression.tabular.column_laws import TableLevel
from vael.compression.tabular.grids import WIDEST
from vael.compression.tabular.tables import Original, is_text, rebuilt, table_contents, text_of

__all__ = ["WIDEST", "Beside", "Original", "TableLevel", "is_text", "rebuilt", "table_contents", "text_of", "unpacked"]
