"""One law for each column of a table, side by side: numbers, whole numbers, spikes, and levels with and without an
order.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.distributions import constraints

from vael.probability.observation import Law, softplus
from vael.probability.sampling import Noise, register_draw
from vael.probability.totals import summed
from vael.probability.warp import Warp
from vael.probability.wide import register_wide

QUANTILES = 16  # points at which a component's mean is taken


@dataclass(frozen=True)
class Numbers:
    """Where the columns of numbers stand and what is fixed of their laws."""

    place: Int64[Tensor, " numbers"]  # among all columns
    warp: Warp
    whole: Bool[Tensor, " numbers"]
    floor: Float[
        Tensor, " numbers"
    ]  # the least whole number that there can be, which gets the whole lower tail; -inf where there is none
    low: Float[Tensor, " numbers"]  # what draws and means keep within
    high: Float[Tensor, " numbers"]
    spiked: Int64[Tensor, " spiked"]  # those, among the numbers, with spikes
    spikes: Float[
        Tensor, "spiked spikes"
    ]  # NaN where there are fewer; a cell is one where both are the same in float32
    among: Bool[
        Tensor, "spiked spikes"
    ]  # spikes that are numbers like the others of their column: means are taken over them too


@dataclass(frozen=True)
class NumberParameters:
    """What the decoder says of columns of numbers: Σ_k π_k Logistic(g(v) | μ_k, s_k), and how probable each spike
    is.
    """

    logits: Float[Tensor, "samples batch numbers components"]
    loc: Float[Tensor, "samples batch numbers components"]
    log_scale: Float[Tensor, "samples batch numbers components"]
    spike_logits: Float[Tensor, "samples batch spiked choices"]  # the first is none of the spikes


@dataclass(frozen=True)
class ColumnVariates:
    """Uniform variates that a draw of all columns is made of."""

    component: Float[Tensor, "*shape numbers"]  # which logistic
    value: Float[Tensor, "*shape numbers"]  # where in it
    choice: Float[Tensor, "*shape spiked"]  # which spike, or none
    code: Float[Tensor, "*shape levels"]


class Columns(Law):
    """p(x) = Π_j p_j(x_j), one factor for each column, `[samples, batch, columns]`.

    * real, positive, date: Σ_k π_k Logistic(g(v) | μ_k, s_k) g'(v), a density in the column's own units;
    * count: P(v) = Σ_k π_k [F_k(g(v + ½)) - F_k(g(v - ½))], which sums to one over the whole numbers (from `floor` on,
      if there is one);
    * spikes a_1 ... of a number: ρ_0 times the law above plus ρ_i at v = a_i, a density with regard to Lebesgue measure
      and counts at the spikes;
    * levels: log-probabilities of the codes, however the head came by them.

    Draws and means have the type of the parameters; `widened` gives them in float64, which cells that are written need.
    """

    of_arguments: ClassVar[dict[str, constraints.Constraint]] = dict.fromkeys(
        ("logits", "loc", "log_scale", "spike_logits", "log_probs"), constraints.independent(constraints.real, 1)
    )

    def __init__(
        self,
        columns: int,
        numbers: Numbers,
        given: NumberParameters,
        levels: Int64[Tensor, " levels"],
        logits: Float[Tensor, "samples batch levels codes"],
    ) -> None:
        self.numbers, self.given, self.levels, self.log_probs = numbers, given, levels, logits
        self.logits, self.loc = given.logits, given.loc
        self.log_scale, self.spike_logits = given.log_scale, given.spike_logits
        super().__init__(torch.Size((*logits.shape[:2], columns)))

    def log_prob(self, value: Float[Tensor, "batch columns"]) -> Float[Tensor, "samples batch columns"]:
        found = self.log_probs.new_zeros(self.batch_shape)
        if len(self.numbers.place):
            found = found.index_copy(
                2, self.numbers.place, self._of_numbers(value.index_select(-1, self.numbers.place))
            )
        if len(self.levels):
            codes = value.index_select(-1, self.levels).long().clamp(0, self.log_probs.shape[-1] - 1)
            chosen = self.log_probs.gather(-1, codes.expand(self.log_probs.shape[:-1]).unsqueeze(-1)).squeeze(-1)
            found = found.index_copy(2, self.levels, chosen)
        return found

    def _of_numbers(self, v: Tensor) -> Tensor:
        given = self.given
        rate = torch.exp(-given.log_scale)
        lower, width, log_slope = _edges(self.numbers, v)
        a = (lower.unsqueeze(-1) - given.loc) * rate
        density = -a - 2 * softplus(-a) - given.log_scale  # of a logistic at a, numbers that are not whole
        b = a + width.unsqueeze(-1) * rate
        bottom = (v <= self.numbers.floor).unsqueeze(-1)
        zero = torch.zeros((), dtype=a.dtype, device=a.device)
        mass = -softplus(-b) + torch.where(
            bottom, zero, torch.log(-torch.expm1(-width.unsqueeze(-1) * rate)) - softplus(a)
        )
        each = torch.where(self.numbers.whole.unsqueeze(-1), mass, density)
        smooth = torch.logsumexp(F.log_softmax(given.logits, -1) + each, -1) + log_slope
        spiked = self.numbers.spiked
        if not len(spiked):
            return smooth
        return smooth.index_copy(
            -1, spiked, self._with_spikes(v.index_select(-1, spiked), smooth.index_select(-1, spiked))
        )

    def _with_spikes(self, v: Tensor, smooth: Tensor) -> Tensor:
        choice = F.log_softmax(self.given.spike_logits, -1)
        at = v.float().unsqueeze(-1) == self.numbers.spikes.float()  # [batch, spiked, spikes]
        smooth = choice[..., 0] + smooth
        order = torch.arange(
            1, at.shape[-1] + 1, device=v.device
        )  # no argmax: the compiler's gives places beyond the last one
        place, hit = (at * order).amax(-1), at.any(-1)
        spike = choice.gather(-1, place.expand(choice.shape[:-1]).unsqueeze(-1)).squeeze(-1)
        # beside a spike of a density there is nothing: a single value has no mass there; whole numbers have both
        whole = self.numbers.whole.index_select(0, self.numbers.spiked)
        both = torch.where(whole, torch.logaddexp(smooth, torch.where(hit, spike, smooth.detach() - 100)), spike)
        return torch.where(hit, both, smooth)

    @property
    def mean(self) -> Tensor:
        """The point estimate of each cell, `[samples, batch, columns]`: a value that the cell could have.

        * of numbers E[x], by the midpoints of equally probable slices of each component, kept within the range;
        * of numbers with spikes the more probable of a spike and of the rest: the spike, or E[x | none of the spikes],
          as the mean over a stand-in such as -999 and over numbers about 0 is a number that nobody has. Spikes of whole
          numbers that stand among the others (`Numbers.among`) belong to the rest: a mean over numbers that many have
          is one that somebody may have;
        * of levels the most probable code.
        """
        return self._settled(self._smooth_means(), self._spike_shares(), self.log_probs)

    @property
    def expectation(self) -> Float[Tensor, "samples batch numbers"]:
        """E[x] of columns of numbers, spikes among them counted: a number that nobody may have."""
        smooth, choice, spiked = self._smooth_means(), self._spike_shares(), self.numbers.spiked
        if not len(spiked):
            return smooth
        at = choice[..., 0] * smooth.index_select(-1, spiked) + (choice[..., 1:] * self._spikes().nan_to_num()).sum(-1)
        return smooth.index_copy(-1, spiked, at)

    def mean_under(
        self, share: Float[Tensor, "samples batch"] | Float[Tensor, "samples batch columns"]
    ) -> Float[Tensor, "batch columns"]:
        """`mean` of the mixture of the samples' laws with these shares, Σ_k share_k p_k(x): of spikes and levels
        what is probable on the whole. Shares are those of a row, or of each of its columns.
        """
        weight, choice = share[..., None] if share.dim() == 2 else share, self._spike_shares()
        smooth, spiked = self._smooth_means(), self.numbers.spiked
        of_numbers = _of(weight, self.numbers.place)
        total = summed(of_numbers * smooth)
        if len(spiked):  # the mean of the rest counts by how probable the rest is
            rest = _of(of_numbers, spiked) * choice[..., 0]
            average = summed(rest * smooth.index_select(-1, spiked)) / summed(rest).clamp(
                min=torch.finfo(rest.dtype).tiny
            )
            total = total.index_copy(-1, spiked, average)
        return self._settled(
            total,
            summed(_of(of_numbers, spiked)[..., None] * choice),
            summed(_of(weight, self.levels)[..., None] * self.log_probs.exp()),
        )

    def _settled(self, smooth: Tensor, choice: Tensor, levels: Tensor) -> Tensor:
        """Of `[..., numbers]` means without spikes, `[..., spiked, choices]` probabilities and `[..., levels,
        codes]` scores one value a cell.
        """
        spiked, found = self.numbers.spiked, smooth.new_zeros((*smooth.shape[:-1], self.batch_shape[-1]))
        if len(spiked):
            smooth = smooth.index_copy(-1, spiked, self._spike_or_rest(smooth.index_select(-1, spiked), choice))
        found = found.index_copy(-1, self.numbers.place, smooth) if len(self.numbers.place) else found
        return found.index_copy(-1, self.levels, levels.argmax(-1).to(found.dtype)) if len(self.levels) else found

    def _spike_or_rest(self, smooth: Tensor, choice: Tensor) -> Tensor:
        values, among = self._spikes().nan_to_num(), self.numbers.among
        near = choice[..., 1:] * among
        rest = choice[..., 0] + near.sum(-1)
        average = (choice[..., 0] * smooth + (near * values).sum(-1)) / rest.clamp(min=torch.finfo(rest.dtype).tiny)
        most, place = (choice[..., 1:] * ~among).max(-1)
        spike = values.expand(*place.shape, -1).gather(-1, place.unsqueeze(-1)).squeeze(-1)
        return torch.where(most > rest, spike, average)

    def _spike_shares(self) -> Float[Tensor, "samples batch spiked choices"]:
        return F.softmax(self.given.spike_logits, -1)

    def _smooth_means(self) -> Float[Tensor, "samples batch numbers"]:
        """E[x] of columns of numbers where they are at none of their spikes."""
        given, warp, total = self.given, self._warp(), torch.zeros_like(self.given.loc[..., 0])
        weight, scale = F.softmax(given.logits, -1), given.log_scale.exp()
        for middle in ((torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES).logit().tolist():
            y = given.loc + middle * scale
            total = total + (weight * self._within(warp.inverse(y.movedim(-1, 0))).movedim(0, -1)).sum(-1) / QUANTILES
        return total

    def _warp(self) -> Warp:
        return self.numbers.warp.double() if self.given.loc.dtype == torch.float64 else self.numbers.warp

    def _spikes(self) -> Tensor:
        return self.numbers.spikes.to(self.given.loc.dtype)

    def _within(self, v: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(v, self.numbers.low.to(v.dtype)), self.numbers.high.to(v.dtype))

    def drawn(self, shape: torch.Size, noise: Noise) -> Tensor:
        """Draws `[*shape]`; numbers within the range of the data, whole where they are; no gradient."""
        return self.made_of(self.variates(shape, noise, self.log_probs))

    def variates(self, shape: torch.Size, noise: Noise, like: Tensor) -> ColumnVariates:
        """What draws `[*shape]` are made of, with the dtype and device of `like`."""
        lead, numbers, spiked = shape[:-1], len(self.numbers.place), len(self.numbers.spiked)
        asked = (numbers, numbers, spiked, len(self.levels))
        return ColumnVariates(
            *(noise.uniform((*lead, size), like) if size else like.new_empty((*lead, 0)) for size in asked)
        )

    def made_of(self, variates: ColumnVariates) -> Float[Tensor, "*shape columns"]:
        """The draws that these variates give."""
        found = self.log_probs.new_zeros((*variates.code.shape[:-1], self.batch_shape[-1]))
        if len(self.numbers.place):
            found = found.index_copy(-1, self.numbers.place, self._draw_numbers(variates))
        if len(self.levels):
            cumulative = self.log_probs.exp().cumsum(-1)
            point = variates.code.unsqueeze(-1) * cumulative[..., -1:]
            codes = (point >= cumulative).sum(-1).clamp(max=cumulative.shape[-1] - 1)
            found = found.index_copy(-1, self.levels, codes.to(found.dtype))
        return found.detach()

    def _draw_numbers(self, variates: ColumnVariates) -> Tensor:
        given = self.given
        component = _chosen(given.logits, variates.component)
        loc, log_scale = (
            one.expand(*component.shape, -1).gather(-1, component.unsqueeze(-1)).squeeze(-1)
            for one in (given.loc, given.log_scale)
        )
        uniform = variates.value.clamp(1e-7, 1 - 1e-7)
        v = self._within(self._warp().inverse(loc + log_scale.exp() * torch.logit(uniform)))
        v = torch.where(self.numbers.whole, v.round(), v)
        spiked = self.numbers.spiked
        if not len(spiked):
            return v
        choice = _chosen(given.spike_logits, variates.choice)
        known = self._spikes()
        spikes = torch.cat((torch.zeros_like(known[:, :1]), known.nan_to_num()), 1)
        at = spikes.expand(*choice.shape, -1).gather(-1, choice.unsqueeze(-1)).squeeze(-1)
        return v.index_copy(-1, spiked, torch.where(choice == 0, v.index_select(-1, spiked), at))


def _edges(numbers: Numbers, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """G at the lower edge of a whole number (at v itself for others), the width of its bin, and log g' (0 for whole
    numbers).

    In float64, as the bins of large numbers are narrower than float32 can tell.
    """
    warp, wide = numbers.warp.double(), v.double()
    lower = warp(torch.where(numbers.whole, wide - 0.5, wide))
    width = torch.where(numbers.whole, warp(wide + 0.5) - lower, torch.ones_like(lower)).clamp(min=1e-12)
    slope = torch.where(numbers.whole, torch.zeros_like(lower), warp.log_slope(wide))
    return lower.to(v.dtype), width.to(v.dtype), slope.to(v.dtype)


def _of(weight: Tensor, columns: Tensor) -> Tensor:
    """The weights of these columns, or the one that stands for all."""
    return weight if weight.shape[-1] == 1 else weight.index_select(-1, columns)


def _chosen(logits: Tensor, uniform: Tensor) -> Tensor:
    """The code at which the cumulative probability passes a uniform variate."""
    cumulative = F.softmax(logits, -1).cumsum(-1)
    return (uniform.unsqueeze(-1) * cumulative[..., -1:] >= cumulative).sum(-1).clamp(max=logits.shape[-1] - 1)


@register_wide(Columns)
def _wide(law: Columns) -> Columns:
    given = NumberParameters(*(getattr(law.given, field.name).double() for field in fields(NumberParameters)))
    return Columns(law.batch_shape[-1], law.numbers, given, law.levels, law.log_probs.double())


@register_draw(Columns)
def _columns(law: Columns, shape: torch.Size, noise: Noise) -> Tensor:
    return law.drawn(shape, noise)
