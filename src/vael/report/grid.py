"""Images side by side as one picture, with values that never wrap around."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped
from PIL import Image
from torch import Tensor

from vael import files
from vael.data import Source
from vael.errors import ShapeError, SupportError

SMALLEST, LARGEST = 56, 80  # pixels that the longer side of one image in a grid may have, if it can be helped
LOOKED_AT = 1000  # examples from which the range of real numbers is taken


@dataclass(frozen=True)
class Display:
    """How cells become grey: `low` is black, `high` is white, everything beyond is clipped.

    Errors: `SupportError` unless low < high, both finite.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not -float("inf") < self.low < self.high < float("inf"):
            raise SupportError(
                f"black must be below white and both finite, but black is {self.low} and white {self.high}; give low < "
                "high"
            )


def display_of(source: Source) -> Display:
    """Black and white for a data set: 0 and 1 for binary cells, 0 and levels - 1 for integers, the range seen for
    real numbers.
    """
    if source.highest is not None:
        return Display(0.0, max(source.highest, 1.0))
    seen = source.x[:LOOKED_AT].double()
    seen = seen[torch.isfinite(seen)]
    low, high = (float(seen.min()), float(seen.max())) if seen.numel() else (0.0, 1.0)
    return Display(low, high) if low < high else Display(low, low + 1)


def shown_channels(channels: int) -> str:
    """What a caption must say of images that are neither grey nor RGB; empty for those that are."""
    return "" if channels in (1, 3) else f"Each image has {channels} channels; shown is their mean."


def to_bytes(x: Shaped[Tensor, "count channels height width"], display: Display) -> np.ndarray:
    """Cells as uint8 `[count, height, width, 3]`: linear from black to white, rounded, clipped; what is no number
    is black.
    """
    scaled = (x.detach().cpu().double() - display.low) / (display.high - display.low)
    scaled = torch.nan_to_num(scaled, nan=0.0, posinf=1.0, neginf=0.0).clamp(0, 1)
    colour = scaled if x.shape[1] == 3 else scaled.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    return (colour * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def resized(picture: np.ndarray, largest: int = LARGEST) -> np.ndarray:
    """One image at a size to be looked at: small ones enlarged by a whole factor (cells stay sharp), large ones
    reduced by area.
    """
    height, width = picture.shape[:2]
    longest = max(height, width)
    if longest > largest:
        size = max(round(width * largest / longest), 1), max(round(height * largest / longest), 1)
        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
    factor = -(-min(SMALLEST, largest) // longest)
    factor = factor if longest * factor <= largest else 1
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def grid_image(
    x: Shaped[Tensor, "count channels height width"],
    display: Display,
    *,
    columns: int | None = None,
    gap: int = 2,
    largest: int = LARGEST,
) -> Image.Image:
    """Images row by row as one RGBA picture; gaps and empty places are transparent.

    `columns` is the number of images in a row (default: nearly square); `gap` is in pixels; `largest` bounds an image's
    longer side.

    Errors: `ShapeError` unless x is `[count, channels, height, width]` with at least one image.
    """
    if x.dim() != 4 or 0 in x.shape:
        raise ShapeError(
            f"a grid is made of images [count, channels, height, width], but x has shape {tuple(x.shape)}; reshape it"
        )
    cells = [resized(one, largest) for one in to_bytes(x, display)]
    columns = min(columns or int(np.ceil(np.sqrt(len(cells)))), len(cells))
    (height, width), rows = cells[0].shape[:2], -(-len(cells) // columns)
    canvas = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), np.uint8)
    for place, cell in enumerate(cells):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        canvas[top : top + height, left : left + width, :3] = cell
        canvas[top : top + height, left : left + width, 3] = 255
    return Image.fromarray(canvas)


def on_white(picture: Image.Image) -> Image.Image:
    """A picture with transparent places as RGB on white."""
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture, mask=picture.getchannel("A"))
    return flat


def save_grid(
    path: Path, x: Shaped[Tensor, "count channels height width"], display: Display, *, columns: int | None = None
) -> Path:
    """Write `grid_image` as a PNG on white, grey where every image is; atomically. Gives the path."""
    flat = on_white(grid_image(x, display, columns=columns))
    stream = io.BytesIO()
    (flat if x.shape[1] == 3 else flat.convert("L")).save(stream, "PNG")
    files.write_bytes(Path(path), stream.getvalue())
    return Path(path)
