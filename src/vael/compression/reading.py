"""From a distribution over cells or latents to a law of whole numbers: `law_of_cells` and `law_of_latents`.

Parameters are brought to a coarse grid first, so that rounding in the network, which is a thousand million times finer,
reaches the probabilities almost never: logits and mixture weights to 1/64, locations to 1/64 of a level, log-scales to
1/64, couplings of channels to 1/64 over the levels. What that costs is less than 1e-5 nats a cell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, MultivariateNormal, Normal

from vael.compression.laws import (
    BisectedGaussians,
    Bits,
    CodingLaw,
    CorrelatedGaussians,
    Halvings,
    Parts,
    Questions,
    Symbols,
    Tables,
    asked_of,
    finite,
)
from vael.errors import SupportError
from vael.probability import (
    BinaryPixels,
    CodeChoice,
    CoupledLogisticMixture,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    Law,
    PixelByPixel,
    TabulatedMixture,
)
from vael.process import threads

FINE = 64.0  # steps of a unit
MOST_TABLE = 1 << 12  # levels of a law that is coded by a table


def coarse(parameter: Tensor, steps: float = FINE) -> np.ndarray:
    """To the nearest 1/steps, float64. Errors: `SupportError` for numbers that are not finite."""
    exact = parameter.detach().double().cpu().numpy()
    finite(exact)
    return np.round(exact * steps) / steps


def flat(parameter: Tensor, examples: int) -> np.ndarray:
    """The first examples of `[1, batch, *event]` as `[examples, cells]`, coarse."""
    return coarse(parameter[0, :examples]).reshape(examples, -1)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x) without overflow, exact in relative terms at both ends."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1 + small)


class Logistics:
    """Masses Σ_k w_k P(low ≤ x < high) of mixtures of logistics cut into levels, the outer two open: arrays
    `[examples, cells, components]`.
    """

    def __init__(self, weight: np.ndarray, loc: np.ndarray, log_scale: np.ndarray, levels: int) -> None:
        self.weight, self.loc, self.rate, self.levels = weight, loc, np.exp(-np.clip(log_scale, -60, 60)), levels

    def __call__(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return (self.weight * self.parts(low, high)).sum(-1)

    def parts(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """P(low ≤ x < high) of each component: σ(b) (1 - σ(a)) (1 - e^(a - b)), where nothing is subtracted that
        could cancel.
        """
        a, b = self._edge(low), self._edge(high)
        with np.errstate(invalid="ignore"):
            width = np.where(
                np.isinf(a) | np.isinf(b), 1.0, -np.expm1(np.where(np.isinf(a) | np.isinf(b), -1.0, a - b))
            )
        return np.where(low[..., None] < self.levels, sigmoid(b) * sigmoid(-a) * width, 0.0)

    def _edge(self, edge: np.ndarray) -> np.ndarray:
        """Where the lower edge of a level lies on the logistic's own scale; the outermost edges are infinitely far."""
        place = (edge[..., None] - 0.5 - self.loc) * self.rate
        place = np.where(edge[..., None] <= 0, -np.inf, place)
        return np.where(edge[..., None] >= self.levels, np.inf, place)


class SharedLaws:
    """Masses Σ_k w_k P_k(low ≤ x < high) of laws that all cells share, `[components, levels]`; weights `[examples,
    cells, components]`.
    """

    def __init__(self, weight: np.ndarray, laws: np.ndarray) -> None:
        self.weight, self.below = weight, np.concatenate([np.zeros((1, len(laws))), laws.T.cumsum(0)])
        self.top = len(self.below) - 1

    def __call__(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return (self.weight * (self.below[np.minimum(high, self.top)] - self.below[np.minimum(low, self.top)])).sum(-1)


class CoupledChannels:
    """The channels of a pixel under a coupled mixture: after each, the weights of the components are those given
    what was seen.
    """

    def __init__(self, law: CoupledLogisticMixture, examples: int) -> None:
        axis = -law.space - 2
        self.levels, self.weight = law.levels, np.exp(_pixels(law.logits, examples))
        self.loc, self.log_scale = (
            [_pixels(part, examples) for part in full.unbind(axis)] for full in (law.loc, law.log_scale)
        )
        self.coupling = [
            _pixels(part, examples, FINE * law.levels) for part in law.coupling.unbind(axis)
        ]  # it multiplies whole levels

    def __call__(self, before: list[np.ndarray]) -> CodingLaw:
        weight = self.weight
        for channel, x in enumerate(before):
            weight = weight * np.maximum(self._logistics(weight, channel, before).parts(x, x + 1), 1e-300)
            weight = weight / weight.max(-1, keepdims=True)
        channel = len(before)
        return Halvings(self._logistics(weight, channel, before), self.weight.shape[:2], self.levels)

    def _logistics(self, weight: np.ndarray, channel: int, before: list[np.ndarray]) -> Logistics:
        loc, row = self.loc[channel], channel * (channel - 1) // 2
        for j, x in enumerate(before[:channel]):
            loc = loc + self.coupling[row + j] * (x[..., None] - (self.levels - 1) / 2)
        return Logistics(weight, loc, self.log_scale[channel], self.levels)


def _pixels(parameter: Tensor, examples: int, steps: float = FINE) -> np.ndarray:
    """The first examples of `[1, batch, *space, components]` as `[examples, pixels, components]`, coarse."""
    return coarse(parameter[0, :examples], steps).reshape(examples, -1, parameter.shape[-1])


@singledispatch
def law_of_cells(law: Distribution, levels: int, examples: int) -> CodingLaw:
    """The law of the cells of x for the first examples of a batch `[1, batch, *event]`.

    Any law of single cells over 0 ... levels - 1 is tabulated; others have an entry of their own.

    Errors: `SupportError` for laws over too many levels, and for laws that join cells.
    """
    few_enough(levels, law)
    if law.event_shape:
        raise SupportError(
            f"{type(law).__name__} joins the cells of an example, so they have no tables of their own; use another "
            "likelihood"
        )
    values = torch.arange(levels, dtype=torch.float64).view(levels, *[1] * len(law.batch_shape))
    probabilities = law.log_prob(values).exp().movedim(0, -1)[0, :examples]
    return Tables(coarse(probabilities, 2.0**26).reshape(examples, -1, levels))


def few_enough(levels: int, law: Distribution) -> None:
    """Errors: `SupportError` for a table that would be too large."""
    if levels > MOST_TABLE:
        raise SupportError(
            f"{type(law).__name__} over {levels:,} levels is too large a table to code with (at most {MOST_TABLE:,}); "
            "use a discretised logistic or a mixture of them"
        )


@law_of_cells.register
def _bernoulli(law: Bernoulli, levels: int, examples: int) -> CodingLaw:
    return Bits(sigmoid(flat(law.logits, examples)))


@law_of_cells.register
def _codes(law: CodeChoice, levels: int, examples: int) -> CodingLaw:
    few_enough(law.levels, law)
    return Tables(np.exp(_pixels(law.logits, examples)))


@law_of_cells.register
def _logistic(law: DiscretizedLogistic, levels: int, examples: int) -> CodingLaw:
    loc, log_scale = flat(law.loc, examples)[..., None], flat(law.log_scale, examples)[..., None]
    return Halvings(Logistics(np.ones((1, 1, 1)), loc, log_scale, law.levels), loc.shape[:2], law.levels)


@law_of_cells.register
def _mixture(law: DiscretizedLogisticMixture, levels: int, examples: int) -> CodingLaw:
    logits, loc, log_scale = (_pixels(part, examples) for part in (law.logits, law.loc, law.log_scale))
    return Halvings(Logistics(np.exp(logits), loc, log_scale, law.levels), loc.shape[:2], law.levels)


@law_of_cells.register
def _tabulated(law: TabulatedMixture, levels: int, examples: int) -> CodingLaw:
    weight, laws = np.exp(_pixels(law.logits, examples)), coarse(law.table.exp(), 2.0**40)
    return Halvings(SharedLaws(weight, laws), weight.shape[:2], law.levels)


@law_of_cells.register
def _coupled(law: CoupledLogisticMixture, levels: int, examples: int) -> CodingLaw:
    return Parts(CoupledChannels(law, examples), law.event_shape[0])


class PixelsInTurn(CodingLaw):
    """Pixel after pixel of the first examples of a batch, each under its distribution given those before it.

    Encoder and decoder compute a pixel from the same window by the same operations on arrays of the same shape.
    """

    def __init__(self, law: PixelByPixel, examples: int) -> None:
        self.laws, self.examples = law.laws, examples
        self.depth = (law.levels - 1).bit_length()
        self.seen = np.ones((examples, math.prod(self.laws.event[1:])), bool)

    def within(self, seen: Bool[np.ndarray, "examples pixels"]) -> PixelsInTurn:
        """The same of tiles of which only some pixels are in the picture: the others repeat the one to the left, or
        below the picture the one above.
        """
        self.seen = seen
        return self

    def questions(self) -> Questions:
        channels, height, width = self.laws.event
        canvas = self._blank()
        found = np.zeros((self.examples, channels, height * width), np.int32)
        for place in range(height * width):
            row, column = divmod(place, width)
            seen = self.seen[:, place]
            pixel = self._repeated(found, row, column)
            if seen.all():
                pixel = yield from self._pixel(canvas, row, column).questions()
            elif seen.any():
                asked = yield from asked_of(self._pixel(canvas, row, column), lambda _, seen=seen: seen)
                pixel = np.where(seen[:, None], asked, pixel)
            self._put(canvas, row, column, pixel)
            found[:, :, place] = pixel
        return found.reshape(self.examples, -1)

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        channels, height, width = self.laws.event
        pixels = np.moveaxis(symbols.reshape(self.examples, channels, height * width), 2, 0)
        for pixel, seen in zip(pixels, self.seen.T, strict=True):
            for channel in pixel.T[:, seen] if seen.any() else ():
                for digit in reversed(range(self.depth)):
                    yield (channel >> digit) & 1

    def _repeated(self, found: np.ndarray, row: int, column: int) -> np.ndarray:
        """The pixel that each example repeats at a place outside of its picture, from those before it."""
        width = self.laws.event[2]
        above = found[:, :, (row - 1) * width + column] if row else found[:, :, 0]
        left = found[:, :, row * width + column - 1] if column else above
        return np.where(self.seen[:, row * width, None], left, above)

    @torch.inference_mode()
    def _blank(self) -> Tensor:
        return self.laws.blank()

    @torch.inference_mode()
    def _pixel(self, canvas: Tensor, row: int, column: int) -> CodingLaw:
        with threads(1):
            law = self.laws.at(canvas, row, column)
        return law_of_cells(one_sample(law), self.laws.levels, self.examples)

    @torch.inference_mode()
    def _put(self, canvas: Tensor, row: int, column: int, pixel: np.ndarray) -> None:
        whole = canvas.new_zeros(math.prod(self.laws.shape), pixel.shape[1])
        whole[: self.examples] = torch.from_numpy(pixel).to(canvas.dtype)
        self.laws.put(canvas, row, column, whole)


@singledispatch
def one_sample(law: Law) -> Law:
    """The law of pixels of a batch, as that of one sample of it: batch shape `[1, batch]`."""
    raise NotImplementedError(type(law).__name__)


@one_sample.register
def _one_mixture(law: CoupledLogisticMixture) -> CoupledLogisticMixture:
    logits, loc, log_scale, coupling = (part[None] for part in (law.logits, law.loc, law.log_scale, law.coupling))
    return CoupledLogisticMixture(logits, loc, log_scale, coupling, law.levels, space=0)


@one_sample.register
def _one_binary(law: BinaryPixels) -> BinaryPixels:
    return BinaryPixels(law.logits[None], space=0)


@law_of_cells.register
def _binary_pixels(law: BinaryPixels, levels: int, examples: int) -> CodingLaw:
    channels = [Bits(sigmoid(flat(logits, examples))) for logits in law.logits.unbind(law.axis)]
    return Parts(lambda before: channels[len(before)], len(channels))


@law_of_cells.register
def _in_turn(law: PixelByPixel, levels: int, examples: int) -> CodingLaw:
    return PixelsInTurn(law, examples)


@dataclass(frozen=True)
class LatentGrid:
    """z = k / bins for whole k from -reach to reach - 1."""

    bins: int
    reach: int


def prior_of_latents(law: Distribution, grid: LatentGrid, examples: int) -> CodingLaw:
    """The prior on the grid, for so many examples.

    Errors: `SupportError` for one that is not Gaussian with independent latents.
    """
    return BisectedGaussians(*diagonal(law, grid, examples), grid.reach)


def diagonal(law: Distribution, grid: LatentGrid, examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation in bins of the first examples, or of as many where the law is one for all.

    Errors: `SupportError` for other laws.
    """
    if not isinstance(law, Independent) or not isinstance(law.base_dist, Normal):
        inner = type(law.base_dist if isinstance(law, Independent) else law).__name__
        raise SupportError(
            f"latents under {inner} cannot be coded yet: a Gaussian prior with independent latents, and Gaussian "
            "posteriors, can"
        )
    parts = law.base_dist.loc, law.base_dist.scale
    loc, scale = (part.expand(examples, -1) if part.dim() == 1 else part[:examples] for part in parts)
    return coarse(loc, 16.0 * grid.bins) * grid.bins, np.exp(coarse(scale.log())) * grid.bins


@singledispatch
def law_of_latents(law: Distribution, grid: LatentGrid, examples: int) -> CodingLaw:
    """The posterior on the grid, for the first examples of a batch.

    Errors: `SupportError` for laws that are not Gaussian.
    """
    return BisectedGaussians(*diagonal(law, grid, examples), grid.reach)


@law_of_latents.register
def _correlated(law: MultivariateNormal, grid: LatentGrid, examples: int) -> CodingLaw:
    factor = law.scale_tril[:examples]
    deviation = factor.diagonal(dim1=-2, dim2=-1)
    loc, shear = law.loc[:examples], factor / deviation[..., None, :]
    scale = np.exp(coarse(deviation.log())) * grid.bins
    return CorrelatedGaussians(coarse(loc, 16.0 * grid.bins) * grid.bins, scale, coarse(shear, 2.0**12), grid.reach)
