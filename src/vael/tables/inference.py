"""What the columns of a table are, told from their cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from vael.errors import SupportError
from vael.tables import columnwise as pc
from vael.tables.missing import marks_of, missing_among, missing_text, nulls
from vael.tables.quoting import NOTHING_QUOTED
from vael.tables.row_names import column_of_row_names, tells_rows_apart
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema
from vael.tables.stand_ins import FEW, spikes, usual_range
from vael.tables.values.arrow_types import DAY, FIRST_DAY, LAST_DAY, days_of, is_moment, is_number, is_text, numbers_of
from vael.tables.values.calendar import Beat, beat_of
from vael.tables.values.date_patterns import as_written, no_dates, told_dates, told_digits
from vael.tables.values.dates import resolution
from vael.tables.values.day_order import day_order, order_notes, reading
from vael.tables.values.decimals import decimals_of, written_decimals
from vael.tables.values.numerals import decimal_commas, limits, nothing, told_numbers

PAIRS = (
    {"true", "false"},
    {"yes", "no"},
    {"y", "n"},
    {"t", "f"},
    {"0", "1"},
    {"on", "off"},
    {"ja", "nein"},
    {"oui", "non"},
    {"si", "no"},
    {"sí", "no"},
)
BITS = ({"0", "1"}, {"true", "false"}, {"t", "f"})  # of `PAIRS` those that have no third answer
EXACT = 2**24  # whole numbers that float32 can hold
STEPS = (
    86_400.0,
    3600.0,
    900.0,
    300.0,
    60.0,
    1.0,
    1e-3,
    1e-6,
    1e-9,
)  # seconds between moments that a column may tell apart
LARGEST = 1e32  # number that a model of 32-bit numbers can learn from
LEAST_ROWS = 5  # of a level, for a code of its own where there are many levels
MANY = 10  # levels from which rare ones are pooled
IDENTIFIER = 0.5  # share of different texts from which a column names its rows instead of describing them
MOST_LEVELS = 1000
NO_CELL = "no cell that is not missing"  # why a column is left out
INDEX = "__index_level_"  # how pandas calls the index of a frame where it has no name: it is no column


@dataclass(frozen=True)
class Found:
    """A column as it was found: what it is, and its cells as numbers (codes, or values without the origin taken
    off), NaN where missing.
    """

    column: Column
    values: np.ndarray


def infer_schema(
    table: pa.Table,
    where: str = "the table",
    *,
    comma: bool = False,
    typed: bool = True,
    quoted: Mapping[str, frozenset[str]] = NOTHING_QUOTED,
) -> tuple[Schema, tuple[Found, ...]]:
    """Every column's kind from its cells: of text (a CSV file) or of types (Parquet, a data frame).

    Columns without a cell, of types that are no column of a table, texts that are different in most rows (names,
    identifiers, free text), columns that count the rows, and a first column without a name that is another in every row
    are left out of the model and named in `Schema.left_out`; `why_left_out` says why. `comma` says that commas are
    decimal marks rather than marks between thousands where they could be either; other columns may say so too. `typed`
    says that cells have types (Parquet, a frame), so that what is missing is null: a level may have any name
    (`vael.tables.missing`). `quoted` are the columns that are told to be text by quotation marks, with the words that
    stand there without any (`vael.tables.quoting`). Errors: `SupportError` for infinite numbers, for words among
    numbers, and where no column is left.
    """
    signs = Signs(decimal_mark(table, comma), day_order(table, no_date))
    columns = {name: table.column(name) for name in table.column_names if not name.startswith(INDEX)}
    rows = column_of_row_names(table.column_names)
    known = {name: told(name, column, where, signs) for name, column in columns.items()}
    known = {name: None if name in quoted and name != rows and are_codes(one) else one for name, one in known.items()}
    said = [] if typed else [marks_of(columns[name]) for name, one in known.items() if one is not None]
    marks = frozenset[str]().union(*said)
    texts = {
        name: level_text(
            name, columns[name], where, typed, marks | quoted.get(name, frozenset()), in_quotes=name in quoted
        )
        for name, one in known.items()
        if one is None
    }
    found = [known.get(name) or texts.get(name) for name in table.column_names]
    found = [
        None if one is None or counts_rows(one) or (name == rows and _names_rows(one, columns[name])) else one
        for name, one in zip(table.column_names, found, strict=True)
    ]
    kept = tuple(one for one in found if one is not None)
    if not kept:
        reasons = "; ".join(f"{name}: {why_left_out(table.column(name), name)}" for name in table.column_names[:5])
        raise SupportError(f"{where} has no column that can be modelled ({reasons}); add numbers or levels")
    left = tuple(name for name, one in zip(table.column_names, found, strict=True) if one is None)
    return Schema(tuple(one.column for one in kept), left), kept


@dataclass(frozen=True)
class Signs:
    """What columns of a table say of each other."""

    comma: bool = False  # whether commas are decimal marks
    day_first: bool | None = None  # whether the day stands before the month; None where no column says


def no_date(column: pa.ChunkedArray) -> np.ndarray:
    """Where a column of text has neither a date nor a number."""
    return missing_text(column) | nothing(column)


def date_notes(table: pa.Table, schema: Schema, comma: bool = False) -> tuple[str, ...]:
    """What is to be said of dates that could be read in another way."""
    return tuple(order_notes(table, schema, no_date, decimal_mark(table, comma)))


def decimal_mark(table: pa.Table, comma: bool) -> bool:
    """Whether commas are decimal marks in a table of text: what its columns say without doubt, or `comma`."""
    columns = [column for column in table.columns if pa.types.is_string(column.type)]
    if not any(pc.any(pc.match_substring(column, ",")).as_py() for column in columns):
        return comma
    said = {decimal_commas(column, missing_text(column) | nothing(column)) for column in columns}
    return comma if said >= {True, False} or not said & {True, False} else True in said


def why_left_out(column: pa.ChunkedArray, name: str = "") -> str:
    """Why a column is no part of the model."""
    kind = column.type
    if name.startswith(INDEX):
        return "the index of a frame"
    if column.null_count == len(column) or (is_text(kind) and missing_text(pc.cast(column, pa.string())).all()):
        return NO_CELL
    if not modelled(kind):
        return f"of type {kind}"
    text = pc.utf8_trim_whitespace(pc.cast(column, pa.string())) if is_text(kind) else None
    numbers = None if text is None else told_numbers(text, missing_text(text))
    if text is not None and (padded(text) or numbers is None):
        return "text that differs in most rows"
    values = numbers_of(column) if numbers is None else numbers[0]
    return "counts the rows" if (np.diff(values) == 1).all() else "names the rows"


def modelled(kind: pa.DataType) -> bool:
    """Whether columns of a type can be modelled: numbers, texts, booleans, dates, times and durations."""
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(test(plain) for test in (is_number, pa.types.is_boolean, is_moment, is_text))


def counts_rows(found: Found) -> bool:
    """Whether a column is nothing but the number of its row."""
    values = found.values
    return (
        found.column.kind is ColumnKind.COUNT
        and len(values) >= FEW
        and bool((values == values[0] + np.arange(len(values))).all())
    )


def _names_rows(found: Found, cells: pa.ChunkedArray) -> bool:
    """Whether a column is nothing but names or numbers of rows."""
    kind = found.column.kind
    return kind is not ColumnKind.DATE and tells_rows_apart(cells, None if kind in LEVELS else found.values)


NO_SIGNS = Signs()


def told(name: str, column: pa.ChunkedArray, where: str, signs: Signs = NO_SIGNS) -> Found | None:
    """What one column is; None for texts that are no numbers and no dates, and for columns without cells or of
    types that are not modelled.
    """
    kind = column.type
    if not modelled(kind) or column.null_count == len(column):
        return None
    if pa.types.is_dictionary(kind):
        return _levels(name, pc.utf8_trim_whitespace(pc.cast(column, pa.string())), nulls(column), _ordered(column))
    if pa.types.is_boolean(kind):
        return _levels(name, pc.cast(column, pa.string()), nulls(column), None)
    if is_moment(kind):
        return _dates(name, days_of(column), _pattern_of(kind, days_of(column)), where)
    if is_number(kind):
        values = numbers_of(column)
        days, pattern = (None, "") if pa.types.is_duration(kind) else told_digits(column, values)
        return (
            _number(name, values, where, decimals_of(values, kind))
            if days is None
            else _dates(name, days, pattern, where)
        )
    return _number_text(name, pc.utf8_trim_whitespace(pc.cast(column, pa.string())), where, signs)


def _pattern_of(kind: pa.DataType, days: np.ndarray) -> str:
    """How typed dates are written as text, with as many digits of the second as tell them apart."""
    seen = days[~np.isnan(days)]
    step = step_of(seen)
    clock = "%H:%M:%S" + ("" if step >= 1 else ".%3f" if step >= 1e-3 else ".%f")
    if pa.types.is_time(kind):
        return clock
    if pa.types.is_timestamp(kind) and kind.tz:
        return f"%Y-%m-%d {clock}%:z"
    return "%Y-%m-%d" if (seen == np.floor(seen)).all() else f"%Y-%m-%d {clock}"


def _ordered(column: pa.ChunkedArray) -> tuple[str, ...] | None:
    """The levels of an ordered dictionary, in its order."""
    if not column.type.ordered:
        return None
    return tuple(str(level).strip() for level in column.chunk(0).dictionary.to_pylist())


def _number_text(name: str, column: pa.ChunkedArray, where: str, signs: Signs) -> Found | None:
    """A column of text as numbers, dates, or bits and truth values, among which no word is a level; None where it
    is neither.
    """
    absent = missing_text(column)
    if absent.all():
        return None
    distinct = {cell.lower() for cell in pc.unique(column.filter(pa.array(~absent))).to_pylist()}
    if distinct in BITS:
        return _levels(name, column, absent, None)
    if distinct in PAIRS:
        return None
    without = absent | nothing(column)
    limited = without | limits(column)
    if (
        not limited.all()
        and limited.sum() > without.sum()
        and pc.count_distinct(column.filter(pa.array(~limited))).as_py() > MANY
    ):
        without = limited  # of few numbers a limit may be the last level: 0, 1, 2, >2
    if not without.all():
        days, pattern = told_dates(column, without)
        if days is not None:
            without = np.isnan(days)
            other = reading(column, without, (days, pattern), signs.day_first, signs.comma)
            days, pattern = (days, pattern) if other is None else (other.days, other.pattern)
            return _dates(name, days, as_written(column.filter(pa.array(~without)), pattern), where)
        names, found = padded(column), told_numbers(column, without, signs.comma)
        days, pattern = (None, "") if found is None or found[1].pattern else _digits_of_text(column, found[0])
        if days is not None:
            return _dates(name, days, pattern, where)
        if found is not None and not names:
            values, numeral = found
            made = _number(name, values, where, written_decimals(numeral.form.plain(numeral.bare(column)), without))
            return made and replace(made, column=replace(made.column, pattern=numeral.pattern))
    return None


def _digits_of_text(column: pa.ChunkedArray, values: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Numbers in a table of text as dates and times of their digits, and the pattern: 517 and 0517 at 05:17."""
    days, pattern = told_digits(pa.chunked_array([values]), values)
    if days is None:
        return None, ""
    shown = column.filter(pa.array(~np.isnan(days)))
    return days, as_written(pc.replace_substring_regex(shown, r"\.0*$", ""), pattern)


def are_codes(found: Found | None) -> bool:
    """Whether whole numbers that stand in quotes are the names of levels: they come again, as the number of a district
    does.
    """
    if found is None or found.column.kind is ColumnKind.DATE or found.column.decimals != 0 or found.column.pattern:
        return False
    seen = found.values[~np.isnan(found.values)]
    distinct = len(np.unique(seen))
    return found.column.kind not in LEVELS and (distinct <= MANY or distinct <= IDENTIFIER * len(seen))


def level_text(
    name: str,
    cells: pa.ChunkedArray,
    where: str,
    typed: bool,
    marks: frozenset[str],
    *,
    in_quotes: bool = False,
) -> Found | None:
    """A column of text as levels; None for texts that name rows.

    Errors: `SupportError` for words among numbers, unless all are whole and `in_quotes`: 136A among 136 is a code.
    """
    if not is_text(cells.type) or pa.types.is_dictionary(cells.type):
        return None
    column = pc.utf8_trim_whitespace(pc.cast(cells, pa.string()))
    absent = missing_among(column, typed, marks)
    if (absent if typed else missing_text(column)).all():
        return None
    codes = in_quotes and not pc.any(pc.match_substring_regex(column, r"^[+-]?\d*\.\d+")).as_py()
    _refuse_mixture(name, column, missing_text(column), where, codes=codes)
    return _levels(name, column, absent, None)


def padded(column: pa.ChunkedArray) -> bool:
    """Whether a cell is of digits that begin with 0 (postal codes, numbers of articles): a name, from which a
    number would lose the 0.
    """
    return bool(pc.any(pc.match_substring_regex(column, r"^\s*0\d+\s*$")).as_py())


def _refuse_mixture(name: str, column: pa.ChunkedArray, absent: np.ndarray, where: str, *, codes: bool = False) -> None:
    """Errors: `SupportError` for a column of numbers (unless they may be `codes`), or of dates, with a few other words
    among them.
    """
    cells = np.array(column.to_pylist(), dtype=object)
    sample = np.flatnonzero(~absent)[:5000]
    if len(set(cells[sample])) <= 2 * MANY:
        return
    wrong, what = [int(row) for row in sample if not _parses(cells[row])], "number"
    if len(wrong) >= 0.1 * len(sample):
        found = no_dates(pa.chunked_array([pa.array(cells[sample], pa.string())]))
        wrong, what = sample[found].tolist(), "date"
    if wrong and not (codes and what == "number"):
        raise SupportError(
            f"{where}: column {name!r} holds {cells[wrong[0]]!r} in row {wrong[0] + 1:,} among {what}s"
            + (f" ({len(wrong):,} such cells among the first {len(sample):,})" if len(wrong) > 1 else "")
            + f"; write a {what} there{' as the others are written' if what == 'date' else ''}, or leave the cell empty"
            + ("" if what == "date" else "; where they are names, not numbers, put all cells of the column in quotes")
        )


def _parses(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _dates(name: str, days: np.ndarray, pattern: str, where: str) -> Found:
    seen = days[~np.isnan(days)]
    least, most = float(seen.min()), float(seen.max())
    if least < FIRST_DAY or most > LAST_DAY + 1:
        row = int(np.flatnonzero((days < FIRST_DAY) | (days > LAST_DAY + 1))[0]) + 1
        raise SupportError(
            f"{where}: column {name!r} holds a moment outside of the calendar in row {row:,}; give years from 1 to "
            "9999, or leave the cell empty"
        )
    whole, often = bool((seen == np.floor(seen)).all()), spikes(seen)
    usual = usual_range(seen, often)
    beat = beat_of(seen[~np.isin(seen, often)]) if whole else Beat()
    column = Column(
        name,
        ColumnKind.DATE,
        origin=float(np.floor((*usual, least)[0])),
        minimum=least,
        maximum=most,
        usual=usual,
        decimals=0 if whole else None,
        spikes=often,
        missing=len(seen) < len(days),
        pattern=pattern,
        months=beat.months,
        step=beat.step if whole else max(step_of(seen), resolution(pattern) if "%Y" not in pattern else 0.0),
    )
    return Found(column, days)


def step_of(days: np.ndarray) -> float:
    """The longest of some usual steps in seconds of which all moments are multiples, within the digits that float64
    has at their days.
    """
    within, room = (days - np.floor(days)) * DAY, 2 * np.spacing(np.abs(days)) * DAY + 1e-9
    for step in STEPS:
        if (np.abs(within - np.round(within / step) * step) <= room).all():
            return step
    return STEPS[-1]


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
    """Codes of levels as float64, NaN where missing, -1 for a level that is not known and has no code for rare ones
    to share.
    """
    place = pc.index_in(cells, pa.array(column.levels, pa.string()))
    found = np.array(pc.cast(place, pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    found[np.isnan(found)] = len(column.levels) if column.rare else -1
    found[absent] = np.nan
    return found


def _number(name: str, values: np.ndarray, where: str, decimals: int | None) -> Found | None:
    seen = values[~np.isnan(values)]
    if not len(seen):
        return None
    if np.abs(seen).max() > LARGEST:
        row = int(np.flatnonzero(np.abs(values) > LARGEST)[0]) + 1
        raise SupportError(
            f"{where}: column {name!r} holds {values[row - 1]} in row {row:,}; give finite numbers below {LARGEST:g}, "
            "or leave the cell empty"
        )
    if 0 < np.ptp(seen) < 1 / LARGEST:
        raise SupportError(
            f"{where}: column {name!r} varies by {np.ptp(seen):g}, too little for 32-bit numbers; give it in smaller "
            "units"
        )
    least, most = float(seen.min()), float(seen.max())
    whole = decimals == 0 and bool((seen == np.floor(seen)).all())
    wide = max(abs(least), abs(most)) > 1e3 * (most - least) > 0 or (
        whole and max(abs(least), abs(most)) >= EXACT > most - least
    )
    often = spikes(seen)
    lost = least == most and decimals is not None and round(float(np.float32(least)), decimals) != least
    origin = least if lost else float(np.floor(least)) if wide else 0.0
    column = Column(
        name,
        _kind(seen, whole),
        origin=origin,
        minimum=least,
        maximum=most,
        decimals=decimals,
        spikes=often,
        usual=usual_range(seen, often),
        missing=len(seen) < len(values),
    )
    return Found(column, values)


def _kind(seen: np.ndarray, whole: bool) -> ColumnKind:
    """Whole numbers that float32 holds are counts; positive numbers that are more even on a logarithmic scale are
    of many magnitudes.
    """
    if whole and seen.max() - seen.min() < EXACT:
        return ColumnKind.COUNT
    if seen.min() <= 0 or len(seen) < FEW:
        return ColumnKind.REAL
    return (
        ColumnKind.POSITIVE
        if abs(_skewness(np.log(seen))) < abs(_skewness(seen)) and seen.max() > 10 * np.median(seen)
        else ColumnKind.REAL
    )


def _skewness(values: np.ndarray) -> float:
    spread = values.std()
    return float((((values - values.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0
