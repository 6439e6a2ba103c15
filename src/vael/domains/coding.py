"""How a kind of data is coded without loss: what of it is coded, with which level, and how it is given back."""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

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
    TiledLevel,
    from_array,
    from_cells,
    from_folder,
    from_pictures,
    pictures_of,
    safe_names,
    table_contents,
)
from vael.compression.container import Layout
from vael.compression.safe import make_level
from vael.compression.tabular.beside import Beside, unpacked
from vael.compression.tabular.grids import WIDEST
from vael.compression.tabular.tables import is_text, rebuilt, text_of
from vael.data import Kind, Schema, Source
from vael.data.conditioning.columns import ColumnsCondition
from vael.data.files.arrays import array_in
from vael.data.files.images import ENDINGS, image_files
from vael.data.pictures.patching import Patching
from vael.data.pictures.tiles import visible_sizes
from vael.data.tabular import is_table_file
from vael.domains.described import DataSpec
from vael.errors import FormatError, SupportError
from vael.evaluation.examples import batch_at
from vael.models import Head, Model
from vael.models.families import ModelPart
from vael.models.likelihoods.parts import ColumnsPart
from vael.tables import columnwise as pc
from vael.tables.as_text.compressed import content
from vael.tables.as_text.text import TEXT, TextLayout
from vael.tables.reading import Frame, given_rows, named
from vael.tables.typed import typed_cells
from vael.tables.writing import arrow_cells, write_arrow

SetAside = Callable[[], tuple[str, Source]]  # the split that a run set aside, and its name


@dataclass(frozen=True)
class Coding(ABC):
    """Abstract: the data of a run as symbols that its model codes, and back."""

    known: DataSpec
    whole_numbers: ClassVar[bool] = False  # whether a model in whole numbers (the level portable) can code them

    @abstractmethod
    def refuse_densities(self, part: ModelPart) -> None:
        """Errors: `SupportError` for a model that gives densities, with which nothing is coded."""

    @property
    def told(self) -> str:
        """What a fingerprint says of the data beside their shape."""
        return ""

    @abstractmethod
    def symbols(self, model: Model) -> int:
        """How many values an element can have."""

    @abstractmethod
    def contents(self, model: Model, data: Path | str | Frame | None, aside: SetAside) -> Contents:
        """What is to be compressed, in the units of the model; None: the split that was set aside.

        Errors: `ShapeError`, `SupportError`, `FormatError` for what it cannot take.
        """

    @abstractmethod
    def level(self, name: str, model: Model, layout: Layout, settings: Mapping[str, int] | None = None) -> Level:
        """A level by its name, set as a file says or as it usually is.

        Errors: `SupportError` for a model of real numbers, `FormatError` for a name or settings that are not known.
        """

    @abstractmethod
    def holds(self, header: Header) -> bool:
        """Whether a file says that it holds such data."""

    @abstractmethod
    def endings(self, layout: Layout) -> tuple[str, ...]:
        """How the file may end that is given back; nothing for a folder."""

    @abstractmethod
    def give_back(self, done: Decompressed, file: Path, target: Path) -> Decompressed:
        """Write what a file held, whole or not at all, and say how.

        Errors: `StateError` for a folder that holds something.
        """


TABLES = (*TEXT, ".parquet")  # how files of tables end


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
                f"{', '.join(TABLES)}, or leave it out for the rows that the run set aside"
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
        return TABLES

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


AT_ONCE = 4096  # examples put through the transform together


@dataclass(frozen=True)
class ElementCoding(Coding):
    """Every element of an array or an image is a symbol; an array comes back as it was, a folder of images by its
    pixels and names, anything else as an array.
    """

    examples: Callable[[DataSpec, str], Source]  # how other data are read in the units of the run
    whole_numbers: ClassVar[bool] = True

    def refuse_densities(self, part: ModelPart) -> None:
        """Errors: `SupportError` for real numbers too."""
        if self.known.kind == Kind.REAL.value and self.known.columns:
            raise SupportError(
                "the run was trained on a table of plain numbers, whose model gives densities and no probabilities to "
                "code with; write its schema (vael data info TABLE --schema FILE.json) and train by it (vael train "
                "TABLE --schema FILE.json): numbers of declared decimals are coded"
            )
        if self.known.kind not in (Kind.BINARY.value, Kind.INTEGER.value):
            raise SupportError(
                f"the run was trained on cells that are {self.known.kind}, so its model gives densities and no "
                "probabilities to code with; train on whole numbers or zeros and ones (without --dequantize)"
            )

    def symbols(self, model: Model) -> int:
        """As the likelihood counts them."""
        counted = [int(getattr(part, "levels", 0)) for part in model.modules() if isinstance(part, Head)]
        return max(counted, default=0) or self.known.levels or (2 if self.known.kind == Kind.BINARY.value else 256)

    def contents(self, model: Model, data: Path | str | Frame | None, aside: SetAside) -> Contents:
        """An array, a folder of images or pictures as they were stored, else the elements as the model has them.

        Errors: `SupportError` for a table.
        """
        if data is None:
            return cells_of(aside()[1])
        if not isinstance(data, Path | str):
            raise SupportError(
                f"a table was given, but the run was trained on {self.known.name}; give an array or images of shape "
                f"{self.known.event}"
            )
        path, event, symbols = Path(data), self.known.event, self.symbols(model)
        if self.known.patching is not None and is_pictures(path):
            return from_pictures(path, self.known.patching, event[0], 255 if symbols == 2 else 1)
        if path.is_file() and path.suffix.lower() == ".npy":
            x = array_in(path)
            factor = factor_of(x, symbols)
            if factor is not None or self.known.binarize is None:
                return from_array(x, str(path), event, factor or 1)
        elif path.is_dir() and image_files(path) and not list(path.glob("data_batch_*.bin")):
            found = from_folder(path, event)
            factor = factor_of(found.array, symbols)
            if factor is not None or self.known.binarize is None:
                return from_folder(path, event, factor or 1)
        return cells_of(self.examples(self.known, str(data)))

    def level(self, name: str, model: Model, layout: Layout, settings: Mapping[str, int] | None = None) -> Level:
        """Errors: `FormatError` for tiles of another size than the model's, or a level that codes whole ones only."""
        inner = make_level(name, model, self.known.event, self.symbols(model), settings)
        if layout.kind != "pictures":
            return inner
        if layout.tile != self.known.event or not isinstance(inner, SafeLevel):
            raise FormatError(
                f"tiles of shape {layout.tile} at the level {name}: the run was trained on {self.known.event}, and "
                "pictures are coded at the level safe; it was not written with this run"
            )
        cut = Patching(height=layout.tile[1], width=layout.tile[2])
        return TiledLevel(inner, [one for size in layout.sizes for one in visible_sizes(size, cut)])

    def holds(self, header: Header) -> bool:
        return header.layout.kind != "table"

    def endings(self, layout: Layout) -> tuple[str, ...]:
        return () if layout.kind in ("images", "pictures") else (".npy",)

    def give_back(self, done: Decompressed, file: Path, target: Path) -> Decompressed:
        if done.layout.kind in ("images", "pictures"):
            write_images(done, file, target)
            return done
        buffer = io.BytesIO()
        np.save(buffer, done.array, allow_pickle=False)
        files.write_bytes(target, buffer.getvalue())
        return done


def is_pictures(path: Path) -> bool:
    """Whether a path is a folder of pictures, or one of them."""
    return bool(image_files(path)) if path.is_dir() else path.suffix.lower() in ENDINGS


def factor_of(x: np.ndarray, symbols: int) -> int | None:
    """What the elements of a model of zeros and ones are to be multiplied by: 1, or 255 for black and white; None
    where they have other values.
    """
    if symbols > 2:
        return 1
    values = np.unique(x)
    return next((factor for factor in (1, 255) if np.isin(values, (0, factor)).all()), None)


def cells_of(source: Source) -> Contents:
    """The elements of a source; what a transform draws at random is drawn once, from seed 0, and kept."""
    if source.kind not in (Kind.BINARY, Kind.INTEGER):
        raise SupportError(
            f"{source.name} holds cells that are {source.kind.value}, but only whole numbers can be coded without loss"
        )
    like, parts = torch.zeros(0), []
    for start in range(0, len(source), AT_ONCE):
        parts.append(
            batch_at(source, range(start, min(start + AT_ONCE, len(source))), 0, like).x.to(torch.int32).numpy()
        )
    return from_cells(source, np.concatenate(parts))


def write_images(done: Decompressed, file: Path, target: Path) -> None:
    """Images as PNG in a folder that was not there, or was empty.

    Errors: `StateError` for another, `FormatError` for names that lead elsewhere.
    """
    names = safe_names(done.layout, str(file))
    with files.new_folder(target) as folder:
        tiles = done.layout.kind == "pictures"
        for name, cells in zip(names, pictures_of(done.array, done.layout) if tiles else done.array, strict=True):
            stream = io.BytesIO()
            Image.fromarray(cells[0] if len(cells) == 1 else cells.transpose(1, 2, 0)).save(stream, "PNG")
            files.write_bytes(folder / name, stream.getvalue(), durable=False)
