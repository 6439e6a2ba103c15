"""Figures of models of tables with columns of several kinds: draws against data, pair by pair too, and what comes back of each column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from vael.data.constraints import columns_of, enforced
from vael.data.schema import LEVELS, Schema
from vael.errors import StateError
from vael.evaluation.associations import AssociationDistance, association_distance
from vael.report import gather
from vael.report.record import ReportInput
from vael.report.style import MODEL, Drawing, keep, new_figure
from vael.report.synthetic_figures import ACROSS, LISTED, MATRIX, SHOWN, limited, panel, short

ROWS = 2000


def schema_of(record: ReportInput) -> Schema:
    """The schema of the data that are shown. Errors: `StateError` where there is none."""
    if record.shown.schema is None:
        raise StateError(f"{record.shown.name} has no schema; these figures are for tables with columns of several kinds")
    return record.shown.schema


def against_samples(record: ReportInput, folder: Path) -> list[Drawing]:
    """Draws from the model against data: column by column, and the association of each pair."""
    schema = schema_of(record)
    x = gather.model_units(record.shown, gather.few(record.shown, record.seed, gather.POINTS), record.seed)
    drawn = enforced(schema, gather.prior_samples(record, max(len(x), 500))[1])
    return [histograms(record, schema, x, drawn, folder), associations(record, association_distance(schema, drawn, x), folder)]


def histograms(record: ReportInput, schema: Schema, x: torch.Tensor, drawn: torch.Tensor, folder: Path) -> Drawing:
    """How often each value occurs in the data and in draws from the model."""
    columns = schema.columns[:SHOWN]
    across = min(ACROSS, len(columns))
    down = -(-len(columns) // across)
    figure = new_figure(1.85 * across, 1.6 * down + 0.3)
    panels = figure.subplots(down, across, squeeze=False).flatten().tolist()
    for place, (column, one, other) in enumerate(zip(columns, columns_of(schema, x), columns_of(schema, drawn), strict=False)):
        panel(panels[place], column, one[~np.isnan(one)], other[~np.isnan(other)])
    for spare in panels[len(columns) :]:
        spare.set_axis_off()
    panels[0].legend(["data", "model"], loc="best", handlelength=1.0)
    caption = (
        f"Share of each value among the cells that are not missing in {len(x):,} rows of data (filled) and in {len(drawn):,} draws from the model "
        "(line: z from the prior, x from p(x | z)). Numbers between the 0.5 % and the 99.5 % quantile of the data; the rest is counted in the "
        f"outermost bins.{limited(len(schema.columns), SHOWN)} {record.source_line}"
    )
    return keep(figure, folder, "histograms", caption)


def associations(record: ReportInput, found: AssociationDistance, folder: Path) -> Drawing:
    """Associations of data, of draws, and their difference."""
    names = found.first.columns[:MATRIX]
    figure = new_figure(7.4, 3.2)
    axes = figure.subplots(1, 3)
    image = None
    for place, (title, matrix) in zip(
        axes, (("data", found.second.matrix), ("draws from the model", found.first.matrix), ("draws − data", found.difference)), strict=True
    ):
        image = place.imshow(matrix[: len(names), : len(names)], cmap="RdBu_r", vmin=-1, vmax=1, interpolation="none")
        ticks = list(range(0, len(names), max(-(-len(names) // 15), 1)))
        place.set_xticks(ticks, [short(names[tick]) for tick in ticks], rotation=90, fontsize=6)
        place.set_yticks(ticks, [short(names[tick]) for tick in ticks] if place is axes[0] else [], fontsize=6)
        place.set_title(title)
        place.tick_params(length=0)
    if image is not None:
        figure.colorbar(image, ax=axes, shrink=0.7)
    caption = (
        "Association of each pair of columns: rank correlation of two numbers, Cramér's V of two columns with levels, correlation ratio of a number "
        f"given levels (both corrected for chance). White on the right is agreement: pairs differ by {found.mean:.3f} on average."
        f"{limited(len(found.first.columns), MATRIX)} {record.source_line}"
    )
    return keep(figure, folder, "correlations", caption)


def returned(record: ReportInput, folder: Path) -> Drawing:
    """How well each column comes back: the share of codes that are the same, the correlation of numbers."""
    schema = schema_of(record)
    x, again = gather.pairs(record, ROWS)
    found = []
    for column, one, other in zip(schema.columns, columns_of(schema, x), columns_of(schema, again), strict=True):
        seen = ~np.isnan(one)
        found.append((column, _agreement(one[seen], other[seen], column.kind in LEVELS)))
    found = found[:LISTED]
    figure = new_figure(7.0, 0.6 + 0.19 * max(len(found), 2))
    axes = figure.subplots()
    places = np.arange(len(found))
    axes.barh(places, [share for _, share in found], color=MODEL, height=0.62)
    names = [f"{short(column.name)} ({'levels' if column.kind in LEVELS else 'number'})" for column, _ in found]
    axes.set(yticks=places, yticklabels=names, xlim=(0, 1), xlabel="share of codes that are the same; correlation of numbers")
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.grid(True, axis="x")
    caption = (
        f"What comes back of {len(x):,} rows through the mean of q(z | x): of levels the share of cells whose most probable level is the "
        f"right one, of numbers the correlation with the mean of p(x | z).{limited(len(schema.columns), LISTED)} {record.source_line}"
    )
    return keep(figure, folder, "reconstructions", caption)


def _agreement(one: np.ndarray, other: np.ndarray, levels: bool) -> float:
    if not len(one):
        return 0.0
    if levels:
        return float((one == other).mean())
    spread = one.std() * other.std()
    return float(max(0.0, ((one - one.mean()) * (other - other.mean())).mean() / spread)) if spread > 0 else 0.0
