"""What a model says of each example, example by example, as fast as its networks run: for scores and codes of many rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Batch, Source
from vael.errors import StateError
from vael.evaluation.evaluate import batch_at, reference
from vael.models import VAE
from vael.probability import Common

READS = frozenset({"divergence"})
ROWS_AT_ONCE = 8192  # of narrow examples: enough for the matrix products, few enough for the cache
CELLS_AT_ONCE = 2**21


@dataclass(frozen=True)
class RowTerms:
    """What the bound of each example is made of, in nats: bound = -(distortion + divergence)."""

    distortion: Float[Tensor, " batch"]  # E_q[-log p(x | z)], estimated
    divergence: Float[Tensor, " batch"]  # KL(q(z | x) || p(z))

    @property
    def bound(self) -> Float[Tensor, " batch"]:
        """ELBO(x) = E_q[log p(x | z)] - KL(q(z | x) || p(z))."""
        return -(self.distortion + self.divergence)


def row_terms(model: VAE, source: Source, *, samples: int = 2, seed: int = 0) -> Iterator[RowTerms]:
    """Distortion and divergence of every example in order, a block at a time, memory bounded by the block.

    The expectation is over `samples` latents whose standard variates are the same for all examples, in opposite pairs (`Common`): a
    row has the same figures alone and among others, up to rounding. The error of so few variates is then much the same in all rows: it
    hardly disturbs their order, but does not average out, so a figure to be reported comes from `vael.evaluation.evaluate`. What a
    transform draws belongs to (seed, row).
    Errors: `StateError` for fewer than one sample.
    """
    if samples < 1:
        raise StateError(f"samples={samples}: expected at least 1")
    model.eval()
    for batch in row_batches(model, source, seed):
        with torch.inference_mode():
            terms = model.terms(batch, samples=samples, generator=Common(seed), reads=READS)
            yield RowTerms(-terms.log_likelihood.mean(0), terms.divergence.mean(1).sum(0))


def row_batches(model: VAE, source: Source, seed: int = 0) -> Iterator[Batch]:
    """All examples in order in the dtype of the model, as many at once as make the best use of the cache."""
    like = reference(model)
    size = max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // max(1, source.x[:1].numel())))
    for start in range(0, len(source), size):
        yield batch_at(source, range(start, min(start + size, len(source))), seed, like)
