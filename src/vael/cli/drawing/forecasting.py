"""`vael forecast`: what comes after the last step of every series."""

from __future__ import annotations

from vael.applications.generation import write
from vael.cli import series
from vael.cli.expecting import SERIES, Expecting
from vael.cli.formats import Result
from vael.cli.options.drawing import ForecastOptions
from vael.cli.results import loaded, target_of
from vael.cli.telling import said
from vael.counting import counted
from vael.specs.series import forecast_columns, written_as


def forecast(options: ForecastOptions) -> int:
    """Means and quantiles, or draws, of the steps after each series."""
    run = loaded(options)
    target = target_of(run, options, "forecast")
    with Expecting("Forecasting", silent=options.json, nouns=SERIES) as time:
        found, ahead = run.use.future(options.data, options.steps, options.seed, progress=time.tell)
    result = Result(
        array=lambda path: write(path, ahead.mean if options.draws is None else ahead.draws[: options.draws]),
        table=lambda path: series.store_columns(
            path,
            forecast_columns(run.spec.data, found, ahead, options.interval, options.draws),
            written_as(run.spec.data, options.interval),
        ),
    )
    steps, means = ahead.mean.shape[1], f"means, and the middle {options.interval:.0%} of draws"
    record = {"file": str(target.write(result)), "series": len(found.series), "steps": steps, "context": found.window}
    return said(
        options.json,
        {**record, "interval": options.interval, "draws": options.draws},
        f"{target.path}: {counted(steps, 'step')} after {counted(len(found.series), 'series', 'series')}, given the "
        f"last {found.window} steps of each: {means if options.draws is None else f'{options.draws} drawn futures'}",
    )
