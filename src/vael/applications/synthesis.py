"""Synthetic tables: rows drawn from a model of a table that keep the rules of its columns, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vael.applications.aggregate import SAMPLERS, aggregate_samples
from vael.applications.generation import row_samples
from vael.counting import Progress
from vael.data import Kind, Source, Splits
from vael.data.source import few
from vael.errors import StateError, SupportError
from vael.evaluation.rows import row_terms
from vael.evaluation.tabular.synthetic import JudgedTables, SyntheticQuality, SyntheticSettings, judge_synthetic
from vael.models import LatentVector, Model, Samples, has
from vael.tables.constraints import enforced
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema

MOST = 50_000  # rows of real data that a judge is given
ENOUGH = 1_000  # held-out rows
BOUNDS = 2_000  # rows of each split whose bound is computed
MOST_DECIMALS = 6


def schema_of(source: Source) -> Schema:
    """The schema of a table; of a table of plain numbers, one made from the ranges and the decimals of its cells.

    Errors: `SupportError` for examples that are no rows of a table.
    """
    if source.schema is not None:
        return source.schema
    if len(source.event) != 1:
        raise SupportError(
            f"{source.name}: examples of shape {source.event} are no rows of a table; synthetic tables need a table"
        )
    names = source.columns or tuple(f"x{place}" for place in range(source.event[0]))
    cells = rows_of(source, few(source, 0, MOST)).double().numpy()
    found = tuple(_numeric(name, cells[:, place], source.kind) for place, name in enumerate(names))
    known = () if source.rules is None else source.rules.columns
    return Schema(tuple(map(_as_stored, found, known)) if known else found)


def _as_stored(column: Column, known: Column) -> Column:
    """With the decimals and the type that the cells had before they became float32, and no end beyond theirs."""
    if known.kind in LEVELS:
        return replace(column, type=known.type)
    low, high = _inner(column.minimum, known.minimum, max), _inner(column.maximum, known.maximum, min)
    return replace(column, decimals=known.decimals, type=known.type, minimum=low, maximum=high)


def _inner(end: float | None, known: float | None, inner: Callable[[float, float], float]) -> float | None:
    """The end of a range, moved to the one that is `known` where float32 has rounded it beyond."""
    return end if end is None or known is None else inner(end, known)


def _numeric(name: str, cells: np.ndarray, kind: Kind) -> Column:
    known = cells[~np.isnan(cells)]
    what = ColumnKind.REAL if kind is Kind.REAL else ColumnKind.COUNT
    if not len(known):
        return Column(name, what, missing=True)
    return Column(
        name,
        what,
        minimum=float(known.min()),
        maximum=float(known.max()),
        decimals=_decimals(known),
        missing=len(known) < len(cells),
    )


def _decimals(cells: np.ndarray) -> int | None:
    """Fewest decimals from which the float32 cells can be told apart from nothing else; None where it takes more
    than six.
    """
    for digits in range(MOST_DECIMALS + 1):
        if np.array_equal(np.round(cells, digits).astype(np.float32), cells.astype(np.float32)):
            return digits
    return None


def rows_of(source: Source, index: Int64[Tensor, " chosen"]) -> Float[Tensor, "chosen columns"]:
    """Cells in the units of the schema, NaN where missing.

    Errors: `StateError` for a source that draws its cells at random.
    """
    return source.batch(index).x.flatten(1).float()


def synthetic_rows(
    model: Model,
    schema: Schema,
    count: int,
    seed: int = 0,
    *,
    sampler: Samples | None = None,
    context: Float[Tensor, "rows conditions"] | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, "rows columns"]:
    """`count` complete rows that keep the range, the levels and the decimals of every column.

    z comes from the prior, or from `sampler` (see `latent_sampler`); x from p(x | z), moved to the nearest cell that
    keeps the rules. With `context` one row for each c. `progress(done, count)` is called as they are drawn.
    """
    drawn = (
        row_samples(model, count, seed, context, progress=progress)
        if sampler is None
        else aggregate_samples(model, sampler, count, seed, progress=progress)
    )
    return enforced(schema, drawn.flatten(1))


def latent_sampler(model: Model, train: Source, seed: int = 0, name: str = "mixture") -> Samples:
    """A density fitted to the codes of the training rows, to draw z from instead of the prior; the model's bound
    does not change. Errors: `StateError` for a name that there is not.
    """
    if name not in SAMPLERS:
        raise StateError(f"no sampler is called {name!r}; there are {', '.join(SAMPLERS)}")
    return SAMPLERS[name](model, train, seed)


def usual_sampler(model: Model, has_schema: bool, conditioned: bool) -> str:
    """Where z comes from unless told: the mixture, which was as good or better for tables of several kinds of columns,
    else the prior; of a model without a vector of latents what it draws from itself.
    """
    return "prior" if not has_schema or conditioned or not has(model, LatentVector) else "mixture"


def with_gaps(x: Float[Tensor, "rows columns"], train: Source, seed: int = 0) -> Float[Tensor, "rows columns"]:
    """`x` with the gaps of training rows drawn at random: which cells are missing together is as in training,
    whatever the values are.
    """
    if not train.gaps:
        return x
    like = torch.randint(0, len(train), (len(x),), generator=torch.Generator().manual_seed(seed))
    return torch.where(rows_of(train, like).isnan(), torch.full_like(x, torch.nan), x)


def judge_rows(
    model: Model, splits: Splits, x: Float[Tensor, "rows columns"], settings: SyntheticSettings | None = None
) -> tuple[JudgedTables, SyntheticQuality]:
    """Compare complete synthetic rows with the rows that trained the model and with rows held out.

    These are the test split, and the validation split too where there are fewer than `ENOUGH` of them. Where the table
    has gaps, the rows are given gaps of the same patterns first: otherwise everybody could tell them apart. Errors:
    `ShapeError` for too few rows, `SupportError` for a target that there is not.
    """
    how = settings or SyntheticSettings()
    train, held = splits.train, held_out(splits)
    unseen = torch.cat([rows_of(source, few(source, how.seed, MOST)) for source in held])
    drawn = with_gaps(x, train, how.seed).float()  # as the real rows have it: nobody is told by digits that neither has
    tables = JudgedTables(schema_of(train), drawn, rows_of(train, few(train, how.seed, MOST)), unseen)
    bounds = None
    if model.states_likelihood:
        bounds = (_bounds(model, train, how.seed), torch.cat([_bounds(model, source, how.seed) for source in held]))
    found = judge_synthetic(tables, how, bounds=bounds)
    gapped = (
        ("Gaps were drawn for the comparison, with the patterns of the training rows.",)
        if train.gaps and not bool(x.isnan().any())
        else ()
    )
    return tables, replace(found, notes=(*found.notes, *gapped))


def held_out(splits: Splits) -> list[Source]:
    """The splits whose rows the model was not trained on, as many as it takes."""
    if splits.test is None:
        return [splits.validation]
    return [splits.test] if len(splits.test) >= ENOUGH else [splits.test, splits.validation]


def _bounds(model: Model, source: Source, seed: int) -> Float[Tensor, " rows"]:
    chosen = source.subset(few(source, seed, BOUNDS))
    return torch.cat([terms.bound for terms in row_terms(model, chosen, seed=seed)])
