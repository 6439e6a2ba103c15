"""Many samples of each example decoded a few at a time, so that a gradient takes bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.distributions import Distribution
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from vael.models.core import Conditional

ROOM = 1 << 25  # elements of examples that are decoded at once where a gradient is wanted: 128 MiB a tensor in float32
Measured = Callable[[Distribution], Float[Tensor, "samples batch"]]  # log p(x | z) in nats of a law p(x | z)


def decoded_in_parts(
    likelihood: Conditional,
    z: Shaped[Tensor, "samples batch ..."],
    context: Tensor | None,
    measured: Measured,
    elements: int,
) -> Float[Tensor, "samples batch"]:
    """`measured` of p(x | z) at all samples, where one sample of the batch has so many elements.

    Where a gradient is wanted and `ROOM` is not enough for all samples, they are decoded in parts, each once more in
    the backward pass (Chen, Xu, Zhang & Guestrin 2016): the same gradient but for the order of its sums, in the memory
    of one part, for up to half as much time again (docs/lab-book.md). One sample is the smallest part. Of a step that
    is compiled the compiler decides what is kept.
    """
    at_once = max(1, ROOM // max(1, elements))
    if len(z) <= at_once or not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return measured(likelihood(z, context))
    named = dict(likelihood.named_parameters())

    def decoded(z: Tensor, *weights: Tensor) -> Tensor:
        return measured(functional_call(likelihood, dict(zip(named, weights, strict=True)), (z, context)))

    # weights are handed over because they may have been put in for this pass alone
    return torch.cat([checkpoint(decoded, part, *named.values(), use_reentrant=False) for part in z.split(at_once)])
