"""Models whose log p(x) is known exactly, to judge everything that estimates it.

All in float64. A formula that stands in the package is written here a second time on purpose, by another route.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MultivariateNormal, Normal

from vael.data import Batch
from vael.models import VAE, Conditional, Decoder, FixedScale, GaussianHead, StandardNormal, StateSpace, Terms
from vael.models.hierarchical import HierarchicalVAE
from vael.networks.ladder import Ladder
from vael.objectives import ALL_EXAMPLES, Objective, Value, Weights
from vael.probability import diagonal_gaussian

LOG_2PI = math.log(2 * math.pi)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Given(Conditional):
    """A conditional made from a function of its first tensor."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, given: Tensor | None = None, context: Tensor | None = None) -> Distribution:
        return self.function(given)


@dataclass(frozen=True)
class LinearGaussian:
    """p(z) = N(0, I), p(x | z) = N(W z + b, σ² I): p(x) = N(b, W Wᵀ + σ² I) and p(z | x) = N(M⁻¹ Wᵀ (x - b), σ²
    M⁻¹), M = Wᵀ W + σ² I.
    """

    weight: Tensor  # W [cells, features]
    bias: Tensor  # b [cells]
    sigma: float

    @staticmethod
    def of_size(
        cells: int, features: int, sigma: float = 0.7, seed: int = 0, orthogonal: bool = False
    ) -> "LinearGaussian":
        """Random parameters; with `orthogonal` columns the exact posterior is a diagonal Gaussian."""
        w = torch.randn(cells, features, generator=generator(seed), dtype=torch.float64)
        if orthogonal:
            w = torch.linalg.qr(w).Q * torch.arange(1, features + 1)
        return LinearGaussian(w, torch.randn(cells, generator=generator(seed + 1), dtype=torch.float64), sigma)

    @property
    def marginal(self) -> MultivariateNormal:
        covariance = self.weight @ self.weight.T + self.sigma**2 * torch.eye(len(self.bias), dtype=torch.float64)
        return MultivariateNormal(self.bias, covariance)

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p(x), `[batch]`."""
        return self.marginal.log_prob(x)

    def sample(self, examples: int, seed: int = 2) -> Tensor:
        normal = torch.randn(examples, len(self.bias), generator=generator(seed), dtype=torch.float64)
        return self.bias + normal @ torch.linalg.cholesky(self.marginal.covariance_matrix).T

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """Exact p(z | x)."""
        m = self.weight.T @ self.weight + self.sigma**2 * torch.eye(self.weight.shape[1], dtype=torch.float64)
        return MultivariateNormal(
            (x - self.bias) @ self.weight @ torch.linalg.inv(m), self.sigma**2 * torch.linalg.inv(m)
        )

    def diagonal_posterior(self, x: Tensor) -> Independent:
        """Exact p(z | x) as a diagonal Gaussian, which it is where the columns of W are orthogonal."""
        full = self.posterior(x)
        return diagonal_gaussian(full.mean, full.variance.sqrt())

    def decoder(self) -> Decoder:
        """The likelihood as a linear network and a Gaussian head of fixed σ."""
        network = nn.Linear(self.weight.shape[1], len(self.bias)).double()
        with torch.no_grad():
            network.weight.copy_(self.weight)
            network.bias.copy_(self.bias)
        return Decoder(network, GaussianHead(spread=FixedScale(self.sigma)))

    def vae(self, posterior=None) -> VAE:
        """A VAE of linear parts; its posterior is the exact one (or a function x -> q(z | x) that is given)."""
        exact = self.diagonal_posterior if self.is_orthogonal else self.posterior
        return VAE(StandardNormal(self.weight.shape[1]).double(), self.decoder(), Given(posterior or exact))

    @property
    def is_orthogonal(self) -> bool:
        gram = self.weight.T @ self.weight
        return bool((gram - gram.diag().diag()).abs().max() < 1e-12)


@dataclass(frozen=True)
class ConditionalLinearGaussian:
    """p(z) = N(0, I), p(x | z, c) = N(W z + B c + b, σ² I): p(x | c) = N(B c + b, W Wᵀ + σ² I)."""

    base: LinearGaussian
    slope: Tensor  # B [cells, conditions]

    @staticmethod
    def of_size(cells: int, features: int, conditions: int, seed: int = 0) -> "ConditionalLinearGaussian":
        """Random parameters; the exact posterior is a diagonal Gaussian."""
        base = LinearGaussian.of_size(cells, features, seed=seed, orthogonal=True)
        return ConditionalLinearGaussian(
            base, torch.randn(cells, conditions, generator=generator(seed + 5), dtype=torch.float64)
        )

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """Exact log p(x | c), `[batch]`."""
        shift = context.double() @ self.slope.T
        return MultivariateNormal(self.base.bias + shift, self.base.marginal.covariance_matrix).log_prob(x)

    def sample(self, context: Tensor, seed: int = 2) -> Tensor:
        """One x for each c."""
        return self.base.sample(len(context), seed) + context.double() @ self.slope.T

    def vae(self, widen: float = 1.0) -> VAE:
        """A VAE of linear parts with c beside z; its posterior is the exact one, `widen` times as wide."""
        network = nn.Linear(self.base.weight.shape[1] + self.slope.shape[1], len(self.base.bias)).double()
        with torch.no_grad():
            network.weight.copy_(torch.cat((self.base.weight, self.slope), 1))
            network.bias.copy_(self.base.bias)
        decoder = Decoder(network, GaussianHead(spread=FixedScale(self.base.sigma)))
        prior = StandardNormal(self.base.weight.shape[1]).double()
        return VAE(prior, decoder, ExactGiven(self, widen), context=self.slope.shape[1])


class ExactGiven(Conditional):
    """p(z | x, c) of a conditional linear-Gaussian model, so many times as wide."""

    def __init__(self, model: ConditionalLinearGaussian, widen: float) -> None:
        super().__init__()
        self.model, self.widen = model, widen

    def forward(self, x: Tensor, context: Tensor) -> Distribution:
        exact = self.model.base.diagonal_posterior(x.double() - context.double() @ self.model.slope.T)
        return diagonal_gaussian(exact.mean, self.widen * exact.stddev)


def ppca(x: Tensor, features: int) -> float:
    """Largest mean log-likelihood that probabilistic PCA reaches on the rows of `x`, nats per example (Tipping & Bishop
    1999, eq. 8 to 12).

    With the eigenvalues λ of the covariance (divided by the number of rows) in falling order and σ² the mean of those
    after the first `features`: -½ (d log 2π + Σ_{i ≤ features} log λ_i + (d - features) log σ² + d).
    """
    x = x.double().flatten(1)
    cells = x.shape[1]
    eigenvalues = torch.linalg.eigvalsh((x - x.mean(0)).T @ (x - x.mean(0)) / len(x)).flip(0)
    rest = eigenvalues[features:].mean()
    return float(
        -0.5 * (cells * LOG_2PI + eigenvalues[:features].log().sum() + (cells - features) * rest.log() + cells)
    )


@dataclass(frozen=True)
class Conjugate:
    """p(z) = N(0, 1), p(x | z) = N(z, 1) at x = 1 with q(z) = N(0.2, 0.8), 0.8 a variance; the figures are by
    quadrature and closed form.
    """

    x: float = 1.0
    loc: float = 0.2
    variance: float = 0.8
    log_prob: float = -1.5155121235
    elbo: float = -1.6705103089
    chi_square: float = 0.17069  # χ²(p(z | x) || q), so that log p - E[L_K] ≈ χ² / 2K

    def vae(self) -> VAE:
        model = LinearGaussian(torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64), 1.0)
        return model.vae(
            lambda x: diagonal_gaussian(torch.full_like(x, self.loc), torch.full_like(x, math.sqrt(self.variance)))
        )

    def batch(self, examples: int = 1) -> Batch:
        return Batch(x=torch.full((examples, 1), self.x, dtype=torch.float64))


@dataclass(frozen=True)
class Enumerable:
    """z one of `components` values, p(x | z) independent Bernoullis: log p(x) and p(z | x) by summing over all z."""

    logits: Tensor  # of p(z) [components]
    cells: Tensor  # logits of p(x | z) [components, cells]

    @staticmethod
    def of_size(components: int, cells: int, seed: int = 0) -> "Enumerable":
        g = generator(seed)
        return Enumerable(
            torch.randn(components, generator=g).double(), 2 * torch.randn(components, cells, generator=g).double()
        )

    def joint(self, x: Tensor) -> Tensor:
        """log p(x, z) for every z, `[batch, components]`."""
        likelihood = (x[:, None] * self.cells.sigmoid().log() + (1 - x[:, None]) * (-self.cells).sigmoid().log()).sum(
            -1
        )
        return likelihood + self.logits.log_softmax(0)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.joint(x).logsumexp(1)

    def sample(self, examples: int, seed: int = 1) -> Tensor:
        z = torch.multinomial(self.logits.softmax(0), examples, replacement=True, generator=generator(seed))
        return (
            torch.rand(examples, self.cells.shape[1], generator=generator(seed + 1), dtype=torch.float64)
            < self.cells[z].sigmoid()
        ).double()

    def vae(self, head, posterior=None) -> VAE:
        """The same as a VAE with `head` (Bernoulli); its posterior is the exact one, or another function x -> q(z |
        x).
        """

        def exact(x):
            return Categorical(logits=self.joint(x), validate_args=False)

        prior = Given(lambda _: Categorical(logits=self.logits, validate_args=False))
        return VAE(prior, Given(lambda z: head(self.cells[z])), Given(posterior or exact))


def on_grid(model: VAE, x: Tensor, points: int = 201, reach: float = 6.0) -> Tensor:
    """log p(x) of a VAE with the prior N(0, I) and one or two latents, by the trapezoid rule over [-reach, reach]:
    `[batch]`.
    """
    features = model.prior(None).event_shape[0]
    axis = torch.linspace(-reach, reach, points, dtype=x.dtype)
    z = torch.cartesian_prod(*[axis] * features).reshape(-1, features)
    step = float(axis[1] - axis[0])
    with torch.no_grad():
        likelihood = model.likelihood(z[:, None], None).log_prob(x).flatten(2).sum(2)
        prior = Independent(Normal(torch.zeros(features, dtype=x.dtype), 1.0), 1).log_prob(z)
        return torch.logsumexp(likelihood + prior[:, None], 0) + features * np.log(step)


@dataclass(frozen=True)
class Even(Objective):
    """An objective that couples examples: log p(x|z) less its squared distance from the mean over the batch."""

    requires: ClassVar[frozenset[str]] = frozenset({"log_likelihood"})
    is_bound: ClassVar[bool] = False
    couples: ClassVar[bool] = True

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        each = terms.log_likelihood.mean(0)
        return Value(bound=each, surrogate=each - (each - weights.mean(each)).square())


# x_t = C z_t + N(0, R²), z_t = A z_{t-1} + N(0, Q²), z_1 ~ N(0, 1): a state space whose likelihood is known
A, Q, C, R = 0.9, 0.5, 1.3, 0.6


class LinearTransition(Conditional):
    def forward(self, z, context=None):
        return diagonal_gaussian(A * z, torch.full_like(z, Q))


class LinearEmission(nn.Module):
    def forward(self, z):
        return (C * z)[:, :, None][:, :1]


class Beliefs(nn.Module):
    """p(x_t ... x_T | z_t) ∝ exp(-½ a_t z² + b_t z), from the end, of the elements that were seen: exact; the last
    number says whether this is the first step.
    """

    sees_gaps = True

    def forward(self, x):
        a = b = torch.zeros(len(x), dtype=x.dtype)
        found, there = [], ~x.isnan()
        for t in reversed(range(x.shape[1])):
            if found:  # the next state integrated out
                total = a + 1 / Q**2
                a, b = (A / Q) ** 2 - (A / Q**2) ** 2 / total, A / Q**2 * b / total
            seen = there[:, t, 0].to(x.dtype)
            a, b = a + seen * (C / R) ** 2, b + C / R**2 * x[:, t, 0].nan_to_num()
            found.append(torch.stack([a, b, torch.full_like(a, float(t == 0))], 1))
        return torch.stack(found[::-1], 1)


class ExactUpdate(Conditional):
    def __init__(self, shift=0.0):
        super().__init__()
        self.shift = shift

    def forward(self, z, summary):
        a, b, first = summary.unbind(-1)
        prior, moves = torch.where(first > 0, torch.ones_like(a), 1 / Q**2), torch.where(first > 0, 0 * a, A)
        mean = (moves * z[..., 0] * prior + b) / (prior + a)
        return diagonal_gaussian((mean + self.shift)[..., None], (prior + a).rsqrt().expand(mean.shape)[..., None])


def linear_state_space(shift: float = 0.0) -> StateSpace:
    """The model with its exact posterior, its means moved by `shift`."""
    head = GaussianHead(spread=FixedScale(R))
    return StateSpace(
        StandardNormal(1).double(), LinearTransition(), LinearEmission(), head, Beliefs(), ExactUpdate(shift)
    )


def kalman(x: Tensor) -> Tensor:
    """log p(x) by the Kalman filter of the elements that were seen (NaN: not), `[batch]`."""
    mean, variance, total = (torch.full((len(x),), value, dtype=x.dtype) for value in (0.0, 1.0, 0.0))
    for t in range(x.shape[1]):
        seen = ~x[:, t, 0].isnan()
        spread = C**2 * variance + R**2
        error = x[:, t, 0].nan_to_num() - C * mean
        said = -0.5 * ((2 * math.pi * spread).log() + error**2 / spread)
        gain = torch.where(seen, C * variance / spread, torch.zeros_like(spread))
        total = total + torch.where(seen, said, torch.zeros_like(said))
        mean, variance = A * (mean + gain * error), A**2 * (1 - gain * C) * variance + Q**2
    return total


S2, R = 0.7, 0.5  # deviations of z_2 given z_1 and of x given z_2
SLOPE = 0.8  # z_2 = SLOPE z_1 + N(0, S2²), x = w z_2 + N(0, R² I), z_1 ~ N(0, 1)
W = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)


def raw_for(target, low, high):
    """The raw number that `bounded` turns into `target`."""

    def undone(y):
        return y.expm1().log()  # of softplus

    return high - undone(high - low - undone(target - low))


class LinearLevels(Ladder):
    """Two levels of one latent each, with the exact posterior, its means moved by `shift` deviations."""

    def __init__(self, shift=0.0):
        super().__init__()
        self.sizes, self.shift = (1, 1), shift
        self.anchor = nn.Parameter(torch.zeros(1, 1, dtype=torch.float64))

    def seen(self, x):
        return [x, x]

    def top(self):
        return self.anchor

    def prior(self, level, h):
        scale = torch.full_like(h, S2 if level else 1.0)
        return torch.cat((SLOPE * h if level else 0 * h, raw_for(scale.log(), -5.0, 3.0)), -1)

    def posterior(self, level, h, seen):
        # given z_1, x is informative of z_2 alone; z_2 summed out, w z_2 has variance w wᵀ S2² + R² I given z_1
        given = seen @ W / R**2, W @ W / R**2  # of z_2: natural parameters of the likelihood
        if level:
            before, mean = S2**2, SLOPE * h[:, 0]
            precision = 1 / before + given[1]
            after = (mean / before + given[0]) / precision
        else:
            shrink = 1 / (1 + S2**2 * given[1])
            precision = 1 + SLOPE**2 * given[1] * shrink
            after = SLOPE * given[0] * shrink / precision
            before, mean = 1.0, torch.zeros_like(after)
        width = (precision**-0.5 / math.sqrt(before)) * torch.ones_like(after)
        moved = (after - mean) / math.sqrt(before) + self.shift
        return torch.stack((moved, raw_for(width.log(), -5.0, 2.0)), -1)

    def below(self, level, h, z):
        return z

    def out(self, h):
        return h @ W[None]


def linear_levels(shift=0.0):
    return HierarchicalVAE(
        nn.Identity(), LinearLevels(shift), GaussianHead(spread=FixedScale(R)), nn.Identity(), sees_gaps=False
    )


def exact_of_levels(x):
    covariance = variance_of_levels() * W[:, None] * W + R**2 * torch.eye(3, dtype=torch.float64)
    return MultivariateNormal(torch.zeros(3, dtype=torch.float64), covariance).log_prob(x)


def variance_of_levels():
    """Of the latent that x follows from."""
    return SLOPE**2 + S2**2
