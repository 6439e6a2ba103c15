"""Figures of the quality page of a synthetic table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from vael.counting import counted
from vael.evaluation.tabular.associations import AssociationDistance
from vael.evaluation.tabular.efficacy import Efficacy
from vael.evaluation.tabular.privacy import ClosestRecords
from vael.evaluation.tabular.synthetic import JudgedTables, SyntheticQuality
from vael.report.style import (
    DATA,
    INK,
    MODEL,
    QUIET,
    TRAIN,
    Drawing,
    as_label,
    diverging,
    keep,
    legend_above,
    new_figure,
    rule_lines,
)
from vael.tables.constraints import columns_of
from vael.tables.schema import LEVELS, Column, ColumnKind
from vael.tables.values.arrow_types import DAY
from vael.tables.values.dates import EPOCH, moment_of, written_date
from vael.tables.values.numerals import numeral_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


SHOWN, ACROSS, LISTED, MATRIX = 24, 4, 40, 40
BARS, LONGEST, LEVEL = 8, 14, 10  # levels in a panel, letters of the name of a column and of a level
BINS = 24
NAMED = 15  # columns with a name at the axis
Panel = tuple[str, Float[np.ndarray, "columns columns"]]  # a title and its matrix, from −1 to 1


def limited(count: int, shown: int) -> str:
    """What a caption says where not all columns are shown."""
    return "" if count <= shown else f" The first {shown} of {count} columns are shown."


def limited_pairs(columns: int, found: AssociationDistance) -> str:
    """What a caption says where not the pairs of all columns are shown, or count in a mean."""
    looked_at = len(found.first.columns)
    mean = "" if columns <= looked_at else f" The mean is over pairs of the first {looked_at}."
    return limited(columns, MATRIX) + mean


def panels(count: int, height: float = 1.75) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels of that height in inches, `ACROSS` beside each other; what is left of the last row is
    blank.
    """
    across = min(ACROSS, count)
    down = -(-count // across)
    figure = new_figure(1.85 * across, height * down + 0.3)
    axes = figure.subplots(down, across, squeeze=False).flatten().tolist()
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


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


def associations_beside(found: AssociationDistance, titles: tuple[str, str, str], height: float = 3.2) -> Figure:
    """Associations of the second table, of the first, and first minus second, under these titles."""
    names = found.first.columns[:MATRIX]
    matrices = [one[: len(names), : len(names)] for one in (found.second.matrix, found.first.matrix, found.difference)]
    return side_by_side(list(zip(titles, matrices, strict=True)), names, "association", height)


def distances(quality: SyntheticQuality) -> Drawing:
    """Distance of each column, with its floor, the largest on top."""
    pairs = zip(quality.marginals, quality.marginal_floor, strict=True)
    rows = sorted(
        ((one.distance, floor.distance, one.column) for one, floor in pairs if one.distance == one.distance),
        reverse=True,
    )[:LISTED]
    figure = new_figure(7.0, 0.6 + 0.19 * max(len(rows), 2))
    axes = figure.subplots()
    places = np.arange(len(rows))
    axes.barh(places, [one[0] for one in rows], color=MODEL, height=0.62, label="synthetic against held-out rows")
    axes.plot([one[1] for one in rows], places, "|", color=INK, ms=8, mew=1.6, label="training against held-out rows")
    axes.set(
        yticks=places,
        yticklabels=[as_label(one[2], LONGEST) for one in rows],
        xlabel="distance, from 0 (equal) to 1 (apart)",
    )
    axes.set_ylim(len(rows) - 0.4, -0.6)
    legend_above(figure, axes)
    axes.grid(True, axis="x")
    caption = (
        "Total variation for columns with levels, Kolmogorov-Smirnov distance for numbers: the largest difference of "
        "the shares of rows that any "
        "set of levels, or any cut in two, has in the two tables. The tick is what equal laws have with so few rows."
        f"{limited(len(quality.marginals), LISTED)}"
    )
    return keep(figure, None, "distances", caption)


def histograms(tables: JudgedTables) -> Drawing:
    """How often each value occurs in real rows and in synthetic ones."""
    columns = tables.schema.columns[:SHOWN]
    figure, axes = panels(len(columns))
    real, drawn = columns_of(tables.schema, tables.holdout), columns_of(tables.schema, tables.synthetic)
    for place, column in enumerate(columns):
        first, second = (one[place][~np.isnan(one[place])] for one in (real, drawn))
        panel(axes[place], column, first, second)
    legend_above(figure, axes[0])
    caption = (
        "Share of each value among the cells that are not missing: held-out rows filled, synthetic rows as a line. "
        "Numbers between the 0.5 % and the "
        "99.5 % quantile of the held-out rows; the rest is counted in the outermost "
        f"bins.{limited(len(tables.schema.columns), SHOWN)}"
    )
    return keep(figure, None, "histograms", caption)


def panel(
    axes: Axes, column: Column, real: np.ndarray, drawn: np.ndarray, names: tuple[str, str] = ("real", "synthetic")
) -> None:
    """One column; `names` are what the two tables are called in the legend."""
    axes.set(title=as_label(column.name, LONGEST), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=2.5, width=0.6)
    if not len(real) or not len(drawn):
        return
    if column.kind in LEVELS:
        codes = np.argsort(-np.bincount(real.astype(int), minlength=column.codes), kind="stable")[:BARS]
        levels = [*column.levels, "(rare)"]
        shares = [[float((one == code).mean()) for code in codes] for one in (real, drawn)]
        edges = np.arange(len(codes) + 1) - 0.5
        axes.set_xticks(
            np.arange(len(codes)),
            [as_label(levels[code], LEVEL) for code in codes],
            rotation=50 if len(codes) > 3 else 0,
            fontsize=7,
        )
    else:
        low, high = np.quantile(usual_values(column, real), [0.005, 0.995])
        room = 0.02 * (high - low) or 0.5
        edges = np.linspace(low - room, high + room, BINS + 1)
        shares = [np.histogram(np.clip(one, edges[0], edges[-1]), edges)[0] / len(one) for one in (real, drawn)]
        axes.locator_params(axis="x", nbins=3 if column.kind is ColumnKind.DATE else 4)
        axes.xaxis.set_major_formatter(lambda value, _: tick(column, value, high - low))
    axes.stairs(shares[0], edges, fill=True, color=DATA, alpha=0.55, label=names[0])
    axes.stairs(shares[1], edges, color=MODEL, lw=1.4, label=names[1])


def association_maps(quality: SyntheticQuality) -> Drawing:
    """Associations of real rows, of synthetic rows, and their difference."""
    found = quality.associations
    figure = associations_beside(found, ("held-out rows", "synthetic rows", "synthetic − held-out"), 2.9)
    caption = (
        "Association of each pair: rank correlation of two numbers, Cramér's V of two columns with levels, correlation "
        "ratio of a number "
        f"given levels (both corrected for chance). Blank on the right is agreement: pairs differ by "
        f"{found.mean:.3f} on average, training from held-out rows by {quality.association_floor.mean:.3f}."
        f"{limited_pairs(len(quality.marginals), found)}"
    )
    return keep(figure, None, "associations", caption)


def learners(found: Efficacy) -> Drawing:
    """Each learner, trained on synthetic and on real rows."""
    figure = new_figure(5.2, 0.9 + 0.42 * len(found.real))
    axes = figure.subplots()
    places = np.arange(len(found.real))
    for shift, scores, colour, name in (
        (-0.17, found.real, TRAIN, "trained on real rows"),
        (0.17, found.synthetic, MODEL, "trained on synthetic rows"),
    ):
        axes.barh(places + shift, [one.value for one in scores], height=0.3, color=colour, label=name)
        for place, one in zip(places, scores, strict=True):
            axes.text(max(one.value, 0) + 0.01, place + shift, f"{one.value:.3f}", va="center", fontsize=7, color=QUIET)
    axes.set_yticks(places, [one.learner for one in found.real])
    axes.invert_yaxis()
    axes.set_xlabel(f"{found.measure} on {counted(found.tested, 'real row')} that neither had")
    legend_above(figure, axes)
    return keep(figure, None, "learners", f"Predicting {found.target} ({found.task.value}) from all other columns.")


def closest(found: ClosestRecords) -> Drawing:
    """Distribution of the distance to the closest record, to training and to held-out rows."""
    figure = new_figure(5.2, 2.5)
    axes = figure.subplots()
    for one, colour, style, name in (
        (found.to_holdout, INK, (0, (4, 3)), "to held-out rows"),
        (found.to_train, MODEL, "-", "to training rows"),
    ):
        ordered = np.sort(one)
        axes.plot(ordered, (np.arange(len(ordered)) + 1) / len(ordered), color=colour, lw=1.5, ls=style, label=name)
    axes.set(xlabel="distance to the closest record", ylabel="share of synthetic rows", ylim=(0, 1))
    legend_above(figure, axes)
    rule_lines(axes, axis="both")
    caption = (
        f"Distances to {counted(found.compared, 'training row')} and to as many held-out rows. The two lines agree "
        "where nothing was memorised; "
        "a line to training rows that lies on the left, above all near 0, means that training rows come through."
    )
    return keep(figure, None, "closest", caption)


SPANS = (
    (1000.0, "%Y"),
    (60.0, "%Y-%m"),
    (2.0, "%m-%d"),
    (0.0, "%H:%M"),
)  # days that an axis spans at least, and how it is written then


def tick(column: Column, value: float, span: float) -> str:
    """A place on the axis of a column of numbers or dates that spans so much: 2019-04, not 17987; 12 %, not 12."""
    if column.kind is not ColumnKind.DATE:
        return numeral_of(column).around(f"{value:,.6g}".replace(",", "") if abs(value) < 1e6 else f"{value:.3g}")
    clock = not any(mark in column.pattern for mark in ("%Y", "%y", "%d")) and not EPOCH.fullmatch(column.pattern)
    pattern = "%H:%M" if clock else next(form for least, form in SPANS if span >= least)
    return written_date(moment_of(value, float(DAY if pattern != "%H:%M" else 60)), pattern)


def usual_values(column: Column, values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " usual"]:
    """The values without stand-ins that lie beyond all others (9999-12-31), which would leave a single bar; all of
    them where there is none.
    """
    if not column.usual:
        return values
    room = 1e-6 * max(1.0, *(abs(end - column.origin) for end in column.usual))
    found = values[(values >= column.usual[0] - room) & (values <= column.usual[1] + room)]
    return found if len(found) else values
