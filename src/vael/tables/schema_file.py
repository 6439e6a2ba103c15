"""Schemas as JSON: shown, edited by hand, and read again with every mistake named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from vael import files
from vael.errors import FormatError
from vael.stored import present, read_json
from vael.tables.schema import LEVELS, MOST_DIGITS, Column, ColumnKind, Schema
from vael.tables.values.arrow_types import type_named
from vael.tables.values.numerals import is_pattern

VERSION = 1
LARGEST = 1e300  # of any number
OPTIONAL = {f.name: f.default for f in fields(Column) if f.name not in ("name", "kind")}


def as_record(schema: Schema) -> dict[str, object]:
    """A schema as what JSON can hold; what a column leaves at its default is left out."""
    return {
        "vael_schema": VERSION,
        "columns": [_column(column) for column in schema.columns],
        "left_out": list(schema.left_out),
    }


def _column(column: Column) -> dict[str, object]:
    kept = {
        name: json.loads(json.dumps(getattr(column, name)))
        for name, default in OPTIONAL.items()
        if getattr(column, name) != default
    }
    return {"name": column.name, "kind": column.kind.value, **kept}


def as_text(schema: Schema) -> str:
    """A schema as a person can read and edit it."""
    record = as_record(schema)
    lines = ",\n".join(f"    {json.dumps(column, ensure_ascii=False)}" for column in record["columns"])  # type: ignore[union-attr]
    left = json.dumps(record["left_out"], ensure_ascii=False)
    return f'{{\n  "vael_schema": {VERSION},\n  "columns": [\n{lines}\n  ],\n  "left_out": {left}\n}}\n'


def write_schema(path: Path, schema: Schema) -> None:
    """A schema as a file, whole or not at all."""
    files.write_bytes(path, as_text(schema).encode())


def read_schema(path: Path) -> Schema:
    """The schema in a file. Errors: `FormatError` for a file that is none, naming the column and the entry."""
    if not present(path):
        raise FormatError(
            f"{path}: there is no such schema; `vael data info TABLE --schema {path.name}` writes one to start from"
        )
    return from_record(read_json(path), str(path))


def from_record(record: object, where: str = "the schema") -> Schema:
    """A schema from what JSON held. Errors: `FormatError`, naming the column and the entry."""
    if (
        not isinstance(record, Mapping)
        or record.get("vael_schema") != VERSION
        or not isinstance(record.get("columns"), list)
    ):
        raise FormatError(
            f'{where} is no schema of version {VERSION}: expected {{"vael_schema": {VERSION}, "columns": [...]}}'
        )
    columns = tuple(_read(entry, number, where) for number, entry in enumerate(record["columns"], 1))
    names = [column.name for column in columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or not columns:
        trouble = "has no columns" if not columns else f"has two columns called {twice!r}"
        raise FormatError(f"{where} {trouble}; expected at least one column, each with a name of its own")
    left = record.get("left_out", [])
    if not isinstance(left, list) or not all(isinstance(name, str) for name in left):
        raise FormatError(f"{where}: left_out is {str(left)[:200]!r}; expected a list of the names of columns")
    return Schema(columns, tuple(left))


def _read(entry: object, number: int, where: str) -> Column:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise FormatError(f'{where}: column {number} has no name; expected {{"name": ..., "kind": ...}}')
    what = f"{where}: column {entry['name']!r}"
    kinds = [kind.value for kind in ColumnKind]
    if not isinstance(entry.get("kind"), str) or entry["kind"] not in kinds:
        raise FormatError(f"{what} has the kind {str(entry.get('kind'))[:80]!r}; expected one of {', '.join(kinds)}")
    unknown = [name for name in entry if name not in OPTIONAL and name not in ("name", "kind")]
    if unknown:
        raise FormatError(f"{what} has the entry {unknown[0]!r}; there are {', '.join(OPTIONAL)}")
    values: dict[str, Any] = {name: _value(what, name, entry[name]) for name in OPTIONAL if name in entry}
    column = Column(entry["name"], ColumnKind(entry["kind"]), **values)
    return _checked(column, what)


def _value(what: str, name: str, value: object) -> object:
    """An entry as the column holds it. Errors: `FormatError` for one of another type."""
    number = _is_number(value)
    fits = {
        "levels": isinstance(value, list) and all(isinstance(level, str) for level in value),
        "rare": isinstance(value, list) and all(_is_rare(pair) for pair in value),
        "spikes": isinstance(value, list) and all(_is_number(spike) for spike in value),
        "usual": isinstance(value, list) and len(value) in (0, 2) and all(_is_number(end) for end in value),
        "origin": number,
        "minimum": number or value is None,
        "maximum": number or value is None,
        "decimals": value is None or (type(value) is int and 0 <= value <= MOST_DIGITS),
        "missing": isinstance(value, bool),
        "pattern": isinstance(value, str),
        "step": value is None or (number and value > 0),  # type: ignore[operator]
        "months": value is None or (type(value) is int and 1 <= abs(value) <= 12),
        "type": isinstance(value, str) and (not value or type_named(value) is not None),
    }
    if not fits[name]:
        raise FormatError(
            f"{what}: {name} is {str(value)[:200]!r}, which it cannot be; a default is {OPTIONAL[name]!r}"
        )
    if name == "rare":
        return tuple((str(level), int(count)) for level, count in value)  # type: ignore[union-attr]
    return (
        tuple(value)
        if isinstance(value, list)
        else float(value)  # type: ignore[bad-argument-type]
        if name in ("origin", "minimum", "maximum", "step") and number
        else value
    )


def _is_number(value: object) -> bool:
    """Whether a value is a number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def _is_rare(pair: object) -> bool:
    """Whether something is a level and how often it came."""
    return (
        isinstance(pair, list)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and type(pair[1]) is int
        and 0 <= pair[1] < 2**62
    )


def _checked(column: Column, what: str) -> Column:
    """Errors: `FormatError` for entries that contradict each other."""
    if (column.kind in LEVELS) != bool(column.levels):
        raise FormatError(
            f"{what} is {column.kind.value} and has {len(column.levels)} levels; levels belong to "
            f"{', '.join(k.value for k in LEVELS)}"
        )
    if len(set(column.levels)) < len(column.levels) or (column.kind is ColumnKind.BOOLEAN and len(column.levels) != 2):
        raise FormatError(
            f"{what} has the levels {', '.join(column.levels[:10])}; each once was expected, and two of a boolean"
        )
    if column.minimum is not None and column.maximum is not None and column.minimum > column.maximum:
        raise FormatError(
            f"{what} has a minimum of {column.minimum:g} above its maximum of {column.maximum:g}; exchange them"
        )
    if column.pattern and column.kind not in {*LEVELS, ColumnKind.DATE} and not is_pattern(column.pattern):
        raise FormatError(
            f"{what} has the pattern {column.pattern!r}; write 1234.5 as its cells have it, such as '1.234,5 €' or "
            "'1234.5 %'"
        )
    if column.kind is ColumnKind.POSITIVE and column.minimum is not None and column.minimum <= 0:
        raise FormatError(
            f"{what} is positive, but its minimum is {column.minimum:g}; call it real, or leave out the cells that are "
            "not above 0"
        )
    return column
