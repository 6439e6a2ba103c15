"""Where the columns of a table stand and how far they spread: of numbers from rows of the training data, of levels by
their schema.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vael.models.likelihoods.column_kinds import form_of, is_whole
from vael.probability.columns import Numbers
from vael.probability.warp import Warp
from vael.tables.schema import Column, Schema
from vael.tables.stand_ins import apart

LINEAR = 1000.0  # spreads within which a column without heavy tails is taken as it is
TAIL = 8.0  # spreads between quartiles beyond which a value is far out
MOST_VALUES, MOST_CHOICES = (
    128,
    2048,
)  # values that a column of whole numbers may have for a free probability of each, and of all columns
NEAR = 3.0  # spreads of a column, from its middle, within which a spike of whole numbers is one of its numbers
FEWEST = 3  # cells, of at most 10,000, that a value must have for that


def is_number(column: Column) -> bool:
    """Whether the cells of a column are numbers, not codes."""
    return form_of(column) is not None


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
    if cells is None or not is_whole(column):
        return 0
    values, counts = cells[~torch.isnan(cells)].unique(return_counts=True)
    return int((counts >= FEWEST).sum()) if len(values) <= most else 0


def _commonest(cells: Tensor, size: int) -> list[float]:
    """The `size` commonest values in order; of equally common ones the smaller."""
    values, counts = cells[~torch.isnan(cells)].unique(return_counts=True)
    return sorted(values[counts.argsort(descending=True, stable=True)[:size]].tolist())


def _find_among_loaded(scales: ColumnScales, _: object) -> None:
    scales._find_among()  # named, not nameless: joblib and pickle copy a model by the names of its functions


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
        logarithmic = torch.tensor([form.logarithmic for form in map(form_of, self.columns) if form], dtype=torch.bool)
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
            -math.inf if not is_whole(c) or c.minimum is None or c.minimum < 0 else 0.0 - c.origin for c in self.columns
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
        self._fixed("whole", list(map(is_whole, self.columns)), torch.bool)
        self.heaped = tuple(bool((tables or [0] * len(self.columns))[number]) for number in self.spiked.tolist())
        self.register_buffer("among", torch.zeros_like(self.filled), persistent=False)
        self._find_among()
        self.register_load_state_dict_post_hook(_find_among_loaded)  # the values come with the weights

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
        t = v.clamp(min=1e-30).log() if bool(self.logarithmic[number]) else torch.asinh((v - centre) / width)
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
