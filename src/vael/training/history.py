"""The rows of metrics.jsonl."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

from vael.errors import FormatError
from vael.stored import LINES_BYTES, parsed, present, read_text
from vael.training.callbacks import LARGEST, Row, read_row

METRICS = "metrics.jsonl"
MOST = 2**53  # of steps and epochs
# as text, because annotations are not evaluated; whether a bound was logged is said by the name of its column
KINDS = {field.name: field.type for field in fields(Row) if field.name != "is_bound"}


def read_rows(path: Path) -> tuple[Row, ...]:
    """The rows of a file; a last line that was cut short by a crash is left out.

    Errors: `FormatError` for another bad line.
    """
    lines = read_text(path, LINES_BYTES).splitlines() if present(path) else []
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(as_row(parsed(line, f"{path}, line {number},")))
        except FormatError as error:
            if number < len(lines):
                raise FormatError(
                    f"{path}, line {number}, is no row of metrics ({error}); restore the file, or remove that line"
                ) from error
    return tuple(rows)


def as_row(found: object) -> Row:
    """A row as JSON has it. Errors: `FormatError` for other names, or values of other types."""
    named = (
        {"elbo" if name == "objective" else name: value for name, value in found.items()}
        if isinstance(found, dict)
        else {}
    )
    if not isinstance(found, dict) or named.keys() != KINDS.keys() or len(found) != len(named):
        raise FormatError(f"a record of {', '.join(KINDS)} was expected")
    for name, kind in KINDS.items():
        value = named[name]
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST
        fits = {
            "str": value in ("train", "validation"),
            "int": whole,
            "float": whole or _measured(value),
            "float | None": value is None or _measured(value),
        }[str(kind)]
        if not fits:
            raise FormatError(f"{name} is {str(value)[:80]!r}, which it cannot be")
    return read_row(found)


def _measured(value: object) -> bool:
    """Whether a value is a number as a run has them: what lies beyond 10^15 nats was never a bound, unless it was
    no number at all.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and (not math.isfinite(value) or abs(value) < LARGEST)
