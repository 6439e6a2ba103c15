"""The Bayesian Gaussian mixture with its factorised posterior q(Z) q(π) Π q(μ_k, Λ_k) (Bishop 2006, chapter 10.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, OneHotCategorical

from vael.data.batch import Batch
from vael.errors import ShapeError, SupportError
from vael.models.capabilities import ClosedForm, LatentModel
from vael.models.core import EVERYTHING, Levels, Terms
from vael.models.mixtures.gaussian_mixture import Components, GaussianMixture, at
from vael.probability import Noise
from vael.probability.factorization import inverse_of, log_determinant_of, solved, tried_cholesky
from vael.probability.row_mixture import RowMixture


@dataclass(frozen=True)
class MixturePrior:
    """π ~ Dirichlet(α0), Λ_k ~ Wishart(W0, ν0), μ_k | Λ_k ~ N(m0, (β0 Λ_k)^-1); `inverse_scale` is W0^-1.

    Errors: `SupportError` for α0, β0 not above 0, ν0 not above D - 1, a W0^-1 that is not positive-definite;
    `ShapeError` for its size.
    """

    mean: Float[Tensor, " features"]
    inverse_scale: Tensor
    degrees: float
    concentration: float = 1.0
    precision: float = 1.0  # β0

    def __post_init__(self) -> None:
        d = len(self.mean)
        if self.inverse_scale.shape != (d, d):
            raise ShapeError(
                f"inverse scale of shape {tuple(self.inverse_scale.shape)}; expected {(d, d)}, as the mean has {d} "
                "numbers"
            )
        if not (self.concentration > 0 and self.precision > 0 and self.degrees > d - 1):
            raise SupportError(
                f"concentration {self.concentration}, precision {self.precision}, degrees {self.degrees}; expected "
                f"above 0, 0 and {d - 1}"
            )
        w = self.inverse_scale
        if not torch.allclose(w, w.mT) or not bool(tried_cholesky(w)[1]):
            raise SupportError(
                "the inverse scale is not a positive-definite matrix; give a symmetric one with eigenvalues above 0"
            )


class BayesianGaussianMixture(LatentModel, ClosedForm):
    """p(X, Z, π, μ, Λ) with q(π) = Dirichlet(α), q(μ_k, Λ_k) = N(m_k, (β_k Λ_k)^-1) Wishart(W_k, ν_k); float64, in
    nats.

    `forward` gives expectations under q of the per-example terms; what is paid once for all data is
    `global_divergence`. Decoding and sampling are plug-in, from `expected_mixture`. `inference.CoordinateAscent` finds
    q.
    """

    told = "log p(x | X) given the training data X, with π, μ and Λ integrated over their posterior q"

    def __init__(self, components: int, prior: MixturePrior) -> None:
        super().__init__()
        if components < 1:
            raise ShapeError(f"{components} components; expected at least one")
        self.hyper = MixturePrior(
            prior.mean.double(), prior.inverse_scale.double(), prior.degrees, prior.concentration, prior.precision
        )

        def like(value: Tensor | float) -> nn.Parameter:
            value = torch.as_tensor(value, dtype=torch.float64)
            return nn.Parameter(value.expand(components, *value.shape).clone(), requires_grad=False)

        self.concentration, self.precision, self.degrees = (
            like(prior.concentration),
            like(prior.precision),
            like(prior.degrees),
        )
        self.mean, self.inverse_scale = like(prior.mean), like(prior.inverse_scale)

    @torch.no_grad()
    def update(self, x: Float[Tensor, "batch features"], r: Float[Tensor, "batch components"]) -> None:
        """Set q(π) and q(μ_k, Λ_k) to their optimum given the responsibilities r (Bishop 10.58, 10.60 to 10.63)."""
        h, count = self.hyper, r.sum(0)
        average = (r.mT @ x) / count.clamp(min=1e-300)[:, None]
        spread = torch.stack([(q[:, None] * (x - a)).mT @ (x - a) for q, a in zip(r.mT, average, strict=True)])
        self.concentration.copy_(h.concentration + count)
        self.precision.copy_(h.precision + count)
        self.degrees.copy_(h.degrees + count)
        self.mean.copy_((h.precision * h.mean + count[:, None] * average) / self.precision[:, None])
        off = average - h.mean
        shrink = h.precision * count / self.precision
        self.inverse_scale.copy_(h.inverse_scale + spread + shrink[:, None, None] * off[:, :, None] * off[:, None, :])

    def expected_log_weight(self) -> Float[Tensor, " components"]:
        """E[log π_k] = ψ(α_k) - ψ(Σ α) (10.66)."""
        return torch.digamma(self.concentration) - torch.digamma(self.concentration.sum())

    def expected_log_determinant(self) -> Float[Tensor, " components"]:
        """E[log |Λ_k|] = Σ_i ψ((ν_k + 1 - i) / 2) + D log 2 + log |W_k| (10.65)."""
        return multidigamma(self.degrees, self.mean.shape[1]) - log_determinant_of(self.inverse_scale)

    def expected_log_likelihood(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch components"]:
        """E[log N(x; μ_k, Λ_k^-1)] (10.64)."""
        d, off = x.shape[1], self._offsets(x)
        apart = solved(self.inverse_scale, off.permute(1, 2, 0)).permute(2, 0, 1)
        square = self.degrees * (off * apart).sum(-1) + d / self.precision
        return 0.5 * (self.expected_log_determinant() - d * math.log(2 * math.pi) - square)

    def _offsets(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch components features"]:
        if x.dim() != 2 or x.shape[1] != self.mean.shape[1]:
            raise ShapeError(
                f"examples of shape {tuple(x.shape[1:])}; expected vectors of {self.mean.shape[1]} numbers: flatten "
                "them"
            )
        return x.double()[:, None] - self.mean

    def responsibilities(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch components"]:
        """q(z): r_k ∝ exp(E[log π_k] + E[log N(x; μ_k, Λ_k^-1)]) (10.46, 10.49)."""
        return (self.expected_log_likelihood(x) + self.expected_log_weight()).softmax(1)

    def global_divergence(self) -> Float[Tensor, ""]:
        """KL(q(π) || p(π)) + Σ_k KL(q(μ_k, Λ_k) || p(μ_k, Λ_k))."""
        return self.weight_divergence() + self.component_divergence().sum()

    def weight_divergence(self) -> Float[Tensor, ""]:
        """KL(Dirichlet(α) || Dirichlet(α0))."""
        mine = torch.distributions.Dirichlet(self.concentration)
        prior = torch.distributions.Dirichlet(torch.full_like(self.concentration, self.hyper.concentration))
        if len(self.concentration) == 1:
            return self.concentration.new_zeros(())
        return torch.distributions.kl_divergence(mine, prior)

    def component_divergence(self) -> Float[Tensor, " components"]:
        """KL of each Normal-Wishart to its prior, in closed form."""
        h, (_, d) = self.hyper, self.mean.shape
        scale, off = inverse_of(self.inverse_scale), self.mean - h.mean
        ratio = h.precision / self.precision
        gauss = 0.5 * (
            d * (ratio - 1 - ratio.log()) + h.precision * self.degrees * torch.einsum("ki,kij,kj->k", off, scale, off)
        )
        trace = torch.einsum("ij,kji->k", h.inverse_scale, scale)
        first = torch.full_like(self.degrees, h.degrees)
        norm = wishart_log_normalizer(self.inverse_scale, self.degrees) - wishart_log_normalizer(h.inverse_scale, first)
        return (
            gauss
            + norm
            + 0.5 * (self.degrees - h.degrees) * self.expected_log_determinant()
            + 0.5 * self.degrees * (trace - d)
        )

    def expected_mixture(self) -> GaussianMixture:
        """The mixture at E[π], E[μ_k] and E[Λ_k]^-1 = W_k^-1 / ν_k."""
        weight = self.concentration / self.concentration.sum()
        theta = Components(
            weight.detach(), self.mean.detach(), (self.inverse_scale / self.degrees[:, None, None]).detach()
        )
        components, features = self.mean.shape
        return GaussianMixture(components, features).assign(theta)

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
        """Expectations under q(π, μ, Λ) of the terms of each example, at q(z) or at a latent that is given; nothing
        is drawn.
        """
        if batch.observed is not None and not bool(batch.observed.all()):
            raise SupportError(
                "cells are marked as missing, which this mixture has no likelihood for; drop these rows or fill the "
                "cells"
            )
        log_weight, fit = self.expected_log_weight(), self.expected_log_likelihood(batch.x)
        prior = self.prior_at(())
        (q,) = posterior or (OneHotCategorical(logits=fit + log_weight, validate_args=False),)
        if not isinstance(q, OneHotCategorical):
            raise SupportError(
                f"a posterior that is {type(q).__name__}; expected OneHotCategorical, over the components"
            )
        (z,) = latent or (q.mean.expand(samples, *q.mean.shape),)
        log_prior, log_q = at(z, log_weight)[None], at(z, q.logits)[None]
        return Terms(
            log_likelihood=at(z, fit),
            log_prior=log_prior if "log_prior" in requires else None,
            log_posterior=log_q if "log_posterior" in requires else None,
            divergence=log_q - log_prior if "divergence" in requires else None,
            latent=(z,),
            prior=(prior,),
            posterior=(q,),
        )

    def log_prob(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, " batch"]:
        """Log p(x | X) in nats, π, μ and Λ integrated over q: a mixture of Student's t (Bishop 2006, eq. 10.81).

        Component k has weight α_k / Σ α, ν_k + 1 - D degrees of freedom, mean m_k and the scale matrix
        (1 + 1/β_k) W_k^-1 / (ν_k + 1 - D).
        """
        (_, d), off = self.mean.shape, self._offsets(x)
        free = self.degrees + 1 - d
        widen = (1 + 1 / self.precision) / free
        apart = solved(self.inverse_scale, off.permute(1, 2, 0)).permute(2, 0, 1)
        square = (off * apart).sum(-1) / widen
        norm = torch.lgamma((free + d) / 2) - torch.lgamma(free / 2) - d / 2 * (free * math.pi).log()
        norm = norm - 0.5 * (log_determinant_of(self.inverse_scale) + d * widen.log())
        log_weight = (self.concentration / self.concentration.sum()).log()
        return (log_weight + norm - (free + d) / 2 * torch.log1p(square / free)).logsumexp(1)

    @property
    def rows(self) -> RowMixture:
        """That of `expected_mixture`: a plug-in, as draws are."""
        return self.expected_mixture().rows

    def depth(self, event: Sequence[int]) -> int:
        return 1

    def prior_at(self, above: Levels, context: Tensor | None = None) -> OneHotCategorical:
        return OneHotCategorical(logits=self.expected_log_weight(), validate_args=False)

    def posterior_at(self, above: Levels, batch: Batch) -> OneHotCategorical:
        fit = self.expected_log_likelihood(batch.x)
        return OneHotCategorical(logits=fit + self.expected_log_weight(), validate_args=False)

    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        return self.expected_mixture().decode(latent, context)

    def sample(self, samples: int, *, generator: torch.Generator | Noise, context: Tensor | None = None) -> Tensor:
        return self.expected_mixture().sample(samples, generator=generator, context=context)

    def reconstruct(self, batch: Batch) -> Tensor:
        return self.encode(batch) @ self.mean

    def encode(self, batch: Batch) -> Tensor:
        return self.responsibilities(batch.x)


def multidigamma(degrees: Float[Tensor, " components"], features: int) -> Float[Tensor, " components"]:
    """Σ_i ψ((ν + 1 - i) / 2) + D log 2, i = 1 ... D."""
    steps = torch.arange(features, dtype=degrees.dtype, device=degrees.device)
    return torch.digamma((degrees[:, None] - steps) / 2).sum(1) + features * math.log(2)


def wishart_log_normalizer(
    inverse_scale: Tensor, degrees: Float[Tensor, " components"]
) -> Float[Tensor, " components"]:
    """Log B(W, ν) = ν/2 log |W^-1| - ν D/2 log 2 - log Γ_D(ν/2) (Bishop B.79)."""
    d = inverse_scale.shape[-1]
    return (
        degrees / 2 * log_determinant_of(inverse_scale) - degrees * d / 2 * math.log(2) - torch.mvlgamma(degrees / 2, d)
    )
