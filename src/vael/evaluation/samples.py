"""How far samples are from data: the Fréchet distance between two sets of features, with the distance that data
have among themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from vael.errors import ShapeError, SupportError
from vael.probability import gaussian_wasserstein


@dataclass(frozen=True)
class FeatureMoments:
    """Mean and covariance (divisor n - 1) of a set of features, in float64."""

    mean: Float[Tensor, " features"]
    covariance: Float[Tensor, "features features"]
    examples: int

    @property
    def variance(self) -> Float[Tensor, " features"]:
        """Of each feature."""
        return self.covariance.diagonal()


def feature_moments(features: Tensor) -> FeatureMoments:
    """Moments of `[examples, *event]`, whose cells are the features.

    Errors: `ShapeError` for fewer than two examples, `SupportError` for NaN.
    """
    if features.dim() < 2 or len(features) < 2 or not features[0].numel():
        raise ShapeError(
            f"features of shape {tuple(features.shape)} came; expected [examples, features] with at least two examples"
        )
    rows = features.detach().cpu().double().flatten(1)
    if not rows.isfinite().all():
        raise SupportError(
            "the features have entries that are not finite; look for NaN in the samples or in the network"
        )
    mean = rows.mean(0)
    centred = rows - mean
    return FeatureMoments(mean, centred.T @ centred / (len(rows) - 1), len(rows))


@dataclass(frozen=True)
class FrechetDistance:
    """Squared Fréchet distance in the features that are named, and its floor; smaller is better, and numbers of other
    features say nothing.

    Only two means and two covariances are compared: zero does not mean that the laws are equal, unless both are
    Gaussian.
    """

    features: str
    squared: float  # between the samples and the test data, in squared units of the features
    floor: float  # between training and test data, with as many training examples as there are samples
    sampled: FeatureMoments
    test: FeatureMoments
    train: FeatureMoments
    warnings: tuple[str, ...] = ()

    @property
    def above_floor(self) -> float:
        """How many times the floor the distance is."""
        return self.squared / self.floor if self.floor else float("inf")

    def __str__(self) -> str:
        sizes = (
            f"{self.sampled.examples:,} samples, {self.test.examples:,} test and {self.train.examples:,} training "
            "examples"
        )
        return (
            f"{self.features}: {self.squared:.4g} (train against test {self.floor:.4g}); {len(self.test.mean)} "
            f"features, {sizes}"
        )


def between(first: FeatureMoments, second: FeatureMoments) -> float:
    """Squared Fréchet distance of two sets of features whose moments are known."""
    return float(gaussian_wasserstein(first.mean, first.covariance, second.mean, second.covariance))


def frechet_distance(sampled: Tensor, test: Tensor, train: Tensor, *, features: str) -> FrechetDistance:
    """|m₁ - m₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½) of samples against test data, and of training against test data (Heusel et
    al. 2017).

    The three are `[examples, *features]`; `features` says what they are. The distance is biased upwards by few
    examples, so the floor is measured with the first as many training examples as there are samples. Errors:
    `ShapeError` for sizes that differ, `SupportError` for features that are not finite.
    """
    sets = [feature_moments(one) for one in (sampled, test, train[: len(sampled)])]
    return FrechetDistance(
        features, between(sets[0], sets[1]), between(sets[2], sets[1]), *sets, warnings=_warnings(sets)
    )


def _warnings(sets: list[FeatureMoments]) -> tuple[str, ...]:
    dimension, fewest = len(sets[0].mean), min(one.examples for one in sets)
    found = []
    if fewest <= dimension:
        found.append(
            f"{fewest:,} examples in {dimension:,} dimensions: a covariance is singular, and the distance mostly says "
            "how few there are"
        )
    if sets[2].examples < sets[0].examples:
        found.append(
            f"only {sets[2].examples:,} training examples for {sets[0].examples:,} samples: the floor is too high"
        )
    return tuple(found)
