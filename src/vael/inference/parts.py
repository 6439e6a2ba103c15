"""Optimisers and algorithms by name."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from vael.data.source import Source, Splits
from vael.errors import StateError
from vael.inference.algorithm import Algorithm
from vael.inference.expectation_maximization import ExpectationMaximization
from vael.inference.gradient import GradientAscent
from vael.inference.guard import Guard
from vael.inference.mean_field import CoordinateAscent
from vael.inference.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from vael.inference.starts import KMeans, KMeansPlusPlus, RandomExamples, Start, nearest, units
from vael.models import BayesianGaussianMixture, GaussianMixture, vectors
from vael.models.core import Model
from vael.objectives.parts import ELBOPart, ObjectivePart
from vael.parts import Part
from vael.probability import Stream

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
    epsilon: NonNegative = 1e-8
    centered: bool = False

    def build(self) -> Optimizer:
        return RMSprop(self.learning_rate, decay=self.decay, epsilon=self.epsilon, centered=self.centered)


class AdagradPart(OptimizerPart):
    """Gradients over the root of the sum of their squares."""

    kind: Literal["adagrad"] = "adagrad"

    def build(self) -> Optimizer:
        return Adagrad(learning_rate=self.learning_rate)


class AdadeltaPart(OptimizerPart):
    """Steps in units of the parameters themselves."""

    kind: Literal["adadelta"] = "adadelta"

    def build(self) -> Optimizer:
        return Optimizer(torch.optim.Adadelta, self.learning_rate)


class AdamaxPart(OptimizerPart):
    """Adam by the largest of recent gradients."""

    kind: Literal["adamax"] = "adamax"

    def build(self) -> Optimizer:
        return Optimizer(torch.optim.Adamax, self.learning_rate)


class NAdamPart(OptimizerPart):
    """Adam with Nesterov's momentum."""

    kind: Literal["nadam"] = "nadam"

    def build(self) -> Optimizer:
        return Optimizer(torch.optim.NAdam, self.learning_rate)


class RAdamPart(OptimizerPart):
    """Adam whose first steps are rectified."""

    kind: Literal["radam"] = "radam"

    def build(self) -> Optimizer:
        return Optimizer(torch.optim.RAdam, self.learning_rate)


class ASGDPart(OptimizerPart):
    """Gradient steps whose weights are averaged."""

    kind: Literal["asgd"] = "asgd"

    def build(self) -> Optimizer:
        return Optimizer(torch.optim.ASGD, self.learning_rate)


class RpropPart(OptimizerPart):
    """Steps by the signs of gradients, for whole data sets."""

    kind: Literal["rprop"] = "rprop"

    def build(self) -> Optimizer:
        return Optimizer(torch.optim.Rprop, self.learning_rate)


class AlgorithmPart(Part):
    """Abstract: how a model is fitted."""

    family: ClassVar[str] = "algorithm"
    home: ClassVar[str] = "vael.training"  # and what that imports
    compiles: ClassVar[bool] = True  # whether there is a step that could be compiled
    full_batch: ClassVar[bool] = False  # whether a step takes all examples at once
    goes_on: ClassVar[bool] = True  # whether it begins with the weights that the model has

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
    def can_compile(self) -> bool:
        """Whether a step of it, as it is set, can be compiled."""
        return self.compiles

    @property
    def said(self) -> str:
        """In words."""
        return self.name

    def check(self, model: Model, data: Source) -> None:
        """Refuse training data that it cannot be on, before anything is written; most take what the model takes.

        Errors: `ShapeError`, `StateError`, `SupportError`.
        """

    def before(self, model: Model, data: Splits, resolved: Any) -> None:
        """What is done before the loop, on the model as it begins; most algorithms do nothing."""

    def after(self, model: Model, data: Splits, resolved: Any) -> bool:
        """What is done after the loop, on the weights that are kept; whether it changed them."""
        return False


class GradientAscentPart(AlgorithmPart):
    """Gradient ascent on an objective."""

    kind: Literal["gradient-ascent"] = "gradient-ascent"
    objective: ObjectivePart = ELBOPart()
    # latent samples for each example: each takes as much memory as a batch
    samples: Annotated[int, Field(ge=1, le=2**16)] = 1
    optimizer: OptimizerPart = AdamWPart()
    average: Decay = 0.999  # decay per step of the averaged weights that are kept; 0: the weights themselves
    # a step whose gradients together are longer than so many of their running norms is skipped
    skip_above: Annotated[float, Field(gt=1)] = Guard.spike

    @property
    def bounds(self) -> bool:
        return self.objective.bounds

    @property
    def can_compile(self) -> bool:
        return self.objective.compiles

    def build(self, model: Model, data: Source) -> Algorithm:
        objective = self.objective.settled_on(data).build()
        return GradientAscent(
            model,
            objective,
            samples=self.samples,
            optimizer=self.optimizer.build(),
            guard=Guard(spike=self.skip_above),
            ema=self.average,
        )


STARTS: dict[str, type[Start]] = {"k-means++": KMeansPlusPlus, "k-means": KMeans, "random": RandomExamples}
StartName = Literal["k-means++", "k-means", "random"]


class ExpectationMaximizationPart(AlgorithmPart):
    """Expectation maximisation of a Gaussian mixture."""

    kind: Literal["expectation-maximization"] = "expectation-maximization"
    compiles: ClassVar[bool] = False
    full_batch: ClassVar[bool] = True
    goes_on: ClassVar[bool] = False
    start: StartName = "k-means++"
    tolerance: NonNegative = 1e-6  # rise of mean log p(x), in nats, below which it ends
    floor: NonNegative = 1e-6  # in squared units of the data, added to variances
    seed: Annotated[int, Field(ge=0, lt=2**40)] = 0  # of the start

    @property
    def said(self) -> str:
        return "log p(x) itself, by expectation maximisation"

    def check(self, model: Model, data: Source) -> None:
        if isinstance(model, GaussianMixture):
            components, features = model.components.mean.shape
            vectors(data, features, components, "a Gaussian mixture")

    def build(self, model: Model, data: Source) -> Algorithm:
        """Errors: `StateError` for what is no `GaussianMixture`."""
        if not isinstance(model, GaussianMixture):
            raise StateError(f"expectation maximisation fits a Gaussian mixture, not {type(model).__name__}")
        start = STARTS[self.start]()
        return ExpectationMaximization(model, start=start, floor=self.floor, tolerance=self.tolerance, seed=self.seed)


class CoordinateAscentPart(AlgorithmPart):
    """Mean-field coordinate ascent of a Bayesian Gaussian mixture."""

    kind: Literal["coordinate-ascent"] = "coordinate-ascent"
    compiles: ClassVar[bool] = False
    full_batch: ClassVar[bool] = True
    goes_on: ClassVar[bool] = False
    tolerance: NonNegative = 1e-6  # rise of the ELBO, in nats per example, below which it ends
    seed: Annotated[int, Field(ge=0, lt=2**40)] = 0  # of the start

    @property
    def said(self) -> str:
        return "evidence lower bound, by coordinate ascent"

    def check(self, model: Model, data: Source) -> None:
        if isinstance(model, BayesianGaussianMixture):
            components, features = model.mean.shape
            vectors(data, features, components, "a Bayesian Gaussian mixture")

    def build(self, model: Model, data: Source) -> Algorithm:
        """Errors: `StateError` for what is no `BayesianGaussianMixture`."""
        if not isinstance(model, BayesianGaussianMixture):
            raise StateError(f"coordinate ascent fits a Bayesian Gaussian mixture, not {type(model).__name__}")
        return CoordinateAscent(model, first_responsibilities(model, data, self.seed), tolerance=self.tolerance)


def first_responsibilities(model: BayesianGaussianMixture, data: Source, seed: int) -> Tensor:
    """Each training example given to the nearest of as many examples, chosen by k-means++, `[examples, components]`."""
    noise = Stream(torch.Generator().manual_seed(seed))
    x = data.batch(torch.arange(len(data)), noise).x.flatten(1).double()
    scaled = x / units(x)
    components = len(model.concentration)
    means = KMeansPlusPlus().means(scaled, components, noise)
    return torch.nn.functional.one_hot(nearest(scaled, means), components).double()
