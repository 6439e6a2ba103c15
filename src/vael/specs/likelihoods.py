"""Likelihoods by name: from what run.json says to a head and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

import torch
from torch import Tensor

from vael import models
from vael.errors import FormatError, SupportError
from vael.models import FixedScale, GaussianHead, Head, LaplaceHead, LearnedScale, PredictedScale
from vael.models.heads import Moments, Spread
from vael.specs.names import untaken
from vael.specs.spec import DataSpec, Value
from vael.tables.schema_file import from_record


@dataclass(frozen=True)
class Likelihood:
    """A head that can be asked for by name; `make(data, moments, **arguments)` builds it with what is not given
    chosen from the data.
    """

    summary: str
    kind: type[Head]
    make: Callable[..., Head]
    arguments: Mapping[str, str] = field(default_factory=dict)  # of `make`, and where the head keeps them
    spread: type[Spread] | None = None

    def made(self, head: Head) -> bool:
        """Whether a head is of this likelihood."""
        return type(head) is self.kind and (self.spread is None or type(getattr(head, "spread", None)) is self.spread)


@dataclass(frozen=True)
class Blank:
    """Moments in name only, where weights that will be loaded hold the real ones."""

    mean: Tensor
    std: Tensor
    minimum: float = 0.0
    maximum: float = 1.0


def blank(event: tuple[int, ...]) -> Blank:
    """Moments of nothing."""
    return Blank(torch.zeros(event), torch.ones(event))


def levels_of(data: DataSpec) -> int:
    """How many values a cell can have; real cells have none, and every head that asks for levels refuses them."""
    return data.levels or (2 if data.kind == "binary" else 256)


def top_of(data: DataSpec, known: Moments) -> float:
    """Where grey values end: at the highest level, or at the whole number above all real cells."""
    if data.kind == "real":
        return float(max(1, math.ceil(getattr(known, "maximum", 1.0))))
    return float(levels_of(data) - 1)


def bernoulli(data: DataSpec, known: Moments) -> Head:
    """Cells 0 and 1."""
    return models.BernoulliHead()


def continuous_bernoulli(data: DataSpec, known: Moments, largest: int | float | None = None) -> Head:
    """Grey values as real numbers."""
    return models.ContinuousBernoulliHead(float(top_of(data, known) if largest is None else largest))


def cross_entropy(data: DataSpec, known: Moments, largest: int | float | None = None) -> Head:
    """Grey values under the Bernoulli formula."""
    return models.CrossEntropyHead(float(top_of(data, known) if largest is None else largest))


def discretized_logistic(data: DataSpec, known: Moments, levels: int | None = None) -> Head:
    """Integers, one bell for each cell."""
    return models.DiscretizedLogisticHead(levels or levels_of(data))


def discretized_logistic_mixture(
    data: DataSpec, known: Moments, levels: int | None = None, components: int = 10
) -> Head:
    """Integers, several bells for each cell."""
    return models.DiscretizedLogisticMixtureHead(levels or levels_of(data), components)


def coupled_logistic_mixture(
    data: DataSpec, known: Moments, levels: int | None = None, components: int = 10, channels: int | None = None
) -> Head:
    """Integers, several bells for each pixel with its channels coupled."""
    return models.CoupledLogisticMixtureHead(levels or levels_of(data), components, channels or data.event[0])


def coupled_logistic(
    data: DataSpec, known: Moments, levels: int | None = None, components: int = 1, channels: int | None = None
) -> Head:
    """Integers, one bell for each cell, the channels of a pixel coupled."""
    return models.CoupledLogisticMixtureHead(levels or levels_of(data), components, channels or data.event[0])


def tabulated_mixture(data: DataSpec, known: Moments, levels: int | None = None, components: int = 8) -> Head:
    """Integers, a mixture for each cell of laws that all cells share."""
    return models.TabulatedMixtureHead(levels or levels_of(data), components)


def categorical(data: DataSpec, known: Moments, levels: int | None = None) -> Head:
    """Codes without an order."""
    return models.CategoricalHead(levels or levels_of(data))


def columns(data: DataSpec, known: Moments, components: int = 5, tables: tuple[int, ...] | None = None) -> Head:
    """One law for each column of a table."""
    if data.table is None:
        raise SupportError(
            f"{data.name} has no schema, so the likelihood `columns` cannot tell what its columns are; give a table "
            "with levels, gaps or spikes, "
            "or one of plain numbers with a schema (--schema)"
        )
    schema, sample = from_record(data.table, "run.json"), getattr(known, "sample", None)
    return models.ColumnsHead(schema, components, sample, models.heaped(schema, sample) if tables is None else tables)


def location_scale(kind: type[GaussianHead] | type[LaplaceHead], spread: Callable[..., Spread]) -> Callable[..., Head]:
    """A maker of real-valued heads whose scale comes from `spread(data, **arguments)`."""

    def make(data: DataSpec, known: Moments, **arguments: Value) -> Head:
        return kind(known, spread(data, **arguments))

    return make


def one(data: DataSpec) -> Spread:
    """One learned scale."""
    return LearnedScale()


def per_channel(data: DataSpec, channels: int | None = None) -> Spread:
    """A learned scale for each channel or column."""
    return LearnedScale(channels or data.event[0])


def per_cell(data: DataSpec) -> Spread:
    """A scale for each cell from the decoder."""
    return PredictedScale()


def fixed(data: DataSpec, sigma: int | float = 1.0) -> Spread:
    """A scale that is given."""
    return FixedScale(float(sigma))


LEVELS, MIXTURE = {"levels": "levels"}, {"levels": "levels", "components": "components"}
LARGEST, CHANNELS, SIGMA = {"largest": "largest"}, {"channels": "spread.channels"}, {"sigma": "spread.sigma"}

LIKELIHOODS = {
    "bernoulli": Likelihood("cells 0 and 1, on logits", models.BernoulliHead, bernoulli),
    "discretized-logistic": Likelihood(
        "integers, a logistic summed over each level", models.DiscretizedLogisticHead, discretized_logistic, LEVELS
    ),
    "discretized-logistic-mixture": Likelihood(
        "integers, ten logistics for each cell",
        models.DiscretizedLogisticMixtureHead,
        discretized_logistic_mixture,
        MIXTURE,
    ),
    "coupled-logistic-mixture": Likelihood(
        "integers, ten logistics for each pixel, its channels coupled (PixelCNN++)",
        models.CoupledLogisticMixtureHead,
        coupled_logistic_mixture,
        {**MIXTURE, "channels": "channels"},
    ),
    "coupled-logistic": Likelihood(
        "integers, a logistic for each cell, the channels of a pixel coupled",
        models.CoupledLogisticMixtureHead,
        coupled_logistic,
        {**MIXTURE, "channels": "channels"},
    ),
    "tabulated-mixture": Likelihood(
        "integers, eight laws over all levels that are learned and shared by all cells",
        models.TabulatedMixtureHead,
        tabulated_mixture,
        MIXTURE,
    ),
    "categorical": Likelihood("integers as codes without an order", models.CategoricalHead, categorical, LEVELS),
    "gaussian": Likelihood(
        "real numbers, one σ, learned", GaussianHead, location_scale(GaussianHead, one), {}, LearnedScale
    ),
    "gaussian-per-channel": Likelihood(
        "real numbers, a learned σ for each channel or column",
        GaussianHead,
        location_scale(GaussianHead, per_channel),
        CHANNELS,
        LearnedScale,
    ),
    "gaussian-per-cell": Likelihood(
        "real numbers, a σ for each cell from the decoder",
        GaussianHead,
        location_scale(GaussianHead, per_cell),
        {},
        PredictedScale,
    ),
    "gaussian-fixed": Likelihood(
        "real numbers, σ = 1 in the units of the data",
        GaussianHead,
        location_scale(GaussianHead, fixed),
        SIGMA,
        FixedScale,
    ),
    "laplace": Likelihood(
        "real numbers with heavy tails, one scale, learned",
        LaplaceHead,
        location_scale(LaplaceHead, one),
        {},
        LearnedScale,
    ),
    "continuous-bernoulli": Likelihood(
        "grey values as real numbers from 0 up", models.ContinuousBernoulliHead, continuous_bernoulli, LARGEST
    ),
    "columns": Likelihood(
        "tables: a law for each column by its kind",
        models.ColumnsHead,
        columns,
        {"components": "components", "tables": "tables"},
    ),
    "cross-entropy": Likelihood(
        "grey values as lectures do it: no likelihood", models.CrossEntropyHead, cross_entropy, LARGEST
    ),
}


def is_bound(name: str) -> bool:
    """Whether the objective with the likelihood of this name bounds log p(x)."""
    return name not in LIKELIHOODS or LIKELIHOODS[name].kind.is_likelihood


def make(name: str, data: DataSpec, known: Moments, arguments: Mapping[str, Value]) -> Head:
    """The head of a likelihood's name. Errors: `FormatError` for an unknown name or arguments that it does not take."""
    if name not in LIKELIHOODS:
        raise FormatError(f"no likelihood is called {name!r}; there are {', '.join(LIKELIHOODS)}")
    try:
        return LIKELIHOODS[name].make(data, known, **arguments)
    except TypeError as error:
        trouble = untaken(LIKELIHOODS[name].make, arguments, error)
        raise FormatError(f"the likelihood {name} does not take the arguments {dict(arguments)}: {trouble}") from error


def defaults(name: str, data: DataSpec, known: Moments) -> dict[str, Value]:
    """The arguments of a likelihood that was asked for by its name alone."""
    return arguments_of(LIKELIHOODS[name], LIKELIHOODS[name].make(data, known))


def arguments_of(known: Likelihood, head: Head) -> dict[str, Value]:
    """What a head was made with."""
    return {name: attrgetter(place)(head) for name, place in known.arguments.items()}


def describe(head: Head) -> tuple[str, dict[str, Value]]:
    """Name and arguments of a head. Errors: `FormatError` for one that has no name."""
    several = isinstance(head, GaussianHead) and isinstance(head.spread, LearnedScale) and head.spread.channels > 1
    for name, known in LIKELIHOODS.items():
        if known.made(head) and (not several or "channels" in known.arguments):
            return name, arguments_of(known, head)
    raise FormatError(
        f"{type(head).__name__} has no name, so it cannot stand in run.json; train it in Python without a run folder"
    )
