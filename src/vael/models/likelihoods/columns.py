"""Between the columns of a table and the networks of a model: what the encoder is shown, and how the decoder's
numbers become one law each.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.source import Source
from vael.errors import ShapeError, SupportError
from vael.models.likelihoods.heads import Head
from vael.probability import bounded
from vael.probability.columns import Columns, NumberParameters, Numbers
from vael.probability.warp import Warp
from vael.tables.inference import apart
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema

LOG_SCALE = (-6.0, 2.0)  # log s of a component, relative to the spread of its column
LINEAR = 1000.0  # spreads within which a column without heavy tails is taken as it is
TAIL = 8.0  # spreads between quartiles beyond which a value is far out
IMPOSSIBLE = -1e4  # a logit of what cannot be
BALANCE = (1 / 3, 3.0)
MOST_VALUES, MOST_CHOICES = (
    128,
    2048,
)  # values that a column of whole numbers may have for a free probability of each, and of all columns
NEAR = 3.0  # spreads of a column, from its middle, within which a spike of whole numbers is one of its numbers
FEWEST = 3  # cells, of at most 10,000, that a value must have for that
QUANTILES, FITTING = 128, 40  # cells and steps by which the law of a column is fitted before training


def is_number(column: Column) -> bool:
    """Whether the cells of a column are numbers, not codes."""
    return column.kind not in LEVELS


def heaped(schema: Schema, sample: Float[Tensor, "rows columns"] | None) -> tuple[int, ...]:
    """How many values of each column of numbers get a free probability: of whole numbers with few different values all
    but rare ones, else none.

    People round and heap (a working week of 40 hours, a bonus of 5,000): no smooth law has such teeth.
    """
    places = [place for place, column in enumerate(schema.columns) if is_number(column)]
    most = min(MOST_VALUES, MOST_CHOICES // max(len(places), 1))
    counts = [_often(schema.columns[place], None if sample is None else sample[:, place], most) for place in places]
    return tuple(counts) if any(counts) else ()


def _often(column: Column, cells: Tensor | None, most: int) -> int:
    if cells is None or column.kind is not ColumnKind.COUNT:
        return 0
    values, counts = cells[~torch.isnan(cells)].unique(return_counts=True)
    return int((counts >= FEWEST).sum()) if len(values) <= most else 0


def _commonest(cells: Tensor, size: int) -> list[float]:
    """The `size` commonest values in order; of equally common ones the smaller."""
    values, counts = cells[~torch.isnan(cells)].unique(return_counts=True)
    return sorted(values[counts.argsort(descending=True, stable=True)[:size]].tolist())


class ColumnScales(nn.Module):
    """Where the columns of numbers lie and how far they spread, from rows of the training data; kept with the weights.

    A column whose largest numbers lie far beyond its middle is warped, so that its tail comes near; positive numbers go
    by their logarithm.
    """

    place: Tensor
    logarithmic: Tensor
    centre: Tensor
    width: Tensor
    shift: Tensor
    scale: Tensor
    floor: Tensor
    low: Tensor
    high: Tensor
    spiked: Tensor  # the columns of numbers with spikes
    values: Tensor  # their spikes, 0 where a column has fewer
    filled: Tensor
    whole: Tensor
    among: Tensor

    def __init__(
        self, schema: Schema, sample: Float[Tensor, "rows columns"] | None = None, tables: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.columns = tuple(column for column in schema.columns if is_number(column))
        self.register_buffer(
            "place",
            torch.tensor([p for p, c in enumerate(schema.columns) if is_number(c)], dtype=torch.int64),
            persistent=False,
        )
        logarithmic = torch.tensor([column.kind is ColumnKind.POSITIVE for column in self.columns], dtype=torch.bool)
        self.register_buffer("logarithmic", logarithmic, persistent=False)
        known = (
            torch.zeros(4, len(self.columns), dtype=torch.float64)
            + torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)[:, None]
        )
        for number in range(len(self.columns) if sample is not None else 0):
            known[:, number] = self._seen(number, sample[:, self.place[number]])  # type: ignore[index]
        for name, row in zip(("centre", "width", "shift", "scale"), known, strict=True):
            self.register_buffer(name, row.float())
        floor = [
            -math.inf if c.kind is not ColumnKind.COUNT or c.minimum is None or c.minimum < 0 else 0.0 - c.origin
            for c in self.columns
        ]
        ends = [(c.usual or (c.minimum, c.maximum), c.origin) for c in self.columns]
        self._fixed("floor", floor)
        self._fixed("low", [-math.inf if end[0] is None else end[0] - origin for end, origin in ends], torch.float64)
        self._fixed("high", [math.inf if end[1] is None else end[1] - origin for end, origin in ends], torch.float64)
        every = [self._spikes(number, sample, size) for number, size in enumerate(tables or [0] * len(self.columns))]
        self.register_buffer(
            "spiked", torch.tensor([n for n, one in enumerate(every) if one], dtype=torch.int64), persistent=False
        )
        spikes = [one for one in every if one]
        most = max(map(len, spikes), default=0)
        padded = torch.tensor([one + [0.0] * (most - len(one)) for one in spikes], dtype=torch.float64)
        self.register_buffer("values", padded.reshape(len(spikes), most), persistent=bool(tables))
        filled = torch.tensor([[place < len(one) for place in range(most)] for one in spikes], dtype=torch.bool)
        self.register_buffer("filled", filled.reshape(len(spikes), most), persistent=False)
        self._fixed("whole", [c.kind is ColumnKind.COUNT for c in self.columns], torch.bool)
        self.heaped = tuple(bool((tables or [0] * len(self.columns))[number]) for number in self.spiked.tolist())
        self.register_buffer("among", torch.zeros_like(self.filled), persistent=False)
        self._find_among()
        self.register_load_state_dict_post_hook(
            lambda scales, _: scales._find_among()
        )  # the values come with the weights

    def _fixed(self, name: str, values: list[float] | list[bool], dtype: torch.dtype = torch.float32) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=dtype), persistent=False)

    def _spikes(self, number: int, sample: Tensor | None, size: int) -> list[float]:
        """Values with a probability of their own: the commonest ones, or those that the schema names; 0 where
        weights will say.
        """
        if not size:
            return [spike - self.columns[number].origin for spike in self.columns[number].spikes]
        return [0.0] * size if sample is None else _commonest(sample[:, self.place[number]], size)

    @torch.no_grad()
    def _find_among(self) -> None:
        """Which spikes of whole numbers are numbers like the others: not apart from them in a table of values, else
        near the column's middle.
        """
        near, whole = self.warp()(self._placed()).index_select(1, self.spiked).mT.abs() <= NEAR, self.whole[self.spiked]
        for row, heaped in enumerate(self.heaped):
            if heaped:
                values = self.values[row][self.filled[row]]
                near[row, self.filled[row]] = torch.from_numpy(~apart(values.double().cpu().numpy())).to(near.device)
        self.among = near & self.filled & whole[:, None]

    def _placed(self) -> Float[Tensor, "spikes numbers"]:
        """The spikes in their columns, 0 elsewhere."""
        standing = torch.zeros(
            self.values.shape[1], len(self.columns), device=self.values.device, dtype=self.values.dtype
        )
        return standing.index_copy(1, self.spiked, self.values.mT)

    def _seen(self, number: int, cells: Tensor) -> Tensor:
        column, v = self.columns[number], cells[~torch.isnan(cells)].double()
        for spike in column.spikes:
            v = v[v != float(np.float32(spike - column.origin))]  # as the cell has it
        if not len(v):
            return torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
        low, middle, high = torch.quantile(
            v[:: max(1, len(v) // 100_000)], torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
        )
        between = float(high - low) or float(v.std(correction=0)) or 1.0
        far = float((v - middle).abs().max()) > TAIL * between
        centre, width = middle, torch.tensor(between if far else LINEAR * between, dtype=torch.float64)
        t = v.clamp(min=1e-30).log() if column.kind is ColumnKind.POSITIVE else torch.asinh((v - centre) / width)
        spread = t.std(correction=0)
        return torch.stack((centre, width, t.mean(), spread if spread > 1e-12 else torch.ones_like(spread) * 1 / width))

    @property
    def spikes(self) -> Float[Tensor, "spiked spikes"]:
        """Values with a probability of their own, NaN where a column has fewer."""
        return torch.where(self.filled, self.values, torch.full_like(self.values, math.nan))

    def warp(self) -> Warp:
        """The map that brings every column to mean 0 and spread 1."""
        return Warp(self.logarithmic, self.centre, self.width, self.shift, self.scale)

    def numbers(self) -> Numbers:
        """What is fixed of the laws."""
        return Numbers(
            self.place, self.warp(), self.whole, self.floor, self.low, self.high, self.spiked, self.spikes, self.among
        )


class ColumnCodes(nn.Module):
    """Where the columns of levels stand, and how many codes each has."""

    place: Tensor
    valid: Tensor

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.columns = tuple(column for column in schema.columns if not is_number(column))
        self.register_buffer(
            "place",
            torch.tensor([p for p, c in enumerate(schema.columns) if not is_number(c)], dtype=torch.int64),
            persistent=False,
        )
        self.most = max([column.codes for column in self.columns], default=1)
        valid = torch.tensor(
            [[code < column.codes for code in range(self.most)] for column in self.columns], dtype=torch.bool
        )
        self.register_buffer("valid", valid.reshape(len(self.columns), self.most), persistent=False)


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
    each code. log s is bounded smoothly to (-6, 2) relative to the spread of the column. An ordinal column has
    cumulative logits: P(y ≤ k) = σ(θ_k - f), θ rising, one raw number f and thresholds of its own for all rows
    (McCullagh 1980).

    The raw numbers of each column are multiplied by a constant of that column, so that at the start the gradients of
    all columns are equally long: no kind of column drowns the others, and the bound stays what it is.

    `tables` says for each column of numbers how many of its commonest values have a free probability each, beside the
    mixture (`heaped`).
    """

    ordinal: Tensor
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
        ordinal = torch.tensor([column.kind is ColumnKind.ORDINAL for column in self.codes.columns], dtype=torch.bool)
        self.register_buffer("ordinal", ordinal, persistent=False)
        self.sizes = (3 * components * numbers, spiked * (spikes + 1), len(self.codes.columns) * self.codes.most)
        self.register_buffer("start_at", torch.zeros(self.raw_numbers))
        self.register_buffer("gain", torch.ones(self.raw_numbers))
        self.thresholds = nn.Parameter(torch.zeros(int(ordinal.sum()), self.codes.most)) if ordinal.any() else None
        if sample is not None:
            self._begin(sample)

    @property
    def raw_numbers(self) -> int:
        """How many numbers the decoder's network gives for a row."""
        return sum(self.sizes)

    def forward(self, raw: Float[Tensor, "samples batch raw"]) -> Distribution:
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
        logits = levels.unflatten(-1, (len(self.codes.columns), self.codes.most))
        found = F.log_softmax(torch.where(self.codes.valid, logits, torch.full_like(logits, IMPOSSIBLE)), dim=-1)
        if self.thresholds is None:
            return found
        return found.index_copy(
            2, self.ordinal.nonzero().squeeze(1), self._cumulative(logits[:, :, self.ordinal, 0], self.thresholds)
        )

    def _cumulative(self, f: Tensor, thresholds: Tensor) -> Tensor:
        """Log [σ(θ_k - f) - σ(θ_{k-1} - f)], the outer two open."""
        steps = torch.cat((thresholds[:, :1], F.softplus(thresholds[:, 1:]) + 1e-3), 1)
        upper = steps.cumsum(1) - f.unsqueeze(-1)
        valid = self.codes.valid[self.ordinal]
        last = valid & ~F.pad(valid[:, 1:], (0, 1))
        below = torch.where(last, torch.zeros_like(upper), F.logsigmoid(upper))  # log P(y ≤ k)
        lower = F.pad(upper[..., :-1], (1, 0), value=-50.0)
        above = F.logsigmoid(-lower)  # log P(y > k - 1)
        inside = torch.log(-torch.expm1(-(upper - lower).clamp(min=1e-6)))
        mass = torch.where(last, above, below + above + inside)
        return torch.where(valid, mass, torch.full_like(mass, IMPOSSIBLE))

    def check(self, source: Source) -> None:
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
            share = counts[: self.codes.columns[number].codes] / counts[: self.codes.columns[number].codes].sum()
            if self.thresholds is not None and self.ordinal[number]:
                at = torch.logit(share.cumsum(0)[:-1].clamp(1e-4, 1 - 1e-4))
                row = int(self.ordinal[:number].sum())
                self.thresholds[row, 0] = at[0]
                self.thresholds[row, 1 : len(at)] = torch.log(torch.expm1((at[1:] - at[:-1] - 1e-3).clamp(min=1e-2)))
            else:
                levels.view(len(self.codes.columns), -1)[number, : len(share)] = share.log() - share.log().mean()
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
