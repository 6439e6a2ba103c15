"""Figures of models of tables with columns of several kinds: draws against data, pair by pair too, and what comes
back of each column.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from vael.counting import counted
from vael.evaluation.tabular.associations import AssociationDistance, association_distance
from vael.report import gather
from vael.report.record import ReportInput
from vael.report.style import INK, MODEL, Drawing, as_label, keep, legend_above, new_figure
from vael.report.tabular.synthetic_figures import (
    LISTED,
    LONGEST,
    SHOWN,
    associations_beside,
    limited,
    limited_pairs,
    panel,
    panels,
)
from vael.tables.constraints import columns_of, enforced
from vael.tables.schema import LEVELS, Schema

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS = 2000


def against_samples(record: ReportInput, folder: Path, *, schema: Schema) -> list[Drawing]:
    """Draws from the model against data: column by column, and the association of each pair."""
    x = gather.some_rows(record)
    drawn = enforced(schema, gather.prior_samples(record, max(len(x), 500))[1])
    return [
        histograms(record, schema, x, drawn, folder),
        associations(record, association_distance(schema, drawn, x), folder),
    ]


def histograms(record: ReportInput, schema: Schema, x: torch.Tensor, drawn: torch.Tensor, folder: Path) -> Drawing:
    """How often each value occurs in the data and in draws from the model."""
    columns = schema.columns[:SHOWN]
    figure, places = panels(len(columns), 1.6)
    for axes, column, one, other in zip(
        places, columns, columns_of(schema, x), columns_of(schema, drawn), strict=False
    ):
        panel(axes, column, one[~np.isnan(one)], other[~np.isnan(other)], ("data", "model"))
    legend_above(figure, places[0])
    caption = (
        f"Share of each value among the cells that are not missing in {counted(len(x), 'row')} of data (filled) and in "
        f"{counted(len(drawn), 'draw')} from the model (line: z from the prior, x from p(x | z)). Numbers between the "
        "0.5 % and the 99.5 % "
        "quantile of the data; the rest is counted in the "
        f"outermost bins.{limited(len(schema.columns), SHOWN)}"
    )
    return keep(figure, folder, "histograms", caption)


def associations(record: ReportInput, found: AssociationDistance, folder: Path) -> Drawing:
    """Associations of data, of draws, and their difference."""
    figure = associations_beside(found, ("data", "draws from the model", "draws − data"))
    caption = (
        "Association of each pair of columns: rank correlation of two numbers, Cramér's V of two columns with levels, "
        "correlation ratio of a number "
        f"given levels (both corrected for chance). Blank on the right is agreement: pairs differ by {found.mean:.3f} "
        "on average."
        f"{limited_pairs(record.shown.event[0], found)}"
    )
    return keep(figure, folder, "correlations", caption)


def returned(record: ReportInput, folder: Path, *, schema: Schema) -> Drawing:
    """How well each column comes back: the share of categories reproduced, and, on an axis of its own, the
    correlation of numbers.
    """
    x, again = gather.pairs(record, ROWS)
    levels, numbers = [], []
    for column, one, other in list(zip(schema.columns, columns_of(schema, x), columns_of(schema, again), strict=True))[
        :LISTED
    ]:
        seen = ~np.isnan(one)
        if column.kind in LEVELS:
            levels.append((as_label(column.name, LONGEST), _same(one[seen], other[seen]), _commonest(one[seen])))
        else:
            numbers.append((as_label(column.name, LONGEST), _correlation(one[seen], other[seen]), 0.0))
    parts = [
        (rows, label)
        for rows, label in (
            (levels, "share of categories reproduced (tick: always the commonest)"),
            (numbers, "correlation of numbers"),
        )
        if rows
    ]
    figure = new_figure(7.0, sum(0.55 + 0.19 * max(len(rows), 2) for rows, _ in parts))
    places = figure.subplots(
        len(parts), 1, squeeze=False, height_ratios=[max(len(rows), 2) for rows, _ in parts]
    ).flatten()
    for axes, (rows, label) in zip(places, parts, strict=True):
        _bars(axes, rows, label)
    figure.align_ylabels()
    right = (
        "of columns with levels the share of cells whose most probable level is the right one, with the share of the "
        "commonest level as a tick"
    )
    what = [right] * bool(levels) + ["of numbers the correlation with the mean of p(x | z)"] * bool(numbers)
    caption = (
        f"Reconstruction of {counted(len(x), 'row')} at the mean of q(z | x): {'; '.join(what)}. Both end at 1, where "
        "all comes back."
        f"{limited(len(schema.columns), LISTED)}"
    )
    return keep(figure, folder, "reconstructions", caption)


def _bars(axes: Axes, rows: list[tuple[str, float, float]], label: str) -> None:
    places = np.arange(len(rows))
    axes.barh(places, [value for _, value, _ in rows], color=MODEL, height=0.62)
    if any(usual for _, _, usual in rows):
        axes.plot([usual for _, _, usual in rows], places, "|", color=INK, ms=8, mew=1.6)
    axes.set(yticks=places, yticklabels=[name for name, _, _ in rows], xlim=(0, 1), xlabel=label)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(True, axis="x")


def _same(one: np.ndarray, other: np.ndarray) -> float:
    return float((one == other).mean()) if len(one) else 0.0


def _commonest(one: np.ndarray) -> float:
    return float(np.bincount(one.astype(int)).max() / len(one)) if len(one) else 0.0


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    spread = one.std() * other.std() if len(one) else 0.0
    return float(max(0.0, ((one - one.mean()) * (other - other.mean())).mean() / spread)) if spread > 0 else 0.0
