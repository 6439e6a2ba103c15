"""What the pages of the gallery share: how figures look, images side by side, and which digits there are on this
machine.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import torch
from PIL import Image
from torch import Tensor

from vael.data import Binarize, Splits, load
from vael.errors import VaelError
from vael.report.grid import Display, grid_image
from vael.report.style import CLASSES, SETTINGS, TRAIN, VALIDATION

__all__ = ["CLASSES", "TRAIN", "VALIDATION", "images", "mnist", "style"]


def style() -> None:
    """Figures as the house draws them, on white."""
    torch.set_num_threads(min(2, torch.get_num_threads()))
    plt.rcParams.update(
        {
            **SETTINGS,
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


def mnist(binarize: Binarize | None = None) -> Splits:
    """MNIST where it can be found (`VAEL_DATA` names a folder that has it, or it was fetched before), else the
    digits of the install.
    """
    try:
        return load("mnist", binarize=binarize)
    except (VaelError, OSError):
        print("MNIST is not at hand, so this page was built with the 1,797 digits of 8 × 8 that come with the install")
        return load("digits", binarize=binarize)
