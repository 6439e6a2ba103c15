"""Tables of numbers as text: comma-separated (or semicolon, or tab), with or without a line of names."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from vael.data.material import Material, Part
from vael.errors import FormatError, ShapeError, SupportError


def read_csv(path: Path) -> Material:
    """Every column a feature, as float32, with its name.

    Errors: `SupportError` for columns that are not numbers and for empty cells, `ShapeError` for rows of another length.
    """
    rows = _rows(path)
    named = any(not _is_number(cell) and cell.strip().lower() not in MISSING for cell in rows[0]) if rows else False
    names = [name.strip() for name in rows[0]] if named else []
    body = rows[1:] if names else rows
    if not body:
        raise FormatError(f"{path} has no rows of numbers; give a table with one example a line")
    width = len(names or body[0])
    columns = tuple(names) or tuple(f"column {number}" for number in range(1, width + 1))
    for line, row in enumerate(body, 1 + bool(names)):
        if len(row) != width:
            raise ShapeError(f"{path}, row {line}: {len(row)} cells, but {width} were expected as in the first row; check its commas and quotes")
    x = np.stack([_column([row[place] for row in body], name, path) for place, name in enumerate(columns)], axis=1)
    return Material(path.stem, Part(x), columns=columns)


def _rows(path: Path) -> list[list[str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            mark = max(",;\t", key=first.count)
            file.seek(0)
            return [row for row in csv.reader(file, delimiter=mark) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path} is not a table in UTF-8 text ({error}); save it as CSV in UTF-8") from error


MISSING = {"", "na", "nan", "n/a", "null", "none", "?"}


def _column(cells: list[str], name: str, path: Path) -> np.ndarray:
    missing = sum(cell.strip().lower() in MISSING for cell in cells)
    wrong = next((cell for cell in cells if not _is_number(cell) and cell.strip().lower() not in MISSING), None)
    if wrong is not None:
        raise SupportError(f"{path}: column {name!r} holds {wrong!r}, but numbers were expected; turn its categories into 0/1 columns, or drop it")
    if missing:
        raise SupportError(
            f"{path}: column {name!r} has {missing:,} empty cells of {len(cells):,}, but every cell must be a number, since no likelihood here "
            "takes a mask; fill them in (with the column's median, say), or drop those rows or the column"
        )
    values = np.array(cells, np.float64)
    if not np.isfinite(values).all() or (np.abs(values) > np.finfo(np.float32).max).any():
        raise SupportError(f"{path}: column {name!r} holds infinite numbers or such beyond 3e38; give finite numbers in another unit")
    return values.astype(np.float32)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.strip().lower() not in MISSING
