"""What a model is: conditionals that give distributions, and terms in nats that an objective combines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.batch import Batch
from vael.probability import Noise

Levels = tuple[Tensor, ...]
EVERYTHING = frozenset({"log_likelihood", "log_prior", "log_posterior", "divergence"})


@dataclass(frozen=True)
class Terms:
    """What a model says about a batch, in nats per example: nothing averaged, nothing weighted.

    Fields that the objective does not read are None. `latent`, `prior` and `posterior` have one entry per level.
    """

    log_likelihood: Float[Tensor, "samples batch"]  # log p(x | z)
    log_prior: Float[Tensor, "levels samples batch"] | None = None  # log p(z)
    log_posterior: Float[Tensor, "levels samples batch"] | None = None  # log q(z | x)
    divergence: Float[Tensor, "levels samples batch"] | None = None  # KL(q(z | x) || p(z))
    penalties: Mapping[str, Float[Tensor, " batch"]] = field(default_factory=dict)
    latent: Levels = ()
    prior: tuple[Distribution, ...] = ()
    posterior: tuple[Distribution, ...] = ()


class Conditional(nn.Module, ABC):
    """Abstract: given tensors, a distribution. Prior, encoder and decoder are the same kind of thing.

    An encoder with `sees_gaps` is given NaN where a cell was not seen, so that it can tell; any other is given 0 there.
    """

    sees_gaps: bool = False

    @abstractmethod
    def forward(self, *given: Tensor | None) -> Distribution:
        """The distribution given the tensors."""


class Model(nn.Module, ABC):
    """Abstract latent-variable model: states its terms; decodes, samples, reconstructs and encodes."""

    @abstractmethod
    def forward(
        self,
        batch: Batch,
        *,
        samples: int = 1,
        generator: torch.Generator | Noise,
        reads: frozenset[str] = EVERYTHING,
        posterior: tuple[Distribution, ...] | None = None,
        latent: Levels | None = None,
    ) -> Terms:
        """The terms of a batch; with `posterior` under another posterior, with `latent` the joint at a given latent."""

    def terms(self, batch: Batch, **how: object) -> Terms:
        """`forward` by its name in the mathematics."""
        return self(batch, **how)

    @abstractmethod
    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        """p(x | z), cell by cell."""

    @abstractmethod
    def sample(self, samples: int, *, generator: torch.Generator | Noise, context: Tensor | None = None) -> Tensor:
        """New data from the prior and the likelihood, `[samples, *event]`."""

    @abstractmethod
    def reconstruct(self, batch: Batch) -> Tensor:
        """Mean of p(x | z) at the mean of q(z | x), `[batch, *event]`; deterministic."""

    @abstractmethod
    def encode(self, batch: Batch) -> Tensor:
        """Mean of q(z | x), `[batch, features]`; deterministic."""
