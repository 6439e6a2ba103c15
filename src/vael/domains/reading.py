"""Data of any kind: read to train on, and again as the data of a run are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from vael.data import Kind, OnError, Schema, Source, Splits, Table, load
from vael.data.blocks import Like, array_blocks
from vael.data.cells import fingerprint
from vael.data.conditioning.conditions import FileCondition
from vael.data.conditioning.labels import FileLabels
from vael.data.files.material import Material, MaterialPart
from vael.data.keys import Keys, table_keys
from vael.data.matching import Trained, given, matching
from vael.data.splitting import Sizes, ValidateOn, split
from vael.data.tabular import is_table_file
from vael.domains.described import DataSpec, Reading
from vael.errors import ShapeError, StateError, SupportError
from vael.stored import check_file
from vael.tables.reading import Skipped

GIVEN = "the examples given"  # what examples in memory are called in messages


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of a file."""

    source: Source
    rows: np.ndarray  # their numbers, from 1
    table: Table | None = None  # of a table, the cells as they came

    @cached_property
    def keys(self) -> Keys:
        """What names the rows: their numbers, files or identifiers."""
        if self.table is None:
            return Keys(self.rows, self.source.named.columns)
        return table_keys(self.table.original, self.rows, self.source.columns)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Rows before or among them that were left out."""
        return () if self.table is None else self.table.skipped


@dataclass(frozen=True)
class Lenience:
    """What becomes of rows and cells that do not fit, and the rules of columns of plain numbers, whose rows may then
    have gaps.
    """

    on_error: OnError = OnError.STOP
    schema: Schema | None = None
    clip: bool = False  # cells above the largest level of the training data count as the largest one, with a note


def loaded(how: Reading) -> Splits:
    """Arrays, images, tables of plain numbers, named data sets: `vael.data.load`."""
    return load(
        how.source,
        binarize=how.binarize,
        dequantize=how.dequantize,
        seed=how.seed,
        validation=ValidateOn.TEST if how.by_test else how.validation,
        test=how.test,
        images=how.images,
    )


def refuse_test_as_validation(how: Reading, what: str) -> None:
    """Errors: `StateError` for data without a test split of their own, of which that was to serve."""
    if how.by_test:
        raise StateError(f"{what} no test split of its own to validate on; give a share")


def array_pieces(known: DataSpec, path: Path, *, clip: bool) -> Iterator[Piece]:
    """The examples of an `.npy` file, a block at a time."""
    like, first = replace(like_of(known, path.name), clip=clip), 0
    for block in array_blocks(path):
        yield Piece(like.source(block, first), np.arange(first + 1, first + len(block) + 1))
        first += len(block)


def is_plain_array(known: DataSpec, path: Path) -> bool:
    """Whether a file can be read a block at a time, without looking at all of it."""
    plain = known.binarize is None and not known.dequantize and known.condition is None
    return plain and path.is_file() and path.suffix.lower() == ".npy"


def in_condition(known: DataSpec, source: Source, data: str, *, whole: bool = True) -> Source:
    """Examples of data with their conditions, where the model of a run asks for them, and their labels, where they have
    such: those in a file belong to the data of the run alone. `whole` says that these are all examples of the data.

    Errors: those of `vael.data.conditioning.conditions.Condition.of`, and `StateError` where an array was beside the
    training data, so that these data have none.
    """
    condition = known.condition
    if known.labelling is not None and not isinstance(known.labelling, FileLabels):
        source = known.labelling.of(source)
    if condition is None:
        return source
    if isinstance(condition, FileCondition) and known.given is None and not is_own(known, data):
        raise StateError(
            f"the model is conditioned on {condition.told}, which stand beside its own data, not beside {data}; give "
            "an .npy array with a row for each row of these (--condition-on FILE.npy)"
        )
    if whole:
        refuse_length(known, int(source.named.rows.max()), source.name)
    return condition.of(source)


def refuse_length(known: DataSpec, rows: int, data: str) -> None:
    """Errors: `ShapeError` for an array of conditions that has not one row for each of so many rows of the data."""
    if known.given is not None:
        known.given.refuse_length(rows, data)


def is_own(known: DataSpec, data: str) -> bool:
    """Whether data are those that the run was trained on, by their name or path."""
    return data == known.source or Path(data).resolve() == Path(known.source).resolve()


def set_aside(source: Source, how: Reading) -> Splits:
    """Examples in memory as training, validation and test split, by the shares that were asked for.

    Errors: `StateError` for too few of them.
    """
    x, label = source.x.numpy(), None if source.label is None else source.label.numpy()
    sizes = Sizes(ValidateOn.TEST if how.by_test else how.validation, how.test)
    parts = split(Material(source.name, MaterialPart(x, label, None, source.keys)), sizes, how.seed)

    def of(part: MaterialPart) -> Source:
        label = None if part.label is None else torch.from_numpy(part.label)
        own = torch.from_numpy(part.x)
        return replace(source, x=own, label=label, keys=part.keys, fingerprint=fingerprint(part.x))

    test = None if parts.test is None else of(parts.test)
    return Splits(of(parts.train), of(parts.validation), test, how.source)


def matched(known: DataSpec, data: str) -> bool:
    """Whether data are read by what the run was trained on alone: arrays and images, but no tables, nor where an
    older run.json does not say how.
    """
    described = known.binarize is None or known.largest is not None
    return described and not known.columns and not (Path(data).is_file() and is_table_file(Path(data)))


def matching_examples(known: DataSpec, data: str, *, clip: bool = False) -> Source:
    """Arrays and images in the units of a run's own data, with their conditions."""
    return in_condition(known, matching(data, trained_on(known), known.reading.images, clip=clip), data)


def given_array(known: DataSpec, x: np.ndarray, *, clip: bool) -> Piece:
    """Examples in memory in the units of a run's own data, with their conditions."""
    source = in_condition(known, given(x, GIVEN, trained_on(known), clip=clip), GIVEN)
    return Piece(replace(source, columns=known.columns), np.arange(1, len(source) + 1))


def trained_on(known: DataSpec) -> Trained:
    """What the cells of a run's own data are, and how they were made of those that were stored."""
    how = known.reading
    return Trained(known.event, Kind(known.kind), known.levels, how.binarize, known.dequantize, known.largest)


def refuse_missing_table(path: Path) -> None:
    """Errors: `FormatError` for a table that there is not."""
    if not path.exists() and is_table_file(path):
        check_file(path)


def like_of(known: DataSpec, name: str) -> Like:
    """What data must be to be taken by the model of a run."""
    return Like(name, known.event, Kind(known.kind), known.levels, known.columns)


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
