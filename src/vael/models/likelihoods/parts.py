"""The likelihoods that can be named: what follows from the data is chosen when a run is prepared, and kept."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from vael.data.facts import Facts
from vael.errors import SupportError
from vael.models.families import LikelihoodPart, Size
from vael.models.likelihoods.columns import ColumnsHead, heaped
from vael.models.likelihoods.heads import (
    BernoulliHead,
    CategoricalHead,
    ContinuousBernoulliHead,
    CoupledLogisticMixtureHead,
    CrossEntropyHead,
    DiscretizedLogisticHead,
    DiscretizedLogisticMixtureHead,
    FixedScale,
    GaussianHead,
    Head,
    LaplaceHead,
    LearnedScale,
    PredictedScale,
)
from vael.models.likelihoods.joint_gaussian import JointGaussianHead
from vael.models.likelihoods.squared_error import SquaredErrorHead
from vael.models.likelihoods.tabulated import TabulatedMixtureHead

Positive = Annotated[float, Field(gt=0)]
LevelCount = Annotated[int, Field(ge=2, le=2**31)]


def filled(part: LikelihoodPart, **known: Any) -> dict[str, Any]:
    """What of `known` a part leaves open."""
    return {name: value for name, value in known.items() if getattr(part, name) is None}


class BernoulliPart(LikelihoodPart):
    """Elements 0 and 1, on logits."""

    kind: Literal["bernoulli"] = "bernoulli"

    def build(self, facts: Facts) -> Head:
        return BernoulliHead()


class DiscretizedLogisticPart(LikelihoodPart):
    """Integers, a logistic summed over each level."""

    kind: Literal["discretized-logistic"] = "discretized-logistic"
    levels: LevelCount | None = None

    def settled(self, facts: Facts) -> LikelihoodPart:
        return self.model_copy(update=filled(self, levels=facts.values))

    def build(self, facts: Facts) -> Head:
        return DiscretizedLogisticHead(self.levels or facts.values)


class DiscretizedLogisticMixturePart(LikelihoodPart):
    """Integers, ten logistics for each element."""

    kind: Literal["discretized-logistic-mixture"] = "discretized-logistic-mixture"
    levels: LevelCount | None = None
    components: Size = 10

    def settled(self, facts: Facts) -> LikelihoodPart:
        return self.model_copy(update=filled(self, levels=facts.values))

    def build(self, facts: Facts) -> Head:
        return DiscretizedLogisticMixtureHead(self.levels or facts.values, self.components)


class CoupledLogisticMixturePart(LikelihoodPart):
    """Integers, ten logistics for each pixel, its channels coupled (PixelCNN++)."""

    kind: Literal["coupled-logistic-mixture"] = "coupled-logistic-mixture"
    levels: LevelCount | None = None
    components: Size = 10
    channels: Size | None = None

    def settled(self, facts: Facts) -> LikelihoodPart:
        return self.model_copy(update=filled(self, levels=facts.values, channels=facts.event[0]))

    def build(self, facts: Facts) -> Head:
        return CoupledLogisticMixtureHead(self.levels or facts.values, self.components, self.channels or facts.event[0])


class CoupledLogisticPart(LikelihoodPart):
    """Integers, a logistic for each element, the channels of a pixel coupled."""

    kind: Literal["coupled-logistic"] = "coupled-logistic"
    levels: LevelCount | None = None
    components: Size = 1
    channels: Size | None = None

    def settled(self, facts: Facts) -> LikelihoodPart:
        return self.model_copy(update=filled(self, levels=facts.values, channels=facts.event[0]))

    def build(self, facts: Facts) -> Head:
        return CoupledLogisticMixtureHead(self.levels or facts.values, self.components, self.channels or facts.event[0])


class TabulatedMixturePart(LikelihoodPart):
    """Integers, eight distributions over all levels that are learned and shared by all elements."""

    kind: Literal["tabulated-mixture"] = "tabulated-mixture"
    levels: LevelCount | None = None
    components: Size = 8

    def settled(self, facts: Facts) -> LikelihoodPart:
        return self.model_copy(update=filled(self, levels=facts.values))

    def build(self, facts: Facts) -> Head:
        return TabulatedMixtureHead(self.levels or facts.values, self.components)


class CategoricalPart(LikelihoodPart):
    """Integers as codes without an order."""

    kind: Literal["categorical"] = "categorical"
    levels: LevelCount | None = None

    def settled(self, facts: Facts) -> LikelihoodPart:
        return self.model_copy(update=filled(self, levels=facts.values))

    def build(self, facts: Facts) -> Head:
        return CategoricalHead(self.levels or facts.values)


class GaussianPart(LikelihoodPart):
    """Real numbers, one σ, learned."""

    kind: Literal["gaussian"] = "gaussian"

    def build(self, facts: Facts) -> Head:
        return GaussianHead(facts.moments, LearnedScale())


class GaussianPerChannelPart(LikelihoodPart):
    """Real numbers, a learned σ for each channel or column."""

    kind: Literal["gaussian-per-channel"] = "gaussian-per-channel"
    channels: Size | None = None

    def settled(self, facts: Facts) -> LikelihoodPart:
        return self.model_copy(update=filled(self, channels=facts.channels))

    def build(self, facts: Facts) -> Head:
        return GaussianHead(facts.moments, LearnedScale(self.channels or facts.channels, last=facts.channels_last))


class GaussianPerCellPart(LikelihoodPart):
    """Real numbers, a σ for each element from the decoder."""

    kind: Literal["gaussian-per-cell"] = "gaussian-per-cell"

    def build(self, facts: Facts) -> Head:
        return GaussianHead(facts.moments, PredictedScale())


class GaussianFixedPart(LikelihoodPart):
    """Real numbers, σ = 1 in the units of the data."""

    kind: Literal["gaussian-fixed"] = "gaussian-fixed"
    sigma: Positive = 1.0

    def build(self, facts: Facts) -> Head:
        return GaussianHead(facts.moments, FixedScale(self.sigma))


class FullCovariancePart(LikelihoodPart):
    """Real numbers that depend on each other given z: a full covariance matrix from the decoder."""

    kind: Literal["gaussian-full-covariance"] = "gaussian-full-covariance"

    def build(self, facts: Facts) -> Head:
        return JointGaussianHead(facts.event, facts.moments)


class LaplacePart(LikelihoodPart):
    """Real numbers with heavy tails, one scale, learned."""

    kind: Literal["laplace"] = "laplace"

    def build(self, facts: Facts) -> Head:
        return LaplaceHead(facts.moments, LearnedScale())


class ContinuousBernoulliPart(LikelihoodPart):
    """Grey values as real numbers from 0 up."""

    kind: Literal["continuous-bernoulli"] = "continuous-bernoulli"
    largest: Positive | None = None

    def settled(self, facts: Facts) -> LikelihoodPart:
        return self.model_copy(update=filled(self, largest=facts.top))

    def build(self, facts: Facts) -> Head:
        return ContinuousBernoulliHead(self.largest or facts.top)


class ColumnsPart(LikelihoodPart):
    """Tables: a distribution for each column by its kind."""

    kind: Literal["columns"] = "columns"
    components: Size = 5
    tables: tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...] | None = None  # see `ColumnsHead`

    def settled(self, facts: Facts) -> LikelihoodPart:
        if facts.schema is None:
            return self
        return self.model_copy(update=filled(self, tables=heaped(facts.schema, facts.sample)))

    def build(self, facts: Facts) -> Head:
        """Errors: `SupportError` for data without a schema."""
        if facts.schema is None:
            raise SupportError(
                f"{facts.name} has no schema, so the likelihood `columns` cannot tell what its columns are; give a "
                "table with levels, gaps or spikes, or one of plain numbers with a schema (--schema)"
            )
        tables = heaped(facts.schema, facts.sample) if self.tables is None else self.tables
        return ColumnsHead(facts.schema, self.components, facts.sample, tables)


class CrossEntropyPart(LikelihoodPart):
    """Grey values as lectures do it: no likelihood."""

    kind: Literal["cross-entropy"] = "cross-entropy"
    is_likelihood: ClassVar[bool] = False
    largest: Positive | None = None

    def settled(self, facts: Facts) -> LikelihoodPart:
        return self.model_copy(update=filled(self, largest=facts.top))

    def build(self, facts: Facts) -> Head:
        return CrossEntropyHead(self.largest or facts.top)


class SquaredErrorPart(LikelihoodPart):
    """Squared error, in squared units of the data: no likelihood."""

    kind: Literal["squared-error"] = "squared-error"
    is_likelihood: ClassVar[bool] = False

    def build(self, facts: Facts) -> Head:
        return SquaredErrorHead(facts.moments)
