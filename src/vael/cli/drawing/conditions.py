"""The part of `vael sample` that draws rows with given values in some columns."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pyarrow as pa
import torch
from torch import Tensor

from vael.applications.conditional import GUESSED, conditional_samples
from vael.cli.options.parser import UsageError
from vael.cli.options.sampling import SampleOptions
from vael.cli.telling import answer
from vael.nearest import hint
from vael.options.declaring import names_given
from vael.process import ignoring
from vael.specs import Run
from vael.tables.constraints import enforced
from vael.tables.ranges import outside
from vael.tables.reading import RowError, exact, read_table
from vael.tables.schema import Column, Schema

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
