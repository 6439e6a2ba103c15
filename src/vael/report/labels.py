"""Where names stand in a figure: near what they name, on no other name, and on as few points as can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from vael.report.style import INK, PAPER, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RINGS = (0.0, 9.0, 14.0, 20.0, 28.0, 38.0, 50.0, 64.0, 80.0, 100.0)  # distances that are tried, in points of 1/72 inch
DIRECTIONS = 16
PER_POINT = 6.0  # points of 1/72 inch that a name goes farther away to cover one point of data fewer
ROOM = 1.0  # between two names
LED = 1.6  # heights of a name beyond which a line leads from it to what it names
ONE_PLACE = 1.0  # spread, in points of 1/72 inch, below which all that is named lies at one place

Box = tuple[float, float, float, float]


def overlap(one: Box, other: Box, room: float = 0.0) -> bool:
    """Whether two boxes (left, bottom, right, top) share anything, with `room` around one of them."""
    beside = one[0] - room < other[2] and other[0] < one[2] + room
    return bool(beside and one[1] - room < other[3] and other[1] < one[3] + room)


def box(centre: Sequence[float], size: Sequence[float]) -> Box:
    """The box of a size about a centre."""
    return (centre[0] - size[0] / 2, centre[1] - size[1] / 2, centre[0] + size[0] / 2, centre[1] + size[1] / 2)


def covered(points: Float[np.ndarray, "points 2"], one: Box) -> int:
    """Points that lie in a box."""
    inside: Bool[np.ndarray, " points"] = (
        (points[:, 0] > one[0]) & (points[:, 0] < one[2]) & (points[:, 1] > one[1]) & (points[:, 1] < one[3])
    )
    return int(inside.sum())


def candidates(anchor: Sequence[float], size: Sequence[float], unit: float) -> list[tuple[float, float]]:
    """Centres about an anchor, the nearest first; wide names go farther to the sides than up."""
    found = [(float(anchor[0]), float(anchor[1]))]
    for ring in RINGS[1:]:
        for step in range(DIRECTIONS):
            turn = 2 * math.pi * step / DIRECTIONS
            found.append(
                (
                    anchor[0] + math.cos(turn) * (ring * unit + (size[0] - size[1]) / 2),
                    anchor[1] + math.sin(turn) * ring * unit,
                )
            )
    return found


def placed(
    anchors: Float[np.ndarray, "names 2"],
    sizes: Float[np.ndarray, "names 2"],
    points: Float[np.ndarray, "points 2"],
    frame: Box,
    unit: float = 1.0,
) -> list[tuple[float, float] | None]:
    """A centre for each name inside `frame`, where it lies on no name before it and on few points; None where there is
    no room left.

    All in pixels, of which `unit` are 1/72 inch. Of places that are free the one with the least distance + `PER_POINT`
    × points covered is taken.
    """
    boxes: list[Box] = []
    found: list[tuple[float, float] | None] = []
    for anchor, size in zip(anchors.tolist(), sizes.tolist(), strict=True):
        best, least = None, math.inf
        for centre in candidates(anchor, size, unit):
            here = box(centre, size)
            inside = here[0] >= frame[0] and here[1] >= frame[1] and here[2] <= frame[2] and here[3] <= frame[3]
            far = math.dist(centre, anchor) / unit
            if far >= least or not inside or any(overlap(here, other, ROOM * unit) for other in boxes):
                continue
            cost = far + PER_POINT * covered(points, here)
            if cost < least:
                best, least = centre, cost
        found.append(best)
        if best is not None:
            boxes.append(box(best, size))
    return found


def write_names(
    axes: Axes,
    names: Sequence[str],
    anchors: Sequence[Sequence[float]],
    points: Float[np.ndarray, "points 2"],
    size: float = 9.0,
    weight: int = 700,
) -> int:
    """Write names at their anchors (in units of the axes) so that none lies on another; a thin line leads to what is
    far. Gives how many.

    Where all anchors lie at one place nothing is written, since a name there would name one of many.
    """
    from matplotlib.patheffects import withStroke

    figure = axes.get_figure(root=True)
    if not len(names) or figure is None:
        return 0
    halo = [withStroke(linewidth=2.2, foreground=PAPER)]
    texts = [
        axes.text(
            place[0],
            place[1],
            text,
            ha="center",
            va="center",
            color=INK,
            path_effects=halo,
            zorder=6,
            fontsize=size,
            fontweight=weight,
        )
        for text, place in zip(names, anchors, strict=True)
    ]
    figure.draw_without_rendering()
    unit = figure.dpi / 72
    boxes = [text.get_window_extent() for text in texts]
    at = axes.transData.transform(np.asarray(anchors, float).reshape(-1, 2))
    together = len(names) > 2 and float(np.ptp(at, axis=0).max()) < ONE_PLACE * unit
    inner = axes.get_window_extent()
    frame = (inner.x0, inner.y0, inner.x1, inner.y1)
    sizes = np.array([(one.width, one.height) for one in boxes])
    centres = placed(at, sizes, axes.transData.transform(np.asarray(points, float).reshape(-1, 2)), frame, unit)
    back = axes.transData.inverted()
    for text, centre, anchor, extent in zip(texts, centres, at, sizes, strict=True):
        if centre is None or together:
            text.set_visible(False)
            continue
        text.set_position(tuple(back.transform(centre)))
        if math.dist(centre, anchor) > LED * extent[1]:
            axes.plot(*back.transform([centre, anchor]).T, color=QUIET, lw=0.6, zorder=5, scalex=False, scaley=False)
    return sum(text.get_visible() for text in texts)
