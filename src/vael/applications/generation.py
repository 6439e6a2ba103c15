"""Samples, reconstructions and codes as tensors, and tensors as files: .npy or .csv by extension."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Batch, Source
from vael.errors import FormatError, StateError
from vael.models import VAE, Model
from vael.probability import PerExample, draw
from vael.training.checkpoint import write_bytes

AT_ONCE = 256  # examples that pass through a model together


def samples(model: Model, count: int, seed: int = 0) -> Float[Tensor, "examples *event"]:
    """`count` draws from p(x) = ∫ p(x | z) p(z) dz, the same for the same count and seed. Errors: `StateError` for fewer than one."""
    source = seeded(count, seed)
    with torch.no_grad():
        return torch.cat([model.sample(size, generator=source) for size in blocks(count)])


def mean_samples(model: VAE, count: int, seed: int = 0) -> Float[Tensor, "examples *event"]:
    """The means of p(x | z) at `count` draws of z from the prior: calmer pictures than samples, and no draws from p(x)."""
    source = seeded(count, seed)
    with torch.no_grad():
        return torch.cat([model.decode((draw(model.prior(None), size, source)[None],)).mean[0] for size in blocks(count)])


def seeded(count: int, seed: int) -> torch.Generator:
    """A generator for `count` draws. Errors: `StateError` for fewer than one."""
    if count < 1:
        raise StateError(f"{count} samples were asked for; ask for at least 1")
    return torch.Generator().manual_seed(seed)


def blocks(count: int) -> list[int]:
    """`count` as sizes of at most `AT_ONCE`."""
    return [min(AT_ONCE, count - begin) for begin in range(0, count, AT_ONCE)]


def batches(source: Source, limit: int | None = None, seed: int = 0) -> Iterator[Batch]:
    """The examples of a source in order; a stochastic transform gives each the same values every time."""
    for index in torch.arange(min(len(source), limit or len(source))).split(AT_ONCE):
        yield source.batch(index, PerExample(seed, index))


@torch.no_grad()
def reconstructions(model: Model, source: Source, limit: int | None = None) -> tuple[Tensor, Tensor]:
    """(what went in, the mean of p(x | z) at the mean of q(z | x)) for the first `limit` examples, or all; deterministic."""
    pairs = [(batch.x, model.reconstruct(batch)) for batch in batches(source, limit)]
    return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])


@torch.no_grad()
def codes(model: Model, source: Source, limit: int | None = None) -> Float[Tensor, "examples features"]:
    """The mean of q(z | x) for every example, in order; deterministic."""
    return torch.cat([model.encode(batch) for batch in batches(source, limit)])


def write(path: Path, values: Float[Tensor, "examples *event"], names: Sequence[str] = ()) -> None:
    """Write the values in the format that the extension names, whole or not at all.

    .npy holds float32 of shape `[examples, *event]`; .csv one line per example under a line of `names`.
    Errors: `FormatError` for another extension.
    """
    array = values.detach().cpu().float().numpy()
    writers = {".npy": _array, ".csv": _table}
    if path.suffix.lower() not in writers:
        raise FormatError(f"{path}: arrays are written as {' or '.join(writers)}, not as {path.suffix or 'a file without an extension'}")
    write_bytes(path, writers[path.suffix.lower()](array, names))


def _array(array: np.ndarray, names: Sequence[str]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _table(array: np.ndarray, names: Sequence[str]) -> bytes:
    rows = array.reshape(len(array), -1)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names or [f"x{cell}" for cell in range(rows.shape[1])])
    writer.writerows([[np.format_float_positional(cell, trim="-") for cell in row] for row in rows])
    return text.getvalue().encode()


def beside(first: Tensor, second: Tensor, columns: int = 10) -> Tensor:
    """Two sets of images for a grid of `columns`: a row of the first above its row of the second; the last rows are filled with blank images."""
    blank = first.new_full((-len(first) % columns, *first.shape[1:]), float(first.min()))
    rows = [torch.cat((images, blank)).unflatten(0, (-1, columns)) for images in (first, second)]
    return torch.stack(rows, dim=1).flatten(0, 2)
