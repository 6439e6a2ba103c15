"""Where randomness comes from. `draw` is the only place that samples, and every draw names its source of noise.

A source of noise is a `torch.Generator` or a `Noise`: standard normal and uniform variates of a given shape. Keeping
the standard variates apart from their transformation is the reparameterisation trick (Kingma & Welling 2013, section
2.4); it also lets a compiled step take the very numbers that the eager step would have drawn.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
)

from vael.errors import StateError


class Noise(ABC):
    """Abstract source of standard variates."""

    @abstractmethod
    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """N(0, 1) variates of `shape`, with the dtype and device of `like`."""

    @abstractmethod
    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """U[0, 1) variates of `shape`, with the dtype and device of `like`."""

    def bytes_below(self, high: int, shape: Sequence[int], device: torch.device) -> Tensor:
        """Whole numbers, uniform on {0 ... high - 1}, as uint8 of shape `[batch, *event]`; `high` is at most 256."""
        return (self.uniform((1, *shape), torch.empty(0, device=device))[0] * high).to(torch.uint8)


class Stream(Noise):
    """Variates from a `torch.Generator`, one after another."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return torch.randn(tuple(shape), generator=self.generator, dtype=like.dtype, device=like.device)

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return torch.rand(tuple(shape), generator=self.generator, dtype=like.dtype, device=like.device)

    def bytes_below(self, high: int, shape: Sequence[int], device: torch.device) -> Tensor:
        """Eight bytes from one word, which is six times as fast on a CPU as one variate for each; bytes from `high`
        on are drawn again.
        """
        words = torch.empty(-(-math.prod(shape) // 8), dtype=torch.int64, device=device).random_(
            -(2**63), None, generator=self.generator
        )
        flat = words.view(torch.uint8)[: math.prod(shape)]
        over = flat >= high
        # NumPy finds the few of them six times as fast as PyTorch does on a CPU
        bad = over.nonzero().squeeze(1) if over.is_cuda else torch.from_numpy(np.flatnonzero(over.numpy()))
        flat[bad] = torch.randint(0, high, (len(bad),), dtype=torch.uint8, device=device, generator=self.generator)
        return flat.view(tuple(shape))


class PerExample(Noise):
    """Variates that belong to examples: a function of (seed, example, number of the call), whatever the batch.

    Shapes are `[samples, batch, *event]`; row `b` comes from a Philox counter keyed by `(seed, index[b])`, so an
    evaluation gives the same number for every batch size. `skip` calls are passed over: block k of many draws starts
    with `skip=k`.
    """

    def __init__(self, seed: int, index: Tensor, skip: int = 0) -> None:
        self.seed, self.index, self.calls = seed, index.tolist(), skip

    def _rows(
        self, shape: Sequence[int], like: Tensor, sample: Callable[[np.random.Generator, list[int]], np.ndarray]
    ) -> Tensor:
        if len(shape) < 2 or shape[1] != len(self.index):
            raise StateError(
                f"per-example noise is for {len(self.index)} examples on the second axis, but shape {tuple(shape)} was "
                "asked for"
            )
        event, call = [shape[0], *shape[2:]], self.calls
        self.calls += 1
        rows = [
            sample(np.random.Generator(np.random.Philox(key=[self.seed, row], counter=[0, 0, 0, call])), event)
            for row in self.index
        ]
        return torch.from_numpy(np.stack(rows, axis=1)).to(like.device, like.dtype)

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        kind = np.float64 if like.dtype == torch.float64 else np.float32
        return self._rows(shape, like, lambda source, event: source.standard_normal(event, dtype=kind))

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        kind = np.float64 if like.dtype == torch.float64 else np.float32
        return self._rows(shape, like, lambda source, event: source.random(event, dtype=kind))


class Common(Noise):
    """The same variates for every example, in pairs of opposite sign: a function of (seed, number of the call),
    whatever the batch.

    Common random numbers make figures of many examples comparable and cost next to nothing; the mean over an even
    number of samples is exact for all that is linear in the variates (antithetic variates, Hammersley & Morton 1956).
    Shapes are `[samples, batch, *event]`.

    For scores and answers of single examples only. What is drawn with it is drawn alike for all examples: their mean
    has the error of one example, and all of them stand at the same quantile. Draws take `PerExample` or a `Stream`.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.calls = seed, 0

    def _generator(self) -> torch.Generator:
        self.calls += 1
        return torch.Generator().manual_seed(((self.seed << 20) + self.calls) % 2**63)

    def _paired(
        self, shape: Sequence[int], like: Tensor, draw: Callable[..., Tensor], opposite: Callable[[Tensor], Tensor]
    ) -> Tensor:
        half = (shape[0] + 1) // 2
        first = draw((half, 1, *shape[2:]), generator=self._generator(), dtype=torch.float64)
        both = torch.stack((first, opposite(first)), dim=1).flatten(0, 1)[: shape[0]]
        return both.to(like.device, like.dtype)

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return self._paired(shape, like, torch.randn, torch.neg).expand(tuple(shape))

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        below = 1 - torch.finfo(like.dtype).eps  # 1 itself is no value of U[0, 1)
        return self._paired(shape, like, torch.rand, lambda u: 1 - u).clamp(max=below).expand(tuple(shape))


class EachLatent(Noise):
    """Variates `[1, latents, batch, *event]` from noise that gives `[latents, batch, *event]`: each latent has its
    own.
    """

    def __init__(self, inner: Noise) -> None:
        self.inner = inner

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return self.inner.normal(shape[1:], like)[None]

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return self.inner.uniform(shape[1:], like)[None]


class Recorded(Noise):
    """Writes down what another source was asked for and gave, so that it can be given again."""

    def __init__(self, source: Noise) -> None:
        self.source, self.requests, self.variates = source, [], []

    def _note(self, kind: str, shape: Sequence[int], given: Tensor) -> Tensor:
        self.requests.append((kind, tuple(shape)))
        self.variates.append(given)
        return given

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return self._note("normal", shape, self.source.normal(shape, like))

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return self._note("uniform", shape, self.source.uniform(shape, like))


class Replayed(Noise):
    """Gives variates that were drawn beforehand, in order."""

    def __init__(self, variates: Sequence[Tensor]) -> None:
        self.variates, self.given = variates, 0

    def _next(self, shape: Sequence[int]) -> Tensor:
        found = self.variates[self.given]
        self.given += 1
        if tuple(found.shape) != tuple(shape):
            raise StateError(
                f"replayed noise number {self.given} has shape {tuple(found.shape)}, but {tuple(shape)} was asked for"
            )
        return found

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return self._next(shape)

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return self._next(shape)


def as_noise(source: torch.Generator | Noise) -> Noise:
    """`source` itself if it is a `Noise`, else a `Stream` over the generator."""
    return source if isinstance(source, Noise) else Stream(source)


Kind = TypeVar("Kind", bound=Distribution)
Draw = Callable[[Kind, torch.Size, Noise], Tensor]
_draws: dict[type[Distribution], Draw[Any]] = {}


def register_draw(kind: type[Kind]) -> Callable[[Draw[Kind]], Draw[Kind]]:
    """Decorator: how a kind of distribution turns standard variates into a sample of a given shape (gradients where
    they exist).
    """

    def keep(function: Draw[Kind]) -> Draw[Kind]:
        _draws[kind] = function
        return function

    return keep


def draw(distribution: Distribution, samples: int, generator: torch.Generator | Noise) -> Tensor:
    """`samples` independent draws, `[samples, *batch_shape, *event_shape]`; differentiable where the law can be
    reparameterised.

    Errors: `StateError` for a kind of distribution without a registered way to draw (see `register_draw`).
    """
    shape = torch.Size((samples, *distribution.batch_shape, *distribution.event_shape))
    return draw_of_shape(distribution, shape, as_noise(generator))


def draw_of_shape(distribution: Distribution, shape: torch.Size, noise: Noise) -> Tensor:
    """Independent draws that fill a shape, whose last axes are those of the distribution or broadcast against them.

    Errors: as `draw`.
    """
    if type(distribution) not in _draws:
        raise StateError(
            f"no way to draw from {type(distribution).__name__} is known; register one with "
            "vael.probability.register_draw"
        )
    return _draws[type(distribution)](distribution, shape, noise)


@register_draw(Independent)
def _independent(distribution: Independent, shape: torch.Size, noise: Noise) -> Tensor:
    return draw_of_shape(distribution.base_dist, shape, noise)


@register_draw(Normal)
def _normal(distribution: Normal, shape: torch.Size, noise: Noise) -> Tensor:
    return distribution.loc + distribution.scale * noise.normal(shape, distribution.loc)


@register_draw(MultivariateNormal)
def _multivariate_normal(distribution: MultivariateNormal, shape: torch.Size, noise: Noise) -> Tensor:
    standard = noise.normal(shape, distribution.loc)
    return distribution.loc + (distribution.scale_tril @ standard.unsqueeze(-1)).squeeze(-1)


@register_draw(Laplace)
def _laplace(distribution: Laplace, shape: torch.Size, noise: Noise) -> Tensor:
    centred = noise.uniform(shape, distribution.loc) - 0.5
    # 2 |u| < 1 always, but rounding may reach 1 exactly: log1p(-1) is infinite
    magnitude = (2 * centred.abs()).clamp(max=1 - torch.finfo(centred.dtype).eps)
    return distribution.loc - distribution.scale * centred.sign() * torch.log1p(-magnitude)


@register_draw(Bernoulli)
def _bernoulli(distribution: Bernoulli, shape: torch.Size, noise: Noise) -> Tensor:
    return (noise.uniform(shape, distribution.probs) < distribution.probs).to(distribution.probs.dtype)


@register_draw(Categorical)
def _categorical(distribution: Categorical, shape: torch.Size, noise: Noise) -> Tensor:
    cumulative = distribution.probs.cumsum(-1)
    point = noise.uniform(shape, distribution.probs).unsqueeze(-1) * cumulative[..., -1:]
    return (point >= cumulative).sum(-1).clamp(max=cumulative.shape[-1] - 1)


def as_one_hot(code: Tensor, levels: int) -> Tensor:
    """1 at the level of each code and 0 elsewhere, on a new last axis; unlike PyTorch's it looks at no value, so that
    it can be compiled.
    """
    return code[..., None] == torch.arange(levels, device=code.device)


@register_draw(OneHotCategorical)
def _one_hot_categorical(distribution: OneHotCategorical, shape: torch.Size, noise: Noise) -> Tensor:
    code = draw_of_shape(Categorical(probs=distribution.probs, validate_args=False), shape[:-1], noise)
    return as_one_hot(code, shape[-1]).to(distribution.probs.dtype)


@register_draw(MixtureSameFamily)
def _mixture(distribution: MixtureSameFamily, shape: torch.Size, noise: Noise) -> Tensor:
    """A component by its weight, then a draw from it; no gradient reaches the weights.

    Errors: `StateError` for components that depend on more than which of them it is.
    """
    components, features = distribution.component_distribution, len(distribution.event_shape)
    if len(components.batch_shape) != 1:
        raise StateError(
            f"a mixture of batch shape {tuple(distribution.batch_shape)} was to be drawn from; expected one for all "
            "examples, with its components on the first axis"
        )
    which = draw_of_shape(distribution.mixture_distribution, shape[: len(shape) - features], noise)
    return draw_of_shape(law_at(components, which), shape, noise)


@runtime_checkable
class HasRows(Protocol):
    """A distribution of a batch whose rows can be chosen from."""

    def at_rows(self, which: Tensor) -> Distribution:
        """Those of these numbers."""


def law_at(law: Distribution, which: Tensor) -> Distribution:
    """Gaussians and flows of a batch by their numbers on its first axis, such as components, one for each draw.

    Errors: `StateError` for kinds that cannot be chosen from.
    """
    if isinstance(law, HasRows):
        return law.at_rows(which)
    if isinstance(law, MultivariateNormal):
        return MultivariateNormal(law.loc[which], scale_tril=law.scale_tril[which], validate_args=False)
    if isinstance(law, Independent) and isinstance(law.base_dist, Normal):
        base = law.base_dist
        return Independent(
            Normal(base.loc[which], base.scale[which], validate_args=False),
            law.reinterpreted_batch_ndims,
            validate_args=False,
        )
    raise StateError(f"no way to choose from a batch of {type(law).__name__} is known; expected Gaussians")


def detached(distribution: Distribution) -> Distribution:
    """The same law with no gradient to its parameters, for sticking-the-landing and doubly reparameterised
    gradients.
    """
    copy = object.__new__(type(distribution))
    copy.__dict__.update({name: _without_gradient(value) for name, value in vars(distribution).items()})
    return copy


@runtime_checkable
class HasParameters(Protocol):
    """What a distribution is made of beside tensors and distributions, and depends on parameters."""

    def without_gradient(self) -> object:
        """The same, of whose parameters no gradient is taken."""


def _without_gradient(value: object) -> object:
    """Tensors detached, and what has some inside too; anything else as it is."""
    if type(value) is tuple:
        return tuple(_without_gradient(one) for one in value)
    if isinstance(value, HasParameters):
        return value.without_gradient()
    return (
        value.detach() if isinstance(value, Tensor) else detached(value) if isinstance(value, Distribution) else value
    )
