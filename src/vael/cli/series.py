"""`vael sample`, `reconstruct`, `encode`, `score`, `impute` and `forecast` for runs on sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from vael.applications.generation import reconstructions, samples, write
from vael.applications.sequences import WindowTerms, all_terms, codes_of
from vael.cli import series
from vael.cli.drawing.conditioning import as_many, conditioned
from vael.cli.expecting import SERIES, WINDOWS, Expecting
from vael.cli.formats import ARRAY, LAID_OUT, Result, Target, format_of
from vael.cli.options.drawing import ForecastOptions, SampleOptions
from vael.cli.options.shared import ResultOptions
from vael.cli.options.using import EncodeOptions, ImputeOptions, ReconstructOptions, ScoreOptions
from vael.cli.results import add_completed, loaded, opened
from vael.cli.telling import said
from vael.counting import counted
from vael.data.covering import Covering, cover
from vael.data.sequences import parted
from vael.data.series import Sequences, stored_in
from vael.domains.sequence import in_conditions
from vael.errors import FormatError, StateError
from vael.options.declaring import given
from vael.specs import Run
from vael.specs.series import channels_of, conditions_of, forecast_columns, series_in, written_as
from vael.tables import columnwise as pc
from vael.tables.as_text.output import cell_file, row_file
from vael.tables.constraints import enforced
from vael.tables.schema import Column
from vael.tables.writing import completed, written_cells

NOTHING: Mapping[str, Column] = MappingProxyType({})
ENOUGH = 10  # windows of validation from which p-values are given
SHOWN = 5  # windows and elements that are named
SEED = 0  # of the draws that scores come from
ALWAYS = {"run", "data", "output", "json", "seed", "trust", "condition_on"}


def refuse_options(options: ResultOptions, known: set[str], command: str) -> None:
    """Errors: `StateError` for an option that is for other data."""
    other = sorted(one.names[0] for one, _ in given(options) if one.name not in known | ALWAYS)
    if other:
        raise StateError(f"`vael {command}` has {other[0]} for images and tables, not for sequences; leave it out")


def taken(options: ResultOptions, known: set[str], command: str, name: str) -> tuple[Run, Target]:
    """The run of a command and the file that it writes. Errors: as `refuse_options` and `target_of`."""
    refuse_options(options, known, command)
    return opened(options, name)


def sample(options: SampleOptions) -> int:
    """New windows: .npy [samples, time, channels], or a table with a line for each step of each."""
    run, target = taken(options, {"count", "where", "class_"}, "sample", "samples")
    options = as_many(run, options)
    count = options.examples
    drawn = conditioned(run, count, options, film=False)
    refuse_options(drawn.options, {"count", "where"}, "sample")  # a class that is no condition
    with Expecting("Drawing", silent=options.json, nouns=WINDOWS) as expected:
        x = samples(drawn.run.model, count, options.seed, drawn.each, progress=expected.tell)
    time = x.shape[1]
    beside = {
        "sample": pa.array(np.repeat(np.arange(1, count + 1), time)),
        "step": pa.array(np.tile(np.arange(1, time + 1), count)),
        **conditions_of(run.spec.data, drawn.beside, time),
    }
    columns = beside | channels_of(run.spec.data, torch.nan_to_num(x).flatten(0, 1))
    path = target.write(steps(x, columns, written_as(run.spec.data)))
    return said(options.json, {"file": str(path), "examples": count}, f"{path}: {counted(count, 'window')}")


def steps(x: Tensor, columns: Mapping[str, pa.Array], written: Mapping[str, Column] = NOTHING) -> Result:
    """Numbers, or the same as columns beside what names their lines."""
    return Result(array=lambda path: write(path, x), table=lambda path: store_columns(path, columns, written))


def store_columns(path: Path, columns: Mapping[str, pa.Array], written: Mapping[str, Column] = NOTHING) -> None:
    """Columns as .parquet, or as text: those that `written` has in the form of their column, as the data have it."""
    with cell_file(path) as file:
        cells = {
            name: one
            if file.typed
            else pa.array(written_cells(written[name], one), pa.string())
            if name in written
            else pc.cast(one, pa.string())
            for name, one in columns.items()
        }
        file.add(pa.table(cells))


def covering(run: Run, data: object, *, overlap: bool = False) -> tuple[Sequences, Covering]:
    """All steps of some data in windows side by side, or with `overlap` in windows that share half of their steps; of
    the run's own data those of the test split.
    """
    found, how = series_in(run.spec.data, data), run.spec.data.reading
    series = found.series if data is not None else parted(found, how.seed, how.validation, how.test)[2]
    covered = cover(found, series, overlap=found.window // 2 if overlap else 0)
    return found, replace(covered, source=in_conditions(run.spec.data, covered.source, data))


def encode(options: EncodeOptions) -> int:
    """Posterior means of the latents: a line for each step, where every step has its own, else one for each window."""
    run, target = taken(options, set(), "encode", "codes")
    found, windows = covering(run, options.data, overlap=True)
    codes = codes_of(run.model, windows.source)
    each = "step" if codes.dim() == 3 else "window"
    if each == "window":  # side by side
        found, windows = covering(run, options.data)
        codes = codes_of(run.model, windows.source)
        number = pa.array(np.arange(1, len(windows.begins) + 1))  # beside what names the first step of each
        beside, numbers = {"window": number, **windows.beside(found, windows.begins)}, codes
    else:
        beside, numbers = windows.beside(found), torch.from_numpy(windows.steps_of(codes.numpy()))
    named = {f"z{place + 1}": pa.array(column.numpy()) for place, column in enumerate(numbers.unbind(1))}
    target.write(steps(numbers, {**beside, **named}))
    return told(target, len(numbers), each, f"{counted(numbers.shape[1], 'latent')} each", options)


def reconstruct(options: ReconstructOptions) -> int:
    """The mean of p(x | z) at the means of q(z | x), a line for each step; the times and series beside."""
    run, target = taken(options, set(), "reconstruct", "reconstructions")
    found, windows = covering(run, options.data, overlap=True)
    with Expecting("Reconstructing", silent=options.json, nouns=WINDOWS) as expected:
        _, again = reconstructions(run.model, windows.source, progress=expected.tell)
    x = torch.from_numpy(windows.steps_of(again.numpy()))
    beside, channels, written = windows.beside(found), channels_of(run.spec.data, x), written_as(run.spec.data)
    target.write(steps(x, {**beside, **channels}, {name: written[name] for name in channels}))  # times are as they came
    return told(target, len(x), "step", counted(x.shape[1], "channel"), options)


def told(target: Target, count: int, what: str, more: str, options: ResultOptions) -> int:
    """Say what was written."""
    record = {"file": str(target.path), "examples": count, "of": what}
    return said(options.json, record, f"{target.path}: {counted(count, what)}, {more}")


def score(options: ScoreOptions) -> int:
    """How strange each window is, and each element of it."""
    run, target = taken(options, set(), "score", "scores")
    found, windows = covering(run, options.data)
    terms = all_terms(run.model, windows.source, seed=SEED)
    p_values = p_values_of(run, terms)
    window, step = np.nonzero(windows.steps >= 0)
    nothing = np.full(len(window), np.nan)
    columns = {**windows.beside(found, windows.steps[window, step]), "window": pa.array(window + 1)}
    columns["score"] = pa.array(terms.score.numpy()[window])
    columns["p_value"] = pa.array(nothing if p_values is None else p_values[window], from_pandas=True)
    surprise = terms.surprise.numpy()[window, step]
    for place, name in enumerate(found.columns):
        columns[f"nats {name}"] = pa.array(surprise[:, place], from_pandas=True)
    return say_scores(target.write(steps(terms.surprise, columns)), found, windows, terms, p_values, options.json)


def p_values_of(run: Run, terms: WindowTerms) -> np.ndarray | None:
    """The share of windows of validation that are as strange, counting one more; None where these are too few."""
    held_out = run.splits().validation
    if len(held_out) < ENOUGH:
        return None
    usual = all_terms(run.model, held_out, seed=SEED).score
    return ((usual[None] >= terms.score[:, None]).sum(1) + 1).double().div(len(usual) + 1).numpy()


def say_scores(
    target: Path, found: Sequences, windows: Covering, terms: WindowTerms, p_values: np.ndarray | None, as_json: bool
) -> int:
    """The strangest windows, and their strangest elements."""
    order = terms.score.argsort(descending=True).tolist()
    listed = []
    for window in order[:SHOWN]:
        flat = terms.surprise[window].nan_to_num(nan=-1e9).flatten()
        step, channel = divmod(int(flat.argmax()), len(found.columns))
        record = {
            "window": window + 1,
            "score": float(terms.score[window]),
            "p_value": None if p_values is None else float(p_values[window]),
            "begins": windows.told(found, window, 0),
            "strangest": {
                "at": windows.told(found, window, step),
                "channel": found.columns[channel],
                "nats": float(terms.surprise[window, step, channel]),
            },
        }
        listed.append(record)
    mean = float(-terms.log_likelihood.sum() / terms.steps.sum().clamp(min=1))
    lines = [
        f"{target}: {counted(len(order), 'window')} of {found.window} steps; -log p(x) is {mean:.3f} nats a step, "
        "importance-weighted"
    ]
    for one in listed:
        p = "" if one["p_value"] is None else f", p = {one['p_value']:.3f}"
        strangest = one["strangest"]
        lines.append(
            f"  window {one['window']} from {one['begins']}: {one['score']:.3f} nats a step{p}; strangest "
            f"{strangest['channel']} at {strangest['at']}, {strangest['nats']:.2f} nats"
        )
    if p_values is None:
        lines.append(f"note: no p-values, because fewer than {ENOUGH} windows were held out for validation")
    record = {"file": str(target), "windows": len(order), "mean_score": mean, "strangest": listed}
    return said(as_json, record, *lines)


def impute(options: ImputeOptions) -> int:
    """The data with their gaps filled; what was seen stays as it came."""
    refuse_options(options, {"samples"}, "impute")
    run = loaded(options)
    target, data = options.target, options.data
    found, windows = covering(run, options.data, overlap=True)
    form = format_of(target, (LAID_OUT if found.from_table else ARRAY,))
    mean = all_terms(run.model, windows.source, samples=options.samples, seed=options.seed).mean
    filled = windows.steps_of(mean.numpy())
    form.write(
        target,
        Result(
            array=lambda path: write_array(path, data, filled),
            table=lambda path: write_rows(path, found, windows, filled),
        ),
    )
    unsure = "" if run.spec.data.gaps else "; the run was trained on series without gaps, so look at what it fills in"
    return said(
        options.json,
        {"files": [str(target)], "windows": len(windows.source), "filled": found.gaps},
        f"{target}: {counted(found.gaps, 'element')} filled by their mean given their window{unsure}",
    )


def write_array(target: Path, data: Path, filled: np.ndarray) -> None:
    """The array with its NaN filled."""
    x = stored_in(data)
    gaps = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
    x[gaps] = filled.reshape(x.shape)[gaps]
    with row_file(target) as file:
        file.add(x)


def write_rows(target: Path, found: Sequences, windows: Covering, filled: np.ndarray) -> None:
    """The table with its empty cells filled, in its own order."""
    table = found.table
    if table is None:
        raise FormatError(f"{found.name} is no table; give an .npy output")
    x, place = table.x.clone(), {int(row): number for number, row in enumerate(table.rows)}
    order = torch.tensor([place[int(row)] for row in windows.rows])
    x[order, 1:] = torch.where(x[order, 1:].isnan(), torch.from_numpy(filled).to(x.dtype), x[order, 1:])
    with cell_file(target, table.layout) as file:
        add_completed(file, table, completed(table, enforced(table.schema, x), 0))


def forecast(options: ForecastOptions) -> int:
    """Means and quantiles, or draws, of the steps after each series."""
    run, target = opened(options, "forecast")
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
