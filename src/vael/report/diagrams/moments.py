"""Means and variances of the features of samples beside those of test data, and their differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vael.evaluation import FrechetDistance
from vael.report.style import CLASSES, new_figure, on_paper, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def moments_figure(distance: FrechetDistance, samples: str, *, test: str = "test examples") -> Figure:
    """Above, the mean and the variance of each feature in both sets; below, samples minus test. `samples` and `test`
    say what the sets are.
    """
    order = torch.arange(len(distance.test.mean))
    with styled():
        figure = on_paper(new_figure(9.0, 4.6))
        places = figure.subplots(2, 2, sharex=True)
        for column, what in enumerate(("mean", "variance")):
            ours, theirs = getattr(distance.sampled, what), getattr(distance.test, what)
            above, below = places[0, column], places[1, column]
            above.plot(order, theirs, ".", ms=4, color=CLASSES[0], label=test)
            above.plot(order, ours, ".", ms=4, color=CLASSES[1], label=samples)
            above.set(title=f"{what} of each feature")
            below.axhline(0, color="grey", lw=0.7)
            below.plot(order, ours - theirs, ".", ms=4, color=CLASSES[2])
            below.set(title=f"{samples} minus {test}", xlabel=f"feature ({distance.features})")
        places[0, 0].legend()
    return figure
