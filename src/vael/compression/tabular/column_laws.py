"""The cells of a table's rows as a law of whole numbers: first which cells there are, then levels, then numbers by
halvings; and the default level for tables, cells that are missing or kept beside left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.distributions import Distribution

from vael.compression.laws import BERNOULLI, CATEGORICAL, CodingLaw, Question, Questions, Symbols, finite, upper_share
from vael.compression.reading import coarse, sigmoid
from vael.compression.safe import FINE_BINS, FloatLevel
from vael.compression.tabular.grids import WIDEST, CodingGrid, grids_of
from vael.counting import counted
from vael.data import Batch, Schema
from vael.errors import FormatError, ShapeError, SupportError
from vael.models import Model
from vael.probability.columns import Columns, Numbers

STATES = 3  # of a cell: coded, missing, kept beside
EDGES = float(1 << 16)  # steps of a unit spread that locations are brought to
LEAST = 1e-300
Counts = tuple[tuple[int, ...], ...]


def states_of(symbols: Symbols) -> np.ndarray:
    """0 where a cell is coded, 1 where it is missing, 2 where it is kept beside."""
    return np.maximum(-symbols, 0)


def count_states(symbols: Symbols) -> Counts:
    """For each column, how often each state followed each state of the column before, nine numbers; nothing for a
    column that is always coded.
    """
    states, before, found = states_of(symbols), np.zeros(len(symbols), np.int64), []
    for column in states.T:
        if not column.any():
            found.append(())
            continue
        found.append(tuple(np.bincount(STATES * before + column, minlength=STATES**2).tolist()))
        before = column
    return tuple(found)


class States(CodingLaw):
    """Which cells there are: the state of a column given that of the last column before it that has gaps, by how
    often each was.
    """

    def __init__(self, counts: Counts, examples: int) -> None:
        if any(len(one) not in (0, STATES**2) or min(one, default=0) < 0 for one in counts):
            raise FormatError("the counts of gaps are not those of a table")
        self.examples, self.rates = examples, [np.array(one, np.float64).reshape(-1, STATES) for one in counts]

    def questions(self) -> Questions:
        found, before = np.zeros((self.examples, len(self.rates)), np.int32), np.zeros(self.examples, np.int64)
        for place, rates in enumerate(self.rates):
            if len(rates):
                rows = np.where(rates.sum(1, keepdims=True) > 0, rates, 1.0)
                found[:, place] = yield Question(CATEGORICAL, (rows[before],))
                before = found[:, place].astype(np.int64)
        return found

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        states = states_of(symbols)
        return (states[:, place] for place, rates in enumerate(self.rates) if len(rates))

    def log_prob(self, symbols: Symbols) -> Float[np.ndarray, " examples"]:
        """Nats, without the rounding of the coder."""
        total, before, states = np.zeros(self.examples), np.zeros(self.examples, np.int64), states_of(symbols)
        for place, rates in enumerate(self.rates):
            if len(rates):
                share = rates / np.maximum(rates.sum(1, keepdims=True), 1)
                total += np.log(np.maximum(share[before, states[:, place]], LEAST))
                before = states[:, place].astype(np.int64)
        return total


@dataclass(frozen=True)
class NumberGrids:
    """The grids of the columns of numbers, an entry a column."""

    place: Int64[np.ndarray, " numbers"]  # among all columns
    depth: Int64[np.ndarray, " numbers"]
    rate: Float[np.ndarray, " numbers"]
    first: Float[np.ndarray, " numbers"]
    origin: Float[np.ndarray, " numbers"]


def number_grids(grids: Sequence[CodingGrid]) -> NumberGrids:
    """Those of the columns that are numbers."""
    place = [number for number, grid in enumerate(grids) if not grid.texts]
    facts = np.array(
        [(grids[p].depth, grids[p].rate, grids[p].first, grids[p].column.origin) for p in place], np.float64
    ).reshape(-1, 4)
    return NumberGrids(np.array(place, np.int64), facts[:, 0].astype(np.int64), facts[:, 1], facts[:, 2], facts[:, 3])


class Spikes:
    """Σ of ρ_i over the spikes a_i with low ≤ a_i < high, by their running totals in order of place.

    `choice` is ρ of each cell, none of the spikes first; `places` are the spikes of each column, negative where there
    are fewer.
    """

    def __init__(self, choice: Float[np.ndarray, "cells choices"], places: Float[np.ndarray, "numbers spikes"]) -> None:
        order, columns = np.argsort(places, axis=1, kind="stable"), np.arange(len(choice)) % len(places)
        self.none, self.count = choice[:, 0], places.shape
        sorted_ = np.take_along_axis(choice[:, 1:], order[columns], axis=1)
        self.below = np.concatenate([np.zeros((len(choice), 1)), sorted_.cumsum(1)], axis=1)
        held = np.clip(np.take_along_axis(places, order, axis=1), -1.0, WIDEST)
        self.keys = (
            held + 2.0 * WIDEST * np.arange(len(places))[:, None]
        ).ravel()  # of one column after another, in one order

    def __call__(
        self, cells: Int64[np.ndarray, " cells"], low: np.ndarray, high: np.ndarray
    ) -> Float[np.ndarray, " cells"]:
        column = cells % self.count[0]
        under, over = (
            np.searchsorted(self.keys, edge + 2.0 * WIDEST * column) - column * self.count[1] for edge in (low, high)
        )
        return self.below[cells, over] - self.below[cells, under]


class NumberMass:
    """P(low ≤ step < high) of the cells of columns of numbers under `Columns`: ρ_0 Σ_k π_k [F_k(g(high)) - F_k(g(low))]
    and the spikes between.

    Parameters are `[examples, numbers, ...]`; a cell is given by its place in `[examples × numbers]`.
    """

    def __init__(self, law: Columns, grids: NumberGrids, examples: int, *, exact: bool = False) -> None:
        given, numbers, self.grids = law.given, law.numbers, grids
        steps = (2.0**40, 2.0**40) if exact else (64.0, EDGES)
        weight, choice = (
            np.exp(_settled(coarse(one[0, :examples], steps[0]))) for one in (given.logits, given.spike_logits)
        )
        self.weight = (weight / weight.sum(-1, keepdims=True)).reshape(-1, weight.shape[-1])
        self.loc = coarse(given.loc[0, :examples], steps[1]).reshape(self.weight.shape)
        self.rate = np.exp(-coarse(given.log_scale[0, :examples], steps[0])).reshape(self.weight.shape)
        finite(self.weight, self.loc, self.rate)
        self.warp = [
            one.double().numpy()
            for one in (numbers.warp.centre, numbers.warp.width, numbers.warp.shift, numbers.warp.scale)
        ]
        self.logarithmic = numbers.warp.logarithmic.numpy()
        self.floor = numbers.floor.double().numpy()
        self.spikes = self._of_all(choice / choice.sum(-1, keepdims=True), numbers) if len(numbers.spiked) else None

    def _of_all(self, choice: Float[np.ndarray, "examples spiked choices"], numbers: Numbers) -> Spikes:
        """Columns without spikes beside those with: never one of them."""
        grids, spiked = self.grids, numbers.spiked.numpy()
        every = np.zeros((len(choice), len(grids.place), choice.shape[-1]))
        every[..., 0] = 1.0
        every[:, spiked] = choice
        places = np.full((len(grids.place), choice.shape[-1] - 1), -1.0)
        values = numbers.spikes.double().numpy() + grids.origin[spiked, None]
        places[spiked] = np.nan_to_num(
            np.round(values * grids.rate[spiked, None]) - grids.first[spiked, None], nan=-1.0
        )
        return Spikes(every.reshape(len(self.weight), -1), places)

    def __call__(
        self, cells: Int64[np.ndarray, " cells"], low: np.ndarray, high: np.ndarray
    ) -> Float[np.ndarray, " cells"]:
        column = cells % len(self.grids.place)
        a, b = (self._edge(cells, column, edge) for edge in (low, high))
        open_ = np.isinf(a)
        width = np.where(open_, 1.0, -np.expm1(np.where(open_, 0.0, a) - np.where(open_, 1.0, b)))
        smooth = (self.weight[cells] * sigmoid(b) * sigmoid(-a) * width).sum(-1)
        return smooth if self.spikes is None else self.spikes.none[cells] * smooth + self.spikes(cells, low, high)

    def _edge(self, cells: np.ndarray, column: np.ndarray, edge: np.ndarray) -> Float[np.ndarray, "cells components"]:
        """Where the lower edge of a step lies on the logistics' own scales; below the least value there can be,
        infinitely far.
        """
        value = (self.grids.first[column] + edge - 0.5) / self.grids.rate[column] - self.grids.origin[column]
        centre, width, shift, scale = (one[column] for one in self.warp)
        logarithmic = self.logarithmic[column]
        with np.errstate(divide="ignore"):
            t = np.where(
                logarithmic,
                np.log(np.maximum(np.where(logarithmic, value, 1.0), 0.0)),
                np.arcsinh((value - centre) / width),
            )
        bottom = value + 0.5 / self.grids.rate[column] <= self.floor[column]
        place = np.where(bottom, -np.inf, (t - shift) / scale)
        return (place[:, None] - self.loc[cells]) * self.rate[cells]


def _settled(logits: np.ndarray) -> np.ndarray:
    """Logits whose largest is 0."""
    return logits - logits.max(-1, keepdims=True, initial=-np.inf) if logits.shape[-1] else logits


class ColumnRows(CodingLaw):
    """The cells of rows under `Columns`; cells that are missing or kept beside are `MISSING` and `ASIDE` in place
    of a symbol.
    """

    def __init__(self, law: Columns, grids: Sequence[CodingGrid], counts: Counts, examples: int) -> None:
        self.states, self.grids, self.examples = States(counts, examples), grids, examples
        self.numbers, self.levels = number_grids(grids), level_shares(law, grids, examples)
        self.mass = NumberMass(law, self.numbers, examples) if len(self.numbers.place) else None

    def questions(self) -> Questions:
        """States of all cells first, then levels, then numbers by halving their ranges."""
        found = -(yield from self.states.questions())
        for place, shares in self.levels.items():
            rows = found[:, place] == 0
            if rows.any() and shares.shape[1] > 1:
                found[rows, place] = yield Question(CATEGORICAL, (shares[rows],))
        if self.mass is not None:
            seen = found[:, self.numbers.place] == 0
            steps = yield from self._halvings(self.mass, np.flatnonzero(seen))
            part = found[:, self.numbers.place]
            part[seen] = steps
            found[:, self.numbers.place] = part
        return found

    def _halvings(self, mass: NumberMass, cells: Int64[np.ndarray, " cells"]) -> Questions:
        low, depth = np.zeros(len(cells), np.int64), self.numbers.depth[cells % len(self.numbers.place)]
        for digit in reversed(range(int(depth.max(initial=0)))):
            on = depth > digit
            middle = low[on] + (1 << digit)
            upper = upper_share(mass(cells[on], low[on], middle), mass(cells[on], middle, middle + (1 << digit)))
            answer = yield Question(BERNOULLI, (upper,))
            low[on] += answer.astype(np.int64) << digit
        return low.astype(np.int32)

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        """In the order of the questions."""
        yield from self.states.answers(symbols)
        for place, shares in self.levels.items():
            column = symbols[:, place]
            if (column >= 0).any() and shares.shape[1] > 1:
                yield column[column >= 0]
        numbers = symbols[:, self.numbers.place]
        seen = numbers >= 0
        steps, depth = numbers[seen], self.numbers.depth[np.flatnonzero(seen) % max(len(self.numbers.place), 1)]
        for digit in reversed(range(int(depth.max(initial=0)))):
            yield (steps[depth > digit] >> digit) & 1


def level_shares(
    law: Columns, grids: Sequence[CodingGrid], examples: int, *, exact: bool = False
) -> dict[int, Float[np.ndarray, "examples texts"]]:
    """For each column of levels the probability of each, the code that rare levels share divided by how often each
    of them was.
    """
    logits = coarse(law.log_probs[0, :examples].clamp(min=-700.0), 2.0**40 if exact else 64.0)
    found: dict[int, np.ndarray] = {}
    for number, place in enumerate(law.levels.tolist()):
        column = grids[place].column
        shares = np.exp(logits[:, number, : column.codes])
        shares = shares / shares.sum(1, keepdims=True)
        if column.rare:
            counts = np.array([count for _, count in column.rare], np.float64)
            shares = np.concatenate([shares[:, :-1], shares[:, -1:] * (counts / counts.sum())], axis=1)
        found[place] = shares
    return found


def log_cells(law: Columns, grids: Sequence[CodingGrid], symbols: Symbols) -> Float[np.ndarray, " examples"]:
    """Log P of the cells that are coded, nats, with the model's parameters as they are: no grid for these, no
    entropy coder.
    """
    examples, numbers = len(symbols), number_grids(grids)
    total = np.zeros(examples)
    for place, shares in level_shares(law, grids, examples, exact=True).items():
        chosen = np.take_along_axis(shares, np.maximum(symbols[:, place], 0)[:, None].astype(np.int64), 1)[:, 0]
        total += np.where(symbols[:, place] >= 0, np.log(np.maximum(chosen, LEAST)), 0.0)
    if not len(numbers.place):
        return total
    steps = symbols[:, numbers.place]
    seen: Bool[np.ndarray, "examples numbers"] = steps >= 0
    mass = NumberMass(law, numbers, examples, exact=True)(
        np.flatnonzero(seen), steps[seen].astype(np.int64), steps[seen].astype(np.int64) + 1
    )
    each = np.zeros(steps.shape)
    each[seen] = np.log(np.maximum(mass, LEAST))
    return total + each.sum(1)


ROWS = 512  # in one call of a network


class TableLevel(FloatLevel):
    """Rows of a table: a symbol a cell (`CodingGrid`), `MISSING` or `ASIDE` where the model is shown a gap; `counts`
    says how often those are.

    Which cells there are is coded by how often a column has them where the column before has, levels by their
    probabilities, a number by the mass of its step under the column's law. Errors: `SupportError` for a likelihood that
    is not one of columns, `ShapeError` for counts of another table and sizes below 1.
    """

    def __init__(
        self, model: Model, schema: Schema, counts: Counts, *, batch: int = ROWS, bins: int = FINE_BINS
    ) -> None:
        if len(counts) != len(schema.columns):
            raise ShapeError(
                f"{counted(len(counts), 'count')} of gaps for {counted(len(schema.columns), 'column')}; expected "
                "one for each"
            )
        self.grids, self.counts = grids_of(schema), counts
        self.cells, self.levels = len(schema.columns), WIDEST
        super().__init__(model, batch=batch, bins=bins)

    def _batch(self, x: Symbols) -> Batch:
        cells = self._shown(x)
        return Batch(x=cells, observed=~torch.isnan(cells))

    def _shown(self, x: Symbols) -> Tensor:
        return torch.from_numpy(
            self._padded(
                np.stack([grid.shown(x[:, place]) for place, grid in enumerate(self.grids)], axis=1), self.cells
            )
        )

    def _law(self, law: Distribution, examples: int) -> CodingLaw:
        return ColumnRows(columns_of(law), self.grids, self.counts, examples)

    def _log_prob(self, law: Distribution, x: Symbols) -> np.ndarray:
        return log_cells(columns_of(law), self.grids, x) + States(self.counts, len(x)).log_prob(x)


def columns_of(law: Distribution) -> Columns:
    """Errors: `SupportError` for another law."""
    if not isinstance(law, Columns):
        raise SupportError(
            f"{type(law).__name__} is no law of a table's columns; train with a likelihood for each column "
            "(--likelihood columns)"
        )
    return law
