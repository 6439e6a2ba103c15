"""Autoencoders by name: what damages their input, what is penalised, and what their codes go through."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import FailFast, Field, model_validator
from torch import nn

from vael.data.corruption import Corruption, GaussianNoise, Masking, SaltAndPepper
from vael.data.facts import Facts
from vael.errors import StateError
from vael.models.assembly import decoder, encoder
from vael.models.autoencoders.autoencoder import Autoencoder, unrolled
from vael.models.autoencoders.penalties import AbsoluteActivation, ActivationDivergence, Contraction, Penalty
from vael.models.autoencoders.stacked import stacked
from vael.models.capabilities import Samples
from vael.models.core import Model
from vael.models.families import LikelihoodPart, ModelPart, Size
from vael.models.flows.density import FlowDensity
from vael.models.flows.parts import CouplingPart, FlowPart
from vael.models.likelihoods.heads import Head
from vael.models.likelihoods.parts import SquaredErrorPart
from vael.models.mixtures.covariance import Covariance, Diagonal, Full, Spherical, Tied
from vael.models.mixtures.gaussian_mixture import GaussianMixture
from vael.networks import TopK
from vael.networks.parts import ACTIVATIONS, Activation, DensePart, NetworkPart, Widths
from vael.parts import Part

Probability = Annotated[float, Field(ge=0, le=1)]
Inside = Annotated[float, Field(gt=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
COVARIANCES: dict[str, type[Covariance]] = {
    "full": Full,
    "diagonal": Diagonal,
    "spherical": Spherical,
    "tied": Tied,
}
CovarianceName = Literal["full", "diagonal", "spherical", "tied"]


class CorruptionPart(Part):
    """Abstract: how the examples that the encoder sees are damaged."""

    family: ClassVar[str] = "corruption"

    @abstractmethod
    def build(self) -> Corruption:
        """The corruption."""


class MaskingPart(CorruptionPart):
    """Each element becomes 0 with the given probability."""

    kind: Literal["masking"] = "masking"
    probability: Probability = 0.3

    def build(self) -> Corruption:
        return Masking(self.probability)


class GaussianNoisePart(CorruptionPart):
    """Gaussian noise of the given deviation, in the units of the data."""

    kind: Literal["gaussian-noise"] = "gaussian-noise"
    sigma: NonNegative = 1.0

    def build(self) -> Corruption:
        return GaussianNoise(self.sigma)


class SaltAndPepperPart(CorruptionPart):
    """With the given probability an element becomes `low` or `high`, each as often."""

    kind: Literal["salt-and-pepper"] = "salt-and-pepper"
    probability: Probability = 0.3
    low: float = 0.0
    high: float = 1.0

    def build(self) -> Corruption:
        return SaltAndPepper(self.probability, self.low, self.high)


class PenaltyPart(Part):
    """Abstract: what a code costs besides; its weight stands in the objective, under the penalty's name."""

    family: ClassVar[str] = "penalty"

    @abstractmethod
    def build(self) -> Penalty:
        """The penalty."""


class SparsityPart(PenaltyPart):
    """Each unit is to be on for a share of the data: KL(ρ || mean activation); codes in [0, 1]."""

    kind: Literal["sparsity"] = "sparsity"
    target: Inside = 0.05

    def build(self) -> Penalty:
        return ActivationDivergence(self.target)


class ContractionPart(PenaltyPart):
    """Squared norm of the encoder's Jacobian; exact without `probes`, else estimated from so many."""

    kind: Literal["contraction"] = "contraction"
    probes: Size | None = 1

    def build(self) -> Penalty:
        return Contraction(self.probes)


class AbsoluteActivationPart(PenaltyPart):
    """Sum of the absolute values of the code."""

    kind: Literal["absolute-activation"] = "absolute-activation"

    def build(self) -> Penalty:
        return AbsoluteActivation()


class DensityPart(Part):
    """Abstract: a density that is fitted to the codes afterwards, so that there is something to sample from."""

    family: ClassVar[str] = "density"

    @abstractmethod
    def build(self, features: int) -> Samples:
        """The density over vectors of `features` numbers."""


class MixtureDensityPart(DensityPart):
    """A Gaussian mixture over the codes, by EM; one component is a Gaussian."""

    kind: Literal["gaussian-mixture"] = "gaussian-mixture"
    components: Size = 10
    covariance: CovarianceName = "full"

    def build(self, features: int) -> Samples:
        return GaussianMixture(self.components, features, COVARIANCES[self.covariance]())


class FlowDensityPart(DensityPart):
    """A normalising flow over the codes, by gradient ascent (`algorithm.second=gradient-ascent`)."""

    kind: Literal["flow"] = "flow"
    flow: FlowPart = CouplingPart(map="spline")

    def build(self, features: int) -> Samples:
        return FlowDensity(features, self.flow.build(features)).requires_grad_(False)  # the first stage leaves it


class AutoencoderPart(ModelPart):
    """An autoencoder: a code of x, and x again from the code; no bound, no likelihood."""

    kind: Literal["autoencoder"] = "autoencoder"
    latent: Size = 32
    network: NetworkPart = DensePart(hidden=(256,))
    likelihood: LikelihoodPart = SquaredErrorPart()  # what an error costs
    code: Literal["linear", "sigmoid", "top-k"] = "linear"  # what the encoder's output goes through
    kept: Size | None = None  # of a top-k code, the numbers that stay
    corruption: CorruptionPart | None = None
    penalties: Annotated[tuple[PenaltyPart, ...], FailFast(), Field(max_length=64)] = ()
    density: DensityPart | None = None  # of the codes, to sample from; fitted in a second stage

    @model_validator(mode="after")
    def _fits(self) -> AutoencoderPart:
        if self.code == "top-k" and not (self.kept and self.kept <= self.latent):
            raise ValueError(
                f"kept is {self.kept}: of a top-k code of {self.latent} numbers expected from 1 to {self.latent}"
            )
        return self

    @property
    def is_likelihood(self) -> bool:
        return False

    @property
    def has_likelihood(self) -> bool:
        return False

    def settled(self, facts: Facts) -> AutoencoderPart:
        return self.model_copy(update={"likelihood": self.likelihood.settled(facts)})

    def build(self, facts: Facts) -> Model:
        unconditional(self, facts)
        head = self.likelihood.build(facts)
        return self.around(
            head,
            facts,
            self.coding,
            corruption=None if self.corruption is None else self.corruption.build(),
            penalties={part.name: part.build() for part in self.penalties},
            density=None if self.density is None else self.density.build(self.latent),
        )

    @property
    def coding(self) -> list[nn.Module]:
        """What the encoder's output goes through."""
        found: dict[str, list[nn.Module]] = {"linear": [], "sigmoid": [nn.Sigmoid()], "top-k": [TopK(self.kept or 1)]}
        return found[self.code]

    def around(
        self,
        head: Head,
        facts: Facts,
        coding: list[nn.Module],
        *,
        corruption: Corruption | None = None,
        penalties: Mapping[str, Penalty] | None = None,
        density: Samples | None = None,
    ) -> Autoencoder:
        """The model in these sizes of what is there already, whatever the part's own."""
        encode = encoder(self.network, facts, head, self.latent)
        return Autoencoder(
            nn.Sequential(encode, *coding),
            decoder(self.network, facts, self.latent, head),
            corruption=corruption,
            penalties=penalties,
            density=density,
        )


class StackedAutoencoderPart(ModelPart):
    """A deep autoencoder that is unrolled from shallow ones, each of the codes of the one before."""

    kind: Literal["stacked-autoencoder"] = "stacked-autoencoder"
    features: Annotated[Widths, Field(min_length=1)] = (512, 256, 128, 32)
    activation: Activation = "silu"
    likelihood: LikelihoodPart = SquaredErrorPart()

    @property
    def is_likelihood(self) -> bool:
        return False

    @property
    def has_likelihood(self) -> bool:
        return False

    def settled(self, facts: Facts) -> StackedAutoencoderPart:
        return self.model_copy(update={"likelihood": self.likelihood.settled(facts)})

    def build(self, facts: Facts) -> Model:
        unconditional(self, facts)
        head = self.likelihood.build(facts)
        activation = ACTIVATIONS[self.activation]
        return unrolled(
            stacked(facts.event, head, features=self.features, activation=activation, statistics=facts.moments)
        )


def unconditional(part: ModelPart, facts: Facts) -> None:
    """Errors: `StateError` where there is a condition that such a model does not take."""
    if facts.context:
        raise StateError(
            f"the model {part.name} is not conditioned on anything; leave the condition out, or take a vae"
        )
