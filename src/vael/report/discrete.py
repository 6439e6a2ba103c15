"""Figures of models whose latents can be counted: how often codes are used, and the components of a mixture."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import OneHotCategorical

from vael.counting import counted
from vael.data.source import few, spread
from vael.models import Codes, LatentModel, has, needs
from vael.networks import code_use
from vael.report import gather, pictures
from vael.report.record import Encoded, ReportInput
from vael.report.style import INK, MODEL, Drawing, as_label, keep, new_figure, rule_lines
from vael.report.tabular.columns import LONGEST

LOOKED_AT = 2000  # examples whose codes are counted
BARS = 512  # codes that are drawn singly; more are drawn as a line
SHOWN_COLUMNS, SHOWN_COMPONENTS = 40, 24


def code_counts(record: ReportInput, model: Codes) -> list[Tensor]:
    """The codes of each level over up to 2,000 examples of the split that is shown."""
    source = record.shown
    index, found = spread(len(source), LOOKED_AT), []
    with gather.looking(model) as device:
        for part in index.split(128):
            batch = gather.on_device(source, part, record.seed, device)
            latent = model.terms(batch, generator=torch.Generator(device)).latent
            found.append([level[0].cpu().flatten() for level in latent])
    return [torch.cat(level) for level in zip(*found, strict=True)]


def code_histogram(record: ReportInput, folder: Path) -> Drawing:
    """How often each code occurs, the most frequent first, for every level; the dashed line is equal use."""
    model = needs(record.model, Codes, "a histogram of codes")
    codes = code_counts(record, model)
    figure = new_figure(1.2 + 3.1 * len(codes), 2.6)
    axes, said = figure.subplots(1, len(codes), squeeze=False)[0], []
    for level, (place, found, size) in enumerate(zip(axes, codes, model.sizes, strict=True), 1):
        share = torch.bincount(found, minlength=size).double().sort(descending=True).values / len(found)
        if size <= BARS:
            place.bar(range(size), share.tolist(), width=0.9, color=MODEL)
        else:
            place.fill_between(range(size), share.tolist(), color=MODEL, lw=0)
        place.axhline(1 / size, color=INK, lw=0.9, ls=(0, (4, 3)))
        use, which = code_use(found, size), f"level {level}: " if len(codes) > 1 else ""
        place.set(title=f"{which}perplexity {use.perplexity:.1f} of {size:,}", xlabel="code, by frequency")
        place.set_xlim(-0.5, size - 0.5)
        rule_lines(place)
        said.append(f"{which}{use.used:,} of {counted(size, 'code')} occur")
    axes[0].set_ylabel("share of positions")
    looked = counted(min(LOOKED_AT, len(record.shown)), "example")
    caption = (
        f"How often each code occurs in {looked} of {record.shown_line}, the most frequent first ({'; '.join(said)}). "
        "The dashed line is equal use; the perplexity says how many codes used equally often would be as varied."
    )
    return keep(figure, folder, "code_use", caption)


def are_components(record: ReportInput) -> bool:
    """Whether the only latent says which of some components an example comes from."""
    if not has(record.model, LatentModel):
        return False
    model = needs(record.model, LatentModel, "components")
    return model.depth(record.shown.event) == 1 and isinstance(model.prior_at(()), OneHotCategorical)


def components(record: ReportInput, seen: Encoded, folder: Path) -> list[Drawing]:
    """The share of each component in the data, and its mean, the largest first."""
    model = needs(record.model, LatentModel, "components")
    share = seen.mean.double().mean(0)
    order = share.argsort(descending=True, stable=True)[:SHOWN_COMPONENTS]
    with gather.looking(model) as device:
        one_hot = torch.eye(len(share), dtype=model.prior_at(()).mean.dtype, device=device)[order]
        means = model.decode((one_hot[None],)).mean[0].float().cpu()
    limited = "" if len(order) == len(share) else f" The {len(order)} largest of {len(share)} are shown."
    caption = f"Mean responsibility of each component over {seen.told}, the largest first.{limited}"
    figure = new_figure(min(1.6 + 0.32 * len(order), 7.4), 2.3)
    axes = figure.subplots()
    axes.bar(range(len(order)), share[order].tolist(), width=0.78, color=MODEL)
    axes.set(ylabel="share of the data", xlabel="component")
    axes.set_xticks(range(len(order)), [str(int(one) + 1) for one in order])
    rule_lines(axes)
    weights = keep(figure, folder, "component_weights", caption)
    if record.view.pictured:
        told = f"Means of the components, the largest first.{limited}"
        columns = min(12, len(means))
        layout = pictures.PictureLayout(columns, max(0.52 * columns, 1.0))
        return [weights, pictures.sheet(record, folder, "component_means", means, told, layout)]
    return [weights, _table_of_means(record, means, order, folder)]


def _table_of_means(record: ReportInput, means: Tensor, order: Tensor, folder: Path) -> Drawing:
    """Means in units of each column's deviation from its mean."""
    source = record.splits.train
    x = gather.model_units(source, few(source, record.seed, gather.POINTS), record.seed).flatten(1).double()
    spread = x.std(0, correction=0)
    scaled = (means.flatten(1).double() - x.mean(0)) / torch.where(spread > 0, spread, torch.ones_like(spread))
    shown = scaled[:, :SHOWN_COLUMNS]
    reach = max(float(shown.abs().max()), 1e-9)
    figure = new_figure(min(2.2 + 0.22 * shown.shape[1], 7.4), 2.0 + 0.2 * len(order))
    axes = figure.subplots()
    picture = axes.imshow(shown.numpy(), cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto", interpolation="none")
    bar = figure.colorbar(picture, ax=axes)
    bar.set_label("deviations from\nthe mean of the data")
    axes.set_yticks(range(len(order)), [str(int(one) + 1) for one in order])
    ticks, names = range(0, shown.shape[1], -(-shown.shape[1] // 16)), record.view.names(record.shown)
    axes.set_xticks(ticks, [as_label(names[tick], LONGEST) for tick in ticks], rotation=90)
    axes.set(ylabel="component")
    left = "" if shown.shape[1] == scaled.shape[1] else f" The first {SHOWN_COLUMNS} of {scaled.shape[1]} are shown."
    caption = f"Mean of each component, column by column, in standard deviations of the training data.{left}"
    return keep(figure, folder, "component_means", caption)
