"""What the columns of a table are, told from their cells."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vael.data.schema import Column, ColumnKind, Schema
from vael.data.text import MISSING
from vael.errors import SupportError

PAIRS = (
    {"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"}, {"0", "1"}, {"on", "off"}, {"ja", "nein"}, {"oui", "non"}, {"si", "no"}, {"sí", "no"},
)  # fmt: skip
PATTERNS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M",
)  # fmt: skip
DAY = 86_400.0
EXACT = 2**24  # whole numbers that float32 can hold
MOST_DECIMALS = 6
SPIKE = 0.03  # least share of a value that is a spike
FEW = 20  # values from which a number may have spikes
LEAST_ROWS = 5  # of a level, for a code of its own where there are many levels
MANY = 10  # levels from which rare ones are pooled
IDENTIFIER = 0.5  # share of different texts from which a column names its rows instead of describing them
MOST_LEVELS = 1000
GERMAN = re.compile(r"[+-]?\d{1,3}(\.\d{3})*,\d+$|[+-]?\d+(,\d+)?$")
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?$|[+-]?\d+(\.\d+)?$")


@dataclass(frozen=True)
class Found:
    """A column as it was found: what it is, and its cells as numbers (codes, or values without the origin taken off), NaN where missing."""

    column: Column
    values: np.ndarray


def missing_text(column: pa.ChunkedArray) -> np.ndarray:
    """Where a column of text has nothing."""
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    return np.asarray(pc.is_in(lower, pa.array(sorted(MISSING))).to_numpy()) | np.asarray(pc.is_null(column).to_numpy())


def numbers(column: pa.ChunkedArray, absent: np.ndarray) -> np.ndarray | None:
    """The cells of a column of text as float64, NaN where missing; None if one of them is no number.

    Numbers with a decimal comma, or with commas or points between thousands, are understood where all cells of the column are so.
    """
    shown = pc.if_else(pa.array(~absent), column, pa.scalar(None, pa.string()))
    for form in (lambda text: text, thousands, decimal_comma):
        written = form(shown)
        if written is None:
            continue
        try:
            return np.array(pc.cast(written, pa.float64()).to_numpy(zero_copy_only=False), np.float64)
        except pa.ArrowInvalid:
            continue
    return None


def thousands(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Cells such as 1,234.5 without their commas."""
    return pc.replace_substring(column, ",", "") if _all(column, THOUSANDS) else None


def decimal_comma(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Cells such as 1.234,5 as programs write them."""
    return pc.replace_substring(pc.replace_substring(column, ".", ""), ",", ".") if _all(column, GERMAN) else None


def _all(column: pa.ChunkedArray, form: re.Pattern[str]) -> bool:
    return all(form.match(cell.strip()) for cell in pc.unique(column).to_pylist() if cell is not None)


def infer_schema(table: pa.Table, where: str = "the table") -> tuple[Schema, tuple[Found, ...]]:
    """Every column's kind from its cells: of text (a CSV file) or of types (Parquet, a data frame).

    Texts that are different in most rows (names, identifiers, free text) and columns that count the rows are left out of the model and named
    in `Schema.left_out`.
    Errors: `SupportError` for infinite numbers, columns without a single cell, and types that are no column of a table.
    """
    found = [told(name, table.column(name), where) for name in table.column_names]
    found = [None if one is None or counts_rows(one) else one for one in found]
    kept = tuple(one for one in found if one is not None)
    if not kept:
        raise SupportError(f"{where} has no column that can be modelled: each is text that differs in most rows; add numbers or levels")
    left = tuple(name for name, one in zip(table.column_names, found, strict=True) if one is None)
    return Schema(tuple(one.column for one in kept), left), kept


def counts_rows(found: Found) -> bool:
    """Whether a column is nothing but the number of its row."""
    values = found.values
    return found.column.kind is ColumnKind.COUNT and len(values) >= FEW and bool((values == values[0] + np.arange(len(values))).all())


def told(name: str, column: pa.ChunkedArray, where: str) -> Found | None:
    """What one column is; None for texts that name rows."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _levels(name, pc.cast(column, pa.string()), _null(column), _ordered(column))
    if pa.types.is_boolean(kind):
        return _levels(name, pc.cast(column, pa.string()), _null(column), None)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _dates(name, _days(column), "")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = np.array(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
        return _number(name, values, where, decimals_of(values))
    if pa.types.is_null(kind):
        raise SupportError(f"{where}: column {name!r} has no cell at all; leave it out")
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or "string" in str(kind)):
        raise SupportError(f"{where}: column {name!r} is of type {kind}, but numbers, texts, booleans or dates were expected; convert it")
    return _text(name, pc.cast(column, pa.string()), where)


def _ordered(column: pa.ChunkedArray) -> tuple[str, ...] | None:
    """The levels of an ordered dictionary, in its order."""
    if not column.type.ordered:
        return None
    return tuple(str(level) for level in column.chunk(0).dictionary.to_pylist())


def _null(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.is_null(column).to_numpy())


def _text(name: str, column: pa.ChunkedArray, where: str) -> Found | None:
    absent = missing_text(column)
    if absent.all():
        raise SupportError(f"{where}: column {name!r} has no cell that is not missing; leave it out")
    distinct = {cell.lower() for cell in pc.unique(column.filter(pa.array(~absent))).to_pylist()}
    if len(distinct) == 2 and distinct in PAIRS:
        return _levels(name, column, absent, None)
    days, pattern = dates(column, absent)
    if days is not None:
        return _dates(name, days, pattern)
    values = None if padded(column) else numbers(column, absent)
    if values is not None:
        return _number(name, values, where, written_decimals(column, absent))
    _refuse_mixture(name, column, absent, where)
    return _levels(name, column, absent, None)


def padded(column: pa.ChunkedArray) -> bool:
    """Whether a cell is of digits that begin with 0 (postal codes, numbers of articles): a name, from which a number would lose the 0."""
    return bool(pc.any(pc.match_substring_regex(column, r"^\s*0\d+\s*$")).as_py())


def _refuse_mixture(name: str, column: pa.ChunkedArray, absent: np.ndarray, where: str) -> None:
    """Errors: `SupportError` for a column of numbers with a few words among them."""
    cells = np.array(column.to_pylist(), dtype=object)
    sample = np.flatnonzero(~absent)[:5000]
    wrong = [int(row) for row in sample if not _parses(cells[row])]
    if wrong and len(wrong) < 0.1 * len(sample) and len({cells[row] for row in sample}) > 2 * MANY:
        raise SupportError(
            f"{where}: column {name!r} holds {cells[wrong[0]]!r} in row {wrong[0] + 1:,} among numbers; write a number there, leave the cell empty, "
            "or give the column's kind in a schema (--schema)"
        )


def _parses(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def dates(column: pa.ChunkedArray, absent: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Days since 1970-01-01 and the pattern that all cells are written in, or None."""
    shown = column.filter(pa.array(~absent))
    first = str(shown[0])
    if not any(mark in first for mark in "-/.:") and not re.fullmatch(r"(19|20)\d{6}", first):
        return None, ""
    for pattern in PATTERNS:
        if pc.strptime(shown.slice(0, 20), pattern, "s", error_is_null=True).null_count:
            continue
        days = parsed_dates(column, absent, pattern)
        if not np.isnan(days[~absent]).any():
            return days, pattern
    return None, ""


def parsed_dates(column: pa.ChunkedArray, absent: np.ndarray, pattern: str) -> np.ndarray:
    """Days since 1970-01-01, NaN where a cell is missing or not written so."""
    shown = pc.if_else(pa.array(~absent), column, pa.scalar(None, pa.string()))
    seconds = pc.cast(pc.strptime(shown, pattern, "s", error_is_null=True), pa.int64())
    return np.array(pc.cast(seconds, pa.float64()).to_numpy(zero_copy_only=False), np.float64) / DAY


def _days(column: pa.ChunkedArray) -> np.ndarray:
    seconds = pc.cast(pc.cast(column, pa.timestamp("us"), safe=False), pa.int64())
    return np.array(pc.cast(seconds, pa.float64()).to_numpy(zero_copy_only=False), np.float64) / (1e6 * DAY)


def _dates(name: str, days: np.ndarray, pattern: str) -> Found:
    seen = days[~np.isnan(days)]
    least, most = float(seen.min()), float(seen.max())
    whole = bool((seen == np.floor(seen)).all())
    column = Column(
        name, ColumnKind.DATE, origin=float(np.floor(least)), minimum=least, maximum=most, decimals=0 if whole else None,
        missing=len(seen) < len(days), pattern=pattern or ("%Y-%m-%d" if whole else "%Y-%m-%d %H:%M:%S"),
    )  # fmt: skip
    return Found(column, days)


def _levels(name: str, column: pa.ChunkedArray, absent: np.ndarray, order: tuple[str, ...] | None) -> Found | None:
    counted = pc.value_counts(column.filter(pa.array(~absent)))
    counts = {str(entry["values"]): int(entry["counts"]) for entry in counted.to_pylist()}
    rows = int((~absent).sum())
    if order is None and (len(counts) > IDENTIFIER * rows and len(counts) > MANY):
        return None
    boolean = len(counts) == 2 and {level.lower() for level in counts} in PAIRS
    kind = ColumnKind.ORDINAL if order is not None else ColumnKind.BOOLEAN if boolean else ColumnKind.CATEGORICAL
    levels, rare = _pooled(counts) if order is None else (order, ())
    made = Column(name, kind, levels=levels, rare=rare, missing=bool(absent.any()))
    return Found(made, codes(made, column, absent))


def _pooled(counts: dict[str, int]) -> tuple[tuple[str, ...], tuple[tuple[str, int], ...]]:
    """Levels with a code each in the order of their text, and those too rare for one."""
    often = [level for level, _ in Counter(counts).most_common(MOST_LEVELS)]
    kept = sorted(level for level in often if len(counts) <= MANY or counts[level] >= LEAST_ROWS)
    rare = sorted(level for level in counts if level not in set(kept))
    if len(rare) < 2 or not kept:
        return tuple(sorted(counts)), ()
    return tuple(kept), tuple((level, counts[level]) for level in rare)


def codes(column: Column, cells: pa.ChunkedArray, absent: np.ndarray) -> np.ndarray:
    """Codes of levels as float64, NaN where missing, -1 for a level that is not known and has no code for rare ones to share."""
    place = pc.index_in(cells, pa.array(column.levels, pa.string()))
    found = np.array(pc.cast(place, pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    found[np.isnan(found)] = len(column.levels) if column.rare else -1
    found[absent] = np.nan
    return found


def _number(name: str, values: np.ndarray, where: str, decimals: int | None) -> Found:
    seen = values[~np.isnan(values)]
    if not len(seen):
        raise SupportError(f"{where}: column {name!r} has no cell that is not missing; leave it out")
    if np.isinf(seen).any() or np.abs(seen).max() > np.finfo(np.float32).max:
        row = int(np.flatnonzero(np.isinf(values) | (np.abs(values) > np.finfo(np.float32).max))[0]) + 1
        raise SupportError(
            f"{where}: column {name!r} holds {values[row - 1]} in row {row:,}; give finite numbers below 3e38, or leave the cell empty"
        )
    least, most = float(seen.min()), float(seen.max())
    whole = decimals == 0 and bool((seen == np.floor(seen)).all())
    wide = max(abs(least), abs(most)) > 1e3 * (most - least) > 0 or (whole and max(abs(least), abs(most)) >= EXACT > most - least)
    column = Column(
        name, _kind(seen, whole), origin=float(np.floor(least)) if wide else 0.0, minimum=least, maximum=most, decimals=decimals,
        spikes=spikes(seen), missing=len(seen) < len(values),
    )  # fmt: skip
    return Found(column, values)


def _kind(seen: np.ndarray, whole: bool) -> ColumnKind:
    """Whole numbers that float32 holds are counts; positive numbers that are more even on a logarithmic scale are of many magnitudes."""
    if whole and seen.max() - seen.min() < EXACT:
        return ColumnKind.COUNT
    if seen.min() <= 0 or len(seen) < FEW:
        return ColumnKind.REAL
    return ColumnKind.POSITIVE if abs(_skewness(np.log(seen))) < abs(_skewness(seen)) and seen.max() > 10 * np.median(seen) else ColumnKind.REAL


def _skewness(values: np.ndarray) -> float:
    spread = values.std()
    return float((((values - values.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0


def spikes(seen: np.ndarray) -> tuple[float, ...]:
    """Single values that many cells have, among others that few have: at most three."""
    values, counts = np.unique(seen, return_counts=True)
    if len(values) < FEW:
        return ()
    usual = float(np.quantile(counts, 0.9))
    often = [(int(count), float(value)) for value, count in zip(values, counts, strict=True) if count > SPIKE * len(seen) and count > 5 * usual]
    return tuple(sorted(value for _, value in sorted(often, reverse=True)[:3]))


def written_decimals(column: pa.ChunkedArray, absent: np.ndarray) -> int | None:
    """Most digits after the point that cells are written with, trailing zeros apart; None for more than `MOST_DECIMALS` or exponents."""
    most = 0
    for cell in pc.unique(column.filter(pa.array(~absent))).to_pylist():
        text = cell.lower()
        if "e" in text or "inf" in text:
            return None
        mark = max(text.rfind("."), text.rfind(",") if text.count(",") == 1 and "." not in text else -1)
        most = max(most, len(text[mark + 1 :].rstrip("0")) if mark >= 0 else 0)
    return most if most <= MOST_DECIMALS else None


def decimals_of(values: np.ndarray) -> int | None:
    """Least number of digits after the point that holds every value."""
    seen = values[np.isfinite(values)]
    for digits in range(MOST_DECIMALS + 1):
        if np.allclose(seen, np.round(seen, digits), rtol=1e-12, atol=1e-9 * 10.0**-digits):
            return digits
    return None
