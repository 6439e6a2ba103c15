"""Figures of models of images: originals and reconstructions, samples, the manifold, traversals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vael.applications import generation
from vael.models import is_likelihood
from vael.report import gather
from vael.report.grid import LARGEST, grid_image, shown_channels
from vael.report.record import Encoded, ReportInput
from vael.report.style import Drawing, as_label, keep, new_figure

COLUMNS, ROWS = 12, 3  # originals over reconstructions
SIDE = 8  # of the square of samples
MANIFOLD = 16  # images on a side of the manifold
STEPS, SHOWN_LATENTS = 11, 12  # of a traversal
REDRAWN, SHOWN_LEVELS = 10, 8  # images in a row of a level, and rows of levels
SMALL = 64  # longest side of an image in the figures with many
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
Words = Sequence[tuple[float, str]]  # where a word stands (0 top or left, 1 bottom or right) and the word


@dataclass(frozen=True)
class PictureLayout:
    """How a sheet of images is laid out: images in a row, inches, pixels between them, words left of rows and under
    columns.
    """

    columns: int
    width: float = 6.4
    gap: int = 3
    rows: Words = ()
    feet: Words = ()


def sheet(record: ReportInput, folder: Path, name: str, x: Tensor, caption: str, layout: PictureLayout) -> Drawing:
    """A grid of images with words beside its rows and under its columns, as a figure."""
    x = x[:, None] if x.dim() == 3 else x  # one channel where the data have no axis of channels
    grid = grid_image(
        x, record.scale, columns=layout.columns, gap=layout.gap, largest=SMALL if len(x) > 100 else LARGEST
    )
    margin = 0.14 + 0.066 * max(len(text) for _, text in layout.rows) if layout.rows else 0.0
    foot, tall = (0.24 if layout.feet else 0.0), layout.width * grid.height / grid.width
    figure = new_figure(layout.width + margin, tall + foot, layout=None)
    axes = figure.add_axes(
        (
            margin / (layout.width + margin),
            foot / (tall + foot),
            layout.width / (layout.width + margin),
            tall / (tall + foot),
        )
    )
    axes.set_axis_off()
    axes.imshow(grid, interpolation="none", aspect="auto")
    for middle, text in layout.rows:
        axes.text(-0.06 / layout.width, 1 - middle, as_label(text), transform=axes.transAxes, ha="right", va="center")
    for middle, text in layout.feet:
        axes.text(middle, -0.06 / tall, as_label(text), transform=axes.transAxes, ha="center", va="top", fontsize=7.5)
    return keep(
        figure,
        folder,
        name,
        f"{caption} {shown_channels(x.shape[1])}".strip(),
        crisp=True,
        has_words=bool(layout.rows or layout.feet),
    )


def middles(count: int, words: Sequence[str]) -> Words:
    """Each word at the middle of its row or column among `count`; empty words are left out."""
    return [((place + 0.5) / count, word) for place, word in enumerate(words) if word]


def minus(value: float) -> str:
    """A number with one digit and a real minus sign."""
    return f"{value:.1f}".replace("-", "−")


def reconstructions(record: ReportInput, folder: Path) -> Drawing:
    """Rows of originals, each over the row of their reconstructions."""
    x, again = gather.pairs(record, COLUMNS * ROWS)
    columns = min(COLUMNS, len(x))
    whole = len(x) // columns * columns
    blocks = list(zip(x[:whole].split(columns), again[:whole].split(columns), strict=True))
    words = middles(2 * len(blocks), ["original", "reconstruction"] * len(blocks))
    caption = (
        f"Originals, and below each {record.came_out}: no draw, so fine detail that the "
        f"{'latents' if record.has_latents else 'codes'} do not hold is averaged away. Shown: {record.shown_line}."
    )
    rows = torch.cat([part for block in blocks for part in block])
    return sheet(
        record, folder, "reconstructions", rows, caption, PictureLayout(columns, max(0.52 * columns, 1.0), rows=words)
    )


def samples(record: ReportInput, folder: Path, *, grey: str) -> list[Drawing]:
    """Means and draws at the same latents from the prior; `grey` says what the grey of a mean is."""
    means, draws = gather.prior_samples(record, SIDE * SIDE)
    layout = PictureLayout(SIDE, 3.5)
    if means is None:
        caption = f"{SIDE * SIDE} draws of x from the model."
        return [sheet(record, folder, "sample_draws", draws, caption, layout)]
    if not is_likelihood(record.model):
        caption = (
            f"Means at {SIDE * SIDE} latents drawn from the prior. The objective is no likelihood, so there is no law "
            "of x to draw from."
        )
        return [sheet(record, folder, "sample_means", means, caption, PictureLayout(SIDE, 3.5))]
    first = f"Means of p(x | z) at {SIDE * SIDE} latents drawn from the prior: {grey}."
    second = (
        "Draws of x from p(x | z) at the same latents, place by place: what the model says data look like, noise "
        "included."
    )
    return [
        sheet(record, folder, "sample_means", means, first, layout),
        sheet(record, folder, "sample_draws", draws, second, layout),
    ]


def levels(record: ReportInput, nats: Tensor, folder: Path) -> Drawing:
    """One row a level: a draw from the prior, and beside it the same with new noise in that level alone."""
    with gather.looking(record.model):
        rows = generation.redrawn(record.model, REDRAWN, seed=record.seed)
        kept = torch.linspace(0, len(rows) - 1, min(len(rows), SHOWN_LEVELS)).round().long().tolist()
        x = [generation.examples_of(record.model, rows[level], mean=True).float().cpu() for level in kept]
    words = [f"level {level + 1}, {float(nats[level]):.1f} nats" for level in kept]
    left = "" if len(kept) == len(rows) else f" {len(kept)} of {len(rows)} levels are shown."
    caption = (
        "Means of p(x | z). The first image of every row is the same draw from the prior; beside it that row's level "
        "is drawn anew, the noise of all other levels stays. So a row shows what its level decides; its mean "
        f"divergence stands beside it.{left}"
    )
    layout = PictureLayout(REDRAWN, 5.6, rows=middles(len(kept), words))
    return sheet(record, folder, "levels", torch.cat(x), caption, layout)


def manifold(record: ReportInput, folder: Path) -> Drawing:
    """The decoder over a square of two latents, evenly spaced in probability."""
    x = gather.decoded(record.central, gather.manifold_points(MANIFOLD))
    ticks = [minus(float(z)) if place % 3 == 0 else "" for place, z in enumerate(gather.quantiles(MANIFOLD))]
    edge = float(gather.quantiles(MANIFOLD)[-1])
    layout = PictureLayout(MANIFOLD, 5.6, 0, middles(MANIFOLD, ticks[::-1]), middles(MANIFOLD, ticks))
    caption = (
        f"Means of p(x | z) at {MANIFOLD} × {MANIFOLD} latents: z₁ grows to the right and z₂ upwards from −{edge:.2f} "
        f"to {edge:.2f}, "
        "spaced by the inverse normal distribution function, so that every image stands for the same share of the "
        "prior."
    )
    return sheet(record, folder, "manifold", x, caption, layout)


def traversals(record: ReportInput, seen: Encoded, folder: Path) -> Drawing:
    """One row a latent, the most informative first: the mean of p(x | z) while it moves and the others stay at 0."""
    chosen = seen.order[:SHOWN_LATENTS]
    points = gather.traversal_points(seen.mean.shape[1], chosen, STEPS)
    x = gather.decoded(record.central, points.flatten(0, 1))
    by = (
        "the latent's mean divergence, which stands beside them"
        if seen.per_latent is not None
        else "the variance of the latent's posterior mean"
    )
    left = "" if len(chosen) == seen.mean.shape[1] else f" The {len(chosen)} largest of {seen.mean.shape[1]} are shown."
    caption = (
        "Means of p(x | z) while one latent goes from −3 to 3 standard deviations of the prior and the others stay at "
        f"0. Rows are sorted by {by}."
        f"{left}"
    )
    return sheet(record, folder, "traversals", x, caption, _travels(chosen, seen.per_latent))


def traversals_at_top(record: ReportInput, nats: Tensor, folder: Path) -> Drawing:
    """One row a latent of the top level, that of the largest divergence first: the mean of p(x | z) while it moves."""
    chosen = nats.argsort(descending=True)[:SHOWN_LATENTS].tolist()
    with gather.looking(record.model) as device:
        z = generation.moved(record.model, chosen, torch.linspace(-gather.REACH, gather.REACH, STEPS, device=device))
        x = generation.examples_of(record.model, z, mean=True).float().cpu()
    left = "" if len(chosen) == len(nats) else f" The {len(chosen)} largest of {len(nats)} are shown."
    caption = (
        "Means of p(x | z) while one latent of the top level goes from −3 to 3 standard deviations of its prior; the "
        "others of that level stay at the mean of theirs, and every level below is at the mean of its prior given "
        f"those above. Rows are sorted by the latent's mean divergence, which stands beside them.{left}"
    )
    return sheet(record, folder, "traversals", x, caption, _travels(chosen, nats))


def _travels(chosen: Sequence[int], nats: Tensor | None) -> PictureLayout:
    """A row for each chosen latent with its name and divergence, below the distances from the prior's mean."""
    words = [
        f"z{latent + 1}".translate(SUBSCRIPTS) + ("" if nats is None else f", {float(nats[latent]):.2f} nats")
        for latent in chosen
    ]
    sigmas = [
        f"{minus(float(z))}σ" if abs(float(z)) > 1e-6 else "0"
        for z in torch.linspace(-gather.REACH, gather.REACH, STEPS)
    ]
    return PictureLayout(STEPS, 5.6, rows=middles(len(chosen), words), feet=middles(STEPS, sigmas))
