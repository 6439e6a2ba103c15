"""Mixtures of discretised logistics: one for each cell, or one for each pixel with its channels coupled
(PixelCNN++); and images pixel by pixel, each under its distribution given those above it and to the left of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import constraints

from vael.errors import ShapeError
from vael.probability.observation import Law, chosen, logistic_draw, logistic_mass, logistic_mean, several_levels
from vael.probability.sampling import Noise, register_draw

REAL: dict[str, constraints.Constraint] = {
    "logits": constraints.real_vector,
    "loc": constraints.real,
    "log_scale": constraints.real,
}


class DiscretizedLogisticMixture(Law):
    """Σ_k π_k DiscretizedLogistic(loc_k, s_k) for each cell, π the softmax of `logits`: integers 0 ... levels - 1, held
    as floats.

    Parameters `[*batch, components]`, in units of one level; probabilities sum to one for all of them.
    """

    of_arguments: ClassVar[dict[str, constraints.Constraint]] = REAL

    def __init__(self, logits: Tensor, loc: Tensor, log_scale: Tensor, levels: int) -> None:
        self.logits, self.loc, self.log_scale = F.log_softmax(logits, dim=-1), loc, log_scale
        self.levels = several_levels(levels)
        super().__init__(torch.broadcast_shapes(logits.shape, loc.shape, log_scale.shape)[:-1])

    @property
    def mean(self) -> Tensor:
        return (self.logits.exp() * logistic_mean(self.loc, self.log_scale, self.levels)).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.logsumexp(
            self.logits + logistic_mass(value.unsqueeze(-1), self.loc, self.log_scale, self.levels), dim=-1
        )


class CoupledLogisticMixture(Law):
    """One mixture for all channels of a pixel; within a component the mean of a channel moves with the channels before
    it.

    log p(x) = log Σ_k π_k Π_c DiscretizedLogistic(x_c | loc_kc + Σ_{j<c} w_kcj (x_j - (levels - 1) / 2), s_kc)
    (Salimans, Karpathy, Chen & Kingma 2017, section 2.2), for any number of channels.

    `loc`, `log_scale` are `[*batch, channels, *space, components]` in units of one level, `logits` `[*batch, *space,
    components]` and `coupling` (w, pure numbers, rows c = 1, 2 ... of j < c) `[*batch, channels (channels - 1) / 2,
    *space, components]`; `space` is the number of space axes. A value is `[*batch, channels, *space]` and its
    log-probability `[*batch, *space]`.

    `mean` puts the mean of earlier channels where their values belong: exact as far as later means are linear in them,
    that is away from the outermost levels and for scales of half a level or more, and near it elsewhere.
    """

    of_arguments: ClassVar[dict[str, constraints.Constraint]] = {**REAL, "coupling": constraints.real}

    def __init__(
        self, logits: Tensor, loc: Tensor, log_scale: Tensor, coupling: Tensor, levels: int, *, space: int
    ) -> None:
        self.logits, self.loc, self.log_scale, self.coupling = F.log_softmax(logits, dim=-1), loc, log_scale, coupling
        self.levels, self.space = several_levels(levels), space
        channels = loc.shape[-space - 2]
        if coupling.shape[-space - 2] != channels * (channels - 1) // 2:
            raise ShapeError(
                f"coupling of shape {tuple(coupling.shape)} for {channels} channels with {space} space axes: "
                f"expected {channels * (channels - 1) // 2} numbers for each pixel and component, on axis {-space - 2}"
            )
        super().__init__(logits.shape[:-1], torch.Size((channels,)))

    def _loc(self, channel: int, before: list[Tensor]) -> Tensor:
        """Means of one channel, `[*batch, *space, components]`, given the channels before it, without or with a
        component axis of their own.
        """
        axis, centre = -self.space - 2, (self.levels - 1) / 2
        loc, row = self.loc.select(axis, channel), channel * (channel - 1) // 2
        for j, x in enumerate(before):
            loc = loc + self.coupling.select(axis, row + j) * (x - centre)
        return loc

    @property
    def mean(self) -> Tensor:
        found: list[Tensor] = []
        for channel in range(self.event_shape[0]):
            found.append(
                logistic_mean(self._loc(channel, found), self.log_scale.select(-self.space - 2, channel), self.levels)
            )
        return torch.stack([(self.logits.exp() * m).sum(-1) for m in found], dim=-self.space - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        xs = [x.unsqueeze(-1) for x in value.unbind(-self.space - 1)]
        total = self.logits
        for channel, x in enumerate(xs):
            log_scale = self.log_scale.select(-self.space - 2, channel)
            total = total + logistic_mass(x, self._loc(channel, xs[:channel]), log_scale, self.levels)
        return torch.logsumexp(total, dim=-1)


@register_draw(DiscretizedLogisticMixture)
def _mixture(law: DiscretizedLogisticMixture, shape: torch.Size, noise: Noise) -> Tensor:
    which = chosen(law.logits, noise.uniform(shape, law.logits))
    return logistic_draw(_at(law.loc, which), _at(law.log_scale, which), law.levels, noise.uniform(shape, law.loc))


@register_draw(CoupledLogisticMixture)
def _coupled(law: CoupledLogisticMixture, shape: torch.Size, noise: Noise) -> Tensor:
    pixels = shape[:-1]
    which = noise.uniform(pixels, law.logits)
    return coupled_draw(law, which, (noise.uniform(pixels, law.loc) for _ in range(law.event_shape[0])))


def coupled_draw(law: CoupledLogisticMixture, component: Tensor, variates: Iterable[Tensor]) -> Tensor:
    """A pixel from uniform variates: one for its component, then one for each channel in turn."""
    which, axis = chosen(law.logits, component), -law.space - 2
    found: list[Tensor] = []
    for channel, variate in enumerate(variates):
        loc = _at(law._loc(channel, [x.unsqueeze(-1) for x in found]), which)
        log_scale = _at(law.log_scale.select(axis, channel), which)
        found.append(logistic_draw(loc, log_scale, law.levels, variate))
    return torch.stack(found, dim=-law.space - 1)


def _at(parameters: Tensor, which: Tensor) -> Tensor:
    """The parameters of the components that were chosen."""
    return parameters.expand(*which.shape, parameters.shape[-1]).gather(-1, which.unsqueeze(-1)).squeeze(-1)


class BinaryPixels(Law):
    """Channels of pixels that are 0 or 1, independent of each other: log p(x) = Σ_c log Bernoulli(x_c | σ(logit_c)).

    `logits` are `[*batch, channels, *space]`; `space` is the number of space axes. A value is of the same shape and its
    log-probability `[*batch, *space]`.
    """

    of_arguments: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real}
    levels = 2

    def __init__(self, logits: Tensor, *, space: int) -> None:
        self.logits, self.axis = logits, -space - 1
        shape = logits.shape
        super().__init__(shape[: self.axis] + shape[self.axis + 1 :], torch.Size((shape[self.axis],)))

    @property
    def mean(self) -> Tensor:
        return self.logits.sigmoid()

    def log_prob(self, value: Tensor) -> Tensor:
        value, logits = torch.broadcast_tensors(value.to(self.logits), self.logits)
        cells = F.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return -(cells.squeeze(self.axis) if cells.shape[self.axis] == 1 else cells.sum(self.axis))


class PixelLaws(ABC):
    """Abstract: the distribution of each pixel of some grids, given the pixels before it."""

    levels: int
    shape: tuple[int, int]  # samples, batch: grids side by side
    event: tuple[int, int, int]  # channels, height, width

    @abstractmethod
    def whole(self, x: Tensor) -> Law:
        """Of all pixels of grids `[samples or 1, batch, channels, height, width]` that are known, batch shape
        `[samples, batch, height, width]`.
        """

    @abstractmethod
    def blank(self) -> Tensor:
        """A canvas on which nothing is drawn yet."""

    @abstractmethod
    def at(self, canvas: Tensor, row: int, column: int) -> Law:
        """Of one pixel of all grids, given those before it on the canvas, batch shape `[samples * batch]`."""

    @abstractmethod
    def put(self, canvas: Tensor, row: int, column: int, pixel: Tensor) -> None:
        """Draw a pixel `[samples * batch, channels]` on the canvas."""


class PixelByPixel(Law):
    """Abstract: log p(x) = Σ log p(x_i | x_<i), i the pixels row by row.

    Batch shape `[samples, batch, height, width]`, a log-probability for each pixel given those before it; they sum to
    log p(x). The density takes one pass; draws and `mean` take one step for each pixel. `mean` puts the mean of earlier
    pixels where their values belong, so it is the course of the means and not exactly E[x].
    """

    def __init__(self, laws: PixelLaws) -> None:
        self.laws, self.shape, self.levels = laws, torch.Size(laws.shape), laws.levels
        channels, height, width = laws.event
        super().__init__(torch.Size((*laws.shape, height, width)), torch.Size((channels,)))

    def log_prob(self, value: Tensor) -> Tensor:
        own = len(self.shape) + len(self.laws.event)
        several = value.shape[: max(0, value.dim() - own)]
        if several:  # draws of the whole batch, one after another: pixels that follow each other fill a batch alone
            flat = value.flatten(0, len(several) - 1)
            return torch.stack([self.log_prob(one) for one in flat]).unflatten(0, several)
        x = value if value.dim() == own else value[None]
        return self.laws.whole(x).log_prob(x)

    @property
    def mean(self) -> Tensor:
        return self.in_turn(lambda law, row, column: law.mean)

    @torch.no_grad()
    def in_turn(self, pixel_of: Callable[[Law, int, int], Tensor]) -> Tensor:
        """Every pixel by a function of its distribution and its place, `[samples, batch, *event]`."""
        channels, height, width = self.laws.event
        canvas, found = self.laws.blank(), []
        for row in range(height):
            for column in range(width):
                pixel = pixel_of(self.laws.at(canvas, row, column), row, column)
                self.laws.put(canvas, row, column, pixel)
                found.append(pixel)
        return torch.stack(found, -1).view(*self.shape, channels, height, width)

    @abstractmethod
    def drawn(self, noise: Noise) -> Tensor:
        """One draw, `[samples, batch, *event]`."""


class AutoregressiveMixture(PixelByPixel):
    """Pixels of whole numbers, each a mixture of discretised logistics with coupled channels (PixelCNN++: Salimans,
    Karpathy, Chen & Kingma 2017).
    """

    def drawn(self, noise: Noise) -> Tensor:
        channels, height, width = self.laws.event
        like = self.laws.blank()
        which = noise.uniform((*self.shape, height, width), like).flatten(0, 1)
        variates = noise.uniform((*self.shape, channels, height, width), like).flatten(0, 1)

        def pixel_of(law: Law, row: int, column: int) -> Tensor:
            pixel = cast("CoupledLogisticMixture", law)
            return coupled_draw(pixel, which[:, row, column], variates[:, :, row, column].unbind(1))

        return self.in_turn(pixel_of)


class AutoregressiveBernoulli(PixelByPixel):
    """Pixels of zeros and ones, each a Bernoulli given those before it; channels of a pixel are independent."""

    def drawn(self, noise: Noise) -> Tensor:
        variates = noise.uniform((*self.shape, *self.laws.event), self.laws.blank()).flatten(0, 1)
        return self.in_turn(lambda law, row, column: (variates[:, :, row, column] < law.mean).to(variates))


def _in_turn(law: PixelByPixel, shape: torch.Size, noise: Noise) -> Tensor:
    first = shape[: len(shape) - len(law.batch_shape) - 1]  # of several draws, one after another
    return (
        torch.stack([law.drawn(noise) for _ in range(first.numel())]).unflatten(0, first) if first else law.drawn(noise)
    )


for _kind in (AutoregressiveMixture, AutoregressiveBernoulli):
    register_draw(_kind)(_in_turn)
