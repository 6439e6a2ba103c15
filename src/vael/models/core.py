"""What a model is: conditionals that give distributions, and terms in nats that an objective combines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.batch import Batch
from vael.errors import StateError
from vael.probability import Noise

Levels = tuple[Tensor, ...]
EVERYTHING = frozenset({"log_likelihood", "log_prior", "log_posterior", "divergence", "penalties"})
NO_PENALTIES: Mapping[str, Tensor] = MappingProxyType({})
T = TypeVar("T")


class Terms:
    """What a model says about a batch, in nats per example: nothing averaged, nothing weighted.

    A model states `log_likelihood` always and the others where they are required of it. `latent`, `prior` and
    `posterior` have one entry per level. Errors: `StateError` when a term is read that was not required.
    """

    def __init__(
        self,
        log_likelihood: Float[Tensor, "samples batch"],
        log_prior: Float[Tensor, "levels samples batch"] | None = None,
        log_posterior: Float[Tensor, "levels samples batch"] | None = None,
        divergence: Float[Tensor, "levels samples batch"] | None = None,
        penalties: Mapping[str, Float[Tensor, " batch"]] | None = NO_PENALTIES,
        latent: Levels = (),
        prior: tuple[Distribution, ...] = (),
        posterior: tuple[Distribution, ...] = (),
    ) -> None:
        self._log_likelihood, self._log_prior, self._log_posterior = log_likelihood, log_prior, log_posterior
        self._divergence, self._penalties = divergence, penalties
        self._latent, self._prior, self._posterior = latent, prior, posterior

    @property
    def log_likelihood(self) -> Float[Tensor, "samples batch"]:
        """Log p(x | z)."""
        return self._log_likelihood

    @property
    def log_prior(self) -> Float[Tensor, "levels samples batch"]:
        """Log p(z)."""
        return stated(self._log_prior, "log_prior")

    @property
    def log_posterior(self) -> Float[Tensor, "levels samples batch"]:
        """Log q(z | x)."""
        return stated(self._log_posterior, "log_posterior")

    @property
    def divergence(self) -> Float[Tensor, "levels samples batch"]:
        """KL(q(z | x) || p(z)); closed form, so the same for all samples, where there is one and one level."""
        return stated(self._divergence, "divergence")

    @property
    def penalties(self) -> Mapping[str, Float[Tensor, " batch"]]:
        """What the model would have small besides, by name, unweighted; empty where it has none."""
        return stated(self._penalties, "penalties")

    @property
    def latent(self) -> Levels:
        """The latents z of each level, `[samples, batch, *event]`."""
        return self._latent

    @property
    def prior(self) -> tuple[Distribution, ...]:
        """p(z) of each level."""
        return self._prior

    @property
    def posterior(self) -> tuple[Distribution, ...]:
        """q(z | x) of each level."""
        return self._posterior

    def states(self, name: str) -> bool:
        """Whether the term of this name can be read."""
        return getattr(self, f"_{name}") is not None


def exact_terms(log_prob: Float[Tensor, " batch"], samples: int) -> Terms:
    """The terms of a model without latents, whose log p(x) is exact: nothing is drawn, so all `samples` are alike."""
    found = log_prob.expand(samples, -1)
    nothing = torch.zeros_like(found)[None]
    return Terms(log_likelihood=found, log_prior=nothing, log_posterior=nothing, divergence=nothing)


def stated(term: T | None, name: str) -> T:
    """The term, where the model stated it. Errors: `StateError` where it did not, with who must require it."""
    if term is None:
        raise StateError(
            f"the terms of this batch have no {name}: it was not required of the model, or the model has none; an "
            f"objective that reads it names it in `requires`, any other caller in "
            f"model.terms(..., requires=frozenset({{{name!r}}}))"
        )
    return term


class Conditional(nn.Module, ABC):
    """Abstract: `forward` gives a distribution, given tensors. Prior, encoder and decoder are the same kind of thing.

    An encoder with `sees_gaps` is given NaN where a cell was not seen, so that it can tell; any other is given 0 there.
    """

    sees_gaps: bool = False

    @property
    def trains_on_its_draws(self) -> bool:
        """Whether what is drawn in training is what is drawn later, so that a bound is climbed."""
        return True


class Prior(Conditional):
    """Abstract: p(z | c)."""

    @abstractmethod
    def forward(self, context: Tensor | None = None) -> Distribution:
        """Without batch shape, or with that of the conditions `[batch, features]`."""


class Likelihood(Conditional):
    """Abstract: p(x | z, c)."""

    @abstractmethod
    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """At latents `[samples, batch, *event]`."""


class Posterior(Conditional):
    """Abstract: q(z | x, c)."""

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """At examples `[batch, *event]`."""


def given(network: nn.Module, x: Tensor, context: Tensor | None) -> Tensor:
    """What a network gives for x, and c where there is one."""
    return network(x) if context is None else network(x, context)


class Model(nn.Module, ABC):
    """Abstract model: states its terms. What else it can do, it says by its capabilities (`Capability`)."""

    states_likelihood: ClassVar[bool] = True  # False: what it calls log_likelihood is an error and no log p(x | z)

    @abstractmethod
    def forward(
        self,
        batch: Batch,
        *,
        samples: int = 1,
        generator: torch.Generator | Noise,
        requires: frozenset[str] = EVERYTHING,
        posterior: tuple[Distribution, ...] | None = None,
        latent: Levels | None = None,
    ) -> Terms:
        """The terms of a batch; with `posterior` under another posterior, with `latent` the joint at a given latent."""

    def terms(self, batch: Batch, **how: object) -> Terms:
        """`forward` by its name in the mathematics."""
        return self(batch, **how)
