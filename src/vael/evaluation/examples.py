"""The examples of a source as a model takes them: in its dtype, on its device, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from vael.data import Batch, Source
from vael.errors import StateError
from vael.models import Model
from vael.probability import PerExample


def reference(model: nn.Module) -> Tensor:
    """A tensor with the dtype and device that densities are computed in."""
    weight = next((w for w in (*model.parameters(), *model.buffers()) if w.is_floating_point()), torch.zeros(0))
    if weight.dtype not in (torch.float32, torch.float64):
        raise StateError(
            f"the model's weights are {weight.dtype}, but log-densities need float32 or better; call model.float() "
            "first"
        )
    return weight


def batch_at(source: Source, rows: range | Int64[Tensor, " batch"], seed: int, like: Tensor) -> Batch:
    """The examples in the model's dtype and on its device; what the transform draws belongs to (seed, example).

    They have no labels: whoever judges a model looks at x alone.
    """
    index = torch.arange(rows.start, rows.stop) if isinstance(rows, range) else rows
    given = replace(source.batch(index.to(source.x.device), PerExample(seed, index)), label=None)
    moved = {
        f.name: value.to(like.device) for f in fields(given) if isinstance(value := getattr(given, f.name), Tensor)
    }
    return replace(given, **{**moved, "x": moved["x"].to(like.dtype)})


@contextmanager
def in_evaluation(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, and afterwards in the mode it was in."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextmanager
def looked_at(model: Model, source: Source, seed: int, batch: int) -> Iterator[Iterator[Batch]]:
    """The examples of a source in batches, the model in evaluation mode and left as it was found."""
    like, starts = reference(model), range(0, len(source), batch)
    with in_evaluation(model), torch.no_grad():
        yield (batch_at(source, range(at, min(at + batch, len(source))), seed, like) for at in starts)
