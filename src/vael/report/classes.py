"""Figures of models that tell classes: draws of every class, and which classes are taken for which."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from vael.counting import counted
from vael.models import Classifies, needs
from vael.probability import PerExample
from vael.report import gather
from vael.report.pictures import PictureLayout, middles, sheet
from vael.report.record import ReportInput
from vael.report.style import Drawing, as_label, keep, new_figure

ROWS, MOST = 4, 20  # draws of each class, and classes shown
NAMED = 14  # letters of the name of a class


def by_class(record: ReportInput, folder: Path) -> list[Drawing | None]:
    """What is drawn of each class, where examples can be looked at, and how classes are told."""
    model = needs(record.model, Classifies, "figures of classes")
    return [samples(record, model, folder) if record.view.pictured else None, told(record, model, folder)]


def samples(record: ReportInput, model: Classifies, folder: Path) -> Drawing:
    """Means of p(x | y, z) at the same z from the prior for every class: what stays the same is z, what changes y."""
    count = min(model.classes, MOST)
    with gather.looking(model):
        means = torch.cat([_means(model, place, record.seed) for place in range(count)])
    across = means.unflatten(0, (count, ROWS)).transpose(0, 1).flatten(0, 1)
    names = [name[:NAMED] for name in class_names(record, model)[:count]]
    caption = "Means of p(x | y, z): a class y in each column, and in each row the same z, drawn from the prior."
    layout = PictureLayout(count, max(0.52 * count, 1.6), feet=middles(count, names))
    return sheet(record, folder, "samples_by_class", across, caption, layout)


def _means(model: Classifies, place: int, seed: int) -> Tensor:
    """Of one class, at the latents that all classes share where their prior is the same."""
    one = model.at_class(place)
    noise = PerExample(seed, torch.arange(ROWS))
    prior = one.prior(None)
    z = prior.mean.new_zeros(ROWS, *prior.event_shape)
    z = prior.mean + prior.stddev * noise.normal((1, *z.shape), z)[0]
    return one.decode((z[None],)).mean[0]


def told(record: ReportInput, model: Classifies, folder: Path) -> Drawing | None:
    """Rows of known classes, columns of the most probable one under q(y | x); shares of a row."""
    source = record.shown
    known = torch.empty(0) if source.label is None else (source.label >= 0).nonzero()[:, 0]
    if source.label is None or not len(known) or model.classes > MOST:
        return None
    with gather.looking(model) as device:
        parts = known.split(512)
        found = torch.cat(
            [
                model.classify(gather.on_device(source, part, record.seed, device)).logits.argmax(1).cpu()
                for part in parts
            ]
        )
    counts = torch.zeros(model.classes, model.classes)
    counts.index_put_((source.label[known], found), torch.ones(len(known)), accumulate=True)
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    names = [as_label(name, NAMED) for name in class_names(record, model)]
    figure = new_figure(1.8 + 0.36 * len(names), 1.5 + 0.36 * len(names))
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="none")
    for row, column in counts.nonzero().tolist():
        ink = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{int(counts[row, column])}", ha="center", va="center", fontsize=7, color=ink)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7.5)
    axes.set_yticks(range(len(names)), names, fontsize=7.5)
    axes.set(xlabel="most probable class of q(y | x)", ylabel="class that is known")
    axes.tick_params(length=0)
    right = float((source.label[known] == found).double().mean())
    caption = (
        f"How many examples of each class are taken for which: {right:.1%} are told right. Shown: {record.shown_line}; "
        f"training was given {given(record)}."
    )
    return keep(figure, folder, "classes", caption)


def given(record: ReportInput) -> str:
    """How many labels of training there were."""
    label, train = record.splits.train.label, record.splits.train
    known = 0 if label is None else int((label >= 0).sum())
    return f"the labels of {known:,} of {counted(len(train), 'example')}"


def class_names(record: ReportInput, model: Classifies) -> list[str]:
    """What the classes are called, by number where they have no names."""
    names = record.shown.label_names
    return [names[place] if place < len(names) else str(place) for place in range(model.classes)]
