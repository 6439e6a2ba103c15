"""The families of parts that a latent-variable model is made of."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from vael.data.facts import Facts
from vael.data.source import Source
from vael.models.core import Conditional, Model
from vael.models.likelihoods.heads import Head
from vael.parts import Part

Size = Annotated[int, Field(ge=1, le=2**31 - 1)]
Categories = Annotated[int, Field(ge=2, le=2**16)]


class LikelihoodPart(Part):
    """Abstract: what reads the decoder's output as a distribution of x."""

    family: ClassVar[str] = "likelihood"
    home: ClassVar[str] = "vael.models.likelihoods"
    is_likelihood: ClassVar[bool] = True  # whether the distribution is normalised, so that bounds on log p(x) exist

    def settled(self, facts: Facts) -> LikelihoodPart:
        """With everything that follows from the data filled in, so that it is the same for weights without data."""
        return self

    @abstractmethod
    def build(self, facts: Facts) -> Head:
        """The head. Errors: `SupportError`, `ShapeError` for data that it cannot be for."""


class PosteriorPart(Part):
    """Abstract: q(z | x) from a network's output."""

    family: ClassVar[str] = "posterior"
    home: ClassVar[str] = "vael.models.posteriors"
    reparameterized: ClassVar[bool] = True  # whether gradients pass through a draw
    exact_paths: ClassVar[bool] = True  # whether those that do are exact, and of the density that is stated
    latents: ClassVar[str] = "real"

    @property
    def trains_on_its_draws(self) -> bool:
        """Whether what is drawn in training is what is drawn later, so that a bound is climbed."""
        return True

    def width(self, features: int) -> int:
        """How many numbers so many latents are."""
        return features

    def completed(
        self, posterior: Conditional, features: int, prior: Conditional, likelihood: Conditional
    ) -> Conditional:
        """The posterior of a model, where it has to know the rest of it; most are as they were built."""
        return posterior

    @abstractmethod
    def numbers(self, features: int) -> int:
        """How many numbers the network gives for so many latents."""

    @abstractmethod
    def build(self, network: nn.Module, features: int, *, sees_gaps: bool) -> Conditional:
        """The posterior over `features` latents."""


class PriorPart(Part):
    """Abstract: p(z)."""

    family: ClassVar[str] = "prior"
    home: ClassVar[str] = "vael.models.priors"
    conditional: ClassVar[bool] = False  # whether it is one for each condition, and none without
    latents: ClassVar[str] = "real"  # "bits", "categories": a prior and a posterior over different things do not fit

    def width(self, features: int) -> int:
        """How many numbers so many latents are."""
        return features

    @abstractmethod
    def build(self, features: int, facts: Facts, posterior: Conditional) -> Conditional:
        """The prior over `features` latents; `posterior` for those that are made from encoded inputs."""


class ModelPart(Part):
    """Abstract: a whole model."""

    family: ClassVar[str] = "model"
    home: ClassVar[str] = "vael.models"
    compiles: ClassVar[bool] = True  # whether a training step of it can be compiled
    learns_classes: ClassVar[bool] = False  # whether it learns from labels which class an example is of

    def settled(self, facts: Facts) -> ModelPart:
        """With everything that follows from the data filled in."""
        return self

    @abstractmethod
    def build(self, facts: Facts) -> Model:
        """The model, its weights drawn from PyTorch's default generator (see `vael.networks.seeded`).

        Errors: `SupportError`, `ShapeError`, `StateError` for parts that do not fit each other or the data.
        """

    def start(self, model: Model, source: Source) -> None:
        """Set weights from the data themselves, before the first step; most models have nothing to set."""

    @property
    def is_likelihood(self) -> bool:
        """Whether what the model states is log p(x) or a bound on it."""
        return True

    @property
    def trains_on_its_draws(self) -> bool:
        """Whether what is drawn in training is what is drawn later, so that a bound can be climbed."""
        return True

    @property
    def has_likelihood(self) -> bool:
        """Whether it reads latents as a distribution of x, be that normalised or not, beside a prior over them."""
        return True

    @property
    def likelihood_name(self) -> str:
        """The likelihood as people name it."""
        part = getattr(self, "likelihood", None)
        return part.name if isinstance(part, LikelihoodPart) else self.name
