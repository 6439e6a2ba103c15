"""Estimators of expectations and of their gradients, and how far they scatter.

For one and the same gradient ∇_φ E_{q_φ}[f(z)] there are two estimators: the score function f(z) ∇ log q_φ(z) (Williams
1992), which needs no derivative of f, and the reparameterised ∇ f(g_φ(ε)) (Kingma & Welling 2013, section 2.4). Their
means agree; their variances do not.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution
from torch.func import jvp

from vael.data import Batch
from vael.errors import ShapeError, StateError
from vael.models import Model
from vael.objectives import Objective, Weights, leave_one_out
from vael.probability import Noise, Recorded, Replayed, as_noise, draw

Family = Callable[[Tensor], Distribution]  # φ [parameters] -> q_φ; the batch axes of a law are independent coordinates
Integrand = Callable[[Tensor], Tensor]  # f: draws [samples, *shape of a draw] -> [samples]


@dataclass(frozen=True)
class Estimate:
    """A Monte-Carlo mean over `samples` draws, and the variance of a single one."""

    mean: Float[Tensor, "*shape"]
    variance: Float[Tensor, "*shape"]  # of one draw
    samples: int

    @property
    def standard_error(self) -> Float[Tensor, "*shape"]:
        """Standard deviation of the mean: √(variance / samples)."""
        return (self.variance / self.samples).sqrt()

    @staticmethod
    def of(draws: Float[Tensor, "samples *shape"]) -> Estimate:
        """Mean and variance (divisor samples - 1) over the first axis.

        Errors: `ShapeError` for fewer than two draws.
        """
        if len(draws) < 2:
            raise ShapeError(f"an estimate with a variance needs at least 2 draws, but got {len(draws)}; draw more")
        return Estimate(draws.mean(0), draws.var(0), len(draws))


class Baseline(ABC):
    """Abstract: what is subtracted from f(z) before it weighs the score; anything that does not depend on z leaves
    the mean alone.
    """

    @abstractmethod
    def __call__(self, reward: Float[Tensor, " samples"], score: Float[Tensor, "samples parameters"]) -> Tensor:
        """The baseline of each sample (and parameter): `[samples, 1]` or `[samples, parameters]`."""


@dataclass(frozen=True)
class NoBaseline(Baseline):
    """b = 0: the estimator of the textbook."""

    def __call__(self, reward: Float[Tensor, " samples"], score: Float[Tensor, "samples parameters"]) -> Tensor:
        return torch.zeros_like(reward)[:, None]


@dataclass(frozen=True)
class LeaveOneOut(Baseline):
    """b_s: the mean of f over the other samples, near E[f]."""

    def __call__(self, reward: Float[Tensor, " samples"], score: Float[Tensor, "samples parameters"]) -> Tensor:
        return leave_one_out(reward)[:, None]


@dataclass(frozen=True)
class OptimalBaseline(Baseline):
    """b_j = E[f s_j²] / E[s_j²], s = ∇ log q: the constant of least variance for each parameter (Greensmith, Bartlett &
    Baxter 2004).

    Both expectations are taken over the other samples, so that the estimator stays unbiased.
    """

    def __call__(self, reward: Float[Tensor, " samples"], score: Float[Tensor, "samples parameters"]) -> Tensor:
        square = score.square()
        weight = leave_one_out(square)
        return torch.where(weight > 0, leave_one_out(reward[:, None] * square) / weight, torch.zeros_like(weight))


def score_function(
    family: Family,
    phi: Tensor,
    f: Integrand,
    *,
    samples: int,
    generator: torch.Generator | Noise,
    baseline: Baseline | None = None,
) -> Float[Tensor, "samples parameters"]:
    """Draws of the score-function gradient (f(z) - b) ∇_φ log q_φ(z), z ~ q_φ, each of which has the mean ∇_φ
    E_{q_φ}[f(z)].

    `family` gives q_φ for `phi` `[parameters]`; f may be anything, with steps and integers in it. Without `baseline`, b
    = 0. Errors: `ShapeError` where `phi` is not a vector or f does not give one number for each sample.

    >>> phi, noise = torch.tensor([1.0, 0.5]), torch.Generator().manual_seed(0)
    >>> how = {"samples": 100_000, "generator": noise, "baseline": LeaveOneOut()}
    >>> draws = score_function(lambda p: Normal(p[0], p[1]), phi, lambda z: z**2, **how)
    >>> Estimate.of(draws).mean.round(decimals=1).tolist()  # ∇ (μ² + σ²) = (2μ, 2σ)
    [2.0, 1.0]
    """
    check_vector(phi)
    with torch.no_grad():
        z = draw(family(phi), samples, generator)
        reward = values(f, z)
    score = per_draw(lambda p: family(p).log_prob(z).reshape(samples, -1).sum(1), phi)
    return (reward[:, None] - (baseline or NoBaseline())(reward, score)) * score


def reparameterized(
    family: Family, phi: Tensor, f: Integrand, *, samples: int, generator: torch.Generator | Noise
) -> Float[Tensor, "samples parameters"]:
    """Draws of the reparameterised gradient ∇_φ f(g_φ(ε)), z = g_φ(ε), each of which has the mean ∇_φ E_{q_φ}[f(z)].

    Errors: `StateError` for a law whose draws cannot be reparameterised (any discrete one); `ShapeError` as for
    `score_function`.

    >>> phi, noise = torch.tensor([1.0, 0.5]), torch.Generator().manual_seed(0)
    >>> draws = reparameterized(lambda p: Normal(p[0], p[1]), phi, lambda z: z**2, samples=100_000, generator=noise)
    >>> Estimate.of(draws).variance.round().tolist()  # (4σ², 4μ² + 8σ²)
    [1.0, 6.0]
    """
    check_vector(phi)
    law = family(phi)
    if not law.has_rsample:
        raise StateError(
            f"draws of {law} are not a differentiable function of its parameters; use score_function, which needs no "
            "such path"
        )
    recorder = Recorded(as_noise(generator))
    with torch.no_grad():
        draw(law, samples, recorder)
    return per_draw(lambda p: values(f, draw(family(p), samples, Replayed(recorder.variates))), phi)


def check_vector(phi: Tensor) -> None:
    """Refuse parameters that are no vector. Errors: `ShapeError`."""
    if phi.dim() != 1 or not phi.is_floating_point():
        raise ShapeError(
            f"φ is {phi.dtype} of shape {tuple(phi.shape)}; expected one floating-point vector [parameters], to be "
            "split in `family`"
        )


def values(f: Integrand, z: Tensor) -> Float[Tensor, " samples"]:
    """What f gives at every draw. Errors: `ShapeError` where it does not give one number for each."""
    found = f(z)
    if found.shape != z.shape[:1]:
        raise ShapeError(
            f"f gave numbers of shape {tuple(found.shape)} for draws of shape {tuple(z.shape)}; expected one for each: "
            f"({z.shape[0]},)"
        )
    return found


def per_draw(function: Callable[[Tensor], Tensor], phi: Tensor) -> Float[Tensor, "samples parameters"]:
    """The derivative of each of many numbers by each parameter: one pass in forward mode for each parameter."""
    return torch.stack(
        [jvp(function, (phi,), (unit,))[1] for unit in torch.eye(len(phi), dtype=phi.dtype, device=phi.device)], dim=1
    ).detach()


@dataclass(frozen=True)
class GaussianSquare:
    """What is known of ∇ E[z²], z ~ N(μ, σ²): the mean by μ and by σ, and the variance of one draw of each estimator,
    in that order.

    With z = μ + σε everything is a moment of ε, E[ε², ε⁴, ε⁶, ε⁸] = 1, 3, 15, 105. Baselines are taken at their limits
    for many samples.
    """

    loc: float
    scale: float

    @property
    def mean(self) -> tuple[float, float]:
        """E[z²] = μ² + σ²: (2μ, 2σ)."""
        return 2 * self.loc, 2 * self.scale

    @property
    def reparameterized(self) -> tuple[float, float]:
        """Var[2z] and Var[2zε]."""
        return 4 * self.scale**2, 4 * self.loc**2 + 8 * self.scale**2

    @property
    def score_function(self) -> tuple[float, float]:
        """Var[z² ε/σ] and Var[z² (ε² - 1)/σ]."""
        return self._with(0.0, 0.0)

    @property
    def leave_one_out(self) -> tuple[float, float]:
        """The same with b = E[z²]."""
        expected = self.loc**2 + self.scale**2
        return self._with(expected, expected)

    @property
    def optimal(self) -> tuple[float, float]:
        """The same with b = E[z² s²] / E[s²]: μ² + 3σ² by μ, μ² + 5σ² by σ."""
        return self._with(self.loc**2 + 3 * self.scale**2, self.loc**2 + 5 * self.scale**2)

    def _with(self, b: float, c: float) -> tuple[float, float]:
        """Var[(z² - b) s] = E[z⁴ s²] - 2b E[z² s²] + b² E[s²] - mean², for the scores ε/σ and (ε² - 1)/σ."""
        m, v = self.loc**2, self.scale**2
        by_loc = (m * m + 18 * m * v + 15 * v * v - 2 * b * (m + 3 * v) + b * b) / v - 4 * m
        by_scale = (2 * m * m + 60 * m * v + 78 * v * v - 2 * c * (2 * m + 10 * v) + 2 * c * c) / v - 4 * v
        return by_loc, by_scale


@dataclass(frozen=True)
class EstimatorSpread:
    """How far one stochastic bound of a batch, and its gradient, scatter over their noise."""

    bound: Estimate  # nats per example, mean over the batch
    gradient: Estimate  # of the mean surrogate by all parameters, `[parameters]`

    @property
    def gradient_variance(self) -> float:
        """Summed over all parameters: the mean squared distance of a gradient from the mean one."""
        return float(self.gradient.variance.sum())


def spread(
    model: Model,
    objective: Objective,
    batch: Batch,
    *,
    samples: int = 1,
    draws: int,
    generator: torch.Generator | Noise,
) -> EstimatorSpread:
    """`objective` and its gradient at one batch, `draws` times with new noise, each with `samples` latents an example.

    Errors: `ShapeError` for fewer than two draws.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    bounds, gradients = [], Running()
    for _ in range(draws):
        terms = model.terms(batch, samples=samples, generator=generator, requires=objective.requires)
        value = objective(terms, Weights(batch.weight), 1.0)
        found = torch.autograd.grad(value.surrogate.mean(), parameters, allow_unused=True, materialize_grads=True)
        gradients.add(torch.cat([g.flatten() for g in found]).double())
        bounds.append(value.bound.detach().mean())
    return EstimatorSpread(Estimate.of(torch.stack(bounds).double()), gradients.estimate())


class Running:
    """Mean and variance of tensors that come one at a time and are not kept (Welford 1962)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, x: Tensor) -> None:
        """Take in one more."""
        self.count += 1
        before = x - self.mean
        self.mean = self.mean + before / self.count
        self.squares = self.squares + before * (x - self.mean)

    def estimate(self) -> Estimate:
        """What is known so far. Errors: `ShapeError` for fewer than two."""
        if self.count < 2:
            raise ShapeError(f"an estimate with a variance needs at least 2 draws, but got {self.count}; draw more")
        return Estimate(self.mean, self.squares / (self.count - 1), self.count)


def errors_by_samples(
    f: Integrand,
    law: Distribution,
    exact: float,
    sizes: Sequence[int],
    *,
    repeats: int,
    generator: torch.Generator | Noise,
) -> Float[Tensor, " sizes"]:
    """Root-mean-square error of 1/L Σ f(z_l), z ~ `law`, over `repeats` estimates, for each L of `sizes`; expected is
    √(Var f / L).

    Errors: `StateError` for a size or a number of repeats below 1.
    """
    if min(sizes, default=0) < 1 or repeats < 1:
        raise StateError(f"{repeats} repeats of averages over {list(sizes)} draws; expected numbers of at least 1")
    found = [values(f, draw(law, repeats * size, generator)).view(repeats, size).mean(1) for size in sizes]
    return torch.stack([(mean - exact).square().mean().sqrt() for mean in found])


def slope(x: Sequence[float | int], y: Sequence[float | int]) -> float:
    """Exponent a of the power law y ∝ x^a that fits best, by least squares in logarithms.

    Errors: `ShapeError`, `StateError`.
    """
    if len(x) != len(y) or len(set(x)) < 2:
        raise ShapeError(
            f"{len(x)} and {len(y)} numbers, {len(set(x))} of them different in x; a slope needs as many of both, and "
            "two that differ"
        )
    if min(*x, *y) <= 0:
        raise StateError("a power law fits numbers above 0 only; leave out zeros and negative ones")
    u = torch.tensor([math.log(value) for value in x], dtype=torch.float64)
    v = torch.tensor([math.log(value) for value in y], dtype=torch.float64)
    return float(((u - u.mean()) * (v - v.mean())).sum() / (u - u.mean()).square().sum())


def dataset_total(minibatch: Float[Tensor, " minibatch"], examples: int) -> Float[Tensor, ""]:
    """N/M Σ over a minibatch of M of N examples: unbiased for the sum over all N (Kingma & Welling 2013, eq. 8).

    Every minibatch of M different examples must be as probable as any other. Errors: `ShapeError` for none, or more
    than there are.

    >>> float(dataset_total(torch.tensor([-100.0, -90.0]), 60_000))
    -5700000.0
    """
    if not 0 < len(minibatch) <= examples:
        raise ShapeError(
            f"a minibatch of {len(minibatch)} out of {examples} examples; expected at least 1 and at most all of them"
        )
    return examples / len(minibatch) * minibatch.sum()
