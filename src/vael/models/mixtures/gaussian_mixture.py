"""The Gaussian mixture: a latent that can be summed over, so that every quantity of a latent-variable model is
exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal, OneHotCategorical

from vael.data.batch import Batch
from vael.errors import ShapeError, SupportError
from vael.models.capabilities import ClosedForm, LatentModel
from vael.models.core import EVERYTHING, Levels, Likelihood, Posterior, Prior, Terms
from vael.models.mixtures.covariance import Covariance, Full
from vael.probability import Noise, divergence, draw
from vael.probability.row_mixture import RowMixture


@dataclass(frozen=True)
class Components:
    """θ = (τ, μ, Σ): what an M-step gives and a start sets."""

    weight: Float[Tensor, " components"]  # τ, sums to one
    mean: Float[Tensor, "components features"]
    covariance: Tensor  # in the shape of its kind


@dataclass(frozen=True)
class SufficientStatistics:
    """Expected sufficient statistics under responsibilities r, about the centres c_k; those of batches add up."""

    count: Float[Tensor, " components"]  # Σ_i r_ik
    first: Float[Tensor, "components features"]  # Σ_i r_ik (x_i - c_k)
    second: Tensor  # Σ_i r_ik (x_i - c_k)(x_i - c_k)ᵀ as far as the kind of covariance needs it


class ComponentWeights(Prior):
    """Prior P(Z = k) = τ_k over one-hot vectors."""

    def __init__(self, components: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((components,), 1 / components, dtype=torch.float64), requires_grad=False)

    def forward(self, context: Tensor | None = None) -> OneHotCategorical:
        return OneHotCategorical(logits=self.weight.log(), validate_args=False)


class GaussianComponents(Likelihood):
    """Likelihood p(x | Z = k) = N(μ_k, Σ_k)."""

    def __init__(self, components: int, features: int, kind: Covariance) -> None:
        super().__init__()
        self.kind = kind
        self.mean = nn.Parameter(torch.zeros(components, features, dtype=torch.float64), requires_grad=False)
        self.covariance = nn.Parameter(kind.identity(components, features), requires_grad=False)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        return self.kind.law(z, self.mean, self.covariance)

    def log_prob(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch components"]:
        """Log p(x | Z = k) for every k, in nats."""
        if x.dim() != 2 or x.shape[1] != self.mean.shape[1]:
            raise ShapeError(
                f"examples of shape {tuple(x.shape[1:])}, but the mixture is over vectors of {self.mean.shape[1]} "
                "numbers; flatten them"
            )
        return self.kind.log_prob(x.to(self.mean), self.mean, self.covariance)


class Responsibilities(Posterior):
    """The exact posterior, r_k = τ_k N(x; μ_k, Σ_k) / p(x) by Bayes' theorem; it has no parameters of its own."""

    def __init__(self, prior: ComponentWeights, likelihood: GaussianComponents) -> None:
        super().__init__()
        self.joint = (prior, likelihood)  # in a tuple, since a checkpoint names each parameter once

    def log_joint(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch components"]:
        """Log p(x, Z = k) for every k, in nats."""
        prior, likelihood = self.joint
        return likelihood.log_prob(x) + prior.weight.log()

    def forward(self, x: Tensor, context: Tensor | None = None) -> OneHotCategorical:
        return OneHotCategorical(logits=self.log_joint(x), validate_args=False)


def at(z: Float[Tensor, "samples batch components"], values: Tensor) -> Float[Tensor, "samples batch"]:
    """Σ_k z_k values_k: the value at a one-hot z, the expectation at probabilities; a value of -∞ does not count
    where z_k is 0.
    """
    return torch.where(z > 0, z * values, torch.zeros_like(z)).sum(-1)


class GaussianMixture(LatentModel, ClosedForm):
    """p(x) = Σ_k τ_k N(x; μ_k, Σ_k), the latent a one-hot vector that names the component; float64.

    The posterior is exact, so the bound is log p(x) itself. Terms are linear in z and are taken at the mean of q(z|x),
    where they are expectations without any noise; at a latent that is given they are those of that latent. It starts as
    N(0, I) in all components: set θ with `assign`, or let `inference.ExpectationMaximization` find it. `encode` gives
    the responsibilities, `reconstruct` the mean of the data to be expected from them, Σ_k r_k μ_k.
    """

    def __init__(self, components: int, features: int, kind: Covariance | None = None) -> None:
        super().__init__()
        if components < 1 or features < 1:
            raise ShapeError(f"{components} components over {features} features; expected at least one of each")
        self.prior = ComponentWeights(components)
        self.likelihood = GaussianComponents(components, features, kind or Full())
        self.posterior = Responsibilities(self.prior, self.likelihood)

    @property
    def kind(self) -> Covariance:
        """What shape the covariances have."""
        return self.likelihood.kind

    @property
    def components(self) -> Components:
        """θ, as live tensors."""
        return Components(self.prior.weight, self.likelihood.mean, self.likelihood.covariance)

    def assign(self, components: Components) -> GaussianMixture:
        """Set θ; gives the model itself.

        Errors: `ShapeError` for other sizes, `SupportError` for weights that are no probabilities and covariances that
        are not positive-definite.
        """
        named = {"weight": self.prior.weight, "mean": self.likelihood.mean, "covariance": self.likelihood.covariance}
        for name, mine in named.items():
            given = getattr(components, name)
            if given.shape != mine.shape:
                raise ShapeError(
                    f"{name} of shape {tuple(given.shape)}; expected {tuple(mine.shape)} for "
                    f"{type(self.kind).__name__} covariances"
                )
            if not bool(given.isfinite().all()):
                raise SupportError(f"{name} holds numbers that are not finite; give finite ones")
        total = float(components.weight.sum())
        if bool((components.weight < 0).any()) or abs(total - 1) > 1e-6:
            raise SupportError(
                f"component weights between {float(components.weight.min()):g} and {float(components.weight.max()):g} "
                f"sum to {total:.8g}; "
                "expected probabilities: none below 0, sum 1"
            )
        self.kind.check(components.covariance)
        with torch.no_grad():
            for name, mine in named.items():
                mine.copy_(getattr(components, name))
        return self

    # the model

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
        """The terms of a batch: expectations under q(z|x), equal for all `samples`, unless a latent is given.

        Nothing is drawn.
        """
        prior, x = self.prior(batch.context), self._checked(batch)
        (q,) = posterior or (self.posterior(x, batch.context),)
        if not isinstance(q, OneHotCategorical):
            raise SupportError(
                f"a posterior that is {type(q).__name__}; expected OneHotCategorical, over the components"
            )
        (z,) = latent or (q.mean.expand(samples, *q.mean.shape),)
        return Terms(
            log_likelihood=at(z, self.likelihood.log_prob(x)),
            log_prior=at(z, prior.logits)[None] if "log_prior" in requires else None,
            log_posterior=at(z, q.logits)[None] if "log_posterior" in requires else None,
            divergence=divergence(q, prior, z)[None] if "divergence" in requires else None,
            latent=(z,),
            prior=(prior,),
            posterior=(q,),
        )

    def _checked(self, batch: Batch) -> Tensor:
        if batch.observed is not None and not bool(batch.observed.all()):
            raise SupportError(
                "cells are marked as missing, which a Gaussian mixture has no likelihood for here; drop these rows or "
                "fill the cells"
            )
        return batch.x

    def log_joint(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch components"]:
        """Log p(x, Z = k) for every k, in nats."""
        return self.posterior.log_joint(x)

    def log_prob(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, " batch"]:
        """Log p(x) = log Σ_k τ_k N(x; μ_k, Σ_k), exact, in nats."""
        return self.log_joint(x).logsumexp(1)

    @property
    def rows(self) -> RowMixture:
        mean = self.likelihood.mean
        each = self.likelihood(torch.eye(len(mean), dtype=mean.dtype, device=mean.device))
        whole = each.covariance_matrix if isinstance(each, MultivariateNormal) else torch.diag_embed(each.variance)
        return RowMixture(self.prior.weight.detach(), mean.detach(), whole.detach())

    def depth(self, event: Sequence[int]) -> int:
        return 1

    def prior_at(self, above: Levels, context: Tensor | None = None) -> OneHotCategorical:
        return self.prior(context)

    def posterior_at(self, above: Levels, batch: Batch) -> OneHotCategorical:
        return self.posterior(self._checked(batch), batch.context)

    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        (z,) = latent
        return self.likelihood(z, context)

    def sample(self, samples: int, *, generator: torch.Generator | Noise, context: Tensor | None = None) -> Tensor:
        z = draw(self.prior(context), samples, generator)
        return draw(self.likelihood(z[None], context), 1, generator)[0, 0]

    def reconstruct(self, batch: Batch) -> Tensor:
        return self.encode(batch) @ self.likelihood.mean

    def encode(self, batch: Batch) -> Tensor:
        return self.posterior(self._checked(batch), batch.context).mean

    # the two steps

    def statistics(
        self, x: Float[Tensor, "batch features"], responsibilities: Float[Tensor, "batch components"]
    ) -> SufficientStatistics:
        """Sufficient statistics about the present means, which lie near the next ones: hardly a digit is lost to
        cancellation.
        """
        x, centre = x.to(self.likelihood.mean), self.likelihood.mean
        count = responsibilities.sum(0)
        first = torch.stack([r @ (x - c) for r, c in zip(responsibilities.mT, centre, strict=True)])
        return SufficientStatistics(count, first, self.kind.second_moment(responsibilities, x, centre))

    def maximizer(self, statistics: SufficientStatistics, floor: float = 0.0) -> Components:
        """The θ that maximises E_r[log p(X, Z | θ)], in closed form.

        τ_k = N_k / N, μ_k = Σ_i r_ik x_i / N_k, Σ_k = Σ_i r_ik (x_i - μ_k)(x_i - μ_k)ᵀ / N_k, with N_k = Σ_i r_ik
        (Dempster, Laird & Rubin 1977); averaged as the kind of covariance asks, plus `floor` I, which is no longer the
        maximum where it is not 0.
        """
        count = statistics.count.clamp(min=torch.finfo(statistics.count.dtype).tiny)
        offset = statistics.first / count[:, None]
        covariance = self.kind.raised(self.kind.estimate(statistics.second, count, offset), floor)
        return Components(statistics.count / statistics.count.sum(), self.likelihood.mean + offset, covariance)

    @property
    def free_parameters(self) -> int:
        """Numbers that a fit is free to choose, as criteria for the number of components count them."""
        components, features = self.likelihood.mean.shape
        return components - 1 + components * features + self.kind.parameters(components, features)
