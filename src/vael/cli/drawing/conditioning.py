"""The parts of `vael sample` that draw otherwise than from the prior: at the condition of a conditional model, given
values in some columns, from latents of a class or of a density that was fitted to codes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import torch
from PIL.Image import Image
from torch import Tensor

from vael.applications import generation, latents, traversal
from vael.applications.conditional import GUESSED, conditional_samples
from vael.cli.options.drawing import LatentOptions, SampleOptions
from vael.cli.options.parser import UsageError
from vael.cli.telling import answer
from vael.data.conditioning.columns import CellsCondition
from vael.errors import StateError
from vael.models import Classifies, Whitens, has
from vael.nearest import hint
from vael.options.declaring import names_given
from vael.process import ignoring
from vael.report import display_of, grid_image, on_white
from vael.specs import Run
from vael.tables.constraints import enforced
from vael.tables.ranges import outside
from vael.tables.reading import RowError, exact, read_table
from vael.tables.schema import Column, Schema


@dataclass(frozen=True)
class ConditionedRun:
    """A run to draw from, and the conditions of what is drawn."""

    run: Run  # at the condition, where one was asked for
    options: SampleOptions  # without those that said what the condition is
    each: Tensor | None = None  # c of every example, `[examples, features]`, where they differ
    beside: Tensor | None = None  # cells of the columns that are the condition, `[examples, columns]`


def conditioned(run: Run, count: int, options: SampleOptions, *, film: bool) -> ConditionedRun:
    """The run at the condition that was asked for, with the options that are left to be carried out.

    Errors: `UsageError` for a model that has no condition, and for options that do not go with one; `StateError` for a
    condition that the model cannot have.
    """
    condition = run.spec.data.condition
    if condition is None:
        if has(run.model, Classifies) and options.latents.class_ is not None:
            return in_class(run, options, options.latents.class_)
        if options.where:
            raise UsageError(
                "--where is for a model that was trained with --condition-on; of any table --given COLUMN=VALUE draws "
                "the rest of rows with that value"
            )
        return ConditionedRun(run, options)
    refused = [
        name
        for name in (*names_given(options.tables), *names_given(options.latents))
        if name in ("--quality", "--sampler")
    ]
    if refused:
        raise UsageError(f"{refused[0]} knows of no condition, but the model has one ({condition.told}); leave it out")
    if options.condition_on is not None and options.where:
        raise UsageError("--where and --condition-on both say what the condition is; leave one of them out")
    found, label = asked(condition.names, options.where), options.latents.class_
    if label is not None and "label" in condition.names and "label" not in found:
        found["label"] = label
        options = replace(options, latents=replace(options.latents, class_=None))
    if not found:
        return of_training_rows(run, count, options, film=film)
    c = condition.encode(found)
    held = replace(run, model=run.model.at(c))
    if not isinstance(condition, CellsCondition):
        return ConditionedRun(held, options)
    row = condition.row(found)
    warn(condition, row)
    return ConditionedRun(held, options, beside=row.expand(count, -1))


def as_many(run: Run, options: SampleOptions) -> SampleOptions:
    """The options, with as many examples as there are rows of conditions where these were given and no number was."""
    given = run.spec.data.given
    return options if options.count is not None or given is None else replace(options, count=len(given))


def in_class(run: Run, options: SampleOptions, name: str) -> ConditionedRun:
    """The run of a model of classes at one of them, by its name. Errors: `StateError` for a class that there is not."""
    labelling = run.spec.data.labelling
    place = int(name) if labelling is None else labelling.place(name)
    rest = replace(options, latents=replace(options.latents, class_=None))
    return ConditionedRun(replace(run, model=run.model.at_class(place)), rest)


def asked(names: tuple[str, ...], where: Sequence[str]) -> dict[str, object]:
    """The values that were given, by name. Errors: `UsageError` for words that are no NAME=VALUE."""
    found: dict[str, object] = {}
    for text in where:
        name = max((name for name in names if text.startswith(f"{name}=")), key=len, default=text.partition("=")[0])
        if "=" not in text or name in found:
            trouble = "was given before" if name in found else "has no value"
            raise UsageError(f"--where {text}: {name} {trouble}; write NAME=VALUE once for each of {', '.join(names)}")
        found[name] = text[len(name) + 1 :]
    return found


def of_training_rows(run: Run, count: int, options: SampleOptions, *, film: bool) -> ConditionedRun:
    """The run with the conditions of the rows that were given, else of training rows drawn at random from the seed,
    which is said.
    """
    condition = run.spec.data.condition
    told = "" if condition is None else condition.told
    one_at_a_time = [*names_given(options.latents), *(["--given"] if options.tables.given else [])]
    clash = [*one_at_a_time, *(["a film"] if film else [])]
    if clash:
        raise UsageError(f"{clash[0]} needs one condition, but none was given for {told}; give it (--where NAME=VALUE)")
    each = run.conditions(count, options.seed)
    if options.condition_on is None:
        answer(
            f"vael: note: no condition was given, so every example has that of a training row drawn at random ({told}; "
            "--where)",
            file=sys.stderr,
        )
    beside = condition.cells(each) if isinstance(condition, CellsCondition) else None
    return ConditionedRun(run, options, each, beside)


def warn(condition: CellsCondition, row: Tensor) -> None:
    """Say which values training never came near."""
    for one in outside(condition.columns, row):
        answer(f"vael: warning: --where {one}: what is drawn is a guess beyond what was learned", file=sys.stderr)


FEW = 100.0  # effective latents below which draws repeat themselves


def refuse_conditions(options: SampleOptions) -> None:
    """Errors: `UsageError` for options that say otherwise where rows come from, or what is done with them."""
    tables = (name for name in names_given(options.tables) if name not in ("--target", "--given"))
    clash = [*names_given(options.latents), *tables, *(["--mean"] if options.mean else [])]
    if options.tables.given and clash:
        raise UsageError(f"--given draws from p(rest | given); {clash[0]} does not go with it: leave one out")


def conditional_rows(run: Run, schema: Schema, count: int, seed: int, conditions: Sequence[str]) -> Tensor:
    """Rows that have the given values and keep the rules of their columns elsewhere; says where few latents carry
    them. Errors: `UsageError`.
    """
    given = cells(schema, conditions)
    beyond = outside(schema, given[None])
    for one in beyond:
        answer(
            f"vael: warning: --given {one}: the rest of these rows is a guess beyond what was learned", file=sys.stderr
        )
    with ignoring(UserWarning, GUESSED):  # said above, for plain numbers too
        found = conditional_samples(run.model, given.float(), count, seed)
    if found.effective_samples < FEW:
        answer(
            "vael: warning: these values together are rare or new to the model: the rows hang on "
            f"{found.effective_samples:.0f} latents "
            f"(better {FEW:.0f} or more), so they vary less than they should; give fewer columns",
            file=sys.stderr,
        )
    return torch.where(torch.isnan(given), enforced(schema, found.x), given)


def cells(schema: Schema, conditions: Sequence[str]) -> Tensor:
    """A row of codes and numbers in float64, NaN where nothing was given.

    Errors: `UsageError` naming column and value.
    """
    known: dict[str, str] = {}
    for text in conditions:
        name = max((name for name in schema.names if text.startswith(f"{name}=")), key=len, default="")
        value = text[len(name) + 1 :].strip()
        if not name:
            asked = text.partition("=")[0]
            if asked in schema.names:
                raise UsageError(f"--given {text}: there is no value; write COLUMN=VALUE ({asked}=...)")
            way = "" if "=" in text else "; write COLUMN=VALUE"
            raise UsageError(f"--given {text}: there is no column {asked!r}{hint(asked, schema.names)}{way}")
        if name in known or not value:
            raise UsageError(
                f"--given {text}: {'the column was given before' if name in known else 'there is no value'}; give one "
                "value for a column"
            )
        check_level(schema.columns[schema.names.index(name)], value)
        known[name] = value
    row = pa.table({name: pa.array([known.get(name, "")], pa.string()) for name in schema.names})
    try:
        return exact(read_table(row, schema))[0]
    except RowError as error:
        raise UsageError(f"--given: {error.row.reason}; write the value as the table has it") from error


def check_level(column: Column, value: str) -> None:
    """Errors: `UsageError` for a level that was not seen in training, or that shares its code with others."""
    if not column.codes or value in column.levels:
        return
    if value in dict(column.rare):
        raise UsageError(
            f"--given {column.name}={value}: this level is so rare that it shares its code with others; give another, "
            "or leave it out"
        )
    levels = ", ".join(column.levels[:12]) + (" ..." if len(column.levels) > 12 else "")
    raise UsageError(
        f"--given {column.name}={value}: column {column.name!r} has no level {value!r}; there are "
        f"{levels}{hint(value, column.levels)}"
    )


STATIONS, STEPS = 4, 10  # draws of z that each of them passes, and frames from one to the next


def drawn_latents(run: Run, count: int, seed: int, asked: LatentOptions) -> Tensor:
    """Latents of a class or from the prior, at a temperature.

    Errors: `StateError` for data without labels or without the class, and several temperatures for one vector.
    """
    (temperature,) = generation.for_levels(asked.temperature or (1.0,), 1)
    if asked.class_ is not None:
        chosen = latents.of_class(run.splits().train, asked.class_)
        return latents.aggregate_gaussian(run.model, chosen).sample(count, temperature=temperature, seed=seed)
    return latents.prior_latents(run.model, count, temperature=temperature, seed=seed)


def latent_samples(run: Run, count: int, options: SampleOptions) -> Tensor:
    """Examples from such latents, or from levels of them at their temperatures. Errors: as `drawn_latents`, and as
    `vael.applications.generation.levels_at`.
    """
    if options.latents.class_ is None and has(run.model, Whitens):
        asked = options.latents.temperature or (1.0,)
        levels = generation.levels_at(run.model, count, temperatures=asked, seed=options.seed)
        return generation.examples_of(run.model, levels, seed=options.seed + 1, mean=options.mean)
    z = drawn_latents(run, count, options.seed, options.latents)
    return traversal.decoded(run.model, z) if options.mean else latents.drawn(run.model, z, options.seed + 1)


def film(run: Run, count: int, options: SampleOptions) -> list[Image]:
    """A grid of samples, each on its way between draws of z and back to the first: means of p(x | z), as draws of x
    would flicker. Errors: as `drawn_latents`.
    """
    if options.latents.fitted:
        raise StateError("a film goes between draws from the prior; leave --sampler out, or write .png or .npy")
    z = drawn_latents(run, STATIONS * count, options.seed, options.latents).unflatten(0, (STATIONS, count))
    path = traversal.round_trip(z, STEPS)
    shown = display_of(run.splits().train)
    return [on_white(grid_image(x, shown)) for x in traversal.decoded(run.model, path.flatten(0, 1)).split(count)]
