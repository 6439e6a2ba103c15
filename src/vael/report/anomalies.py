"""The strangest images with what makes them strange, pixel by pixel, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vael import files
from vael.report.grid import Display, resized, to_bytes
from vael.report.style import as_label, new_figure, rendered, styled

ACROSS = 5  # images in a row
SIDE, NAMED = 1.75, 20  # inches of an image, letters of its name


@dataclass(frozen=True)
class Strange:
    """An image that was flagged."""

    image: Float[Tensor, "channels height width"]
    surprise: Float[Tensor, "channels height width"]  # nats more than usual
    name: str  # of its file or row
    score: float
    p_value: float


def write_strangest(path: Path, found: Sequence[Strange], display: Display) -> None:
    """Each image with its name, score and p-value, and below it where it is more surprising than usual, on one
    scale in nats.
    """
    with styled():
        files.write_bytes(path, _drawn(found, display))


def _drawn(found: Sequence[Strange], display: Display) -> bytes:
    across = min(ACROSS, len(found))
    down = -(-len(found) // across)
    figure = new_figure(max(SIDE * across + 0.9, 4.2), down * (2 * SIDE + 0.35) + 0.3)
    axes = figure.subplots(2 * down, across, squeeze=False)
    for place in axes.flatten():
        place.set_axis_off()
    maps = [one.surprise.sum(0).clamp(min=0).cpu().numpy() for one in found]
    top = max((float(np.max(one)) for one in maps), default=0.0) or 1.0
    shown = None
    for number, (one, surprise) in enumerate(zip(found, maps, strict=True)):
        above, below = (axes[2 * (number // across) + line, number % across] for line in (0, 1))
        above.imshow(resized(to_bytes(one.image[None], display)[0]), interpolation="none")
        above.set_title(f"{as_label(one.name, NAMED)}\nscore {one.score:.3g}, p = {one.p_value:.3g}", fontsize=7.5)
        shown = below.imshow(surprise, cmap="magma", vmin=0, vmax=top, interpolation="none")
    if shown is not None:
        figure.colorbar(shown, ax=axes, shrink=0.6, label="nats more than usual, per pixel")
    return rendered(figure, "png")
