"""What the pages of the gallery share: how figures look, images side by side, and which digits there are on this
machine.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from vael.data import Binarize, Splits, load
from vael.errors import VaelError
from vael.report.grid import Display, grid_image
from vael.report.style import CLASSES, SETTINGS, TRAIN, VALIDATION

__all__ = ["CLASSES", "TRAIN", "VALIDATION", "derivation", "images", "mnist", "picture", "style"]


def style() -> None:
    """Figures as the house draws them, on white."""
    torch.set_num_threads(min(2, torch.get_num_threads()))
    plt.rcParams.update(
        {
            **SETTINGS,
            "text.parse_math": True,  # labels here are ours: $z_1$ is a formula
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.dpi": 130,
            "figure.constrained_layout.use": True,
        }
    )
    plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)


def images(x: Tensor, *, columns: int | None = None, low: float = 0.0, high: float = 1.0) -> Image.Image:
    """Images `[count, channels, height, width]` (or `[count, height, width]`) as one picture; black is `low`, white
    is `high`.
    """
    sheet = grid_image(x if x.dim() == 4 else x[:, None], Display(low, high), columns=columns)
    white = Image.new("RGBA", sheet.size, "white")
    return Image.alpha_composite(white, sheet).convert("RGB")


def picture(figure: Figure) -> Image.Image:
    """A figure that pyplot does not know of, as a picture that every notebook shows."""
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=130)
    return Image.open(written)


def mnist(binarize: Binarize | None = None) -> Splits:
    """MNIST where it can be found (`VAEL_DATA` names a folder that has it, or it was fetched before), else the
    digits of the install.
    """
    try:
        return load("mnist", binarize=binarize)
    except (VaelError, OSError):
        print("MNIST is not at hand, so this page was built with the 1,797 digits of 8 × 8 that come with the install")
        return load("digits", binarize=binarize)


@dataclass(frozen=True)
class Table:
    """A table in Markdown, which a notebook sets as one."""

    data: str

    def _repr_markdown_(self) -> str:
        return self.data


def derivation(steps: Sequence[tuple[str, str, float | Tensor]], unit: str = "nats") -> Table:
    """Lines of a derivation as a table: number, formula (TeX), why it may be written, and its checked value."""
    lines = [f"| | formula | reason | {unit} |", "|---|:--|:--|--:|"]
    for number, (formula, reason, value) in enumerate(steps, 1):
        equals = "= " if number > 1 else ""
        cells = f"$\\displaystyle {equals}{formula}$ | {reason}"
        for bar, word in (("\\|", "\\Vert "), ("(z|x)", "(z \\mid x)"), ("(x|z)", "(x \\mid z)")):
            cells = cells.replace(bar, word)  # a bar would begin another column
        lines.append(f"| {number} | {cells} | {float(value):.4f} |")
    return Table("\n".join(lines))
