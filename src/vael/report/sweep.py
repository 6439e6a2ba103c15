"""Models that differ in what they climb, side by side: reconstructions, samples, latent maps, and the plane of rate
and distortion.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from vael import files
from vael.models import LatentVector, Whitens, has
from vael.report import gather, pictures
from vael.report.figures import class_name, scatter
from vael.report.labels import write_names
from vael.report.page import Page, PageTable, Section, html
from vael.report.record import JudgedNumbers, ReportInput
from vael.report.style import CLASSES, INK, QUIET, Drawing, keep, legend_above, new_figure, rule_lines, styled
from vael.report.verdict import Remark, Tone, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 12  # images in a row
ACROSS = 4  # latent maps in a row
LEAD = "The same network, data and seed; only what is climbed differs."
BOUND = "Distortion is −E log p(x | z), rate is KL(q(z | x) ‖ p(z)); their sum is the negative bound on log p(x)."
NO_BOUND = (
    "Distortion is the reconstruction loss, rate is KL(q(z | x) ‖ p(z)); their sum is the negative objective, which "
    "bounds nothing, because the "
    "loss is no likelihood."
)


@dataclass(frozen=True)
class Point:
    """One trained model of a sweep."""

    label: str  # what it climbed
    record: ReportInput
    judged: JudgedNumbers


def write(folder: Path, points: Sequence[Point], title: str) -> Path:
    """Write `folder`/sweep.html, sweep.json and figures/; every file whole or not at all.

    Gives the path of the page.
    """
    figures = folder / "figures"
    with styled():
        drawings = [("Rate and distortion", (plane(points, figures),))]
        if points[0].record.view.pictured:
            drawings.append(("Reconstructions", (reconstructions(points, figures),)))
            drawings.append(("Samples", (samples(points, figures),)))
        drawings.append(("Latent maps", (maps(points, figures),)))
    sections = (Section("Numbers", table=table(points)), *(Section(heading, found) for heading, found in drawings))
    record = points[0].record
    meaning = BOUND if points[0].judged.is_bound else NO_BOUND
    page = Page(
        title,
        f"{LEAD} {meaning} {record.source_line}",
        None,
        (),
        tuple(remarks(points)),
        (),
        sections,
        verdict="What the weights of the divergence do",
    )
    files.write_bytes(folder / "sweep.json", (json.dumps([numbers(one) for one in points], indent=2) + "\n").encode())
    files.write_bytes(folder / "sweep.html", html(page).encode())
    return folder / "sweep.html"


def numbers(point: Point) -> dict[str, object]:
    """What was measured at a point, nats per example."""
    judged = point.judged
    fields = (
        "split",
        "examples",
        "elbo",
        "distortion",
        "divergence",
        "log_likelihood",
        "standard_error",
        "importance_samples",
        "active_units",
    )
    found = {"climbed": point.label, **{name: getattr(judged, name) for name in fields}}
    return found if judged.is_bound else found | {"elbo": None, "objective": judged.elbo}


def table(points: Sequence[Point]) -> PageTable:
    """A row of numbers for every point."""
    first = points[0].judged
    known = any(one.judged.log_likelihood is not None for one in points)
    levels = [each_level(one.record) for one in points]
    header = (
        "climbed",
        f"{called(first)}, nats",
        "distortion, nats",
        "rate, nats",
        *(f"level {place + 1}, nats" for place in range(len(levels[0]))),
        *(("log p(x), nats",) if known else ()),
        "active latents",
    )
    return PageTable(header, tuple(_row(one, rates, known) for one, rates in zip(points, levels, strict=True)))


def each_level(record: ReportInput) -> list[float]:
    """The rate of each level of latents, the top first, of a model with several; else nothing."""
    model = record.model
    levels = has(model, Whitens) and not has(model, LatentVector)
    return gather.divergence_of_levels(record).tolist() if levels else []


def _row(point: Point, levels: Sequence[float], known: bool) -> tuple[str, ...]:
    label, judged = point.label, point.judged
    error = "" if judged.standard_error is None else f" ± {judged.standard_error:.2f}"
    weighed = "" if judged.log_likelihood is None else signed(judged.log_likelihood) + error
    figures = (
        signed(judged.elbo),
        signed(judged.distortion),
        signed(judged.divergence),
        *map(signed, levels),
        *((weighed,) if known else ()),
    )
    return (label, *figures, f"{judged.active_units} of {judged.latent_features}")


def remarks(points: Sequence[Point]) -> Iterator[Remark]:
    """Which point is best, by how much, and which have collapsed."""
    name = called(points[0].judged)
    ranked = sorted(points, key=lambda one: -one.judged.elbo)
    best = f"The best {name} has {ranked[0].label}: {signed(ranked[0].judged.elbo)} nats"
    ahead = (
        f", {signed(ranked[0].judged.elbo - ranked[1].judged.elbo)} more than {ranked[1].label}"
        if len(ranked) > 1
        else ""
    )
    yield Remark("best", Tone.PLAIN, f"{best}{ahead}.")
    sharpest = min(points, key=lambda one: one.judged.distortion)
    loss = f"distortion {signed(sharpest.judged.distortion)} nats, for a rate of {signed(sharpest.judged.divergence)}"
    yield Remark(
        "distortion", Tone.PLAIN, f"{sharpest.label[:1].upper()}{sharpest.label[1:]} reconstructs best: {loss}."
    )
    silent = [one.label for one in points if one.judged.active_units == 0]
    if silent:
        yield Remark(
            "collapse",
            Tone.PLAIN,
            f"No latent is active with {', '.join(silent)}: the posterior has collapsed onto the prior.",
        )


def called(judged: JudgedNumbers) -> str:
    """What the sum of distortion and rate is, with its sign turned."""
    return "bound" if judged.is_bound else "objective"


def plane(points: Sequence[Point], folder: Path) -> Drawing:
    """Distortion against rate, with lines of equal bound (or objective); the best one is the line nearest to the
    origin.
    """
    figure = new_figure(6.0, 4.2)
    axes = figure.subplots()
    rates, distortions = [one.judged.divergence for one in points], [one.judged.distortion for one in points]
    low, high = min(r + d for r, d in zip(rates, distortions, strict=True)), max(distortions)
    far = max(rates) * 1.08 + 1
    for total in (low, low + 0.25 * (high - low), low + 0.5 * (high - low)):
        axes.plot([0, far], [total, total - far], color=QUIET, lw=0.7, ls=(0, (4, 3)), zorder=1)
    axes.scatter(
        rates, distortions, color=[CLASSES[place % len(CLASSES)] for place in range(len(points))], s=34, zorder=3
    )
    room = 0.08 * (high - min(distortions)) + 1
    axes.set(
        xlabel="rate KL(q ‖ p) in nats",
        ylabel="distortion in nats",
        xlim=(-0.02 * far, far * 1.12),
        ylim=(min(distortions) - room, high + room),
    )
    rule_lines(axes, axis="both")
    spots = np.array([*zip(rates, distortions, strict=True)])
    write_names(axes, [one.label for one in points], spots.tolist(), marked(axes, spots), size=8.0, weight=400)
    name = called(points[0].judged)
    caption = (
        f"Test distortion against rate. Along a dashed line the {name} is the same; the lowest one passes through the "
        f"best {name}, "
        f"{signed(-low)} nats."
    )
    return keep(figure, folder, "rate_distortion", caption)


def marked(axes: Axes, spots: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "many 2"]:
    """Places in the marks of some points, which no name should cover."""
    figure = axes.get_figure(root=True)
    unit = 1.0 if figure is None else figure.dpi / 72
    turns = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = np.concatenate(
        [
            [(0.0, 0.0)],
            2.0 * np.stack((np.cos(turns), np.sin(turns)), 1),
            4.0 * np.stack((np.cos(turns), np.sin(turns)), 1),
        ]
    )
    at = axes.transData.transform(spots)[:, None] + unit * ring
    return axes.transData.inverted().transform(at.reshape(-1, 2))


def reconstructions(points: Sequence[Point], folder: Path) -> Drawing:
    """Originals on top, then a row of reconstructions for each point."""
    first = points[0].record
    rows = [gather.pairs(first, SHOWN)[0], *(gather.pairs(one.record, SHOWN)[1] for one in points)]
    words = pictures.middles(len(rows), ["original", *(one.label for one in points)])
    caption = f"Means of p(x | z) at the mean of q(z | x); the images are of {first.shown_line}."
    layout = pictures.PictureLayout(len(rows[0]), 5.6, rows=words)
    return pictures.sheet(first, folder, "sweep_reconstructions", torch.cat(rows), caption, layout)


def samples(points: Sequence[Point], folder: Path) -> Drawing:
    """A row of means at draws from the prior for each point; the draws are the same in every row."""
    drawn = [gather.prior_samples(one.record, SHOWN) for one in points]
    rows = [draws if means is None else means for means, draws in drawn]
    words = pictures.middles(len(rows), [one.label for one in points])
    caption = "Means of p(x | z) at latents drawn from the prior, the same latents in every row."
    layout = pictures.PictureLayout(SHOWN, 5.6, rows=words)
    return pictures.sheet(points[0].record, folder, "sweep_samples", torch.cat(rows), caption, layout)


def maps(points: Sequence[Point], folder: Path) -> Drawing:
    """Posterior means of the shown split for each point, with the circle that holds 95 % of the prior."""
    from matplotlib.patches import Circle

    down, vector = -(-len(points) // ACROSS), has(points[0].record.model, LatentVector)
    across = min(ACROSS, len(points))
    figure = new_figure(1.75 * across + 0.5, 2.0 * down + 0.3)
    places = figure.subplots(down, across, squeeze=False).flatten()
    for axes in places[len(points) :]:
        axes.set_axis_off()
    for axes, point in zip(places, points, strict=False):
        seen = gather.encoded(point.record)
        mean = (
            seen.mean
            if seen.mean.shape[1] == 2
            else gather.principal(seen.mean)[0]
            if seen.mean.shape[1] > 2
            else seen.mean.repeat(1, 2)
        )
        scatter(axes, mean, seen.label, partial(class_name, point.record))
        if axes.get_legend() is not None:
            axes.get_legend().remove()
        if vector:
            axes.add_patch(
                Circle((0, 0), 2.4477, fill=False, color=INK, lw=0.8, ls=(0, (4, 3)))
            )  # square root of the 95 % point of chi-square, 2
        axes.set(title=point.label)
        axes.tick_params(length=2, width=0.5, labelsize=6.5)
        axes.set_aspect("equal", adjustable="datalim")
    legend_above(figure, places[0])
    two = points[0].judged.latent_features == 2
    what = "Posterior means" if two else "Posterior means on their first two principal components"
    around = "The dashed circle holds 95 % of the prior" if vector else "All levels of latents, side by side"
    caption = f"{what} of {points[0].record.shown_line}; colour: label, which no model saw. {around}; axes differ."
    return keep(figure, folder, "sweep_maps", caption)
