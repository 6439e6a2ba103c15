"""Models with discrete codes by name: quantisers, priors over codes, VQ-VAEs."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vael.data.facts import Facts
from vael.models.autoencoders.autoencoder_parts import unconditional
from vael.models.autoencoders.codes import AutoregressiveCodes, CodeGrid, CodePrior, UniformCodes
from vael.models.autoencoders.quantized import one_level, two_levels
from vael.models.core import Model
from vael.models.families import LikelihoodPart, ModelPart, Size
from vael.models.likelihoods.parts import BernoulliPart
from vael.networks import CodeBook, FiniteScalar, Quantizer
from vael.networks.parts import Widths
from vael.parts import Part


class QuantizerPart(Part):
    """Abstract: how a vector becomes one of finitely many."""

    family: ClassVar[str] = "quantizer"

    @abstractmethod
    def build(self) -> Quantizer:
        """The quantiser."""


class CodeBookPart(QuantizerPart):
    """A code book that follows the vectors by exponential averages (VQ)."""

    kind: Literal["code-book"] = "code-book"
    size: Size = 256
    features: Size = 16
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.99
    least: Annotated[float, Field(ge=0, lt=1)] = 0.03

    def build(self) -> Quantizer:
        return CodeBook(self.size, self.features, decay=self.decay, least=self.least)


class FiniteScalarPart(QuantizerPart):
    """Each number is rounded to one of few levels; no book (FSQ)."""

    kind: Literal["finite-scalar"] = "finite-scalar"
    levels: Annotated[tuple[Annotated[int, Field(ge=2, le=1024)], ...], Field(min_length=1, max_length=16)] = (8, 6, 5)

    def build(self) -> Quantizer:
        return FiniteScalar(self.levels)


class CodePriorPart(Part):
    """Abstract: p(c) over grids of codes."""

    family: ClassVar[str] = "code-prior"
    learned: ClassVar[bool] = True

    @abstractmethod
    def build(self, grids: tuple[CodeGrid, ...]) -> CodePrior:
        """The prior over such grids."""


class UniformCodesPart(CodePriorPart):
    """All codes are equally probable."""

    kind: Literal["uniform"] = "uniform"
    learned: ClassVar[bool] = False

    def build(self, grids: tuple[CodeGrid, ...]) -> CodePrior:
        return UniformCodes(grids)


class AutoregressiveCodesPart(CodePriorPart):
    """Code after code in reading order, by a gated PixelCNN; fitted in a second stage."""

    kind: Literal["autoregressive"] = "autoregressive"
    features: Size = 16
    channels: Size = 32
    layers: Size = 4

    def build(self, grids: tuple[CodeGrid, ...]) -> CodePrior:
        return AutoregressiveCodes(grids, features=self.features, channels=self.channels, layers=self.layers)


class VQVAEPart(ModelPart):
    """A variational autoencoder with codes for latents, on one grid or two (VQ-VAE, VQ-VAE-2)."""

    kind: Literal["vq-vae"] = "vq-vae"
    compiles: ClassVar[bool] = False  # its book moves with every step
    grids: Literal[1, 2] = 1
    channels: Annotated[Widths, Field(min_length=1)] = (32, 64)
    book: QuantizerPart = CodeBookPart()
    prior: CodePriorPart = AutoregressiveCodesPart()
    likelihood: LikelihoodPart = BernoulliPart()

    @property
    def is_likelihood(self) -> bool:
        return self.likelihood.is_likelihood

    def settled(self, facts: Facts) -> VQVAEPart:
        return self.model_copy(update={"likelihood": self.likelihood.settled(facts)})

    def build(self, facts: Facts) -> Model:
        unconditional(self, facts)
        head = self.likelihood.build(facts)
        if self.grids == 1:
            model = one_level(facts.event, head, self.book.build(), self.channels, facts.moments)
        else:
            books = (self.book.build(), self.book.build())
            model = two_levels(facts.event, head, books, self.channels, facts.moments)
        model.prior = self.prior.build(tuple(model.prior.grids))
        if isinstance(model.prior, Model):
            model.prior.requires_grad_(False)  # the first stage leaves it as it is
        return model
