"""Rows of tables with a schema to be compressed, and written again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from vael import files
from vael.claims import parsing, refuse_claim
from vael.compression import (
    Contents,
    Decompressed,
    Header,
    Level,
    Original,
    SafeLevel,
    TableLevel,
    table_contents,
)
from vael.compression.container import Layout
from vael.compression.tabular.beside import Beside, unpacked
from vael.compression.tabular.grids import WIDEST
from vael.compression.tabular.tables import is_text, rebuilt, text_of
from vael.data import Schema, Source
from vael.data.conditioning.columns import ColumnsCondition
from vael.data.tabular import is_table_file
from vael.domains.coding import Coding, SetAside
from vael.errors import FormatError, SupportError
from vael.models import Model
from vael.models.families import ModelPart
from vael.models.likelihoods.parts import ColumnsPart
from vael.tables import columnwise as pc
from vael.tables.as_text.compressed import content
from vael.tables.as_text.text import TEXT, TextLayout
from vael.tables.reading import Frame, given_rows, named
from vael.tables.typed import typed_cells
from vael.tables.writing import arrow_cells, write_arrow

ENDINGS = (*TEXT, ".parquet")


@dataclass(frozen=True)
class ColumnCoding(Coding):
    """Every cell of a table by the law of its column: a text file comes back to the last byte where it is regular, of
    other tables every cell.
    """

    schema: Schema

    @property
    def told(self) -> str:
        return f" {json.dumps(self.known.table, sort_keys=True)}"

    def refuse_densities(self, part: ModelPart) -> None:
        """Errors: `SupportError` for any likelihood but `columns`."""
        if not isinstance(getattr(part, "likelihood", None), ColumnsPart):
            raise SupportError(
                f"the model ({part.likelihood_name}) gives densities of rows and no probabilities of cells to code "
                "with, so nothing would become smaller; train one over columns (vael train TABLE --model table)"
            )

    def symbols(self, model: Model) -> int:
        return WIDEST

    def contents(self, model: Model, data: Path | str | Frame | None, aside: SetAside) -> Contents:
        return table_contents(self.original(data, aside), self.schema)

    def level(self, name: str, model: Model, layout: Layout, settings: Mapping[str, int] | None = None) -> Level:
        """A `TableLevel`.

        Errors: `SupportError` for another level than safe, `FormatError` for settings that it has not.
        """
        if name != SafeLevel.name:
            raise SupportError("there are portable files of images and arrays only; compress tables at the level safe")
        try:
            return TableLevel(model, self.schema, layout.gaps, **dict(settings or {}))
        except TypeError as error:
            raise FormatError(
                f"the level safe does not take the settings {dict(settings or {})} for tables; use the vael that wrote "
                "them"
            ) from error

    def holds(self, header: Header) -> bool:
        return header.layout.kind == "table" and header.level == SafeLevel.name

    def original(self, data: Path | str | Frame | None, aside: SetAside) -> Original:
        """A table as it came: a file or a frame, or what was set aside, in the types of its columns.

        Errors: those of the readers.
        """
        if data is None:
            name, source = aside()
            table = self.with_conditions(arrow_cells(self.schema, source.x), source)
            return Original(f"the {name} split of {self.known.name}", table, size=table.nbytes)
        path = Path(data) if isinstance(data, Path | str) else None
        if path is not None and not (path.is_file() and is_table_file(path)):
            what = "a folder" if path.is_dir() else "no such file" if not path.exists() else "no table"
            raise FormatError(
                f"{path}: {what}; the run was trained on a table, so give a file that ends in "
                f"{', '.join(ENDINGS)}, or leave it out for the rows that the run set aside"
            )
        given = given_rows(data)
        if not given.table.num_rows:
            raise FormatError(f"{named(data)} has no rows; give a table with one example a row")
        if path is not None:
            with content(path) as file:
                raw = file.read()
        else:
            raw = None
        table = given.table if given.layout is None else trimmed(given.table)
        return Original(
            named(data), table, given.layout, raw if given.layout else None, len(raw) if raw else given.table.nbytes
        )

    def with_conditions(self, table: pa.Table, source: Source) -> pa.Table:
        """The rows of a source with the columns that they are conditioned on, where these stood."""
        condition = self.known.condition
        if not isinstance(condition, ColumnsCondition) or source.context is None:
            return table
        beside = arrow_cells(condition.columns, condition.cells(source.context))
        for place, name in zip(condition.places, condition.names, strict=True):
            table = table.add_column(place, name, beside.column(name))
        return table

    def endings(self, layout: Layout) -> tuple[str, ...]:
        return ENDINGS

    def give_back(self, done: Decompressed, file: Path, target: Path) -> Decompressed:
        beside = unpacked(done.beside, str(file), len(done.array))
        with parsing(
            file,
            "is no whole file of `vael compress`: its blocks and what stands beside them do not fit",
            "another program wrote it",
        ):
            table = rebuilt(beside, done.array, self.schema)
            table.validate(full=True)
            said = _written(beside, table, self.schema, file, target)
        return replace(done, notes=(*(note for note in done.notes if note != done.layout.note), said))


def trimmed(table: pa.Table) -> pa.Table:
    """Cells of text without the spaces around them."""
    return pa.table({name: pc.utf8_trim_whitespace(table.column(name)) for name in table.column_names})


def _written(beside: Beside, table: pa.Table, schema: Schema, file: Path, target: Path) -> str:
    told = beside.told
    if target.suffix.lower() == ".parquet":
        write_arrow(target, table if told.layout is None else typed_columns(beside, table, schema))
        return (
            "every cell with its type"
            if told.layout is None
            else "the cells of a text file, typed as the run's schema says"
        )
    for column in table.columns:
        refuse_claim(size_of_text(column), file, "a column of it")
    content = text_of(told, table, schema, str(file))
    if content is not None:
        files.write_bytes(target, content)
        return "byte for byte the file that was compressed"
    write_arrow(target, table, TextLayout(*told.layout) if told.layout else None)
    return "every cell as it was" if told.layout else "typed cells, written as text"


def size_of_text(column: pa.ChunkedArray) -> int:
    """Bytes of a column of texts that are stored once and named by number, written out; of others those that they
    have.
    """
    if not pa.types.is_dictionary(column.type) or not is_text(column.type.value_type):
        return column.nbytes
    return sum(
        int(pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0) for chunk in column.chunks
    )


def typed_columns(beside: Beside, table: pa.Table, schema: Schema) -> pa.Table:
    """Columns of text as the schema types them; one with a cell that is no such number or date stays text."""
    for form, column in zip(beside.told.columns, schema.columns, strict=True):
        found = typed_cells(column, table.column(form.place))
        table = table if found is None else table.set_column(form.place, table.column_names[form.place], found)
    for name in beside.told.counters:
        table = table.set_column(table.column_names.index(name), name, pc.cast(table.column(name), pa.int64()))
    return table
