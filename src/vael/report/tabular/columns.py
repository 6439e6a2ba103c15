"""Figures of models of tables: each column against its reconstruction, samples against data, correlations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vael.counting import counted
from vael.report import gather
from vael.report.record import ReportInput
from vael.report.style import DATA, INK, MODEL, Drawing, as_label, keep, legend_above, rule_lines
from vael.report.tabular.synthetic_figures import limited, panels, side_by_side

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN, CORRELATED, ROWS = 12, 40, 2000
LONGEST = 18  # letters of a name above a panel


def scatters(record: ReportInput, folder: Path) -> Drawing:
    """Original against reconstruction, column by column."""
    x, again = gather.pairs(record, ROWS)
    columns, names = x.shape[1], record.view.names(record.shown)
    figure, places = panels(min(columns, SHOWN))
    for place, axes in enumerate(places):
        across, up = x[:, place], again[:, place]
        axes.scatter(across, up, s=max(min(3000 / len(x), 8), 2), lw=0, alpha=0.5, color=MODEL, rasterized=True)
        ends = [float(across.min()), float(across.max())]
        axes.plot(ends, ends, color=INK, lw=0.8, ls=(0, (4, 3)))
        r = float(gather.correlations(torch.stack((across, up), 1))[0, 1])
        axes.set_title(f"{as_label(names[place], LONGEST)}, r = {r:.2f}")
        axes.locator_params(nbins=4)
        rule_lines(axes, axis="both")
    figure.supxlabel("original", fontsize=8.5)
    figure.supylabel("reconstruction", fontsize=8.5)
    caption = (
        f"Each column of {counted(len(x), 'row')} against {record.came_out}; r is the "
        "correlation, the "
        "dashed line is equality."
        f"{limited(columns, SHOWN)}"
    )
    return keep(figure, folder, "reconstructions", caption)


def _density(axes: Axes, values: Tensor, edges: Tensor, colour: str, label: str, filled: bool) -> None:
    heights = torch.histogram(values.double().clamp(edges[0], edges[-1]), edges, density=True).hist
    axes.stairs(
        heights.numpy(), edges.numpy(), fill=filled, color=colour, lw=1.4, alpha=0.55 if filled else 1, label=label
    )


def bins(rows: int) -> int:
    """Bars of a histogram: twice the root of the number of rows, between 8 and 32."""
    return min(max(round(2 * rows**0.5), 8), 32)


def histograms(record: ReportInput, x: Tensor, drawn: Tensor, folder: Path) -> Drawing:
    """How often each value occurs in the data and in draws from the model."""
    columns, names = x.shape[1], record.view.names(record.shown)
    figure, places = panels(min(columns, SHOWN))
    for place, axes in enumerate(places):
        low, high = float(x[:, place].min()), float(x[:, place].max())
        room = 0.1 * (high - low) or 0.5
        edges = torch.linspace(low - room, high + room, bins(len(x)) + 1, dtype=torch.float64)
        _density(axes, x[:, place], edges, DATA, "data", True)
        _density(axes, drawn[:, place], edges, MODEL, "model", False)
        axes.set(title=as_label(names[place], LONGEST), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=4)
        axes.tick_params(length=2.5, width=0.6)
    legend_above(figure, places[0])
    caption = (
        f"Share of values in {counted(len(x), 'row')} of data (filled) and in {counted(len(drawn), 'draw')} of x from "
        f"the model (line{': z from the prior, x from p(x | z)' if record.has_latents else ''}); what lies beyond the "
        f"axes is counted in the outermost bins.{limited(columns, SHOWN)}"
    )
    return keep(figure, folder, "histograms", caption)


def correlation(record: ReportInput, x: Tensor, drawn: Tensor, folder: Path) -> Drawing:
    """Correlation matrices of data and of draws from the model, on one scale."""
    columns = min(x.shape[1], CORRELATED)
    matrices = [gather.correlations(part[:, :columns]) for part in (x, drawn)]
    titled = [(title, matrix.numpy()) for title, matrix in zip(("data", "draws from the model"), matrices, strict=True)]
    figure = side_by_side(titled, record.view.names(record.shown)[:columns], "Pearson's correlation", 3.4)
    apart = float((matrices[0] - matrices[1]).abs().max())
    caption = (
        f"Correlation of each pair of columns; the two differ by at most {apart:.2f}.{limited(x.shape[1], CORRELATED)}"
    )
    return keep(figure, folder, "correlations", caption)


def against_samples(record: ReportInput, folder: Path) -> list[Drawing]:
    """Draws from the model against data: column by column and pair by pair."""
    x = gather.some_rows(record)
    _, drawn = gather.prior_samples(record, max(len(x), 500))
    return [histograms(record, x, drawn, folder), correlation(record, x, drawn, folder)]
