"""`vael forecast`: what comes after the last step of every series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vael.cli import series
from vael.cli.formats import ROWS, Result
from vael.cli.options.declaring import argument, option
from vael.cli.options.shared import ResultOptions, in_run, result, seed
from vael.cli.options.values import number, whole
from vael.cli.results import loaded, target_of
from vael.cli.telling import said
from vael.counting import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from vael.applications.forecasting import Future
    from vael.data.sequences import Sequences
    from vael.specs import Run

DRAWN, SERIES = "draw", "series"


@dataclass(frozen=True, kw_only=True)
class ForecastOptions(ResultOptions):
    """What `vael forecast` takes."""

    notes: ClassVar[str] = (
        "For models of sequences. A forecast knows the last window of each series; a gap in it is a gap. Written "
        "are the mean of each channel and the ends of the interval, noise of the measurement included."
    )
    output: Path | None = result(
        ".csv, .parquet, or .npy [series, steps, channels]; default forecast.csv in the run folder",
        in_run("forecast.csv"),
        formats=ROWS,
    )
    data: str | None = argument(
        "DATA", "series to go on from; default all of the run's own data", default=None, called="the data themselves"
    )
    steps: int | None = option("H", "steps to forecast; default a quarter of a window", whole, main=True)
    interval: float = option(
        "P", "probability between the two quantiles", number(float, 0, above=True, most=0.999), default=0.9
    )
    draws: int | None = option(
        "N",
        "write N drawn futures of each series and no means: for what hangs on several steps",
        number(int, 1, most=1000),
    )
    seed: int = seed("the draws")


def forecast(options: ForecastOptions) -> int:
    """Means and quantiles, or draws, of the steps after each series."""
    from vael.applications.forecasting import future
    from vael.applications.generation import write
    from vael.data.covering import last_windows

    run = loaded(options)
    target = target_of(run, options, "forecast")
    found = series.read(run, options.data)
    steps = options.steps or max(1, found.window // 4)
    ahead = future(run.model, last_windows(found), steps, seed=options.seed)
    result = Result(
        array=lambda path: write(path, ahead.mean if options.draws is None else ahead.draws[: options.draws]),
        table=lambda path: series.store_columns(path, table(run, found, ahead, options.interval, options.draws)),
    )
    return say(target.write(result), found, steps, options)


def table(run: Run, found: Sequences, ahead: Future, share: float, draws: int | None) -> Mapping[str, pa.Array]:
    """A line for each step of each series, or of each draw of each."""
    import numpy as np
    import pyarrow as pa

    _, count, steps, _ = ahead.draws.shape
    times = future_times(run, found, steps)
    beside: dict[str, pa.Array] = {}
    if found.windowing.id or not found.windowing.time:
        name = found.windowing.id or SERIES
        beside[name] = pa.array(np.repeat([one.name for one in found.series], steps))
    if draws is None:
        channels = series.channels_of(run, ahead.mean.flatten(0, 1))
        low, high = (
            series.channels_of(run, one.flatten(0, 1)) for one in ahead.quantiles(((1 - share) / 2, (1 + share) / 2))
        )
        ends = f"{(1 - share) / 2:.3g}", f"{(1 + share) / 2:.3g}"
        told = {
            f"{name}{end}": values[name]
            for name in channels
            for end, values in (("", channels), (f" {ends[0]}", low), (f" {ends[1]}", high))
        }
        return {**beside, **times, **told}
    again = np.tile(np.arange(count * steps), draws)
    first = {DRAWN: pa.array(np.repeat(np.arange(1, draws + 1), count * steps))}
    told = series.channels_of(run, ahead.draws[:draws].flatten(0, 2))
    return {**first, **{name: one.take(pa.array(again)) for name, one in {**beside, **times}.items()}, **told}


def future_times(run: Run, found: Sequences, steps: int) -> Mapping[str, pa.Array]:
    """The times after the last one of each series, as far apart as its own usually are; of an array step numbers."""
    import numpy as np
    import pyarrow as pa
    import torch

    from vael.data import Schema
    from vael.data.covering import following
    from vael.tables.schema_file import from_record
    from vael.tables.writing import arrow_cells

    known = run.spec.data.sequence and run.spec.data.sequence.columns
    if known is None:
        return {"step": pa.array(np.concatenate([np.arange(1, steps + 1) + len(one) for one in found.series]))}
    column = from_record(known, "run.json").columns[0]
    ahead = np.concatenate([following(one, steps, column) for one in found.series])
    cells = arrow_cells(Schema((column,)), torch.from_numpy(ahead)[:, None])
    return {column.name: cells.column(column.name).combine_chunks()}


def say(target: Path, found: Sequences, steps: int, options: ForecastOptions) -> int:
    """What was written."""
    means = f"means, and the middle {options.interval:.0%} of draws"
    record = {"file": str(target), "series": len(found.series), "steps": steps, "context": found.window}
    return said(
        options.json,
        {**record, "interval": options.interval, "draws": options.draws},
        f"{target}: {counted(steps, 'step')} after {counted(len(found.series), 'series', 'series')}, given the last "
        f"{found.window} steps of each: {means if options.draws is None else f'{options.draws} drawn futures'}",
    )
