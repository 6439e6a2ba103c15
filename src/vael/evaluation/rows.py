"""What a model says of each example, example by example, as fast as its networks run: for scores and codes of many
rows.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from vael.data import Batch, Source
from vael.errors import StateError
from vael.evaluation.examples import batch_at, in_evaluation, reference
from vael.models import ColumnsHead, Decodes, ExactLikelihood, Model, has, head_of, needs
from vael.models.vae import filled, seen
from vael.probability import Common

REQUIRES = frozenset({"divergence"})
ROWS_AT_ONCE = 2**13  # of narrow examples: enough for the matrix products, few enough for the cache
CELLS_AT_ONCE = 2**21
LATENTS_AT_ONCE = 2**14
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
NUMBERS_AT_ONCE = 2**24  # parameters of laws p(x | z): of more each tensor is fresh pages of the system
WIDEST = 2**22  # numbers that the widest convolution makes of a block: more leave the cache, and pages come and go


@dataclass(frozen=True)
class RowTerms:
    """What a model says of each example by the objective of its family: in nats, where it has a likelihood."""

    distortion: Float[
        Tensor, " batch"
    ]  # E_q[-log p(x | z)], estimated; of a model without likelihood what its error costs
    divergence: Float[Tensor, " batch"]  # KL(q(z | x) || p(z)); 0 where a model has neither prior nor posterior
    objective: Float[
        Tensor, " batch"
    ]  # log p(x) where it is known exactly, else the bound, else minus the error's cost
    is_bound: bool  # whether it is at most log p(x)

    @property
    def bound(self) -> Float[Tensor, " batch"]:
        """The objective of a model with a likelihood: log p(x), or E_q[log p(x | z)] - KL(q(z | x) || p(z)).

        Errors: `StateError` where the model has none.
        """
        if not self.is_bound:
            raise StateError(
                "this model has no likelihood, so it bounds nothing; what an error costs is in `distortion`"
            )
        return self.objective


def row_terms(model: Model, source: Source, *, samples: int = 2, seed: int = 0) -> Iterator[RowTerms]:
    """Distortion, divergence and objective of every example in order, a block at a time, memory bounded by the block.

    The expectation is over `samples` latents whose standard variates are the same for all examples, in opposite pairs
    (`Common`): a row has the same figures alone and among others, to the last bit (`row_blocks`). The error of so few
    variates is then much the same in all rows: it hardly disturbs their order, but does not average out, so a figure to
    be reported comes from `vael.evaluation.evaluate`. What a transform draws belongs to (seed, row). Errors:
    `StateError` for fewer than one sample.
    """
    if samples < 1:
        raise StateError(f"samples={samples}: expected at least 1")
    model = needs(model, Decodes, "what a model says of each example")
    model.eval()
    for block in row_blocks(model, source, seed, samples):
        with torch.inference_mode():
            found = terms_of_rows(model, block.batch, samples, seed)
        numbers = ("distortion", "divergence", "objective")
        yield replace(found, **{name: getattr(found, name)[: block.rows] for name in numbers})


def terms_of_rows(model: Decodes, batch: Batch, samples: int, seed: int) -> RowTerms:
    """What `row_terms` gives, of one batch. An example is taken as it is, also where training damages it."""
    if not model.states_likelihood:
        cost = -seen(
            model.decode(model.latents(batch), batch.context).log_prob(filled(batch.x, batch.observed)), batch.observed
        )[0]
        return RowTerms(cost, torch.zeros_like(cost), -cost, is_bound=False)
    # shared by all rows on purpose: these are scores, which are compared with each other and of which nobody takes a
    # draw
    terms = model.terms(batch, samples=samples, generator=Common(seed), requires=REQUIRES)
    distortion = -terms.log_likelihood.mean(0)
    divergence = terms.divergence.mean(1).sum(0) if terms.states("divergence") else torch.zeros_like(distortion)
    exact = isinstance(model, ExactLikelihood) and has(model, ExactLikelihood)
    return RowTerms(
        distortion, divergence, model.log_prob(batch.x) if exact else -(distortion + divergence), is_bound=True
    )


@dataclass(frozen=True)
class RowBlock:
    """Consecutive examples, filled up by copies of the last one to as many as every block of such examples has."""

    batch: Batch
    rows: int  # how many are no copies


def row_blocks(model: Model, source: Source, seed: int = 0, samples: int = 1) -> Iterator[RowBlock]:
    """All examples in order in the dtype of the model, in blocks of one size that depends on nothing but their shape,
    the samples of each, the parameters of the law of one and what convolutions of the model make of one.

    A matrix product may round a row otherwise where there are more or fewer rows beside it; among equally many it
    rounds the same (measured with MKL and oneDNN: any place, any neighbours). So what is made of these blocks is a
    function of the row alone.
    """
    size = size_of_blocks(model, source, samples)
    for batch in _in_order(model, source, seed, size):
        yield RowBlock(_filled_up(batch, size), len(batch))


def size_of_blocks(model: Model, source: Source, samples: int) -> int:
    """How many examples of a source are a block for a model."""
    return rows_at_once(source.event, samples, widest_convolution(model, source), numbers_of_law(model, source.event))


def numbers_of_law(model: Model, event: Sequence[int]) -> int:
    """Parameters of p(x | z) of one example at one latent, as the decoder's network gives them; 0 where no head makes a
    law of raw numbers.
    """
    head = head_of(model)
    if isinstance(head, ColumnsHead):
        return head.raw_numbers
    return 0 if head is None else head.channels_per_cell * math.prod(event)


def rows_at_once(event: Sequence[int], samples: int = 1, widest: int = 0, numbers: int = 0) -> int:
    """The size of all blocks of examples of this shape, of each of which the widest convolution makes so many numbers
    for a sample, and the decoder the parameters of its law: a power of two.
    """
    bounds = (ROWS_AT_ONCE, CELLS_AT_ONCE // max(1, math.prod(event)), LATENTS_AT_ONCE // samples)
    convolved = WIDEST // (widest * samples) if widest else ROWS_AT_ONCE
    said = NUMBERS_AT_ONCE // (numbers * samples) if numbers else ROWS_AT_ONCE
    return 2 ** int(math.log2(max(1, min(*bounds, convolved, said))))


def widest_convolution(model: Model, source: Source) -> int:
    """Numbers that the widest convolution of a model makes of one example, in one sample; 0 where there is none."""
    layers = [layer for layer in model.modules() if isinstance(layer, CONVOLUTIONS)]
    if not layers or not len(source) or not isinstance(model, Decodes) or not has(model, Decodes):
        return 0
    sizes: list[int] = []
    hooks = [layer.register_forward_hook(lambda layer, given, out: sizes.append(out.numel())) for layer in layers]
    try:
        with in_evaluation(model), torch.inference_mode():
            terms_of_rows(model, batch_at(source, range(1), 0, reference(model)), 1, 0)
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes, default=0)


def _filled_up(batch: Batch, size: int) -> Batch:
    more = size - len(batch)
    if not more:
        return batch
    parts = {field.name: value for field in fields(batch) if isinstance(value := getattr(batch, field.name), Tensor)}
    return replace(
        batch, **{name: torch.cat((part, part[-1:].expand(more, *part.shape[1:]))) for name, part in parts.items()}
    )


def row_batches(model: Model, source: Source, seed: int = 0, samples: int = 1) -> Iterator[Batch]:
    """All examples in order in the dtype of the model, as many at once as make the best use of the cache."""
    return _in_order(model, source, seed, size_of_blocks(model, source, samples))


def _in_order(model: Model, source: Source, seed: int, size: int) -> Iterator[Batch]:
    like = reference(model)
    for start in range(0, len(source), size):
        yield batch_at(source, range(start, min(start + size, len(source))), seed, like)


def cell_keys(x: Shaped[Tensor, "rows *event"], repeats: Sequence[int] | None = None) -> Int64[Tensor, " rows"]:
    """A 63-bit number for each row from its cells alone, equal for equal rows (of one `repeats` each), for noise
    that belongs to rows.
    """
    cells = x.detach().cpu().double().flatten(1).numpy()
    cells = np.where(np.isnan(cells), np.nan, cells + 0.0)  # one way to write a gap, and one to write zero
    again = [b"" if not number else number.to_bytes(8) for number in repeats or [0] * len(cells)]
    digests = [
        hashlib.blake2b(row.tobytes() + more, digest_size=8).digest() for row, more in zip(cells, again, strict=True)
    ]
    return torch.tensor([int.from_bytes(digest) >> 1 for digest in digests], dtype=torch.int64)


class RowKeys:
    """Keys for the noise of draws (`PerExample`), by which every row has variates of its own, the same ones alone and
    among others.

    A key is made of the cells of a row and of how many rows equal to it came before, in earlier blocks too: rows that
    look alike are not to share their draws, as nothing that is combined over rows would then average out. It takes some
    100 bytes for each different row.
    """

    def __init__(self) -> None:
        self.before: Counter[int] = Counter()

    def of(self, x: Float[Tensor, "rows *event"]) -> Int64[Tensor, " rows"]:
        """The keys of some rows, in order, after those that were asked for before."""
        repeats = []
        for key in cell_keys(x).tolist():
            repeats.append(self.before[key])
            self.before[key] += 1
        return cell_keys(x, repeats)
