"""Square matrices of what columns have to do with each other, side by side on one scale, in colours that suit light
and dark pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from vael.report.style import as_label, diverging, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED, LONGEST = 15, 14  # columns with a name at the axis, and letters of it
Panel = tuple[str, Float[np.ndarray, "columns columns"]]  # a title and its matrix, from −1 to 1


def side_by_side(panels: Sequence[Panel], names: Sequence[str], label: str, height: float = 3.2) -> Figure:
    """The matrices, with the names of their columns at the axes and one scale from −1 to 1 beside them."""
    figure = new_figure(7.4, height)
    axes = figure.subplots(1, len(panels))
    ticks = list(range(0, len(names), max(-(-len(names) // NAMED), 1)))
    words = [as_label(names[tick], LONGEST) for tick in ticks]
    image = None
    for place, (title, matrix) in zip(axes, panels, strict=True):
        image = place.imshow(matrix, cmap=diverging(), vmin=-1, vmax=1, interpolation="none")
        place.set_xticks(ticks, words, rotation=90, fontsize=7)
        place.set_yticks(ticks, words if place is axes[0] else [], fontsize=7)
        place.set_title(title)
        place.tick_params(length=0)
    if image is not None:
        bar = figure.colorbar(image, ax=axes, shrink=0.7, label=label, ticks=[-1, -0.5, 0, 0.5, 1])
        if bar.solids is not None:
            bar.solids.set_rasterized(
                True
            )  # as cells side by side their edges would be seen, since they let light through
    return figure
