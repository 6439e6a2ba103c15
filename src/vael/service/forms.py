"""How examples of a run stand in JSON: rows as objects, images as lists or PNG, and what a schema of them is."""

from __future__ import annotations

import base64
import binascii
import io
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from PIL import Image
from torch import Tensor

from vael import domains
from vael.counting import counted
from vael.domains import DataSpec
from vael.errors import FormatError, ShapeError
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema
from vael.tables.writing import written_cells

JSON = dict[str, Any]
MODES = {1: ("1", "L"), 3: ("RGB",)}  # of PNG images, by channels


class Form(ABC):
    """Abstract: examples of one kind in JSON."""

    key: ClassVar[str]  # under which a request has them
    what: ClassVar[str]  # one of them

    @abstractmethod
    def read(self, given: list[Any]) -> object:
        """What a run takes, from what a request has under `key`. Errors: `VaelError` for what is no such example."""

    @abstractmethod
    def schema(self) -> JSON:
        """JSON Schema of one example."""

    def asked(self, body: JSON, most: int) -> object:
        """The examples of a request. Errors: `FormatError` where there are none, `ShapeError` for more than `most`."""
        if self.key not in body:
            raise FormatError(f"the request has no {self.key!r}; give a list of {self.what}s under this name")
        given = body[self.key]
        listed = given if isinstance(given, list) else [given]
        if not listed:
            raise FormatError(f"{self.key!r} is empty; give at least one {self.what}")
        if len(listed) > most:
            raise TooMuch(f"the request has {counted(len(listed), self.what)}; ask for at most {most:,} at once")
        return self.read(listed)


class TooMuch(ShapeError):
    """More than a request may ask for."""


@dataclass(frozen=True)
class RowForm(Form):
    """Rows of a table, or steps of series, by the names of their columns."""

    columns: tuple[Column, ...]
    gaps: bool  # whether cells may be missing
    key: ClassVar[str] = "rows"
    what: ClassVar[str] = "row"

    def read(self, given: list[Any]) -> object:
        """Rows by the names of their columns. Errors: `FormatError` for what is no object of single values."""
        for place, row in enumerate(given, 1):
            if not isinstance(row, dict):
                raise FormatError(f"row {place} is no object; give a value for each column by its name")
            for name, cell in row.items():
                if isinstance(cell, dict | list):
                    raise FormatError(f"row {place}, column {name!r}: a list or an object came; give one value")
        return given

    def schema(self) -> JSON:
        properties = {column.name: cell_schema(column, self.gaps or column.missing) for column in self.columns}
        return {"type": "object", "properties": properties, "required": [column.name for column in self.columns]}


@dataclass(frozen=True)
class ArrayForm(Form):
    """Arrays of one shape, as nested lists."""

    event: tuple[int, ...]
    key: ClassVar[str] = "examples"
    what: ClassVar[str] = "example"

    def read(self, given: list[Any]) -> object:
        return np.stack([self.array(one, place) for place, one in enumerate(given, 1)])

    def array(self, given: object, place: int) -> np.ndarray:
        """One example. Errors: `ShapeError` for another shape, `FormatError` for what is no number."""
        try:
            found = np.asarray(given)
        except (ValueError, OverflowError):
            found = np.zeros(0, object)
        if found.dtype.kind not in "buif":
            raise FormatError(f"{self.what} {place} is no array of numbers; give lists of shape {list(self.event)}")
        if found.shape != self.event:
            raise ShapeError(
                f"{self.what} {place} has shape {list(found.shape)}, but the run was trained on {list(self.event)}"
            )
        return found

    def schema(self) -> JSON:
        found: JSON = {"type": "number"}
        for side in reversed(self.event):
            found = {"type": "array", "items": found, "minItems": side, "maxItems": side}
        return found


@dataclass(frozen=True)
class ImageForm(ArrayForm):
    """Images `[channels, height, width]`: nested lists of stored values, or PNG in base64."""

    key: ClassVar[str] = "images"
    what: ClassVar[str] = "image"

    def array(self, given: object, place: int) -> np.ndarray:
        return self.picture(given, place) if isinstance(given, str) else super().array(given, place)

    def picture(self, text: str, place: int) -> np.ndarray:
        """An image in base64. Errors: `FormatError` for what is no PNG, `ShapeError` for another size."""
        channels, height, width = self.event
        try:
            content = base64.b64decode(text.removeprefix("data:image/png;base64,"), validate=True)
            with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
                size, mode = image.size, image.mode
                if size == (width, height) and mode in MODES.get(channels, ()):
                    cells = np.asarray(image.convert("L" if channels == 1 else "RGB"))
                    return cells[None] if channels == 1 else cells.transpose(2, 0, 1)
        except (binascii.Error, ValueError, OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise FormatError(f"image {place} is no PNG in base64; save it as a whole PNG, and encode its bytes") from (
                error
            )
        raise ShapeError(
            f"image {place} is {size[1]}×{size[0]} (mode {mode}), but the run was trained on {height}×{width} images "
            f"of {counted(channels, 'channel')}: give such PNG images of 8 bits, grey or red, green and blue"
        )

    def schema(self) -> JSON:
        png = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}
        return {"oneOf": [super().schema(), png]}


def form_of(known: DataSpec) -> Form:
    """How examples of a run's data stand in JSON."""
    domain = domains.of(known)
    schema = domain.columns(known)
    if domain.in_time(known):
        return RowForm((*times_of(known), *(schema or Schema(())).columns), True) if schema else ArrayForm(known.event)
    if domain.in_rows(known) and schema is not None:
        return RowForm((known.whole_schema or schema).columns, known.has_schema)
    return ImageForm(known.event) if domain.shows_images(known) else ArrayForm(known.event)


def times_of(known: DataSpec) -> tuple[Column, ...]:
    """The columns that name a step: its series and its time."""
    names = () if known.windowing is None else (known.windowing.id, known.windowing.time)
    return tuple(Column(name, ColumnKind.CATEGORICAL) for name in names if name)


def cell_schema(column: Column, missing: bool) -> JSON:
    """JSON Schema of the cells of a column; the values that training saw are described, others may come."""
    found = {**_values(column)}
    if missing:
        found = {"oneOf": [found, {"type": "null"}], "description": found.pop("description", "")}
    return {name: value for name, value in found.items() if value != ""}


def _values(column: Column) -> JSON:
    if column.kind in LEVELS:
        levels = [_level(level, column.type) for level in (*column.levels, *(level for level, _ in column.rare))]
        return {"enum": levels} if levels else {"type": ["string", "number"]}
    if column.kind is ColumnKind.DATE:
        return {"type": ["string", "number"], "description": f"written as {column.pattern or '%Y-%m-%d'}"}
    seen = "" if column.minimum is None else f"in training from {column.minimum:g} to {column.maximum:g}"
    return {"type": "number", "description": seen}


def _level(level: str, kind: str) -> object:
    if kind.startswith("bool"):
        return level.lower() == "true"
    if kind.startswith(("int", "uint")):
        return int(level)
    return float(level) if kind.startswith(("float", "double")) else level


def rows_in_json(table: pa.Table, columns: Sequence[Column] = ()) -> list[JSON]:
    """Rows as objects: dates as their columns write them, null for what is missing."""
    known = {column.name: column for column in columns}
    cells = {name: _cells(table.column(name), known.get(name)) for name in table.column_names}
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def _cells(found: pa.ChunkedArray, column: Column | None) -> list[object]:
    if pa.types.is_temporal(found.type) and column is not None:
        return [text or None for text in written_cells(column, pa.concat_arrays(found.chunks))]
    return [plain(one) for one in found.to_pylist()]


def plain(cell: object) -> object:
    """A value that JSON has; null for what is not finite."""
    if isinstance(cell, bool | int | str) or cell is None:
        return cell
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    return float(cell) if isinstance(cell, Decimal) else str(cell)


def numbers(x: Tensor) -> Any:
    """A tensor as nested lists, null for what is not finite."""
    listed = x.tolist()
    return listed if bool(x.isfinite().all()) else _finite(listed)


def _finite(listed: Any) -> Any:
    return [_finite(one) for one in listed] if isinstance(listed, list) else plain(listed)
