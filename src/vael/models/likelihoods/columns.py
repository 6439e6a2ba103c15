"""Between the columns of a table and the networks of a model: what the encoder is shown, and how the decoder's
numbers become one law each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.source import Source
from vael.errors import ShapeError, SupportError
from vael.models.likelihoods.column_kinds import IMPOSSIBLE, SOFTMAX, link_of
from vael.models.likelihoods.column_scales import ColumnCodes, ColumnScales
from vael.models.likelihoods.column_scales import heaped as heaped
from vael.models.likelihoods.heads import Head
from vael.probability import bounded
from vael.probability.columns import Columns, NumberParameters
from vael.tables.schema import Schema

LOG_SCALE = (-6.0, 2.0)  # log s of a component, relative to the spread of its column
BALANCE = (1 / 3, 3.0)
QUANTILES, FITTING = 128, 40  # cells and steps by which the law of a column is fitted before training


class ColumnsInput(nn.Module):
    """A row with NaN in its gaps to numbers of unit scale: warped numbers, a place for each spike and each code,
    and which cells were seen.
    """

    def __init__(self, schema: Schema, sample: Float[Tensor, "rows columns"] | None = None) -> None:
        super().__init__()
        self.scales, self.codes = ColumnScales(schema, sample), ColumnCodes(schema)
        self.features = (
            len(schema.columns) + len(self.scales.columns) + self.scales.filled.numel() + int(self.codes.valid.sum())
        )

    def forward(self, x: Float[Tensor, "batch columns"]) -> Float[Tensor, "batch features"]:
        """Numbers, spikes, codes and what was seen, side by side; nothing that stands under a gap comes through."""
        seen = ~torch.isnan(x)
        x = torch.nan_to_num(x)
        v, known = x.index_select(1, self.scales.place), seen.index_select(1, self.scales.place)
        number = torch.where(known, self.scales.warp()(v).clamp(-10.0, 10.0), torch.zeros_like(v))
        spiked = self.scales.spiked
        spike = (v.index_select(1, spiked).float().unsqueeze(-1) == self.scales.spikes.float()) & known.index_select(
            1, spiked
        ).unsqueeze(-1)
        codes, given = x.index_select(1, self.codes.place), seen.index_select(1, self.codes.place)
        hot = (codes.unsqueeze(-1) == torch.arange(self.codes.most, device=x.device, dtype=x.dtype)) & given.unsqueeze(
            -1
        )
        parts = (number, spike.flatten(1).to(x.dtype), hot[:, self.codes.valid].to(x.dtype), seen.to(x.dtype))
        return torch.cat(parts, dim=1)


class ColumnsHead(Head):
    """One law for each column of a table by its kind (`vael.probability.columns`), numbers as mixtures of `components`
    logistics.

    Raw numbers, side by side: 3 × components for each column of numbers, one for each spike and one for none, one for
    each code. log s is bounded smoothly to (-6, 2) relative to the spread of the column. What codes are made of is the
    link of their kind (`vael.models.likelihoods.column_kinds`).

    The raw numbers of each column are multiplied by a constant of that column, so that at the start the gradients of
    all columns are equally long: no kind of column drowns the others, and the bound stays what it is.

    `tables` says for each column of numbers how many of its commonest values have a free probability each, beside the
    mixture (`heaped`).
    """

    linked: Tensor  # which columns of levels each link beside the softmax is for
    start_at: Tensor
    gain: Tensor

    def __init__(
        self,
        schema: Schema,
        components: int = 5,
        sample: Float[Tensor, "rows columns"] | None = None,
        tables: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.schema, self.components, self.tables = schema, components, tuple(tables)
        self.scales, self.codes = ColumnScales(schema, sample, self.tables), ColumnCodes(schema)
        numbers, (spiked, spikes) = len(self.scales.columns), self.scales.filled.shape
        every = [link_of(column) for column in self.codes.columns]
        self.links = tuple(dict.fromkeys(link for link in every if link is not SOFTMAX))
        linked = torch.tensor([[one is link for one in every] for link in self.links], dtype=torch.bool)
        self.register_buffer("linked", linked, persistent=False)
        self.own = [every.count(link) if link.has_thresholds else 0 for link in self.links]  # rows of `thresholds`
        self.sizes = (3 * components * numbers, spiked * (spikes + 1), len(self.codes.columns) * self.codes.most)
        self.register_buffer("start_at", torch.zeros(self.raw_numbers))
        self.register_buffer("gain", torch.ones(self.raw_numbers))
        self.thresholds = nn.Parameter(torch.zeros(sum(self.own), self.codes.most)) if sum(self.own) else None
        if sample is not None:
            self._begin(sample)

    @property
    def raw_numbers(self) -> int:
        """How many numbers the decoder's network gives for a row."""
        return sum(self.sizes)

    def forward(self, raw: Float[Tensor, "samples batch raw"]) -> Distribution:
        """A law for each column, independent given z. Errors: `ShapeError` for another number of raw numbers."""
        if raw.shape[-1] != self.raw_numbers:
            raise ShapeError(
                f"the network gives {raw.shape[-1]} numbers for a row, but the columns take {self.raw_numbers}"
            )
        numbers, spikes, levels = (self.start_at + self.gain * raw).split(self.sizes, dim=-1)
        logits, loc, log_scale = numbers.unflatten(-1, (3, len(self.scales.columns), self.components)).unbind(2)
        choices = spikes.unflatten(-1, (len(self.scales.spiked), self.scales.filled.shape[1] + 1))
        given = NumberParameters(logits, loc, bounded(log_scale, *LOG_SCALE), self._possible(choices))
        return Columns(
            len(self.schema.columns), self.scales.numbers(), given, self.codes.place, self._log_probs(levels)
        )

    def _possible(self, choices: Tensor) -> Tensor:
        """Logits of none and of each spike, those that a column has not made impossible."""
        lacking = F.pad(~self.scales.filled, (1, 0))
        return torch.where(lacking, torch.full_like(choices, IMPOSSIBLE), choices)

    def _log_probs(self, levels: Tensor) -> Tensor:
        logits, valid = levels.unflatten(-1, (len(self.codes.columns), self.codes.most)), self.codes.valid
        found = SOFTMAX.log_probs(logits, valid)
        for link, here, own in zip(self.links, self.linked, self._thresholds(), strict=True):
            these = link.log_probs(logits[:, :, here], valid[here], own)
            found = found.index_copy(2, here.nonzero().squeeze(1), these)
        return found

    def _thresholds(self) -> Sequence[Tensor]:
        """Those of each link, for its columns in their order."""
        return [self.start_at[:0]] * len(self.own) if self.thresholds is None else self.thresholds.split(self.own)

    def check(self, source: Source) -> None:
        """Errors: `SupportError` for another schema."""
        if source.schema != self.schema:
            found = "none" if source.schema is None else ", ".join(source.schema.names[:6])
            raise SupportError(
                f"{source.name}: this likelihood is for the columns {', '.join(self.schema.names[:6])} ..., but the "
                f"data have {found}"
            )

    @torch.no_grad()
    def _begin(self, sample: Tensor) -> None:
        """Raw numbers at which every column has its own law in the data, and constants that make gradients equally
        long there.
        """
        numbers, spikes, levels = self.start_at.split(self.sizes)
        middle = (
            torch.logit((torch.arange(self.components) + 0.5) / self.components) / 1.8
        )  # components spread over a unit Gaussian
        parts = numbers.view(3, len(self.scales.columns), self.components)
        parts[1], parts[2] = middle, math.log(0.9 / self.components) + 1.0
        for number, row in enumerate(spikes.view(len(self.scales.spiked), self.scales.filled.shape[1] + 1)):
            row.copy_(self._spike_logits(number, sample))
        for number, place in enumerate(self.codes.place.tolist()):
            cells = sample[:, place]
            counts = torch.bincount(cells[~torch.isnan(cells)].long(), minlength=self.codes.most).float() + 0.5
            column = self.codes.columns[number]
            link, counts = link_of(column), counts[: column.codes]
            start = link.begin(counts / counts.sum())
            if link.has_thresholds:
                of_link = self.links.index(link)
                begun = self._thresholds()[of_link][int(self.linked[of_link, :number].sum())]
            else:
                begun = levels.view(len(self.codes.columns), -1)[number]
            begun[: len(start)] = start
        self._fit_numbers(sample)
        self.gain.copy_(self._gains(sample[: 2**12]))

    @torch.enable_grad()
    def _fit_numbers(self, sample: Tensor) -> None:
        """Largest likelihood of each column of numbers at evenly spaced quantiles of its cells, by a few dozen
        steps of Adam.
        """
        numbers = self.scales.place
        cells = torch.full((QUANTILES, sample.shape[1]), torch.nan)
        for place in numbers.tolist():
            v = sample[:, place]
            if len(v := v[~torch.isnan(v)].sort().values):
                cells[:, place] = v[((torch.arange(QUANTILES) + 0.5) / QUANTILES * len(v)).long()]
        seen, known = ~torch.isnan(cells), torch.nan_to_num(cells)
        raw = torch.zeros(1, 1, self.raw_numbers, requires_grad=True)
        steps = torch.optim.Adam([raw], lr=0.15)
        for step in range(FITTING if len(numbers) else 0):
            steps.param_groups[0]["lr"] = 0.15 * (1 - step / FITTING)
            found = self(raw.expand(1, QUANTILES, -1)).log_prob(known)[0]
            raw.grad = torch.autograd.grad(-torch.where(seen, found, torch.zeros_like(found)).sum() / QUANTILES, raw)[0]
            steps.step()
        self.start_at[: self.sizes[0]] += raw.detach()[0, 0, : self.sizes[0]]  # spikes have their shares already

    def _spike_logits(self, spiked: int, sample: Tensor) -> Tensor:
        cells = sample[:, int(self.scales.place[self.scales.spiked[spiked]])]
        cells = cells[~torch.isnan(cells)].float()
        counts = torch.stack([(cells == spike).sum() for spike in self.scales.spikes[spiked].float()]).float() + 0.5
        return torch.cat(((len(cells) - counts.sum() + 1.0).clamp(min=0.5)[None], counts)).log()

    @torch.enable_grad()
    def _gains(self, sample: Tensor) -> Tensor:
        raw = torch.zeros(1, len(sample), self.raw_numbers, requires_grad=True)
        observed = ~torch.isnan(sample)
        cells = self(raw).log_prob(torch.nan_to_num(sample))
        torch.where(observed, cells, torch.zeros_like(cells)).sum().backward()
        slope, owner = raw.grad[0].square().mean(0), self._owners()  # type: ignore[index]
        lengths = torch.zeros(len(self.schema.columns)).index_add(0, owner, slope).sqrt()
        known = lengths > 0
        usual = lengths[known].log().mean().exp() if known.any() else torch.ones(())
        return torch.where(known, usual / lengths.clamp(min=1e-12), torch.ones(())).clamp(*BALANCE)[owner]

    def _owners(self) -> Tensor:
        """The column of each raw number."""
        numbers, spikes = self.scales.place, self.scales.filled.shape[1] + 1
        of_numbers = numbers.repeat_interleave(self.components).repeat(3)
        of_spikes = numbers[self.scales.spiked].repeat_interleave(spikes)
        return torch.cat((of_numbers, of_spikes, self.codes.place.repeat_interleave(self.codes.most)))
