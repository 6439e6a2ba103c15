"""Of which class examples are, by a model of classes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Source
from vael.evaluation import row_blocks
from vael.evaluation.classification import class_bounds
from vael.models import Classifies, Model, needs

DRAWS = 100  # of z in each class, for a bound


def class_probabilities(model: Model, source: Source, seed: int = 0) -> Iterator[Float[Tensor, "rows classes"]]:
    """q(y | x) of every example in order, a block at a time. Errors: `StateError` for a model of no classes."""
    found = needs(model, Classifies, "telling classes")
    model.eval()
    for block in row_blocks(model, source, seed):
        with torch.inference_mode():
            shares = found.classify(block.batch).probs[: block.rows]
        yield shares


def class_probabilities_by_bound(
    model: Model, source: Source, samples: int = DRAWS, seed: int = 0
) -> Iterator[Float[Tensor, "rows classes"]]:
    """The softmax of L(x, y) over y of every example in order, a block at a time: p(y | x) where the bounds are tight.

    The draws of z belong to (seed, example). Errors: `StateError` for a model of no classes.
    """
    found = needs(model, Classifies, "telling classes")
    model.eval()
    for block in row_blocks(model, source, seed, samples * found.classes):
        with torch.inference_mode():
            shares = class_bounds(found, block.batch, samples, seed).softmax(1)[: block.rows].float()
        yield shares
