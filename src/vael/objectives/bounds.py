"""Lower bounds on log p(x)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from vael.errors import StateError
from vael.models import Terms
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights


@dataclass(frozen=True)
class Beta:
    """Weight of the divergence: rises linearly from 0 to `final` over the first `warmup` share of training, then stays.

    The warm-up is a share of the training that takes place, below 1, so it cannot end short of `final` by itself. With
    a `final` of infinity the divergence alone is climbed, and the reconstruction counts for nothing.
    """

    final: float = 1.0
    warmup: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise StateError(
                f"warm-up of the divergence over {self.warmup} of training: expected a share of at least 0 and below 1"
            )
        if not self.final >= 0 or (self.final == math.inf and self.warmup):
            raise StateError(
                f"weight {self.final} of the divergence: expected a number of at least 0, and no warm-up where it is "
                "infinite"
            )

    def __call__(self, progress: Tensor | float) -> Tensor | float:
        if self.warmup == 0:
            return self.final
        share = progress / self.warmup
        return self.final * (share.clamp(max=1.0) if isinstance(share, Tensor) else min(share, 1.0))

    @property
    def is_one(self) -> bool:
        """Whether the divergence has its own weight from beginning to end."""
        return self.final == 1 and self.warmup == 0

    def value(self, reconstruction: Tensor, divergence: Tensor, progress: Tensor | float) -> Value:
        """The bound, and what is climbed: the same where the weight is one."""
        bound = reconstruction - divergence
        if self.is_one:
            return Value(bound=bound, surrogate=bound)
        if self.final == math.inf:
            return Value(
                bound=bound, surrogate=0 * reconstruction - divergence
            )  # the decoder's gradient is zero, not missing
        return Value(bound=bound, surrogate=reconstruction - self(progress) * divergence)


@dataclass(frozen=True)
class ELBO(Objective):
    """E_q[log p(x|z)] - KL(q(z|x) || p(z)): the bound with its divergence in closed form (SGVB-B, Kingma & Welling
    2013, eq. 7).
    """

    beta: Beta = Beta()
    requires: ClassVar[frozenset[str]] = frozenset({"log_likelihood", "divergence"})
    is_bound: ClassVar[bool] = True

    @property
    def warmup(self) -> float:
        return self.beta.warmup

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        reconstruction = terms.log_likelihood.mean(0)  # E_q[log p(x | z)]
        divergence = terms.divergence.sum(0).mean(0)  # KL(q(z | x) || p(z)), all levels
        return self.beta.value(reconstruction, divergence, progress)


@dataclass(frozen=True)
class SampledELBO(Objective):
    """E_q[log p(x|z) + log p(z) - log q(z|x)]: all three terms sampled (SGVB-A, Kingma & Welling 2013, eq. 6)."""

    beta: Beta = Beta()
    requires: ClassVar[frozenset[str]] = frozenset({"log_likelihood", "log_prior", "log_posterior"})
    is_bound: ClassVar[bool] = True

    @property
    def warmup(self) -> float:
        return self.beta.warmup

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        reconstruction = terms.log_likelihood.mean(0)  # E_q[log p(x | z)]
        divergence = (terms.log_posterior - terms.log_prior).sum(0).mean(0)  # E_q[log q(z | x) - log p(z)]
        return self.beta.value(reconstruction, divergence, progress)


def log_weights(terms: Terms) -> Tensor:
    """Logarithms of the importance weights, log w = log p(x|z) + log p(z) - log q(z|x), `[samples, batch]`."""
    return terms.log_likelihood + (terms.log_prior - terms.log_posterior).sum(0)


def log_mean_weight(log_w: Float[Tensor, "samples *rest"]) -> Float[Tensor, "*rest"]:
    """Log 1/K Σ_k w_k over the samples, nats."""
    return log_w.logsumexp(0) - math.log(log_w.shape[0])


@dataclass(frozen=True)
class ImportanceWeighted(Objective):
    """log 1/K Σ w_k over the K samples (IWAE, Burda, Grosse & Salakhutdinov 2016, eq. 8); K = 1 is SGVB-A."""

    requires: ClassVar[frozenset[str]] = frozenset({"log_likelihood", "log_prior", "log_posterior"})
    is_bound: ClassVar[bool] = True

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        bound = log_mean_weight(log_weights(terms))
        return Value(bound=bound, surrogate=bound)
