"""`vael forecast`: what comes after the last step of every series."""

from __future__ import annotations

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
    from vael.data.sequences import Sequences


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
    from vael.applications.generation import write
    from vael.specs.series import forecast_columns

    run = loaded(options)
    target = target_of(run, options, "forecast")
    found, ahead = run.use.future(options.data, options.steps, options.seed)
    result = Result(
        array=lambda path: write(path, ahead.mean if options.draws is None else ahead.draws[: options.draws]),
        table=lambda path: series.store_columns(
            path, forecast_columns(run.spec.data, found, ahead, options.interval, options.draws)
        ),
    )
    return say(target.write(result), found, ahead.mean.shape[1], options)


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
