"""The distribution of what comes out of an invertible map of vectors (a normalising flow: Rezende & Mohamed 2015)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints

from vael.probability.sampling import Common, Noise, draw_of_shape, law_at, register_draw

MOMENT_DRAWS = 256  # in opposite pairs, from which mean and variance are estimated


@dataclass(frozen=True)
class Carried:
    """Vectors at the other end of an invertible map, and log |det| of its Jacobian on the way."""

    value: Float[Tensor, "*rows features"]
    log_det: Float[Tensor, "*rows"]


class Bijection(ABC):
    """Abstract: an invertible map of vectors, with everything that it depends on."""

    @abstractmethod
    def forward(self, u: Float[Tensor, "*rows features"]) -> Carried:
        """z, and log |det dz/du|."""

    @abstractmethod
    def inverse(self, z: Float[Tensor, "*rows features"]) -> Carried:
        """u, and log |det du/dz|."""

    @abstractmethod
    def without_gradient(self) -> Bijection:
        """The same map, of whose own parameters no gradient is taken; what goes through it keeps its gradient."""

    @abstractmethod
    def at_rows(self, which: Tensor) -> Bijection:
        """The map for these rows of a batch."""


@dataclass(frozen=True)
class Drawn:
    """A draw and its log-density, known from the way on which it came."""

    value: Tensor | None = None
    log_prob: Tensor | None = None

    def without_gradient(self) -> Drawn:
        """Nothing: the density at a draw that moves with the parameters is not the one at a draw that is held."""
        return Drawn()


class Flow(Distribution):
    """z = f_K(... f_1(u)), u ~ base: log p(z) = log base(u) - Σ_k log |det df_k/du|.

    The density of its last draw is known without going back, so that maps which are quick in one direction only
    (inverse autoregressive ones) can be climbed; any other z goes back, exactly. Mean and variance have no closed form:
    they are estimated from 256 draws that are the same for every flow, in opposite pairs, so the mean is exact where
    the map is linear.
    """

    support = constraints.real_vector

    def __init__(self, base: Distribution, steps: Sequence[Bijection]) -> None:
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)
        self.base, self.steps, self.drawn = base, tuple(steps), Drawn()
        self.moments: tuple[Tensor, ...] = ()

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """Numbers are taken as they come."""
        return {}

    def log_prob(self, value: Float[Tensor, "*some features"]) -> Float[Tensor, "*rows"]:
        if self.drawn.log_prob is not None and value is self.drawn.value:
            return self.drawn.log_prob
        u, total = value, torch.zeros_like(value[..., 0])
        for step in reversed(self.steps):
            back = step.inverse(u)
            u, total = back.value, total + back.log_det
        return self.base.log_prob(u) + total

    def carried(self, u: Float[Tensor, "*rows features"]) -> Carried:
        """From u to z, with log |det dz/du|; z is remembered with its density."""
        z, total = u, torch.zeros_like(u[..., 0])
        for step in self.steps:
            further = step.forward(z)
            z, total = further.value, total + further.log_det
        self.drawn = Drawn(z, self.base.log_prob(u) - total)
        return Carried(z, total)

    def at_rows(self, which: Tensor) -> Flow:
        """Those of a batch that have these numbers."""
        return Flow(law_at(self.base, which), [step.at_rows(which) for step in self.steps])

    @property
    def mean(self) -> Tensor:
        return self._moments()[0]

    @property
    def variance(self) -> Tensor:
        return self._moments()[1]

    def _moments(self) -> tuple[Tensor, ...]:
        self.moments = self.moments or estimated_moments(self)
        return self.moments


def estimated_moments(law: Distribution, draws: int = MOMENT_DRAWS) -> tuple[Tensor, Tensor]:
    """Mean and variance over draws that are the same for every distribution and every row."""
    lone = not law.batch_shape
    shape = torch.Size((draws, 1, *law.event_shape) if lone else (draws, *law.batch_shape, *law.event_shape))
    # moments are estimates, which may share their noise: no draw is given away
    z = draw_of_shape(law, shape, Common(0))
    mean, variance = z.mean(0), z.var(0, correction=0)
    return (mean[0], variance[0]) if lone else (mean, variance)


@register_draw(Flow)
def _draw(law: Flow, shape: torch.Size, noise: Noise) -> Tensor:
    return law.carried(draw_of_shape(law.base, shape, noise)).value
