"""Mean-field coordinate ascent: of a Bayesian Gaussian mixture, run by the one loop, and of a Gaussian target
(Bishop 2006, chapter 10).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Batch, Source
from vael.errors import ShapeError, StateError, SupportError
from vael.inference.algorithm import Algorithm, Info, Moment, State, World
from vael.models import vectors
from vael.models.mixtures.bayesian_mixture import BayesianGaussianMixture
from vael.probability import Noise, Stream
from vael.probability.factorization import log_determinant_of, tried_cholesky


@dataclass
class MeanFieldState(State):
    """Live parameters of q, the ELBO of the last step and its rise."""

    parameters: dict[str, Tensor]
    last: Float[Tensor, " 2"]

    def tensors(self) -> dict[str, Tensor]:
        return {**self.parameters, "last": self.last}


class CoordinateAscent(Algorithm[BayesianGaussianMixture, MeanFieldState]):
    """Climb the ELBO of a `BayesianGaussianMixture`: q(Z) given the rest, then q(π) and q(μ, Λ) given q(Z).

    Full batch: `Settings(batch=len(train))`. `start` are the responsibilities of the training examples before the first
    step. The bound of a training row is the ELBO after its step, divided by the number of examples; it never falls.
    `tolerance`, nats per example, ends the run.
    """

    def __init__(
        self, model: BayesianGaussianMixture, start: Float[Tensor, "examples components"], *, tolerance: float = 0.0
    ) -> None:
        if start.dim() != 2 or start.shape[1] != len(model.concentration):
            raise ShapeError(
                f"responsibilities of shape {tuple(start.shape)}; expected one row per example, "
                f"{len(model.concentration)} columns"
            )
        if bool((start < 0).any()) or not torch.allclose(start.sum(1), torch.ones_like(start[:, 0]), atol=1e-6):
            raise SupportError(
                "the responsibilities are no probabilities; expected rows without a number below 0 that sum to 1"
            )
        if not tolerance >= 0:
            raise StateError(f"tolerance {tolerance}; expected a number of at least 0")
        self.model, self.start, self.tolerance, self.examples = model, start.double(), tolerance, 0

    def init(self, data: Source, world: World) -> MeanFieldState:
        """The law of the parameters from the first responsibilities.

        Errors: `StateError`, `ShapeError`, `SupportError` for what it cannot use.
        """
        if world.size > 1:
            raise StateError(f"coordinate ascent was asked of {world.size} processes together; start it in one process")
        components, features = self.model.mean.shape
        vectors(data, features, components, "a Bayesian Gaussian mixture")
        if len(self.start) != len(data):
            raise ShapeError(
                f"{data.name}: {len(data)} examples, but {len(self.start)} rows of responsibilities were given; give "
                "one for each example"
            )
        x = data.batch(torch.arange(len(data)), Stream(torch.Generator().manual_seed(0))).x.double()
        self.examples = len(data)
        self.model.update(x, self.start)
        return MeanFieldState(dict(self.model.named_parameters()), x.new_full((2,), -torch.inf))

    @torch.no_grad()
    def step(self, state: MeanFieldState, batch: Batch, moment: Moment) -> Info:
        """The law of the assignments, then of the parameters: the bound cannot fall.

        Errors: `StateError` for a batch that is not all data.
        """
        weight = torch.ones(len(batch), dtype=torch.float64) if batch.weight is None else batch.weight.double()
        if int(weight.sum()) != self.examples:
            raise StateError(
                f"a batch of {int(weight.sum())} of {self.examples} examples; coordinate ascent needs all at once: set "
                f"batch={self.examples}"
            )
        x = batch.x.double()
        r = self.model.responsibilities(x)
        self.model.update(x, r * weight[:, None])
        info = self._info(x, r, weight)
        state.last.copy_(torch.stack((state.last[1], info.totals[0] / self.examples)))
        return info

    def _info(self, x: Tensor, r: Tensor, weight: Tensor) -> Info:
        """Sums: E_q[log p(x|z, μ, Λ)], KL of q(z), and this batch's share of the KL of q(π, μ, Λ)."""
        model = self.model
        fit = (r * model.expected_log_likelihood(x)).sum(1) @ weight
        local = (torch.xlogy(r, r) - r * model.expected_log_weight()).sum(1) @ weight
        paid = local + model.global_divergence() * weight.sum() / self.examples
        return Info(torch.stack((fit - paid, -fit, paid, weight.sum())))

    @torch.no_grad()
    def bound(self, state: MeanFieldState, batch: Batch, noise: Noise) -> Info:
        x = batch.x.double()
        weight = torch.ones(len(batch), dtype=torch.float64) if batch.weight is None else batch.weight.double()
        return self._info(x, self.model.responsibilities(x), weight)

    def weights(self, state: MeanFieldState) -> dict[str, Tensor]:
        return state.parameters

    def skipped(self, state: MeanFieldState) -> int:
        return 0

    def converged(self, state: MeanFieldState) -> str:
        rise = float(state.last[1] - state.last[0])
        return f"the ELBO rises by less than {self.tolerance:g} nats per example" if rise < self.tolerance else ""


@dataclass(frozen=True)
class GaussianMeanField:
    """Coordinate ascent for q(z) = Π N(z_j; m_j, 1/Λ_jj) against the target N(μ, Λ^-1) (Bishop 2006, 10.1.2).

    Errors: `ShapeError` for sizes that do not fit, `SupportError` for a precision that is not positive-definite.
    """

    mean: Float[Tensor, " n"]
    precision: Tensor

    def __post_init__(self) -> None:
        n = len(self.mean)
        if self.precision.shape != (n, n):
            raise ShapeError(
                f"precision of shape {tuple(self.precision.shape)}; expected {(n, n)}, as the mean has {n} numbers"
            )
        if not torch.allclose(self.precision, self.precision.mT) or not bool(tried_cholesky(self.precision)[1]):
            raise SupportError(
                "the precision is not positive-definite; give a symmetric matrix with eigenvalues above 0"
            )

    @property
    def variance(self) -> Float[Tensor, " n"]:
        """1/Λ_jj of each factor, whatever the means are."""
        return 1 / self.precision.diagonal()

    def path(self, start: Float[Tensor, " n"], sweeps: int) -> Float[Tensor, "updates n"]:
        """Means after each single update m_j = μ_j - Σ_{i≠j} Λ_ji (m_i - μ_i) / Λ_jj, the start first."""
        if start.shape != self.mean.shape or sweeps < 0:
            raise ShapeError(
                f"a start of shape {tuple(start.shape)} and {sweeps} sweeps; expected {tuple(self.mean.shape)} and at "
                "least 0"
            )
        m, seen = start.clone(), [start.clone()]
        for j in list(range(len(m))) * sweeps:
            m[j] -= (self.precision[j] @ (m - self.mean)) / self.precision[j, j]
            seen.append(m.clone())
        return torch.stack(seen)

    def divergence(self, m: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """KL(q || p) at means m, in nats."""
        off = m - self.mean
        return 0.5 * (
            off @ self.precision @ off + self.precision.diagonal().log().sum() - log_determinant_of(self.precision)
        )
