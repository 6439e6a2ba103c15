"""Figures of models of sequences: windows of data with what the model keeps of them, and windows drawn from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vael.counting import counted
from vael.data import Batch
from vael.data.source import spread
from vael.evaluation.examples import batch_at, reference
from vael.models import LatentModel, Predicts, Samples, needs, posterior_levels
from vael.probability import EachLatent, PerExample, draw
from vael.report.gather import looking
from vael.report.record import ReportInput
from vael.report.style import DATA, INK, MODEL, Drawing, as_label, keep, legend_above, new_figure, rule_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WINDOWS, CHANNELS = 3, 4  # shown
DRAWS = 200  # of x for the band
BAND = 0.9  # probability of the band


@dataclass(frozen=True)
class Returned:
    """Windows and what a model says of each of their elements, given the whole window."""

    x: Float[Tensor, "windows time channels"]  # NaN where nothing was seen
    mean: Float[Tensor, "windows time channels"]
    low: Float[Tensor, "windows time channels"]
    high: Float[Tensor, "windows time channels"]


def returned(model: LatentModel, batch: Batch, noise: PerExample) -> Returned:
    """Mean and the middle 90 % of draws of x from p(x | z) with z from q(z | x)."""
    law = model.decode(posterior_levels(model, batch, DRAWS, noise), batch.context)
    drawn = draw_each(law, noise).float()
    ends = torch.tensor([(1 - BAND) / 2, (1 + BAND) / 2], device=drawn.device)
    low, high = drawn.quantile(ends, dim=0)
    x = batch.x if batch.observed is None else torch.where(batch.observed, batch.x, torch.full_like(batch.x, math.nan))
    return Returned(x.float().cpu(), law.mean.mean(0).float().cpu(), low.cpu(), high.cpu())


def draw_each(law: Distribution, noise: PerExample) -> Tensor:
    """One draw at each latent, `[latents, batch, *event]`, by noise that belongs to examples."""
    return draw(law, 1, EachLatent(noise))[0]


def _panels(rows: int, across: int) -> tuple[Figure, list[list[Axes]]]:
    figure = new_figure(max(3.2, 2.5 * across), 1.45 * rows + 0.5)
    return figure, figure.subplots(rows, across, squeeze=False, sharex=True).tolist()


def _windows(
    record: ReportInput, channels: Sequence[int], titles: Sequence[str], drawn: Callable[[Axes, int, int], None]
) -> Figure:
    """A column of panels for each window under its title, a row for each channel, and what is `drawn` of both."""
    figure, panels = _panels(len(channels), len(titles))
    for place, title in enumerate(titles):
        for row, channel in enumerate(channels):
            drawn(panels[row][place], place, channel)
            rule_lines(panels[row][place])
            panels[row][place].locator_params(nbins=4)
        panels[0][place].set_title(as_label(title))
        panels[-1][place].set_xlabel("step")
    for row, channel in enumerate(channels):
        panels[row][0].set_ylabel(as_label(record.view.names(record.shown)[channel]))
    legend_above(figure, panels[0][0])
    return figure


def _limited(channels: int) -> str:
    return "" if channels <= CHANNELS else f" The first {CHANNELS} of {channels} channels are shown."


def reconstructions(record: ReportInput, folder: Path) -> Drawing:
    """A few windows: the data, the mean of p(x | z), and the band of draws."""
    source = record.shown
    index = spread(len(source), WINDOWS)
    model = needs(record.model, LatentModel, "a figure of windows")
    with looking(record.model):
        batch = batch_at(source, index, record.seed, reference(record.model))
        found = returned(model, batch, PerExample(record.seed, index))
    begin = source.named.take(index.numpy()).columns.get("begin")
    times = range(1, source.event[0] + 1)

    def drawn(axes: Axes, place: int, channel: int) -> None:
        low, high, mean, x = (getattr(found, name)[place, :, channel].numpy() for name in ("low", "high", "mean", "x"))
        axes.fill_between(times, low, high, color=MODEL, alpha=0.22, lw=0, label=f"middle {BAND:.0%} of draws")
        axes.plot(times, mean, color=MODEL, lw=1.3, label="mean of p(x | z)")
        axes.plot(times, x, color=INK, lw=0.9, marker=".", ms=2.5, label="data")

    titles = [f"window {place + 1}" if begin is None else f"from {begin[at]}" for at, place in enumerate(index)]
    figure = _windows(record, range(min(CHANNELS, source.event[1])), titles, drawn)
    gaps = " Gaps in the line of the data are elements that were not seen." if source.gaps else ""
    caption = (
        f"{counted(len(index), 'window')} of {record.shown_line}: the data, the mean of p(x | z), and the middle "
        f"{BAND:.0%} of {DRAWS} draws of x, all with z from q(z | x), which knows the whole window.{gaps}"
        f"{_limited(source.event[1])}"
    )
    return keep(figure, folder, "reconstructions", caption)


def most_varying(x: Float[Tensor, "windows time channels"]) -> list[int]:
    """The channels that vary most over some windows, at most `CHANNELS`, in their order."""
    flat, there = x.flatten(0, 1), ~x.flatten(0, 1).isnan()
    count = there.sum(0).clamp(min=1)
    apart = torch.where(there, flat - flat.nan_to_num().sum(0) / count, 0.0)
    spread_of = apart.square().sum(0) / count
    return sorted(spread_of.topk(min(CHANNELS, x.shape[-1])).indices.tolist())


def rollouts(record: ReportInput, folder: Path) -> Drawing:
    """The first half of a few windows, and what a model that `Predicts` expects of the other half, given the first."""
    source, model = record.shown, needs(record.model, Predicts, "a figure of rollouts")
    index, half = spread(len(source), WINDOWS), source.event[0] // 2
    with looking(record.model):
        batch = batch_at(source, index, record.seed, reference(record.model))
        there = None if batch.observed is None else batch.observed[:, :half]
        noise = PerExample(record.seed, index)
        given = Batch(x=batch.x[:, :half], observed=there, context=batch.context)
        law = model.ahead(given, source.event[0] - half, DRAWS, noise)
        drawn = draw_each(law, noise).float()
    low, high = drawn.quantile(torch.tensor([(1 - BAND) / 2, (1 + BAND) / 2], device=drawn.device), dim=0).cpu()
    mean, times = law.mean.mean(0).float().cpu(), range(1, source.event[0] + 1)
    chosen = most_varying(batch.x.float().cpu())

    def shown(axes: Axes, place: int, channel: int) -> None:
        ends = (low[place, :, channel].numpy(), high[place, :, channel].numpy())
        axes.fill_between(times[half:], *ends, color=MODEL, alpha=0.22, lw=0, label=f"middle {BAND:.0%} of draws")
        axes.plot(times[half:], mean[place, :, channel].numpy(), color=MODEL, lw=1.3, label="mean of what is drawn")
        known = batch.x[place, :, channel].float().cpu().numpy()
        axes.plot(times, known, color=INK, lw=0.9, marker=".", ms=2.5, label="data")
        axes.axvline(half + 0.5, color=INK, lw=0.6, ls=(0, (3, 3)))

    figure = _windows(record, chosen, [f"window {place + 1}" for place in index], shown)
    few = "" if source.event[1] <= CHANNELS else f" Shown: the {CHANNELS} of {source.event[1]} channels that vary most."
    caption = (
        f"{counted(len(index), 'window')} of {record.shown_line}: the data, and what the model expects of the steps "
        f"after the line, in jumps of one step from what it believes there; it saw nothing of them.{few}"
    )
    return keep(figure, folder, "rollouts", caption)


def samples(record: ReportInput, folder: Path) -> Drawing:
    """Windows drawn from the model over windows of data, on one scale."""
    source = record.shown
    channels, shown = min(CHANNELS, source.event[1]), source.batch(spread(len(source), WINDOWS))
    seen, count = shown.x, WINDOWS if shown.context is None else len(shown)
    with looking(record.model) as device:
        generator = torch.Generator(device).manual_seed(record.seed)
        model, c = needs(record.model, Samples, "a figure of samples"), shown.context
        drawn = model.sample(count, generator=generator, context=None if c is None else c.to(device)).float().cpu()
    figure, panels = _panels(channels, 2)
    for channel, name in enumerate(record.view.names(source)[:channels]):
        values = torch.cat([drawn[..., channel].flatten(), seen[..., channel].flatten()])
        values = values[~values.isnan()]
        room = 0.06 * float(values.max() - values.min()) or 0.5
        for axes, lines, colour in ((panels[channel][0], seen, DATA), (panels[channel][1], drawn, MODEL)):
            for number, line in enumerate(lines[..., channel].numpy()):
                axes.plot(range(1, len(line) + 1), line, color=colour, lw=1.1, alpha=1 - 0.25 * number)
            axes.set_ylim(float(values.min()) - room, float(values.max()) + room)
            rule_lines(axes)
            axes.locator_params(nbins=4)
        panels[channel][0].set_ylabel(as_label(name))
    for axes, title in zip(panels[0], ("data", "draws from the model"), strict=True):
        axes.set_title(title)
    for axes in panels[-1]:
        axes.set_xlabel("step")
    caption = (
        f"Left {counted(len(seen), 'window')} of {record.shown_line}, right {counted(count, 'window')} drawn from the "
        f"model: z from the prior, x from p(x | z), noise included.{_limited(source.event[1])}"
    )
    return keep(figure, folder, "samples", caption)
