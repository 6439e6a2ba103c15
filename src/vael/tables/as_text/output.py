"""Rows of numbers written as they come: a file that is whole at the end, or not there at all."""

from __future__ import annotations

import csv
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from vael.errors import ShapeError
from vael.files import known_ending, written
from vael.tables import columnwise as pc
from vael.tables.as_text.text import TEXT, TextLayout

HEADER = 128  # bytes of an .npy header, so that the number of rows can be filled in at the end


F = TypeVar("F", bound="WholeFile")


class WholeFile(ABC):
    """Abstract: a file that rows are added to in a `with` block: whole at its end, or not there at all."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows, self._place = path, 0, written(path)

    def __enter__(self: F) -> F:
        self.file = self._place.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left, and put the file in its place; after an error, or where that fails, take it away."""
        try:
            self._finish()
        except BaseException as trouble:
            self._place.__exit__(*_told(error or trouble))
            if error is None:
                raise
            return
        self._place.__exit__(*(_told(error) if error else (None, None, None)))

    @abstractmethod
    def _finish(self) -> None: ...


def _told(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    return type(error), error, error.__traceback__


class RowFile(WholeFile):
    """Abstract: rows `[rows, *event]`, all of one event shape."""

    def __init__(self, path: Path, names: Sequence[str] = ()) -> None:
        super().__init__(path)
        self.names = tuple(names)
        self.event: tuple[int, ...] | None = None

    def add(self, rows: np.ndarray) -> None:
        """Write more rows. Errors: `ShapeError` for rows of another shape than the first, or than there are names."""
        if self.event is None:
            self.event = rows.shape[1:]
            cells = int(np.prod(self.event))
            self.names = self.names or tuple(f"x{cell}" for cell in range(cells))
            if len(self.names) != cells:
                raise ShapeError(
                    f"{self.path}: rows of {cells} cells came with {len(self.names)} names; give one name for each cell"
                )
            self._begin(rows)
        elif rows.shape[1:] != self.event:
            raise ShapeError(
                f"{self.path}: rows of shape {rows.shape[1:]} came after rows of shape {self.event}; all must have the "
                "same shape"
            )
        self.rows += len(rows)
        self._add(rows)

    @abstractmethod
    def _begin(self, rows: np.ndarray) -> None: ...

    @abstractmethod
    def _add(self, rows: np.ndarray) -> None: ...

    def _columns(self, rows: np.ndarray) -> pa.RecordBatch:
        flat = np.ascontiguousarray(rows.reshape(len(rows), len(self.names)).T)
        return pa.RecordBatch.from_arrays([pa.array(column) for column in flat], names=list(self.names))


class ArrayRows(RowFile):
    """`.npy`, of the dtype and event shape of the rows; names are not kept."""

    def _begin(self, rows: np.ndarray) -> None:
        self.dtype = rows.dtype
        self.file.write(b"\0" * HEADER)

    def _add(self, rows: np.ndarray) -> None:
        self.file.write(np.ascontiguousarray(rows, self.dtype).data)

    def _finish(self) -> None:
        dtype, event = getattr(self, "dtype", np.dtype(np.float32)), self.event or ()
        fields = (
            f"{{'descr': {np.lib.format.dtype_to_descr(dtype)!r}, 'fortran_order': False, 'shape': "
            f"{(self.rows, *event)!r}, }}"
        )
        length = HEADER - 10
        self.file.seek(0)
        self.file.write(
            np.lib.format.magic(1, 0) + length.to_bytes(2, "little") + fields.ljust(length - 1).encode("latin1") + b"\n"
        )
        self.file.seek(0, os.SEEK_END)


class TextRows(RowFile):
    """`.csv`: a line of names, then a line for each row."""

    def _begin(self, rows: np.ndarray) -> None:
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\n").writerow(self.names)
        self.file.write(line.getvalue().encode())

    def _add(self, rows: np.ndarray) -> None:
        pa.csv.write_csv(self._columns(rows), self.file, pa.csv.WriteOptions(include_header=False))

    def _finish(self) -> None:
        pass  # every row is written


class ParquetRows(RowFile):
    """`.parquet`: a column for each name."""

    def _begin(self, rows: np.ndarray) -> None:
        self.writer = pa.parquet.ParquetWriter(self.file, self._columns(rows[:0]).schema)

    def _add(self, rows: np.ndarray) -> None:
        self.writer.write_batch(self._columns(rows))

    def _finish(self) -> None:
        if self.event is not None:
            self.writer.close()


KINDS: dict[str, type[RowFile]] = {".npy": ArrayRows, ".csv": TextRows, ".parquet": ParquetRows}


def row_file(path: Path, names: Sequence[str] = ()) -> RowFile:
    """The kind of file that the extension names. Errors: `FormatError` for another extension."""
    return KINDS[known_ending(path, KINDS)](path, names)


class CellFile(WholeFile):
    """Abstract: a table of typed columns."""

    typed: ClassVar[bool] = False  # whether cells keep their types, and are no text

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.kind: pa.Schema | None = None

    def add(self, table: pa.Table, written: pa.Table | None = None) -> None:
        """Write more rows; cells of `written` that are not null go into a text as they are.

        Errors: `ShapeError` for other columns than before.
        """
        if self.kind is None:
            self.kind = table.schema
            self._begin(table.schema)
        elif table.schema.names != self.kind.names:
            raise ShapeError(
                f"{self.path}: columns {table.schema.names} came after {self.kind.names}; all rows must have the same"
            )
        self.rows += table.num_rows
        self._add(table, written)

    @abstractmethod
    def _begin(self, schema: pa.Schema) -> None: ...

    @abstractmethod
    def _add(self, table: pa.Table, written: pa.Table | None) -> None: ...


class TextCells(CellFile):
    """Cells as text, in the layout of a file that they came from."""

    def __init__(self, path: Path, layout: TextLayout | None = None) -> None:
        super().__init__(path)
        self.layout = layout or TextLayout("\t" if path.suffix.lower() in (".tsv", ".tab") else ",")

    def _begin(self, schema: pa.Schema) -> None:
        self.text = io.TextIOWrapper(self.file, encoding=self.layout.encoding, newline="", write_through=True)
        self.quoted = self.layout.quotes(len(schema))
        self.text.write(self.layout.top)
        self.lines = 0
        if self.layout.named:
            usual = self.layout.written(pa.array(schema.names, pa.string()), self.quoted[-1]).to_pylist()
            self._lines([self.layout.mark.join(self.layout.header or usual)])

    def _add(self, table: pa.Table, written: pa.Table | None) -> None:
        for start in range(0, table.num_rows, 65536):
            part = table.slice(start, 65536).columns
            columns = [
                self.layout.written(texts(column), quoted)
                for column, quoted in zip(part, self.quoted[:-1], strict=True)
            ]
            if written is not None:
                own = [column.combine_chunks() for column in written.slice(start, 65536).columns]
                columns = [pc.coalesce(one, other) for one, other in zip(own, columns, strict=True)]
            self._write(columns)

    def _write(self, columns: list[pa.Array]) -> None:
        if len(columns) == 1:  # an empty line would be no row
            columns = [pc.if_else(pc.equal(columns[0], ""), '""', columns[0])]
        lines = pc.binary_join_element_wise(*columns, self.layout.mark)
        self._lines(lines.to_pylist())

    def _lines(self, lines: list[str]) -> None:
        """Lines without the end of the last one, which follows with the next or, if the file ends so, when all are
        written.
        """
        if lines:
            self.text.write((self.layout.ending if self.lines else "") + self.layout.ending.join(lines))
        self.lines += len(lines)

    def _finish(self) -> None:
        if self.kind is not None:
            self.text.write(self.layout.ending if self.lines and self.layout.ended else "")
            self.text.flush()
            self.text.detach()


def texts(column: pa.ChunkedArray) -> pa.Array:
    """Cells as text, nothing where null."""
    found = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_string(found.type):
        found = pa.array(["" if cell is None else str(cell) for cell in found.to_pylist()], pa.string())
    return pc.fill_null(found, "")


class ParquetCells(CellFile):
    """Columns as they are typed."""

    typed = True

    def _begin(self, schema: pa.Schema) -> None:
        self.writer = pa.parquet.ParquetWriter(self.file, schema)

    def _add(self, table: pa.Table, written: pa.Table | None) -> None:
        self.writer.write_table(table.cast(self.kind) if table.schema != self.kind else table)

    def _finish(self) -> None:
        if self.kind is not None:
            self.writer.close()


def cell_file(path: Path, layout: TextLayout | None = None) -> CellFile:
    """The kind of table that the extension names; `layout` is for text. Errors: `FormatError` for another extension."""
    typed = known_ending(path, (*TEXT, ".parquet")) == ".parquet"
    return ParquetCells(path) if typed else TextCells(path, layout)
