"""Mixtures by name."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from vael.data.facts import Facts
from vael.errors import ShapeError, StateError
from vael.models.autoencoders.autoencoder_parts import COVARIANCES, CovarianceName, unconditional
from vael.models.core import Model
from vael.models.families import ModelPart, Size
from vael.models.mixtures.bayesian_mixture import BayesianGaussianMixture, MixturePrior
from vael.models.mixtures.gaussian_mixture import GaussianMixture

Positive = Annotated[float, Field(gt=0)]
Numbers = tuple[float, ...]


class GaussianMixturePart(ModelPart):
    """A Gaussian mixture: every quantity of a latent-variable model is exact; fitted by EM."""

    kind: Literal["gaussian-mixture"] = "gaussian-mixture"
    compiles: ClassVar[bool] = False
    components: Size = 10
    covariance: CovarianceName = "full"

    def build(self, facts: Facts) -> Model:
        unconditional(self, facts)
        return GaussianMixture(self.components, rows_of(self, facts), COVARIANCES[self.covariance]())


class BayesianMixturePart(ModelPart):
    """A Bayesian Gaussian mixture with a factorised posterior; fitted by coordinate ascent on the ELBO.

    The prior over components stands at the moments of the training data: m0 their mean, E[Λ] their precision.
    """

    kind: Literal["bayesian-mixture"] = "bayesian-mixture"
    compiles: ClassVar[bool] = False
    components: Size = 10
    concentration: Positive = 1.0  # α0; small ones leave components empty
    precision: Positive = 1.0  # β0
    mean: Numbers | None = None  # m0, one number a column
    variance: Numbers | None = None  # of a component to be expected, one number a column

    def settled(self, facts: Facts) -> BayesianMixturePart:
        if facts.moments is None or (self.mean and self.variance):
            return self
        spread = facts.moments.std.double().square()
        spread = torch.where(spread > 0, spread, torch.ones_like(spread))
        found = {"mean": facts.moments.mean.double().flatten(), "variance": spread.flatten()}
        return self.model_copy(update={name: tuple(value.tolist()) for name, value in found.items()})

    def build(self, facts: Facts) -> Model:
        """Errors: `StateError` for a part that is not settled, `ShapeError` for a prior over other columns."""
        unconditional(self, facts)
        columns = rows_of(self, facts)
        if self.mean is None or self.variance is None:
            raise StateError("the prior of a Bayesian mixture has no mean and variance; settle the part by its data")
        mean, variance = torch.tensor(self.mean).double(), torch.tensor(self.variance).double()
        if len(mean) != columns or len(variance) != columns:
            raise ShapeError(
                f"the prior of a Bayesian mixture has {len(mean)} means and {len(variance)} variances for {columns} "
                "columns; give one of each for every column"
            )
        degrees = float(columns)
        prior = MixturePrior(mean, degrees * torch.diag(variance), degrees, self.concentration, self.precision)
        return BayesianGaussianMixture(self.components, prior)


def rows_of(part: ModelPart, facts: Facts) -> int:
    """How many numbers a row has. Errors: `StateError` for examples that are no rows."""
    if len(facts.event) != 1:
        raise StateError(
            f"the model {part.name} is over rows of numbers, but {facts.name} has examples of shape {facts.event}; "
            "give a table, or take another model"
        )
    return facts.event[0]
