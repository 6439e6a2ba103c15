"""Laws of single cells that PyTorch lacks or computes with loss: each stable in float32 for any parameters, sampled
by inverse CDF.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, constraints

from vael.errors import ShapeError
from vael.probability.sampling import Noise, register_draw

LARGEST_RATE = 60.0  # |log σ| beyond which a logistic is as good as a step, or as flat, and float32 ends


class Law(Distribution, ABC):
    """Abstract: a distribution of cells, computed without checks of its arguments, drawn from through
    `vael.probability.draw`.
    """

    of_arguments: ClassVar[dict[str, constraints.Constraint]] = {}

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """What the arguments must be, by name; said, not checked."""
        return self.of_arguments

    def __init__(self, batch_shape: torch.Size, event_shape: torch.Size | None = None) -> None:
        super().__init__(batch_shape, event_shape or torch.Size(), validate_args=False)

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """E[x]."""

    @abstractmethod
    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(value) in nats."""


def softplus(x: Tensor) -> Tensor:
    """log(1 + eˣ), exact to rounding in float64 too (PyTorch's own gives up at 20, where 2e-9 is still missing)."""
    return F.softplus(x, threshold=40.0)


def several_levels(levels: int) -> int:
    """`levels` itself. Errors: `ShapeError` below 2."""
    if levels < 2:
        raise ShapeError(
            f"a law over {levels} levels was asked for; expected at least 2: the cells are integers 0 ... levels - 1"
        )
    return levels


def logistic_mass(value: Tensor, loc: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """Log P(x) of a logistic with mean `loc` and scale s cut into unit bins around 0 ... levels - 1, the outer two
    open.

    With a = (x - ½ - loc) / s, b = a + 1/s and σ the logistic function, P(x) = σ(b) - σ(a) inside, σ(b) at the bottom,
    1 - σ(a) at the top. As σ(b) - σ(a) = σ(b) (1 - σ(a)) (1 - e^(-1/s)), its logarithm is a sum of terms that are
    finite for every x and have finite gradients: nothing is subtracted, and no branch is taken that could hold a NaN.
    (Salimans, Karpathy, Chen & Kingma 2017, eq. 2.)
    """
    log_scale = log_scale.clamp(-LARGEST_RATE, LARGEST_RATE)
    rate = torch.exp(-log_scale)
    centred = value - loc
    lower, upper = (centred - 0.5) * rate, (centred + 0.5) * rate
    bottom, top = value == 0, value == levels - 1
    zero = torch.zeros((), dtype=lower.dtype, device=lower.device)
    width = torch.where(bottom | top, zero, torch.log(-torch.expm1(-rate)))
    return width - torch.where(top, zero, softplus(-upper)) - torch.where(bottom, zero, softplus(lower))


def logistic_mean(loc: Tensor, log_scale: Tensor, levels: int, at_once: int = 32) -> Tensor:
    """E[x] = Σ_k P(x ≥ k), k = 1 ... levels - 1, of the law of `logistic_mass`; some of the sum at a time, so that
    memory stays bounded.
    """
    rate = torch.exp(-log_scale.clamp(-LARGEST_RATE, LARGEST_RATE)).unsqueeze(-1)
    above = loc.unsqueeze(-1) + 0.5
    total = torch.zeros_like(loc)
    for first in range(1, levels, at_once):
        edges = torch.arange(first, min(first + at_once, levels), dtype=loc.dtype, device=loc.device)
        total = total + torch.sigmoid((above - edges) * rate).sum(-1)
    return total


def logistic_draw(loc: Tensor, log_scale: Tensor, levels: int, uniform: Tensor) -> Tensor:
    """A uniform variate through the inverse CDF, to the nearest level; no gradient."""
    continuous = loc + torch.exp(log_scale.clamp(-LARGEST_RATE, LARGEST_RATE)) * torch.logit(uniform)
    return torch.floor(continuous + 0.5).clamp(0, levels - 1).detach()


class DiscretizedLogistic(Law):
    """A logistic law cut into `levels` unit bins, the outer two open: integers 0 ... levels - 1, held as floats.

    `loc` and `log_scale` (log s) are in units of one level, any real numbers (log s beyond ±60 counts as ±60);
    probabilities sum to one for all of them. (Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling 2016, appendix;
    Salimans, Karpathy, Chen & Kingma 2017.)
    """

    of_arguments: ClassVar[dict[str, constraints.Constraint]] = {
        "loc": constraints.real,
        "log_scale": constraints.real,
    }

    def __init__(self, loc: Tensor, log_scale: Tensor, levels: int) -> None:
        self.loc, self.log_scale = torch.broadcast_tensors(loc, log_scale)
        self.levels = several_levels(levels)
        super().__init__(self.loc.shape)

    @property
    def mean(self) -> Tensor:
        return logistic_mean(self.loc, self.log_scale, self.levels)

    def log_prob(self, value: Tensor) -> Tensor:
        return logistic_mass(value, self.loc, self.log_scale, self.levels)


class CodeChoice(Law):
    """Categorical law over codes 0 ... levels - 1, held as floats; `logits` have the levels on the last axis and need
    not be normalised.

    A value is rounded to the nearest code; whether data are codes at all is for `CategoricalHead.check` to say, once.
    The mean is that of the codes as numbers, which says something where they have an order; `mode` is the most probable
    code.
    """

    of_arguments: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real_vector}

    def __init__(self, logits: Tensor) -> None:
        several_levels(logits.shape[-1])
        self.logits = F.log_softmax(logits, dim=-1)
        super().__init__(logits.shape[:-1])

    @property
    def levels(self) -> int:
        """Number of codes."""
        return self.logits.shape[-1]

    @property
    def mean(self) -> Tensor:
        codes = torch.arange(self.levels, dtype=self.logits.dtype, device=self.logits.device)
        return (self.logits.exp() * codes).sum(-1)

    @property
    def mode(self) -> Tensor:
        return self.logits.argmax(-1).to(self.logits.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        codes = (
            value.round().clamp(0, self.levels - 1).long().expand(torch.broadcast_shapes(value.shape, self.batch_shape))
        )
        return self.logits.expand(*codes.shape, self.levels).gather(-1, codes.unsqueeze(-1)).squeeze(-1)


# log(sinh h / h) = Σ_n 2^(2n) B_2n / (2n (2n)!) h^(2n), B the Bernoulli numbers: the terms up to h^12
SERIES = (1 / 6, -1 / 180, 1 / 2835, -1 / 37800, 1 / 467775, -691 / 3831077250)
SMALL = 0.5  # |logit| below which the series is exact to 1e-15 and the closed form loses digits


def log_normalizer(logits: Tensor) -> Tensor:
    """A(l) = log ∫₀¹ e^(l x) dx = log((eˡ - 1) / l), finite for every l, exact to rounding with its gradient."""
    square = torch.where(logits.abs() < SMALL, logits, torch.zeros_like(logits)).square() / 4
    near = torch.zeros_like(square)
    for coefficient in reversed(SERIES):
        near = (near + coefficient) * square
    size = torch.where(
        logits.abs() < SMALL, torch.ones_like(logits), logits.abs()
    )  # 1 where unused: no NaN reaches the gradient
    far = size / 2 + torch.log(-torch.expm1(-size) / size)
    return logits / 2 + torch.where(logits.abs() < SMALL, near, far)


class ContinuousBernoulli(Law):
    """Density e^(l x - A(l)) on [0, 1], the normalised form of the Bernoulli formula for grey values (Loaiza-Ganem &
    Cunningham 2019).

    `logits` l are any real numbers. `largest` stretches the support to [0, largest], and the density with it.
    """

    of_arguments: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real}

    def __init__(self, logits: Tensor, largest: float = 1.0) -> None:
        self.logits, self.largest = logits, largest
        super().__init__(logits.shape)

    @property
    def mean(self) -> Tensor:
        """A'(l) = 1 / (1 - e^-l) - 1 / l, by its series near 0."""
        small = self.logits.abs() < SMALL
        h = torch.where(small, self.logits, torch.zeros_like(self.logits)) / 2
        near = torch.zeros_like(h)
        for order, coefficient in reversed(tuple(enumerate(SERIES, 1))):
            near = near * h.square() + order * coefficient
        away = torch.where(small, torch.ones_like(self.logits), self.logits)
        return self.largest * torch.where(small, 0.5 + h * near, -1 / torch.expm1(-away) - 1 / away)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.logits * (value / self.largest) - log_normalizer(self.logits) - math.log(self.largest)


class GreyCrossEntropy(Law):
    """Cross-entropy of grey values x in [0, largest] under logits: -log_prob is what lectures call the reconstruction
    loss.

    x l / largest - log(1 + eˡ) in nats per cell. It is the logarithm of a probability only at x = 0 and x = largest; in
    between it does not integrate to one, so a bound made of it is no bound on a likelihood, and there is no law to draw
    from: a draw is the mean.
    """

    of_arguments: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real}

    def __init__(self, logits: Tensor, largest: float = 1.0) -> None:
        self.logits, self.largest = logits, largest
        super().__init__(logits.shape)

    @property
    def mean(self) -> Tensor:
        return self.largest * torch.sigmoid(self.logits)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.logits * (value / self.largest) - softplus(self.logits)


class SquaredError(Law):
    """-(x - loc)² where a law has its logarithm: what an autoencoder is trained on. In squared units of the data, not
    in nats.

    Up to scale and a constant it is a Gaussian with σ² = ½; it is normalised over nothing, so a draw is no draw from
    p(x): it is the mean, as an autoencoder's decoder gives it.
    """

    of_arguments: ClassVar[dict[str, constraints.Constraint]] = {"loc": constraints.real}

    def __init__(self, loc: Tensor) -> None:
        self.loc = loc
        super().__init__(loc.shape)

    @property
    def mean(self) -> Tensor:
        return self.loc

    def log_prob(self, value: Tensor) -> Tensor:
        return -(value - self.loc).square()


@register_draw(DiscretizedLogistic)
def _discretized_logistic(law: DiscretizedLogistic, shape: torch.Size, noise: Noise) -> Tensor:
    return logistic_draw(law.loc, law.log_scale, law.levels, noise.uniform(shape, law.loc))


@register_draw(CodeChoice)
def _codes(law: CodeChoice, shape: torch.Size, noise: Noise) -> Tensor:
    return chosen(law.logits, noise.uniform(shape, law.logits)).to(law.logits.dtype)


@register_draw(ContinuousBernoulli)
def _continuous_bernoulli(law: ContinuousBernoulli, shape: torch.Size, noise: Noise) -> Tensor:
    size = law.logits.abs().clamp(min=1e-20)
    falling = -torch.log1p(noise.uniform(shape, law.logits) * torch.expm1(-size)) / size  # of the law with logits -|l|
    return law.largest * torch.where(law.logits > 0, 1 - falling, falling)


@register_draw(GreyCrossEntropy)
def _grey_cross_entropy(law: GreyCrossEntropy, shape: torch.Size, noise: Noise) -> Tensor:
    return law.mean.expand(shape)  # black and white noise is nothing that the objective says of grey values


def chosen(logits: Tensor, uniform: Tensor) -> Tensor:
    """Index on the last axis of normalised `logits` that a uniform variate falls on."""
    cumulative = logits.exp().cumsum(-1)
    point = uniform.unsqueeze(-1) * cumulative[..., -1:]
    return (point >= cumulative).sum(-1).clamp(max=logits.shape[-1] - 1)


@register_draw(SquaredError)
def _squared_error(law: SquaredError, shape: torch.Size, noise: Noise) -> Tensor:
    return law.loc.expand(shape)
