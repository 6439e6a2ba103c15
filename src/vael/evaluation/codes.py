"""What a model with codes costs in bits, and how it uses its codes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from vael.data import Source
from vael.errors import StateError
from vael.evaluation.examples import looked_at
from vael.models import Codes, head_of
from vael.networks import CodeUse, code_use


@dataclass(frozen=True)
class CodeEvaluation:
    """Means over the examples of a split, in nats per example.

    `bound` = -distortion - rate = log p(x, c(x)), which is at most log p(x) for every example: no draws, no estimate.
    `bits_per_dim` = -bound / (cells log 2) is therefore at least what -log p(x) would give; None for a likelihood that
    gives densities.
    """

    distortion: float  # -log p(x | c(x))
    rate: float  # -log p(c(x))
    bits_per_dim: float | None
    use: tuple[CodeUse, ...]  # of each level, the coarsest first
    examples: int

    @property
    def bound(self) -> float:
        """Log p(x, c(x)) = log p(x | c(x)) + log p(c(x)) in nats, which is at most log p(x)."""
        return -self.distortion - self.rate


def evaluate_codes(model: Codes, source: Source, *, seed: int = 0, batch: int = 256) -> CodeEvaluation:
    """Distortion, rate and code use over all of `source`.

    Errors: `StateError` for an empty split or a head that is no likelihood.
    """
    head = head_of(model)
    if not len(source) or head is None or not head.is_likelihood:
        raise StateError(
            f"{source.name}: {len(source)} examples and the head {type(head).__name__}; expected some, and a head that "
            "is a likelihood"
        )
    nats, codes, wanted = torch.zeros(2, dtype=torch.float64), [], frozenset({"log_likelihood", "divergence"})
    with looked_at(model, source, seed, batch) as parts:
        for given in parts:
            terms = model(given, generator=torch.Generator(given.x.device), requires=wanted)
            nats += torch.stack([-terms.log_likelihood[0].double().sum(), terms.divergence.double().sum()]).cpu()
            codes.append([level[0] for level in terms.latent])
    distortion, rate = (nats / len(source)).tolist()
    use = tuple(
        code_use(torch.cat(level), size) for level, size in zip(zip(*codes, strict=True), model.sizes, strict=True)
    )
    bits = (distortion + rate) / (math.prod(source.event) * math.log(2)) if head.discrete else None
    return CodeEvaluation(distortion, rate, bits, use, len(source))
