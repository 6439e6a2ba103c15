"""From a network's raw output to a distribution over cells, float32 or better whatever the network ran in.

A head asks for `channels_per_cell` raw numbers for each channel of the data: a decoder for x of shape `[channels,
*space]` gives `[channels_per_cell * channels, *space]`, the first `channels` of them for the first parameter of the
law, and so on. Every bound on a parameter stands in the head's docstring.

To add a likelihood: write its law as a `Distribution` with a way to draw from it (`vael.probability.register_draw`), a
final subclass of `Head` here, one row in the table of laws under tests/laws, and one row in `vael.specs.likelihoods` if
it is to have a name.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Laplace, Normal

from vael.data.facts import Moments, scale_of
from vael.data.source import Kind, Source
from vael.errors import ShapeError, SupportError
from vael.models.likelihoods.support import no_nan, real_numbers, whole_numbers, within
from vael.probability import (
    CodeChoice,
    ContinuousBernoulli,
    CoupledLogisticMixture,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    GreyCrossEntropy,
    bounded,
)

LOG_SCALE = (-6.0, 3.0)  # log σ of continuous laws, relative to the scale of the data: σ between 0.0025 and 20
LOG_LEVEL = (
    -3.0
)  # least log s of discretised logistics: a twentieth of a level, so that one level can have all probability but 1e-4


def is_likelihood(model: object) -> bool:
    """Whether what a model calls log p(x | z) is one, so that a bound can be made of it; true of models that have
    no head.
    """
    stated = getattr(model, "states_likelihood", True)
    return bool(stated and getattr(head_of(model), "is_likelihood", True))


def head_of(model: object) -> Head | None:
    """What a model reads as a distribution of x, where it has such a part."""
    head = getattr(getattr(model, "likelihood", None), "head", None) or getattr(model, "head", None)
    return head if isinstance(head, Head) else None


class Head(nn.Module, ABC):
    """Abstract: raw numbers to a cell-wise distribution of x.

    `discrete`: the law gives probabilities, so that bits per dimension exist. `is_likelihood`: the law is normalised.
    `couples`: elements depend on each other given z, so that single ones cannot be left out. `in_turn`: they follow one
    another, so that what the law calls its mean is the course of their means and not exactly E[x | z].
    """

    channels_per_cell: int = 1
    discrete: bool = False
    is_likelihood: bool = True
    couples: bool = False
    in_turn: bool = False

    @abstractmethod
    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        """`raw` is `[samples, batch, channels_per_cell * channels, *space]`; the law has batch shape `[samples,
        batch, *event]`.
        """

    @abstractmethod
    def check(self, source: Source) -> None:
        """Refuse data that are outside the support of the law, or for which it is no likelihood.

        Errors: `SupportError`, `ShapeError`.
        """

    def start(self, mean: Float[Tensor, "*event"], std: Float[Tensor, "*event"]) -> Tensor | None:
        """Raw numbers `[channels_per_cell * channels, *space]` at which the law resembles data of such moments;
        None where 0 does.
        """
        return None


def at_least_float32(raw: Tensor) -> Tensor:
    """Half-precision numbers widened; float32 and float64 as they are."""
    return raw.float() if raw.dtype in (torch.bfloat16, torch.float16) else raw


def parameters(raw: Tensor, number: int) -> tuple[Tensor, ...]:
    """`number` tensors `[samples, batch, *event]` from as many raw numbers for each cell."""
    return raw.unflatten(2, (number, -1)).unbind(2)


class BernoulliHead(Head):
    """Binary cells: raw numbers are logits, unbounded; log p(x) is finite for all of them."""

    discrete = True

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        return Bernoulli(logits=raw, validate_args=False)

    def check(self, source: Source) -> None:
        """Errors: `SupportError` for what is neither 0 nor 1."""
        no_nan(source)
        if source.kind is not Kind.BINARY:
            raise SupportError(
                f"{source.name}: the Bernoulli likelihood takes cells that are 0 or 1, but these are "
                f"{source.kind.value}; make them binary "
                "(--binarize dynamic, static or threshold), or choose the continuous Bernoulli by name for grey values"
            )

    def start(self, mean: Tensor, std: Tensor) -> Tensor:
        return torch.logit(mean.clamp(0.005, 0.995))  # cells that were never on stay within reach of the gradient


class CrossEntropyHead(Head):
    """Grey values in [0, largest] under the Bernoulli formula, as lectures do it: no likelihood, so never reported
    as one.
    """

    is_likelihood = False

    def __init__(self, largest: float = 1.0) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        return GreyCrossEntropy(raw, self.largest)

    def check(self, source: Source) -> None:
        no_nan(source)
        within(source, self.largest, "the cross-entropy of grey values")

    def start(self, mean: Tensor, std: Tensor) -> Tensor:
        return torch.logit((mean / self.largest).clamp(0.005, 0.995))


class ContinuousBernoulliHead(Head):
    """Real cells in [0, largest]: raw numbers are logits, unbounded.

    Pixels that are dequantised have `largest` = their levels.
    """

    def __init__(self, largest: float = 1.0) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        return ContinuousBernoulli(raw, self.largest)

    def start(self, mean: Tensor, std: Tensor) -> Tensor:
        low, high = torch.full_like(mean, -100.0), torch.full_like(mean, 100.0)
        for _ in range(40):  # the mean rises with the logit, so halving finds it
            middle = (low + high) / 2
            below = ContinuousBernoulli(middle, self.largest).mean < mean
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def check(self, source: Source) -> None:
        real_numbers(source, "the continuous Bernoulli")
        within(source, self.largest, "the continuous Bernoulli")


class Spread(nn.Module, ABC):
    """Abstract: where σ of a continuous law comes from. `channels_per_cell` is how many raw numbers it reads."""

    channels_per_cell: int = 0

    @abstractmethod
    def forward(self, raw: Tensor, unit: Tensor) -> Tensor:
        """σ in the data's units, where `unit` is the scale of the data; `raw` is the output that belongs to σ, or
        the location's.
        """

    def check(self, source: Source) -> None:
        """Refuse data with another number of channels. Errors: `ShapeError`."""


class FixedScale(Spread):
    """One σ that is given, in the data's own units, and stays."""

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        if not 0 < sigma < math.inf:
            raise SupportError(f"σ is {sigma}; expected a finite number above 0, in the units of the data")
        self.sigma = sigma

    def forward(self, raw: Tensor, unit: Tensor) -> Tensor:
        return torch.full_like(raw, self.sigma)


class LearnedScale(Spread):
    """One σ for everything, or with `channels` one for each channel (column of a table): log σ is a parameter, 0 at the
    start.

    Channels are the first axis of an example, or with `last` the last one (sequences). log σ relative to the scale of
    the data is bounded smoothly to (-6, 3).
    """

    def __init__(self, channels: int = 1, *, last: bool = False) -> None:
        super().__init__()
        self.channels, self.last = channels, last
        self.log_scale = nn.Parameter(torch.zeros(channels))

    def forward(self, raw: Tensor, unit: Tensor) -> Tensor:
        log_scale = bounded(self.log_scale, *LOG_SCALE)
        log_scale = log_scale if self.last else log_scale.view(-1, *[1] * (raw.dim() - 3))
        return (unit * log_scale.exp()).expand_as(raw)

    def check(self, source: Source) -> None:
        """Errors: `ShapeError` for another number of channels."""
        channels = source.event[-1 if self.last else 0]
        if self.channels not in (1, channels):
            raise ShapeError(
                f"{source.name} has {channels} channels, but σ is learned for {self.channels}; make it 1 or {channels}"
            )


class PredictedScale(Spread):
    """A σ for each cell, predicted by the decoder: log σ relative to the scale of the data is bounded smoothly to
    (-6, 3).
    """

    channels_per_cell = 1

    def forward(self, raw: Tensor, unit: Tensor) -> Tensor:
        return unit * bounded(raw, *LOG_SCALE).exp()


class LocationScaleHead(Head, ABC):
    """Abstract: real cells around shift + scale * raw, in the data's own units.

    Shift and scale are the moments of the data: for a table each column's own, for an image the mean of each cell and
    one scale for all. A cell that never varied has scale 1. Without moments they are 0 and 1.
    """

    def __init__(self, moments: Moments | None = None, spread: Spread | None = None) -> None:
        super().__init__()
        self.spread = spread or LearnedScale()
        self.channels_per_cell = 1 + self.spread.channels_per_cell
        shift, scale = (torch.zeros(()), torch.ones(())) if moments is None else units(moments)
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)

    @abstractmethod
    def law(self, loc: Tensor, scale: Tensor) -> Distribution:
        """The law of a cell."""

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        own = parameters(raw, self.channels_per_cell)
        return self.law(self.shift + self.scale * own[0], self.spread(own[-1], self.scale))

    def check(self, source: Source) -> None:
        """Errors: `SupportError` for what are no real numbers, `ShapeError` where moments do not fit."""
        real_numbers(source, "a density over real numbers")
        self.spread.check(source)
        one_frame = source.windowing is not None and tuple(self.shift.shape) == (1, *source.event[1:])
        if self.shift.dim() and tuple(self.shift.shape) != source.event and not one_frame:
            raise ShapeError(
                f"{source.name} has examples of shape {source.event}, but the moments are of shape "
                f"{tuple(self.shift.shape)}"
            )


def units(moments: Moments) -> tuple[Tensor, Tensor]:
    """Shift and scale for cells of such moments."""
    mean, scale = moments.mean.float(), scale_of(moments)
    return mean.clone(), torch.where(scale > 1e-6 * mean.abs(), scale, torch.ones_like(scale))


class GaussianHead(LocationScaleHead):
    """Real cells, Gaussian; where σ comes from, and how it is bounded, is said by its `spread` (default: one σ,
    learned).
    """

    def law(self, loc: Tensor, scale: Tensor) -> Distribution:
        return Normal(loc, scale, validate_args=False)


class LaplaceHead(LocationScaleHead):
    """Real cells with heavier tails, Laplace; its scale, the mean absolute deviation, comes from its `spread`."""

    def law(self, loc: Tensor, scale: Tensor) -> Distribution:
        return Laplace(loc, scale, validate_args=False)


class CategoricalHead(Head):
    """Codes 0 ... levels - 1 without an order: raw numbers are logits, unbounded, one for each level of each
    channel.
    """

    discrete = True

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = self.channels_per_cell = levels

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        return CodeChoice(raw.unflatten(2, (self.levels, -1)).movedim(2, -1))

    def check(self, source: Source) -> None:
        whole_numbers(source, self.levels, "the categorical likelihood")


class LevelUnits:
    """From raw numbers around 0 to location and log-scale in units of one level, for `levels` levels.

    location = middle + half the range * raw; log s = raw + log(half the range) - 1, bounded smoothly to (-3,
    log(levels) + 1).
    """

    def __init__(self, levels: int) -> None:
        self.half = (levels - 1) / 2
        self.base, self.high = math.log(self.half) - 1, math.log(levels) + 1

    def loc(self, raw: Tensor) -> Tensor:
        """Location in levels."""
        return self.half + self.half * raw

    def log_scale(self, raw: Tensor) -> Tensor:
        """Log s, s in levels."""
        return bounded(raw + self.base, LOG_LEVEL, self.high)

    def start(self, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Raw numbers for a logistic of such moments (its variance is π² s² / 3); a cell that never varied gets a
        scale of one level.
        """
        log_scale = torch.log(std.clamp(min=1.0) * math.sqrt(3) / math.pi).clamp(max=self.high - 1)
        return (mean - self.half) / self.half, log_scale - self.base


class DiscretizedLogisticHead(Head):
    """Integers 0 ... levels - 1, discretised logistic; the decoder predicts location and scale of each cell.

    The location is unbounded, log s is bounded smoothly to (-3, log(levels) + 1), s in levels.
    """

    discrete = True
    channels_per_cell = 2

    def __init__(self, levels: int = 256) -> None:
        super().__init__()
        self.levels, self.units = levels, LevelUnits(levels)

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        loc, log_scale = parameters(raw, 2)
        return DiscretizedLogistic(self.units.loc(loc), self.units.log_scale(log_scale), self.levels)

    def check(self, source: Source) -> None:
        whole_numbers(source, self.levels, "the discretised logistic")

    def start(self, mean: Tensor, std: Tensor) -> Tensor:
        return torch.cat(self.units.start(mean, std))


class DiscretizedLogisticMixtureHead(Head):
    """Integers 0 ... levels - 1, a mixture of discretised logistics for each cell.

    Mixture logits and locations are unbounded, log s is bounded smoothly to (-3, log(levels) + 1). At raw output 0 the
    components are spread evenly over the range.
    """

    discrete = True

    def __init__(self, levels: int = 256, components: int = 10) -> None:
        super().__init__()
        self.levels, self.components, self.units = levels, components, LevelUnits(levels)
        self.channels_per_cell = 3 * components
        self.register_buffer("places", places(components), persistent=False)

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        logits, loc, log_scale = raw.unflatten(2, (3, self.components, -1)).movedim(3, -1).unbind(2)
        return DiscretizedLogisticMixture(
            logits, self.units.loc(loc + self.places), self.units.log_scale(log_scale), self.levels
        )

    def start(self, mean: Tensor, std: Tensor) -> Tensor:
        loc, log_scale = side_by_side(self.units, self.places, mean, std)
        return torch.cat([torch.zeros_like(loc), loc, log_scale]).flatten(0, 1)

    def check(self, source: Source) -> None:
        whole_numbers(source, self.levels, "the mixture of discretised logistics")


class CoupledLogisticMixtureHead(Head):
    """As `DiscretizedLogisticMixtureHead`, one mixture for each pixel, with the channel coupling of PixelCNN++, its
    weights in (-1, 1).

    The law has batch shape `[samples, batch, *space]`. A pixel takes components * (1 + 2 channels + channels (channels
    - 1) / 2) numbers; where `channels` does not divide that, a few raw channels at the end are unused.
    """

    discrete = True
    couples = True

    def __init__(self, levels: int = 256, components: int = 10, channels: int = 3) -> None:
        super().__init__()
        self.levels, self.components, self.channels, self.units = levels, components, channels, LevelUnits(levels)
        self.sizes = [components * n for n in (1, channels, channels, channels * (channels - 1) // 2)]
        self.channels_per_cell = math.ceil(sum(self.sizes) / channels)
        self.register_buffer("places", places(components), persistent=False)

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        split = raw[:, :, : sum(self.sizes)].split(self.sizes, dim=2)
        logits, loc, log_scale, coupling = (part.unflatten(2, (-1, self.components)).movedim(3, -1) for part in split)
        return CoupledLogisticMixture(
            logits.squeeze(2),
            self.units.loc(loc + self.places),
            self.units.log_scale(log_scale),
            coupling.tanh(),
            self.levels,
            space=raw.dim() - 3,
        )

    def start(self, mean: Tensor, std: Tensor) -> Tensor:
        loc, log_scale = (part.movedim(0, 1).flatten(0, 1) for part in side_by_side(self.units, self.places, mean, std))
        raw = mean.new_zeros(self.channels_per_cell * self.channels, *mean.shape[1:])
        raw[self.components :][: len(loc)], raw[self.components + len(loc) :][: len(loc)] = loc, log_scale
        return raw

    def check(self, source: Source) -> None:
        """Errors: `ShapeError` for another number of channels, besides those of whole numbers."""
        whole_numbers(source, self.levels, "the coupled mixture of discretised logistics")
        if source.event[0] != self.channels:
            raise ShapeError(
                f"{source.name} has {source.event[0]} channels, but the likelihood couples {self.channels}; make the "
                "head for as many"
            )


def places(components: int) -> Tensor:
    """Where components start: the middles of equal parts of (-1, 1)."""
    return (2 * torch.arange(components) + 1) / components - 1


def side_by_side(units: LevelUnits, places: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Raw locations and log-scales `[components, *event]` of logistics whose equal mixture has such moments; they
    stand where a Gaussian has mass.
    """
    spots = 0.8 * torch.special.ndtri((places.to(mean) + 1) / 2)
    within = (1 - spots.square().mean()).sqrt()
    loc, log_scale = zip(*(units.start(mean + spot * std, within * std) for spot in spots), strict=True)
    return torch.stack(loc) - places.to(mean).view(-1, *[1] * mean.dim()), torch.stack(log_scale)
