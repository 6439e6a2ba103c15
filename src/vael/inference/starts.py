"""Where a mixture starts: seeds among the examples, spread by k-means++ or at random, and the best of several tries."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vael.data import Batch
from vael.errors import StateError, SupportError
from vael.models import Components, GaussianMixture
from vael.probability import Noise

# variance in the thinnest direction, as a share of the data's: below it a component is taken to have collapsed
SINGULAR = 1e-8


class Start(ABC):
    """Abstract: sets θ of a mixture from examples."""

    @abstractmethod
    def __call__(
        self, model: GaussianMixture, x: Float[Tensor, "examples features"], whole: Tensor, noise: Noise
    ) -> None:
        """`whole` is the covariance of all data, in the shape of one component of the model's kind."""


@dataclass(frozen=True)
class AsGiven(Start):
    """The θ that the model has."""

    def __call__(self, model: GaussianMixture, x: Tensor, whole: Tensor, noise: Noise) -> None:
        pass


class Seeds(Start, ABC):
    """Abstract: means from examples; then weights and one covariance within clusters for all components from the
    nearest mean of each example.
    """

    @abstractmethod
    def means(
        self, x: Float[Tensor, "examples features"], components: int, noise: Noise
    ) -> Float[Tensor, "components features"]:
        """Where the components are to lie. `x` has unit variance in every column."""

    def __call__(self, model: GaussianMixture, x: Tensor, whole: Tensor, noise: Noise) -> None:
        components, features = model.components.mean.shape
        if len(x) < components:
            raise StateError(
                f"{len(x)} examples for {components} components; expected at least as many examples: use fewer "
                "components"
            )
        unit = units(x)
        mean = self.means(x / unit, components, noise) * unit
        code = nearest(x / unit, mean / unit)
        share = torch.nn.functional.one_hot(code, components).to(x.dtype)
        own = torch.ones_like(x[:, :1])
        within = model.kind.second_moment(own, x - mean[code], torch.zeros_like(x[:1]))
        within = model.kind.estimate(within, own.sum(0), torch.zeros_like(x[:1]))
        covariance = within if bool((model.kind.thinness(within, whole) > SINGULAR).all()) else whole
        weight = (share.sum(0) + 1) / (len(x) + components)  # no component starts without a share
        model.assign(Components(weight, mean, covariance.expand(model.kind.shape(components, features))))


def units(x: Float[Tensor, "examples features"]) -> Float[Tensor, "features"]:
    """Standard deviation of each column, 1 where it never varies, so that no column counts for more because of its
    unit.
    """
    std = x.std(0, correction=0)
    return torch.where(std > 0, std, torch.ones_like(std))


def distances(
    x: Float[Tensor, "examples features"], mean: Float[Tensor, "components features"]
) -> Float[Tensor, "examples components"]:
    """Squared distances."""
    return torch.stack([(x - m).square().sum(1) for m in mean], dim=1)


def nearest(
    x: Float[Tensor, "examples features"], mean: Float[Tensor, "components features"]
) -> Int64[Tensor, " examples"]:
    """Number of the nearest mean of each example."""
    return distances(x, mean).argmin(1)


@dataclass(frozen=True)
class RandomExamples(Seeds):
    """Distinct examples, all equally likely."""

    def means(self, x: Tensor, components: int, noise: Noise) -> Tensor:
        return x[noise.uniform((1, len(x)), x)[0].topk(components).indices]


@dataclass(frozen=True)
class KMeansPlusPlus(Seeds):
    """Examples drawn one after another with probability ∝ D², the squared distance to the nearest one drawn before.

    The expected sum of squared distances is within 8 (log K + 2) of the best (Arthur & Vassilvitskii 2007, theorem
    3.1).
    """

    def means(self, x: Tensor, components: int, noise: Noise) -> Tensor:
        chosen = [int(noise.uniform((1, 1), x) * len(x))]
        near = torch.full_like(x[:, 0], math.inf)
        while len(chosen) < components:
            near = torch.minimum(near, (x - x[chosen[-1]]).square().sum(1))
            chosen.append(self._next(near, noise))
        return x[chosen]

    def _next(self, near: Tensor, noise: Noise) -> int:
        """Where no distance is left (fewer different examples than components) any example is as good."""
        below = (near if bool(near.sum() > 0) else torch.ones_like(near)).cumsum(0)
        point = noise.uniform((1, 1), near)[0] * below[-1]
        return int(torch.searchsorted(below, point, right=True).clamp(max=len(near) - 1))


@dataclass(frozen=True)
class KMeans(Seeds):
    """Lloyd's iterations from other seeds until no example changes sides; a mean without examples stays where it is
    (Lloyd 1982).
    """

    seeds: Seeds = field(default_factory=KMeansPlusPlus)
    iterations: int = 100

    def means(self, x: Tensor, components: int, noise: Noise) -> Tensor:
        """`[components, features]`, where Lloyd's iterations stop."""
        mean, former = self.seeds.means(x, components, noise), None
        for _ in range(self.iterations):
            code = nearest(x, mean)
            if former is not None and torch.equal(code, former):
                break
            share, former = torch.nn.functional.one_hot(code, components).to(x.dtype), code
            count = share.sum(0)[:, None]
            mean = torch.where(count > 0, (share.mT @ x) / count.clamp(min=1), mean)
        return mean


@dataclass(frozen=True)
class BestOf(Start):
    """Several starts, each followed by a few EM iterations; the one with the highest log p(X) is kept (Biernacki,
    Celeux & Govaert 2003).
    """

    start: Start = field(default_factory=KMeansPlusPlus)
    tries: int = 10
    iterations: int = 5

    def __call__(self, model: GaussianMixture, x: Tensor, whole: Tensor, noise: Noise) -> None:
        best, kept = -math.inf, None
        for _ in range(self.tries):
            reached = self._try(model, x, whole, noise)
            if reached > best or kept is None:
                best, kept = reached, copied(model.components)
        if kept is not None:
            model.assign(kept)

    def _try(self, model: GaussianMixture, x: Tensor, whole: Tensor, noise: Noise) -> float:
        """Mean log p(x) that is reached, in nats; -∞ where a component collapses on the way."""
        self.start(model, x, whole, noise)
        before = copied(model.components)
        try:
            for _ in range(self.iterations):
                model.assign(model.maximizer(model.statistics(x, model.encode(Batch(x=x)))))
        except SupportError:
            model.assign(before)
            return -math.inf
        return float(model.log_prob(x).mean())


def copied(components: Components) -> Components:
    """θ that later steps leave alone."""
    return Components(components.weight.clone(), components.mean.clone(), components.covariance.clone())
