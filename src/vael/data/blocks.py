"""All examples of a file in order, a block at a time, checked against what a model was trained on: memory does not
grow with the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from vael.data.cells import as_examples, black_and_white, checked_numbers
from vael.data.files.arrays import array_in
from vael.data.source import AsFloat, Kind, Source, Transform
from vael.errors import FormatError, ShapeError, SupportError
from vael.tables import columnwise as pc
from vael.tables.as_text.text import text_table
from vael.tables.inference import is_text
from vael.tables.parquet import parquet_file, validated
from vael.tables.reading import Forms, Given, OnError, Skipped, Table, by_schema, counted, none_fits, without_views
from vael.tables.schema import ColumnKind, Schema
from vael.tables.values.numerals import FORMS, form_of, numeral_of, read_by

ROWS = 2**16
CELLS = 2**22
NUMBERS = frozenset({ColumnKind.REAL, ColumnKind.POSITIVE, ColumnKind.COUNT})


@dataclass(frozen=True)
class Like:
    """What the examples must be: as the data that a model was trained on."""

    name: str
    event: tuple[int, ...]
    kind: Kind
    levels: int | None = None
    columns: tuple[str, ...] = ()
    gaps: bool = False
    notes: tuple[str, ...] = ()
    transform: Transform = field(default_factory=AsFloat)
    clip: bool = False  # whether a cell above the largest level counts as the largest one, which is said

    def source(self, x: np.ndarray, first: int = 0) -> Source:
        """Stored cells as a source of this kind; `first` is the number of their first row, for messages.

        Errors: `ShapeError` for another shape of example, `SupportError` for cells that data of this kind do not have,
        with the row.
        """
        cells = as_examples(checked_numbers(x, self.name), self.name, self.event)
        refuse_truths(cells, self.name, self.kind)
        if self.kind is Kind.BINARY and isinstance(self.transform, AsFloat) and black_and_white(cells):
            cells = cells // 255
        if cells.shape[1:] != self.event:
            raise ShapeError(
                f"{self.name} has examples of shape {cells.shape[1:]}, but the model takes {self.event}; give data of "
                "that shape"
            )
        cells, clipped = self._clipped(cells)
        self._check(cells, first)
        kept = cells if cells.dtype in (np.uint8, np.int32, np.float32) else cells.astype(np.float32)
        return Source(
            self.name,
            torch.from_numpy(np.ascontiguousarray(kept)),
            self.kind,
            "",
            self.levels,
            transform=self.transform,
            notes=(*self.notes, *clipped),
            columns=self.columns,
            gaps=self.gaps,
        )

    def _clipped(self, cells: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        """The cells within the levels, and a note where some lay above, if that is allowed."""
        top = (self.levels or 1) - 1
        if not self.clip or self.kind is not Kind.INTEGER or not (cells > top).any():
            return cells, ()
        return np.minimum(cells, top), (
            f"some cells are above {top:,}, the largest of the model's {top + 1:,} levels, and were taken as {top:,}",
        )

    def _check(self, cells: np.ndarray, first: int) -> None:
        wrong = self.misfits(cells, most=1)
        for row, reason in wrong.items():
            raise SupportError(f"{self.name}, row {first + row + 1}, {reason}; correct the cell, or leave the row out")

    def misfits(self, cells: np.ndarray, most: int | None = None) -> dict[int, str]:
        """What is wrong with the rows that data of this kind cannot have, by their place; of the first `most` of
        them.
        """
        if self.transform.stochastic or not isinstance(self.transform, AsFloat):
            return {}  # what is stored is not what the likelihood sees
        if self.kind is Kind.REAL:
            fits = np.abs(cells) <= np.finfo(np.float32).max
            fits = fits | np.isnan(cells) if self.gaps else fits
        else:
            top = 1 if self.kind is Kind.BINARY else (self.levels or 1) - 1
            fits = (cells >= 0) & (cells <= top)
            fits = fits if cells.dtype.kind in "bui" else fits & (cells == np.floor(cells))
        if fits.all():
            return {}
        rows = np.flatnonzero(~fits.reshape(len(fits), -1).all(1))
        return {int(row): self._wrong(cells[row], fits[row]) for row in rows[:most]}

    def _wrong(self, cells: np.ndarray, fits: np.ndarray) -> str:
        """What is wrong with a row."""
        place = tuple(int(axis[0]) for axis in np.nonzero(~fits))
        expected = {
            Kind.REAL: "finite numbers",
            Kind.BINARY: "0 or 1",
            Kind.INTEGER: f"whole numbers 0 ... {(self.levels or 1) - 1}",
        }
        where = (
            f"column {self.columns[place[0]]!r}"
            if len(place) == 1 and self.columns
            else "cell " + ", ".join(map(str, place))
        )
        came = "an empty cell" if np.isnan(cells[place]) else cells[place]
        return f"{where}: {came} came, but the model was trained on {expected[self.kind]}"


def refuse_truths(cells: np.ndarray, name: str, kind: Kind) -> None:
    """Errors: `SupportError` for True and False where a model takes grey values or numbers: as 0 and 1 they would
    all be nearly black.
    """
    if cells.dtype.kind == "b" and kind is not Kind.BINARY:
        raise SupportError(
            f"{name} holds True and False, but the model was trained on "
            f"{'grey values' if kind is Kind.INTEGER else 'numbers'}; give such cells "
            "(of a mask: 0 and the largest level)"
        )


def array_blocks(path: Path, rows: int | None = None) -> Iterator[np.ndarray]:
    """Consecutive examples of an `.npy` file, read as they are needed.

    Errors: `FormatError` for files that are damaged or hold objects.
    """
    mapped = array_in(path, mapped=True)
    if mapped.ndim == 0 or not len(mapped):
        raise FormatError(f"{path} holds an array of shape {mapped.shape}, but at least one example was expected")
    size = rows or max(1, min(ROWS, CELLS // max(1, mapped[0].size)))
    if not isinstance(mapped, np.memmap) or not mapped.flags.c_contiguous:
        yield from (np.array(mapped[start : start + size]) for start in range(0, len(mapped), size))
        return
    shape, dtype, offset = mapped.shape, mapped.dtype, mapped.offset
    del mapped  # pages of a mapping count as memory of the process; what is read into one block does not stay
    with open(path, "rb") as file:
        file.seek(offset)
        for start in range(0, shape[0], size):
            count = min(size, shape[0] - start)
            yield np.fromfile(file, dtype, count * int(np.prod(shape[1:]))).reshape(count, *shape[1:])


def table_blocks(
    path: Path, schema: Schema, *, on_error: OnError = OnError.STOP, like: Like | None = None, rows: int | None = None
) -> Iterator[Table]:
    """Rows of a table by a schema, `rows` of those that fit at a time (the last time fewer), read as they are needed.

    The cells are those of `vael.data.read_table`, bit for bit; `like` says what else they must be.
    Errors: as there, for the first row that does not fit (with `OnError.SKIP` rows are left out and listed instead).
    """
    misfits, rows = None if like is None else like.misfits, rows or ROWS
    left: list[Table] = []
    found, lost = 0, 0
    first: Skipped | None = None
    for given, forms in given_blocks(path, schema, on_error):
        block = by_schema(given, schema, str(path), on_error, forms, misfits)
        left.append(block)
        first, lost = first or next(iter(block.skipped), None), lost + len(block.skipped)
        found += len(block.x)
        while sum(len(one.x) for one in left) >= rows:
            whole = _joined(left)
            yield _cut(whole, slice(0, rows), whole.skipped)
            left = [_cut(whole, slice(rows, None), ())]
    if not found:
        raise (
            none_fits(str(path), lost, first)
            if first
            else FormatError(f"{path} has no rows; give a table with one example a row")
        )
    whole = _joined(left)
    if len(whole.x) or whole.skipped:
        yield whole


def given_blocks(path: Path, schema: Schema, on_error: OnError = OnError.STOP) -> Iterator[tuple[Given, Forms]]:
    """Rows as they came, and the forms that numbers are written in, as the whole file has them."""
    if path.suffix.lower() == ".parquet":
        yield from _parquet_blocks(path, schema)
        return
    text = text_table(path)
    asked = text.commas or any(numeral_of(column).form is not FORMS[0] for column in schema.columns)
    forms = _forms((block.table for block in text.blocks()), schema) if asked else dict.fromkeys(schema.names, FORMS[0])
    for block in text.blocks():
        if block.ragged and on_error is not OnError.SKIP:
            raise text.too_ragged(block.ragged)
        yield Given(block.table, block.rows, text.layout, block.ragged, block.written), forms


def _parquet_blocks(path: Path, schema: Schema) -> Iterator[tuple[Given, Forms]]:
    file, first = parquet_file(path), 1
    kinds = {field.name: field.type for field in file.schema_arrow}
    texts = [
        column.name
        for column in schema.columns
        if column.name in kinds and is_text(kinds[column.name]) and column.kind in NUMBERS
    ]
    forms = (
        _forms((pa.table(batch) for batch in validated(file.iter_batches(ROWS, columns=texts), path)), schema)
        if texts
        else {}
    )
    for batch in validated(file.iter_batches(ROWS), path):
        columns = zip(batch.schema.names, batch.columns, strict=True)
        table = pa.table(
            {name: without_views(pa.chunked_array([column])) for name, column in columns},
            metadata=file.schema_arrow.metadata,
        )
        yield replace(counted(table, first), types=file.schema_arrow), forms
        first += table.num_rows


def _forms(tables: Iterable[pa.Table], schema: Schema) -> Forms:
    """The form of every column of numbers that is written as text."""
    wanted = {column.name: column for column in schema.columns if column.kind in NUMBERS}
    counts = {name: np.zeros(len(FORMS), np.int64) for name in wanted}
    for table in tables:
        for name in set(wanted) & set(table.column_names):
            counts[name] += read_by(pc.cast(table.column(name), pa.string()), wanted[name])
    return {name: form_of(count, wanted[name]) for name, count in counts.items()}


def _joined(blocks: list[Table]) -> Table:
    first = blocks[0]
    if len(blocks) == 1:
        return first
    skipped = tuple(one for block in blocks for one in block.skipped)
    return Table(
        first.schema,
        torch.cat([block.x for block in blocks]),
        pa.concat_tables([block.original for block in blocks]),
        first.layout,
        np.concatenate([block.rows for block in blocks]),
        skipped,
        first.forms,
        None if first.written is None else pa.concat_tables([block.written for block in blocks]),
        first.types,
    )


def _cut(table: Table, part: slice, skipped: tuple[Skipped, ...]) -> Table:
    written = None if table.written is None else table.written[part]
    return replace(
        table, x=table.x[part], original=table.original[part], rows=table.rows[part], skipped=skipped, written=written
    )
