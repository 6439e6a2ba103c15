"""Other data in the units of a run's own: which fit its model, and as what its model takes them."""

from __future__ import annotations

from dataclasses import replace

from vael.data import Kind, Source, Splits
from vael.domains.described import DataSpec
from vael.errors import ShapeError, SupportError


def aligned(splits: Splits, data: DataSpec) -> Splits:
    """The splits as the run takes them: whole numbers are real ones where its cells are, and cells may be missing where
    they may in its data.
    """

    def one(source: Source) -> Source:
        kind = Kind(data.kind)
        if (source.kind, source.gaps) == (kind, data.gaps):
            return source
        levels = None if kind is Kind.REAL else source.levels
        return replace(source, kind=kind, levels=levels, gaps=data.gaps)

    return splits.each(one)


def refuse_unlike(known: DataSpec, found: Source, source: str) -> None:
    """Errors: `ShapeError` or `SupportError` for examples that the model of a run cannot take."""
    if found.event != known.event:
        raise ShapeError(
            f"{source} has examples of shape {found.event}, but the run was trained on {known.event}; give data of "
            "that shape, or train a new run"
        )
    if found.columns != known.columns:
        raise ShapeError(
            f"{source} has the columns {', '.join(found.columns)}, but the run was trained on "
            f"{', '.join(known.columns)}; give data with these, in this order"
        )
    own = Kind(known.kind)
    fits = own is Kind.REAL or (found.kind is own and found.levels == known.levels)
    if not fits or found.largest != known.largest or (found.gaps and not known.gaps):
        raise SupportError(
            f"{source} holds {told_cells(found.kind.value, found)}, but the run was "
            f"trained on {told_cells(known.kind, known)}; give such data, or train a new "
            "run"
        )


def told_cells(kind: str, data: DataSpec | Source) -> str:
    """What the cells of data are, in words; `kind` as run.json has it."""
    several = f" of {data.levels:,} levels" if data.levels else ""
    stored = f", stored as 0 to {data.largest:g}" if data.largest is not None else ""
    return f"{kind} cells{several}{stored}{', some of them missing' if data.gaps else ''}"
