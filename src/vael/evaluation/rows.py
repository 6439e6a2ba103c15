"""What a model says of each example, example by example, as fast as its networks run: for scores and codes of many rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Batch, Source
from vael.errors import StateError
from vael.evaluation.evaluate import batch_at, reference
from vael.models import VAE
from vael.probability import Common

READS = frozenset({"divergence"})
ROWS_AT_ONCE = 2**13  # of narrow examples: enough for the matrix products, few enough for the cache
CELLS_AT_ONCE = 2**21
LATENTS_AT_ONCE = 2**14


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
    row has the same figures alone and among others, to the last bit (`row_blocks`). The error of so few variates is then much the same in all rows:
    it hardly disturbs their order, but does not average out, so a figure to be reported comes from `vael.evaluation.evaluate`. What a
    transform draws belongs to (seed, row).
    Errors: `StateError` for fewer than one sample.
    """
    if samples < 1:
        raise StateError(f"samples={samples}: expected at least 1")
    model.eval()
    for block in row_blocks(model, source, seed, samples):
        with torch.inference_mode():
            terms = model.terms(block.batch, samples=samples, generator=Common(seed), reads=READS)
            yield RowTerms(-terms.log_likelihood.mean(0)[: block.rows], terms.divergence.mean(1).sum(0)[: block.rows])


@dataclass(frozen=True)
class RowBlock:
    """Consecutive examples, filled up by copies of the last one to as many as every block of such examples has."""

    batch: Batch
    rows: int  # how many are no copies


def row_blocks(model: VAE, source: Source, seed: int = 0, samples: int = 1) -> Iterator[RowBlock]:
    """All examples in order in the dtype of the model, in blocks of one size that depends on nothing but their shape and the samples of each.

    A matrix product may round a row otherwise where there are more or fewer rows beside it; among equally many it rounds the same
    (measured with MKL and oneDNN: any place, any neighbours). So what is made of these blocks is a function of the row alone.
    """
    for batch in row_batches(model, source, seed, samples):
        yield RowBlock(_filled_up(batch, rows_at_once(source.event, samples)), len(batch))


def rows_at_once(event: Sequence[int], samples: int = 1) -> int:
    """The size of all blocks of examples of this shape: a power of two."""
    return 2 ** int(math.log2(max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // max(1, math.prod(event)), LATENTS_AT_ONCE // samples))))


def _filled_up(batch: Batch, size: int) -> Batch:
    more = size - len(batch)
    if not more:
        return batch
    parts = {field.name: value for field in fields(batch) if isinstance(value := getattr(batch, field.name), Tensor)}
    return replace(batch, **{name: torch.cat((part, part[-1:].expand(more, *part.shape[1:]))) for name, part in parts.items()})


def row_batches(model: VAE, source: Source, seed: int = 0, samples: int = 1) -> Iterator[Batch]:
    """All examples in order in the dtype of the model, as many at once as make the best use of the cache."""
    like = reference(model)
    size = rows_at_once(source.event, samples)
    for start in range(0, len(source), size):
        yield batch_at(source, range(start, min(start + size, len(source))), seed, like)
