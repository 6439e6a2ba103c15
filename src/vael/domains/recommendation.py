"""What follows from data of any kind for the model: the likelihood of their values, and sizes by how many there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vael.data import Kind, Source, statistics
from vael.data.facts import facts_from
from vael.errors import StateError
from vael.models import Model
from vael.models.families import LikelihoodPart, ModelPart
from vael.models.hierarchical_parts import HierarchicalVAEPart
from vael.models.likelihoods.parts import BernoulliPart, DiscretizedLogisticPart, GaussianPerChannelPart
from vael.models.parts import VAEPart
from vael.models.sequences.sequence_parts import KalmanPart
from vael.networks.parts import NetworkPart

KALMAN, HIERARCHY = "kalman", "hierarchical"  # recipes whose networks are part of the model itself


@dataclass(frozen=True)
class Recommendation:
    """Which model follows the data, and why."""

    recipe: str  # by name
    likelihood: LikelihoodPart
    network: NetworkPart
    leaves: Mapping[str, object]  # of the recipe's model, besides its likelihood; cannot be changed
    reasons: tuple[str, ...]  # whole sentences, to be read before training; the first says what the data are
    codes: Recommendation | None = None  # for every other recipe, if that is another model; may itself have such

    @property
    def model(self) -> ModelPart:
        """The recommended model."""
        if self.recipe == HIERARCHY:
            return HierarchicalVAEPart.model_validate({**self.leaves, "likelihood": self.likelihood})
        if "network" not in self.leaves:
            return KalmanPart.model_validate({**self.leaves, "likelihood": self.likelihood})
        latent, posterior = self.leaves["latent"], self.leaves.get("posterior", "gaussian")
        return VAEPart.model_validate(
            {"latent": latent, "posterior": posterior, "likelihood": self.likelihood, "network": self.network}
        )

    def build(self, source: Source) -> Model:
        """The recommended model for such data, with new weights."""
        return self.model.build(facts_from(source, statistics(source)))


@dataclass(frozen=True)
class Choice:
    """A recipe, the network and the sizes, and a reason."""

    recipe: str
    network: NetworkPart
    leaves: Mapping[str, object]
    reason: str


def chosen(choice: Choice, part: LikelihoodPart, reasons: tuple[str, ...]) -> Recommendation:
    """A choice with its likelihood."""
    leaves = {**choice.leaves, **({} if choice.recipe in (KALMAN, HIERARCHY) else {"network": choice.network})}
    return Recommendation(choice.recipe, part, choice.network, MappingProxyType(leaves), reasons)


def refuse_unfit(part: LikelihoodPart, source: Source) -> None:
    """Errors: those of `Head.check` for data that the likelihood does not take."""
    part.build(facts_from(source, statistics(source))).check(source)


def likelihood(source: Source, channels: int) -> tuple[LikelihoodPart, str]:
    """The likelihood that follows the kind of the values, and why; real numbers have a σ for each of the channels.

    Errors: `StateError` for integers whose number of levels is not said.
    """
    if source.kind is Kind.BINARY:
        return BernoulliPart(), "Likelihood: Bernoulli on logits, because every cell is 0 or 1."
    if source.kind is not Kind.INTEGER:
        return GaussianPerChannelPart(channels=channels), (
            "Likelihood: Gaussian with one learned, bounded σ for each channel or column, because the cells are real "
            "numbers."
        )
    if source.levels is None:
        raise StateError(
            f"{source.name} holds integers, but its number of levels is not said; make the Source with levels="
        )
    return DiscretizedLogisticPart(levels=source.levels), (
        f"Likelihood: discretised logistic over {source.levels} levels, because the cells are the integers 0 ... "
        f"{source.levels - 1}: its probabilities sum to one over exactly these."
    )


def values(source: Source) -> str:
    """What the elements of some data are."""
    integers = "integers" if source.levels is None else f"integers of {source.levels} levels"
    return {Kind.BINARY: "0 or 1", Kind.INTEGER: integers, Kind.REAL: "real numbers"}[source.kind]


def power_of_two(number: int, low: int, high: int) -> int:
    """The power of two next to `number`, within bounds."""
    return max(low, min(high, 2 ** round(math.log2(max(1, number)))))
