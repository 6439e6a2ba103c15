"""Mixtures of Gaussians over rows of numbers of which some are missing: what is seen has a density, and what is not
follows from it in closed form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from vael.probability.factorization import inverse_by, lower_factor, solved

HALF_LOG_TWO_PI = math.log(2 * math.pi) / 2
BISECTIONS = 60  # halvings of an interval: more than float64 has digits


@dataclass(frozen=True)
class MissingGivenSeen:
    """p(x_missing | x_seen) = Σ_k r_k N(μ_k|seen, Σ_k|seen) of some rows, and log p(x_seen) in nats; float64.

    A seen element stands in `mean` as it is, with deviation 0. `factor` has L of each Σ_k|seen = L Lᵀ, by the pattern
    of gaps that a row has, with rows of 0 where an element is seen.
    """

    log_prob: Float[Tensor, " rows"]
    weight: Float[Tensor, "rows components"]
    means: Float[Tensor, "rows components features"]
    deviations: Float[Tensor, "rows components features"]
    factor: Float[Tensor, "patterns components features features"]
    pattern: Int64[Tensor, " rows"]

    @property
    def seen(self) -> Bool[Tensor, "rows features"]:
        """Which elements are certain."""
        return self.deviations.amax(1) == 0

    @property
    def mean(self) -> Float[Tensor, "rows features"]:
        """E[x | x_seen]; summed component by component, so that a row is the same in any company."""
        return torch.where(self.seen, self.means[:, 0], (self.weight[..., None] * self.means).sum(1))

    @property
    def deviation(self) -> Float[Tensor, "rows features"]:
        """Standard deviation of each element given those that were seen."""
        off = (self.means - self.mean[:, None]).square() + self.deviations.square()
        return (self.weight[..., None] * off).sum(1).sqrt().masked_fill(self.seen, 0.0)

    def quantile(self, level: float) -> Float[Tensor, "rows features"]:
        """The value below which an element lies with probability `level`, by bisection of the distribution function."""
        width = torch.special.ndtri(self.means.new_tensor(level)) * self.deviations
        ends = self.means + width  # that of the mixture lies between those of its components
        low, high = ends.amin(1), ends.amax(1)
        unit = Normal(self.means.new_zeros(()), self.means.new_ones(()))
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            apart = (middle[:, None] - self.means) / self.deviations.clamp(min=torch.finfo(low.dtype).tiny)
            below = (self.weight[..., None] * unit.cdf(apart)).sum(1) < level
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return torch.where(self.seen, self.means[:, 0], (low + high) / 2)

    def draws(
        self, chosen: Float[Tensor, "draws rows"], normal: Float[Tensor, "draws rows features"]
    ) -> Float[Tensor, "draws rows features"]:
        """Draws of whole rows from U[0, 1) variates, which choose a component, and N(0, 1) variates."""
        last = self.weight.shape[1] - 1
        component = (chosen[..., None] >= self.weight.cumsum(1)).sum(2).clamp(max=last)  # [draws, rows]
        row = torch.arange(len(self.weight))
        found = self.means[row, component]
        for one, k, e in zip(found, component, normal, strict=True):
            one += (self.factor[self.pattern, k] * e[:, None]).sum(-1)
        return found


@dataclass(frozen=True)
class RowMixture:
    """Σ_k π_k N(μ_k, Σ_k) over rows of numbers, float64."""

    weight: Float[Tensor, " components"]
    mean: Float[Tensor, "components features"]
    covariance: Float[Tensor, "components features features"]

    def given(self, x: Float[Tensor, "rows features"], seen: Bool[Tensor, "rows features"]) -> MissingGivenSeen:
        """What follows for the elements that are not `seen`; whatever stands in their places is not looked at.

        With o the seen and m the missing elements: r_k ∝ π_k N(x_o; μ_o, Σ_oo), μ_m|o = μ_m + Σ_mo Σ_oo⁻¹ (x_o - μ_o),
        Σ_m|o = Σ_mm - Σ_mo Σ_oo⁻¹ Σ_om (Bishop 2006, eqs. 2.81 and 2.82).
        """
        components, features = self.mean.shape
        patterns, pattern = torch.unique(seen, dim=0, return_inverse=True)
        log_joint = x.new_zeros(len(x), components, dtype=torch.float64)
        means = x.double()[:, None].expand(-1, components, -1).clone()
        deviations = torch.zeros_like(means)
        factor = self.covariance.new_zeros(len(patterns), components, features, features)
        for number, one in enumerate(patterns):
            rows, o, m = ((pattern == number).nonzero()[:, 0], one.nonzero()[:, 0], (~one).nonzero()[:, 0])
            off = x.double()[rows][:, o][:, None] - self.mean[:, o]  # [rows, components, seen]
            inner = self.covariance[:, o][:, :, o]
            if len(o):
                law = MultivariateNormal(self.mean[:, o], scale_tril=lower_factor(inner), validate_args=False)
                log_joint[rows] = law.log_prob(x.double()[rows][:, o][:, None])
            if not len(m):
                continue
            gain = (
                solved(inner, self.covariance[:, o][:, :, m]).mT if len(o) else inner.new_zeros(components, len(m), 0)
            )
            left = self.covariance[:, m][:, :, m] - gain @ self.covariance[:, o][:, :, m]
            lower = lower_factor((left + left.mT) / 2)
            factor[number, :, m[:, None], m] = lower
            shifted = self.mean[:, m] + (gain * off[..., None, :]).sum(-1)
            means[rows[:, None, None], torch.arange(components)[:, None], m] = shifted
            deviations[rows[:, None, None], torch.arange(components)[:, None], m] = lower.square().sum(-1).sqrt()
        log_joint = log_joint + self.weight.double().log()
        return MissingGivenSeen(log_joint.logsumexp(1), log_joint.softmax(1), means, deviations, factor, pattern)

    def surprise_given_the_others(
        self, x: Float[Tensor, "rows features"], seen: Bool[Tensor, "rows features"]
    ) -> Float64[Tensor, "rows features"]:
        """-log p(x_j | the other seen elements) of every seen element in nats; 0 elsewhere.

        With Λ = Σ_oo⁻¹ of a component, e = x_o - μ_o but for 0 at j, and s = Λ e: the quadratic form of the others is
        eᵀ s - s_j² / Λ_jj, and the determinant of their covariance |Σ_oo| Λ_jj (by the inverse of a block matrix). One
        factorization for each pattern of gaps, not one for each element; an element that is far off enters nothing that
        is said of the others, so that nothing cancels.
        """
        x, found = x.double(), torch.zeros_like(x, dtype=torch.float64)
        patterns, pattern = torch.unique(seen, dim=0, return_inverse=True)
        for number, one in enumerate(patterns):
            o = one.nonzero()[:, 0]
            if not len(o):
                continue
            lower = lower_factor(self.covariance[:, o][:, :, o])
            precision = inverse_by(lower)  # [components, seen, seen]
            log_det = 2 * lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            own = precision.diagonal(dim1=-2, dim2=-1)
            scale = self.weight.double().log() - log_det / 2
            for row in (pattern == number).nonzero()[:, 0].tolist():
                e = (x[row, o] - self.mean[:, o])[:, None].repeat(1, len(o), 1)  # [components, left out, seen]
                e.diagonal(dim1=-2, dim2=-1).zero_()
                s = e @ precision
                form = (e * s).sum(-1) - s.diagonal(dim1=-2, dim2=-1).square() / own
                others = scale[:, None] - own.log() / 2 - form / 2  # but for what all have in common
                off = x[row, o] - self.mean[:, o]
                whole = scale - ((off[:, None] @ precision)[:, 0] * off).sum(-1) / 2
                found[row, o] = others.logsumexp(0) - whole.logsumexp(0) + HALF_LOG_TWO_PI
        return found
