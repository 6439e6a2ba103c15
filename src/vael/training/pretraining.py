"""Greedy layer-wise pre-training: one shallow autoencoder after another, each of the codes of the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from vael.data import Kind, Source, Splits
from vael.errors import ShapeError
from vael.inference import Algorithm
from vael.models import Autoencoder, Encodes, Model
from vael.probability import PerExample
from vael.training.checkpoint import STATE
from vael.training.loop import run
from vael.training.settings import Fit, Settings

AT_ONCE = 512  # examples that are encoded together


def pretrain(
    stack: Sequence[Autoencoder],
    data: Splits,
    ascent: Callable[[Model], Algorithm],
    settings: Settings | None = None,
    *,
    folder: Path | None = None,
) -> tuple[Fit, ...]:
    """Train each autoencoder of `stack` in turn through the one loop: the first on the data, the next on its codes, and
    so on.

    `ascent` gives the way a layer climbs, such as `lambda layer: GradientAscent(layer, Reconstruction())`. The layers
    are trained in place; `vael.models.unrolled` makes one deep autoencoder of them, to be fine-tuned with `run` (Hinton
    & Salakhutdinov 2006; Bengio, Lamblin, Popovici & Larochelle 2007). With a `folder`, each layer keeps its run under
    layer-1, layer-2, ..., and a run that was stopped goes on where it stood. An interrupted layer ends the
    pre-training: fewer fits than layers come back.

    Errors: `ShapeError` for an empty stack.
    """
    if not stack:
        raise ShapeError("no autoencoders were given to train one after another; expected at least one")
    fits: list[Fit] = []
    for number, layer in enumerate(stack, 1):
        own = folder / f"layer-{number}" if folder else None
        resume = own is not None and (own / "checkpoint" / STATE).exists()
        fits.append(run(ascent(layer), data, settings, folder=own, resume=resume))
        if fits[-1].interrupted:
            break
        data = encoded_splits(layer, data) if number < len(stack) else data
    return tuple(fits)


def encoded_splits(model: Encodes, data: Splits) -> Splits:
    """The codes of training and validation data as data of their own; the test split is left out: no layer is
    judged on it.
    """
    return replace(data, train=encoded(model, data.train), validation=encoded(model, data.validation), test=None)


@torch.no_grad()
def encoded(model: Encodes, source: Source, seed: int = 0) -> Source:
    """The codes of every example of `source`, in order, as real numbers; a stochastic transform is drawn once for
    each example.
    """
    like = next(model.parameters())
    parts = []
    for index in torch.arange(len(source)).split(AT_ONCE):
        given = source.batch(index.to(source.x.device), PerExample(seed, index))
        parts.append(model.encode(replace(given, x=given.x.to(like.device, like.dtype))).to(source.x.device))
    codes = torch.cat(parts)
    fingerprint = hashlib.sha256(codes.cpu().numpy().tobytes()).hexdigest()
    return Source(
        f"codes of {source.name}",
        codes,
        Kind.REAL,
        fingerprint,
        label=source.label,
        label_names=source.label_names,
        notes=source.notes,
    )
