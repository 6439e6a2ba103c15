"""Figures of any model: curves, divergence of each latent, the latent map."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vael.models import Codes, ExactLikelihood, LatentModel, has, is_likelihood
from vael.report.gather import ACTIVE, mapped, principal
from vael.report.labels import write_names
from vael.report.record import Encoded, ReportInput
from vael.report.style import (
    ACTIVE_COLOUR,
    CLASSES,
    IDLE_COLOUR,
    INK,
    QUIET,
    TRAIN,
    VALIDATION,
    Drawing,
    as_label,
    keep,
    legend_above,
    new_figure,
    rule_lines,
)
from vael.training import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMES = 60  # on a map
SKIPPED_START = 0.05  # share of the steps whose values may leave the axes: the first bounds dwarf everything after
VALUES: tuple[Callable[[Row], float], ...] = (
    lambda row: row.elbo,
    lambda row: row.distortion,
    lambda row: row.divergence,
)
TITLES = {
    True: ("Bound (ELBO)", "Distortion −E log p(x | z)", "Divergence KL(q ‖ p)"),
    False: ("Objective", "Reconstruction loss", "Divergence KL(q ‖ p)"),
}


def panels(record: ReportInput) -> tuple[str, ...]:
    """Titles of the curves that say something of this model: one that has no latents has no divergence."""
    titles = TITLES[climbs_a_bound(record)]
    if has(record.model, Codes):
        return (*titles[:2], "Rate −log p(c)") if climbs_a_bound(record) else titles[:2]
    if has(record.model, LatentModel):
        return titles
    return ("log p(x)",) if has(record.model, ExactLikelihood) else titles[:2]


def value_range(rows: Sequence[Row], value: Callable[[Row], float]) -> tuple[float, float] | None:
    """Limits of an axis that holds every finite value after the first 5 % of the steps; None if there are none."""
    start = SKIPPED_START * max((row.step for row in rows), default=0)
    late = torch.tensor([value(row) for row in rows if row.step >= start], dtype=torch.float64)
    late = late[torch.isfinite(late)]
    if not late.numel():
        return None
    room = 0.06 * float(late.max() - late.min()) or 0.5
    return float(late.min()) - room, float(late.max()) + room


def climbs_a_bound(record: ReportInput) -> bool:
    """Whether what was logged in training is a lower bound on log p(x)."""
    return is_likelihood(record.model) and all(row.is_bound for row in record.history)


def curves(record: ReportInput, folder: Path) -> Drawing:
    """Bound, distortion and divergence against steps, for training and validation."""
    titles = panels(record)
    figure = new_figure(1.4 + 2 * len(titles), 2.5)
    axes = figure.subplots(1, len(titles), squeeze=False)[0]
    for place, title, value in zip(axes, titles, VALUES, strict=False):
        for split, colour, width in (("train", TRAIN, 1.3), ("validation", VALIDATION, 1.7)):
            rows = [row for row in record.history if row.split == split]
            dots = "o" if len(rows) < 3 else None
            place.plot(
                [row.step for row in rows],
                [value(row) for row in rows],
                color=colour,
                lw=width,
                marker=dots,
                ms=3,
                label=split,
            )
        place.set(title=title, xlabel="step", ylim=value_range(record.history, value))
        place.ticklabel_format(useOffset=False)
        place.locator_params(axis="x", nbins=4)
        rule_lines(place)
    legend_above(figure, axes[0])
    if record.has_latents:
        axes[0].set_ylabel("nats per example")
        what = "bound" if climbs_a_bound(record) else "objective, no bound on log p(x),"
        unit, said = " in nats per example", f"the {what} is −distortion − divergence and should rise."
    else:
        axes[0].set_ylabel("per example")
        what = titles[0] if has(record.model, ExactLikelihood) else f"the {titles[0].lower()}"
        unit, said = "", f"{what} should rise."
    caption = (
        f"Means over the examples of each split{unit}: {said} "
        "Training is measured while the weights move, validation with the averaged weights that are kept. "
        "Values of the first 5 % of the steps may lie outside the axes."
    )
    return keep(figure, folder, "curves", caption)


def _bars(axes: Axes, heights: Tensor, active: Tensor) -> None:
    colours = [ACTIVE_COLOUR if one else IDLE_COLOUR for one in active.tolist()]
    axes.bar(range(len(heights)), heights.tolist(), width=0.78, color=colours)
    rule_lines(axes)


def latents(record: ReportInput, seen: Encoded, folder: Path) -> Drawing | None:
    """Divergence of each latent, largest first, and the variance of its posterior mean with the threshold of
    activity.
    """
    if seen.per_latent is None:
        return None
    order, variance = seen.order, seen.variance
    active, count = (variance > ACTIVE)[order], len(order)
    figure = new_figure(min(2.4 + 0.3 * count, 7.4), 3.4)
    top, bottom = figure.subplots(2, 1, sharex=True)
    _bars(top, seen.per_latent[order], active)
    _bars(bottom, variance[order], active)
    top.set(ylabel="KL(q ‖ p)\nin nats")
    bottom.axhline(ACTIVE, color=INK, lw=0.9, ls=(0, (4, 3)))
    bottom.set(yscale="log", ylabel="variance of the\nposterior mean", xlabel="latent, by divergence")
    bottom.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    bottom.yaxis.set_minor_formatter(lambda value, _: "")
    bottom.text(1.005, ACTIVE, f"{ACTIVE:g}", transform=bottom.get_yaxis_transform(), va="center", fontsize=7.5)
    step = -(-count // 32)
    bottom.set_xticks(range(0, count, step), [str(order[place] + 1) for place in range(0, count, step)])
    bottom.set_xlim(-0.7, count - 0.3)
    figure.align_ylabels()
    total = float(seen.per_latent.sum())
    caption = (
        f"Mean divergence of each latent in nats (sum {total:.2f}) over {seen.told}, and the variance of its posterior "
        "mean: "
        f"above {ACTIVE:g} a latent counts as active (blue: {int(active.sum())} of {count}; Burda, Grosse & "
        "Salakhutdinov 2016)."
    )
    return keep(figure, folder, "divergence_per_latent", caption)


def levels(record: ReportInput, nats: Tensor, folder: Path) -> Drawing:
    """Divergence of each level of latents, the top first."""
    figure = new_figure(min(2.4 + 0.3 * len(nats), 7.4), 2.4)
    axes = figure.subplots()
    _bars(axes, nats, nats > 0)
    axes.set(ylabel="KL(q ‖ p)\nin nats", xlabel="level, the top first")
    axes.set_xticks(range(len(nats)), [str(place + 1) for place in range(len(nats))])
    axes.set_xlim(-0.7, len(nats) - 0.3)
    each = ", ".join(f"{float(one):.2f}" for one in nats) if len(nats) <= 12 else ""
    caption = (
        "Mean divergence of each level of latents in nats, given a draw of the levels above it"
        f"{': ' + each if each else ''} (sum {float(nats.sum()):.2f}), over {record.shown_line}. A level at 0 says "
        "nothing of x."
    )
    return keep(figure, folder, "divergence_of_levels", caption)


def class_colours(count: int) -> list[str]:
    """Ten colours that everyone can tell apart; beyond ten, even steps of viridis."""
    if count <= len(CLASSES):
        return list(CLASSES[:count])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](place / (count - 1))) for place in range(count)]


def class_name(record: ReportInput, label: int) -> str:
    """What a class is called in the data that are shown."""
    names = record.shown.label_names
    return as_label(names[label]) if 0 <= label < len(names) else str(label)


def scatter(axes: Axes, points: Tensor, label: Tensor | None, name: Callable[[int], str]) -> None:
    """Points coloured by label; grey where a label is unknown or there is none."""
    size = max(min(9000 / max(len(points), 1), 14), 2)
    known = torch.full((len(points),), -1) if label is None else label
    classes = [int(one) for one in known.unique() if one >= 0]
    spots: Any = {"s": size, "lw": 0, "rasterized": True}
    unknown = points[known < 0]
    axes.scatter(*unknown.T, color=VALIDATION if not classes else QUIET, alpha=0.5, **spots)
    shuffled = torch.randperm(
        len(points), generator=torch.Generator().manual_seed(0)
    )  # no class lies on top of the others
    shuffled = shuffled[known[shuffled] >= 0]
    colours = dict(zip(classes, class_colours(len(classes)), strict=True))
    axes.scatter(*points[shuffled].T, color=[colours[int(one)] for one in known[shuffled]], alpha=0.75, **spots)
    if len(classes) <= len(CLASSES):
        handles = [axes.scatter([], [], s=18, lw=0, color=colours[one], label=name(one)) for one in classes]
        if handles:
            axes.legend(
                handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2, borderaxespad=0.3
            )


def name_classes(axes: Axes, points: Tensor, label: Tensor | None, name: Callable[[int], str]) -> int:
    """Name each class near its middle, on no other name and on few points, once the axes have their limits.

    Gives how many are named.
    """
    if label is None:
        return 0
    classes = [int(one) for one in label.unique() if one >= 0][:MOST_NAMES]
    middles = [points[label == one].median(0).values.tolist() for one in classes]
    return write_names(axes, [name(one) for one in classes], middles, points.numpy())


def _map(
    record: ReportInput, folder: Path, name: str, seen: Encoded, axis: tuple[str, str], what: str, points: Tensor
) -> Drawing:
    figure: Figure = new_figure(6.0, 5.0)
    axes = figure.subplots()
    scatter(axes, points, seen.label, partial(class_name, record))
    axes.set(xlabel=axis[0], ylabel=axis[1])
    axes.tick_params(length=2.5, width=0.6)
    if name != "latent_map_umap":
        axes.set_aspect("equal", adjustable="datalim")
    given = bool(record.shown.conditions)
    marked = "Colour and name" if name_classes(axes, points, seen.label, partial(class_name, record)) else "Colour"
    colour = (
        "No labels are known."
        if seen.label is None or bool((seen.label < 0).all())
        else f"{marked}: {'condition' if given else 'label'}, which the model {'is given' if given else 'never saw'}."
    )
    return keep(figure, folder, name, f"{what} of {seen.told}. {colour}")


def latent_maps(record: ReportInput, folder: Path) -> list[Drawing]:
    """The map of posterior means: directly for one or two latents, else by principal components and, where
    installed, UMAP.
    """
    seen, what_is_mapped = mapped(record), "Posterior means" if record.has_latents else "Codes"
    features = seen.mean.shape[1]
    if features == 1:
        points = torch.cat((seen.mean, torch.zeros_like(seen.mean)), dim=1)
        return [_map(record, folder, "latent_map", seen, ("z₁", ""), what_is_mapped, points)]
    if features == 2:
        return [_map(record, folder, "latent_map", seen, ("z₁", "z₂"), what_is_mapped, seen.mean)]
    points, (first, second) = principal(seen.mean)
    axis = (f"first principal component ({first:.0%} of the variance)", f"second principal component ({second:.0%})")
    what = (
        f"{what_is_mapped} on their first two principal components, which explain {first + second:.0%} of the variance "
        f"in {features} {record.coordinates},"
    )
    return [_map(record, folder, "latent_map", seen, axis, what, points), *_umap(record, seen, folder)]


def _umap(record: ReportInput, seen: Encoded, folder: Path) -> list[Drawing]:
    if importlib.util.find_spec("umap") is None or len(seen.mean) < 50:
        return []
    umap = importlib.import_module("umap")
    placed = umap.UMAP(random_state=record.seed, n_jobs=1).fit_transform(seen.mean.numpy())
    what = f"UMAP of {seen.mean.shape[1]} {record.coordinates} (neighbourhoods are kept, distances are not)"
    return [_map(record, folder, "latent_map_umap", seen, ("UMAP 1", "UMAP 2"), what, torch.from_numpy(placed).float())]
