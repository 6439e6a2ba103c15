"""Optimisers and algorithms by name."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vael.data.source import Source
from vael.inference.algorithm import Algorithm
from vael.inference.gradient import GradientAscent
from vael.inference.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from vael.models.core import Model
from vael.objectives.parts import ELBOPart, ObjectivePart
from vael.parts import Part

Rate = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class OptimizerPart(Part):
    """Abstract: how parameters move along a gradient."""

    family: ClassVar[str] = "optimizer"
    learning_rate: Rate = 1e-3

    @abstractmethod
    def build(self) -> Optimizer:
        """The optimiser."""


class AdamWPart(OptimizerPart):
    """Adam with decoupled weight decay."""

    kind: Literal["adamw"] = "adamw"
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: NonNegative = 0.0

    def build(self) -> Optimizer:
        return AdamW(learning_rate=self.learning_rate, betas=self.betas, weight_decay=self.weight_decay)


class AdamPart(OptimizerPart):
    """Adam without weight decay."""

    kind: Literal["adam"] = "adam"
    betas: tuple[Decay, Decay] = (0.9, 0.999)

    def build(self) -> Optimizer:
        return Adam(learning_rate=self.learning_rate, betas=self.betas)


class SGDPart(OptimizerPart):
    """Plain gradient steps, with momentum where it is asked for."""

    kind: Literal["sgd"] = "sgd"
    momentum: Decay = 0.0

    def build(self) -> Optimizer:
        return SGD(learning_rate=self.learning_rate, momentum=self.momentum)


class RMSpropPart(OptimizerPart):
    """Gradients over the root of their running mean square."""

    kind: Literal["rmsprop"] = "rmsprop"
    decay: Decay = 0.99
    centered: bool = False

    def build(self) -> Optimizer:
        return RMSprop(learning_rate=self.learning_rate, decay=self.decay, centered=self.centered)


class AdagradPart(OptimizerPart):
    """Gradients over the root of the sum of their squares."""

    kind: Literal["adagrad"] = "adagrad"

    def build(self) -> Optimizer:
        return Adagrad(learning_rate=self.learning_rate)


class AlgorithmPart(Part):
    """Abstract: how a model is fitted."""

    family: ClassVar[str] = "algorithm"

    @abstractmethod
    def build(self, model: Model, data: Source) -> Algorithm:
        """The algorithm on that model; `data` are what it starts from.

        Errors: `StateError` for a model that it cannot fit.
        """

    @property
    def bounds(self) -> bool:
        """Whether what is climbed is a bound on log p(x), where the model has a likelihood."""
        return True

    @property
    def said(self) -> str:
        """In words."""
        return self.name


class GradientAscentPart(AlgorithmPart):
    """Gradient ascent on an objective."""

    kind: Literal["gradient-ascent"] = "gradient-ascent"
    objective: ObjectivePart = ELBOPart()
    # latent samples for each example: each takes as much memory as a batch
    samples: Annotated[int, Field(ge=1, le=2**16)] = 1
    optimizer: OptimizerPart = AdamWPart()
    average: Decay = 0.999  # decay per step of the averaged weights that are kept; 0: the weights themselves

    @property
    def bounds(self) -> bool:
        return self.objective.bounds

    def build(self, model: Model, data: Source) -> Algorithm:
        return GradientAscent(
            model, self.objective.build(), samples=self.samples, optimizer=self.optimizer.build(), ema=self.average
        )
