"""Laws in float64 whatever the networks ran in: for cells that are written, which have more digits than float32 can
hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Laplace, Normal

from vael.probability.sampling import Noise, as_noise, draw

Kind = TypeVar("Kind", bound=Distribution)
_wider: dict[type[Distribution], Callable[[Any], Distribution]] = {}


def register_wide(kind: type[Kind]) -> Callable[[Callable[[Kind], Distribution]], Callable[[Kind], Distribution]]:
    """Decorator: how a kind of distribution is made one of float64."""

    def keep(function: Callable[[Kind], Distribution]) -> Callable[[Kind], Distribution]:
        _wider[kind] = function
        return function

    return keep


def widened(law: Distribution) -> Distribution:
    """The same distribution with parameters in float64; one whose draws are codes or small whole numbers (any kind not
    registered) as it is.

    A number that passes through float32 stands on a lattice: multiples of 8 from 10^8 on. The parameters were float32,
    but a draw adds a product of two of them and of a variate, which has the digits of float64.
    """
    return _wider.get(type(law), lambda one: one)(law)


def draw_wide(law: Distribution, samples: int, generator: torch.Generator | Noise) -> Tensor:
    """`samples` draws, `[samples, *batch_shape, *event_shape]`: as `draw` gives them from the same variates, but in
    float64.
    """
    wide = widened(law)
    return draw(law if wide is law else wide, samples, generator if wide is law else _Narrow(as_noise(generator)))


class _Narrow(Noise):
    """Variates of float32 as numbers of float64, so that a wider law takes the very variates that its own would
    take.
    """

    def __init__(self, inner: Noise) -> None:
        self.inner = inner

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return self.inner.normal(shape, like.new_empty(0, dtype=torch.float32)).to(like.dtype)

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return self.inner.uniform(shape, like.new_empty(0, dtype=torch.float32)).to(like.dtype)


@register_wide(Normal)
def _normal(law: Normal) -> Distribution:
    return Normal(law.loc.double(), law.scale.double(), validate_args=False)


@register_wide(Laplace)
def _laplace(law: Laplace) -> Distribution:
    return Laplace(law.loc.double(), law.scale.double(), validate_args=False)
