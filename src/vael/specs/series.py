"""Results of runs on sequences as columns of a table: channels in the types of their data, times beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from vael import domains
from vael.applications.sequences import Future
from vael.data import Schema
from vael.data.conditioning.columns import CellsCondition
from vael.data.covering import following
from vael.data.series import Sequences
from vael.domains import DataSpec
from vael.domains.sequence import series_of
from vael.errors import StateError
from vael.tables.schema import Column
from vael.tables.schema_file import from_record
from vael.tables.writing import arrow_cells

DRAWN, SERIES = "draw", "series"


def series_in(known: DataSpec, data: object) -> Sequences:
    """All series of some data, at a path or in memory, the test split of those that have their own; of None all those
    of the run's own data.

    Errors: `StateError` for a run on other data.
    """
    if not domains.of(known).in_time(known):
        raise StateError(
            f"the run was trained on {known.name}, which holds no sequences; train on some (`vael train DATA "
            "--sequence TIME`)"
        )
    return series_of(known, known.source) if data is None else series_of(known, data).tested


def channels_of(known: DataSpec, x: Tensor) -> dict[str, pa.Array]:
    """Channels with the types and decimals that their columns had."""
    found = arrow_cells(domains.of(known).columns(known) or Schema(()), x)
    return {name: found.column(name).combine_chunks() for name in found.column_names}


def written_as(known: DataSpec, share: float | None = None) -> dict[str, Column]:
    """How the columns of results that `channels_of`, `conditions_of` and `future_times` make are written as text, by
    name; with `share` the ends of an interval of each channel among them.
    """
    channels = (domains.of(known).columns(known) or Schema(())).columns
    beside = known.condition.columns.columns if isinstance(known.condition, CellsCondition) else ()
    ends = () if share is None else interval_of(share)
    told = {f"{one.name} {end}": one for one in channels for end in ends}
    return told | {one.name: one for one in (*beside, *channels, *filter(None, (time_of(known),)))}


def time_of(known: DataSpec) -> Column | None:
    """The column of times; None of an array."""
    written = known.sequence and known.sequence.columns
    return from_record(written, "run.json").columns[0] if written else None


def interval_of(share: float) -> tuple[str, str]:
    """What the ends of an interval in the middle are called."""
    return f"{(1 - share) / 2:.3g}", f"{(1 + share) / 2:.3g}"


def conditions_of(known: DataSpec, cells: Tensor | None, steps: int) -> dict[str, pa.Array]:
    """The columns that windows are conditioned on, a line for each of so many steps; none where no columns are."""
    if cells is None or not isinstance(known.condition, CellsCondition):
        return {}
    found = arrow_cells(known.condition.columns, cells.repeat_interleave(steps, 0))
    return {name: found.column(name).combine_chunks() for name in found.column_names}


def forecast_columns(
    known: DataSpec, found: Sequences, ahead: Future, share: float, draws: int | None
) -> Mapping[str, pa.Array]:
    """A line for each step of each series, or of each draw of each."""
    _, count, steps, _ = ahead.draws.shape
    times = future_times(known, found, steps)
    beside: dict[str, pa.Array] = {}
    if found.windowing.id or not found.windowing.time:
        name = found.windowing.id or SERIES
        beside[name] = pa.array(np.repeat([one.name for one in found.series], steps))
    if draws is None:
        channels = channels_of(known, ahead.mean.flatten(0, 1))
        low, high = (
            channels_of(known, one.flatten(0, 1)) for one in ahead.quantiles(((1 - share) / 2, (1 + share) / 2))
        )
        ends = interval_of(share)
        told = {
            f"{name}{end}": values[name]
            for name in channels
            for end, values in (("", channels), (f" {ends[0]}", low), (f" {ends[1]}", high))
        }
        return {**beside, **times, **told}
    again = np.tile(np.arange(count * steps), draws)
    first = {DRAWN: pa.array(np.repeat(np.arange(1, draws + 1), count * steps))}
    told = channels_of(known, ahead.draws[:draws].flatten(0, 2))
    return {**first, **{name: one.take(pa.array(again)) for name, one in {**beside, **times}.items()}, **told}


def future_times(known: DataSpec, found: Sequences, steps: int) -> Mapping[str, pa.Array]:
    """The times after the last one of each series, as far apart as its own usually are; of an array step numbers."""
    column = time_of(known)
    if column is None:
        return {"step": pa.array(np.concatenate([np.arange(1, steps + 1) + len(one) for one in found.series]))}
    ahead = np.concatenate([following(one, steps, column) for one in found.series])
    cells = arrow_cells(Schema((column,)), torch.from_numpy(ahead)[:, None])
    return {column.name: cells.column(column.name).combine_chunks()}
