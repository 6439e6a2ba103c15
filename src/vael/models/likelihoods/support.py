"""Whether data lie in the support of a likelihood; each refusal says what came, what was expected and what to do."""

from __future__ import annotations

from vael.counting import counted
from vael.data.source import Kind, Source
from vael.data.transforms import UnitInterval
from vael.errors import ShapeError, StateError, SupportError
from vael.tables.schema import LEVELS


def no_nan(source: Source) -> None:
    """Refuse missing cells that no mask marks."""
    if source.x.is_floating_point() and bool(source.x.isnan().any()):
        cells = int(source.x.isnan().sum())
        raise SupportError(
            f"{source.name}: {cells} of {source.x.numel()} cells are NaN, and no mask says that they are missing; "
            "expected numbers everywhere; "
            "drop the rows, fill the cells, or give a mask of the observed cells"
        )


def whole_numbers(source: Source, levels: int, law: str) -> None:
    """Refuse anything but integers 0 ... levels - 1."""
    no_nan(source)
    found = 2 if source.kind is Kind.BINARY else source.levels
    if source.kind is Kind.REAL or found is None:
        raise SupportError(
            f"{source.name}: {law} takes integers 0 ... {levels - 1}, but the cells are {source.kind.value} numbers; "
            "choose a Gaussian or Laplace likelihood, or load the integers as they were stored"
        )
    if found > levels:
        raise SupportError(
            f"{source.name}: {law} is over {levels} levels, but the cells have {found}; make it for {found} levels"
        )


def real_numbers(source: Source, law: str) -> None:
    """Refuse integers: a density on them can grow without bound and is no likelihood.

    Columns of a table may be numbers of any kind.
    """
    if not source.gaps:
        no_nan(source)
    if source.kind is Kind.MIXED and source.schema is not None:
        levels = [column.name for column in source.schema.columns if column.kind in LEVELS]
        if levels:
            raise SupportError(
                f"{source.name}: {law} takes numbers, but column {levels[0]!r} has levels; take a likelihood over "
                "columns of several kinds (--model table)"
            )
    elif source.kind is not Kind.REAL:
        way = (
            "the Bernoulli likelihood"
            if source.kind is Kind.BINARY
            else f"a discretised logistic over {source.levels} levels"
        )
        raise SupportError(
            f"{source.name}: {law} takes real numbers, but the cells are {source.kind.value}, on which a density is no "
            f"likelihood; use {way}"
            + (
                ", or dequantise them uniformly (--dequantize), which gives a valid bound"
                if source.kind is Kind.INTEGER
                else ""
            )
        )


def vectors(source: Source, features: int, components: int, law: str) -> None:
    """Refuse all but complete vectors of real numbers, at least as many as there are components.

    Errors: `ShapeError`, `StateError`, `SupportError`.
    """
    if source.event != (features,):
        raise ShapeError(
            f"{source.name} has examples of shape {source.event}, but {law} is over vectors of {features} numbers; "
            "flatten them"
        )
    if len(source) < components:
        raise StateError(
            f"{source.name}: {len(source)} examples for {components} components of {law}; use fewer components "
            "(--components), or more data"
        )
    real_numbers(source, law)
    cells = source.stored
    missing = int((~cells.isfinite()).sum())
    if missing:
        raise SupportError(
            f"{source.name}: {counted(missing, 'cell')} of the data {'is' if missing == 1 else 'are'} missing or not "
            f"finite, but {law} takes complete rows; drop the rows with gaps, fill the cells, or take a model that "
            "takes gaps (--model gapped)"
        )


def within(source: Source, largest: float, law: str) -> None:
    """Refuse cells below 0 or above `largest`, as the model will see them (noise on whole numbers adds up to one
    level).
    """
    unit = source.transform.largest if isinstance(source.transform, UnitInterval) else 1
    low, high = float(source.x.min()) / unit, float(source.x.max()) / unit
    high += float(source.transform.stochastic and source.kind is Kind.REAL)
    if low < 0 or high > largest:
        raise SupportError(
            f"{source.name}: {law} takes cells in [0, {largest:g}], but they lie in [{low:g}, {high:g}]; say how large "
            "they may be"
        )
