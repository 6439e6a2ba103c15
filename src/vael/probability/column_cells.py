"""Some cells of rows under the law of their columns: what is asked of gaps costs nothing for all other cells."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from vael.probability.columns import Columns, ColumnVariates, NumberParameters, Numbers
from vael.probability.wide import widened

VECTOR = 16  # a multiple of the numbers that an instruction of any processor takes at once
CELLS_AT_ONCE = 8 * VECTOR  # few enough that the intermediate results of all samples stay in the cache


@dataclass(frozen=True)
class ChosenCells:
    """Some cells of one kind, by their rows and columns: of numbers with spikes, of numbers without, or of levels.

    Filled up by copies of the last until samples times cells are a multiple of `VECTOR`, so that PyTorch's loops over
    vectors treat all alike: an answer then has the same bits whichever other cells are asked for.
    """

    row: Int64[Tensor, " cells"]
    column: Int64[Tensor, " cells"]
    rows: Int64[Tensor, " filled"]
    number: Int64[Tensor, " numbers"]  # their columns among the columns of numbers; none for levels
    spiked: Int64[Tensor, " spiked"]  # among those with spikes; none for others
    level: Int64[Tensor, " levels"]  # among the columns of levels; none for numbers

    def law(self, law: Columns) -> Columns:
        """The factors of these cells in float64, as the law of one row that has a column for each,
        `[samples, 1, cells]`.
        """
        given, numbers, every = law.given, law.numbers, torch.arange(len(self.rows), device=self.rows.device)
        of_numbers, of_spiked, of_levels = (
            (slice(None), self.rows[: len(which)], which) for which in (self.number, self.spiked, self.level)
        )
        cut = NumberParameters(
            given.logits[of_numbers][:, None],
            given.loc[of_numbers][:, None],
            given.log_scale[of_numbers][:, None],
            given.spike_logits[of_spiked][:, None],
        )
        of_cells = Numbers(
            every[: len(self.number)],
            numbers.warp.at(self.number),
            numbers.whole[self.number],
            numbers.floor[self.number],
            numbers.low[self.number],
            numbers.high[self.number],
            every[: len(self.spiked)],
            numbers.spikes[self.spiked],
            numbers.among[self.spiked],
        )
        codes = law.log_probs[of_levels][:, None]
        return widened(Columns(len(every), of_cells, cut, every[: len(self.level)], codes))  # type: ignore[bad-return]

    def variates(self, variates: ColumnVariates, like: Tensor) -> ColumnVariates:
        """Those of these cells among the variates of whole rows, `[..., 1, cells]` with the dtype of `like`."""
        chosen = (self.number, self.number, self.spiked, self.level)
        return ColumnVariates(
            *(
                getattr(variates, field.name)[..., self.rows[: len(which)], which].unsqueeze(-2).to(like.dtype)
                for field, which in zip(fields(ColumnVariates), chosen, strict=True)
            )
        )


def parts_of(law: Columns, wanted: Bool[Tensor, "batch columns"]) -> Iterator[ChosenCells]:
    """The cells that are wanted, kind by kind, a few at a time."""
    place, spiked, levels = law.numbers.place, law.numbers.spiked, law.levels
    numbers = torch.arange(len(place), device=place.device)
    smooth, none = numbers[~torch.isin(numbers, spiked)], numbers[:0]
    kinds = (
        (place[spiked], spiked, torch.arange(len(spiked), device=place.device), none),
        (place[smooth], smooth, none, none),
        (levels, none, none, torch.arange(len(levels), device=place.device)),
    )
    even = VECTOR // math.gcd(VECTOR, law.batch_shape[0])
    for columns, *own in kinds:
        found = wanted[:, columns].nonzero()
        for part in found.split(CELLS_AT_ONCE) if len(found) else ():
            filled = torch.cat((part, part[-1:].expand(-len(part) % even, 2)))
            rows, which = filled.unbind(1)
            yield ChosenCells(part[:, 0], columns[part[:, 1]], rows, *(one[which] if len(one) else none for one in own))
