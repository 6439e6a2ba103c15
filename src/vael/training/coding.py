"""The codes of a data set as a data set: what a prior over codes is trained on."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch

from vael.data import Kind, Source, Splits
from vael.models import VQVAE
from vael.probability import PerExample

AT_ONCE = 512  # examples that are encoded together


def coded_splits(model: VQVAE, data: Splits, seed: int = 0) -> Splits:
    """Every split as the codes that `model` gives it, in order."""
    return data.each(lambda source: coded(model, source, seed))


@torch.no_grad()
def coded(model: VQVAE, source: Source, seed: int = 0) -> Source:
    """c(x) of every example, `[positions]`, the coarsest level first; a stochastic transform is drawn once for each
    example.
    """
    like = next(model.parameters())
    training = model.training
    model.eval()
    rows = []
    for index in torch.arange(len(source)).split(AT_ONCE):
        given = source.batch(index.to(source.x.device), PerExample(seed, index))
        rows.append(model.codes(replace(given, x=given.x.to(like.device, like.dtype))).to(source.x.device))
    model.train(training)
    codes, levels = torch.cat(rows), max(grid.size for grid in model.prior.grids)
    stored = codes.to(torch.uint8 if levels <= 256 else torch.int32)
    fingerprint = hashlib.sha256(stored.cpu().numpy().tobytes()).hexdigest()
    return Source(
        f"codes of {source.name}",
        stored,
        Kind.INTEGER,
        fingerprint,
        levels=levels,
        label=source.label,
        label_names=source.label_names,
    )
