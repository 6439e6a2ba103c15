"""Dates and times by a known pattern: text, or digits of a whole number, read as days since 1970-01-01, and written
again.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

import numpy as np
import pyarrow as pa

from vael.tables import columnwise as pc
from vael.tables.values.arrow_types import DAY, is_text, nanoseconds

FIRST = -354_285.0  # day of the year 1000: with less, a year of two digits may have been read as one of four
DIGITS = {
    "%Y%m%d": 8,
    "%Y%m": 6,
    "%d%m%Y": 8,
    "%m%d%Y": 8,
    "%y%m%d": 6,
    "%Y%m%d%H": 10,
    "%Y%m%d%H%M": 12,
    "%Y%m%d%H%M%S": 14,
    "%Y%m%d%H%M%S%3f": 17,
    "%Y%m%d%H%M%S%f": 20,
    "%H%M%S": 6,
    "%H%M": 4,
}
"""Patterns that are nothing but digits, and how many; a whole number is written so with zeros in front."""
SINCE = {
    "days": 1,
    "seconds": DAY,
    "milliseconds": DAY * 10**3,
    "microseconds": DAY * 10**6,
    "nanoseconds": DAY * 10**9,
}  # units of a day
EPOCH = re.compile(rf"({'|'.join(SINCE)}) since (\d{{4}}-\d\d-\d\d)")
NO_DAY = r"^(?:0[-0/.:T ]*|99[-9/. ]*|-[19]9*)$"  # what programs write where there is no date: 0000-00-00, 99999999
OFFSET = re.compile(
    r"[+-]\d\d:?\d\d$"
)  # at the end of a pattern: the zone in which the column is written; others are read too
PARTS = {"%Y": r"\d{4}", "%y": r"\d\d", "%b": "[A-Za-z]+", "%B": "[A-Za-z]+", "%M": r"\d\d", "%S": r"\d\d"}
NO_DAYS = (0.0, -1.0, *(sign * (10.0**width - 1) for sign in (1, -1) for width in range(2, 18)))  # `NO_DAY` as numbers
OF_THE_DAY = frozenset({"%Y", "%y", "%m", "%d", "%b", "%B"})  # marks that say which day it is
QUARTER = re.compile("([Qq])%q")  # a quarter of a year with its letter, which strptime does not know
CENTURY = re.compile(r"(%y)\{(\d{4})\}")  # years of two digits from another year on than 1969: %m/%y{1951}
USUAL_FIRST = 1969  # as strptime has it
SHORTENED = ("%d", "%m", "%H", "%I")  # what may be written without a zero in front, as %-d
MIDNIGHT = r"(^|[ T])24:00(:00)?([.,]0+)?"


def no_day(column: pa.ChunkedArray) -> np.ndarray:
    """Where a text is what programs write in place of a date: zeros alone, nines alone, -1."""
    return np.asarray(pc.fill_null(pc.match_substring_regex(pc.utf8_trim_whitespace(column), NO_DAY), False).to_numpy())


def is_dated(pattern: str) -> bool:
    """Whether a pattern says which day it is, not only the time of day or how much has passed since a day."""
    return any(mark in pattern for mark in ("%Y", "%y"))


def with_zeros(pattern: str) -> str:
    """A pattern with %d in place of %-d and %p in place of %P, by which both are read."""
    return pattern.replace("%-", "%").replace("%P", "%p")


def first_year(pattern: str) -> int:
    """The first of the hundred years that two digits stand for in a pattern."""
    found = CENTURY.search(pattern)
    return USUAL_FIRST if found is None else int(found[2])


def in_century(days: np.ndarray, first: int) -> np.ndarray:
    """The same days of the hundred years that begin with `first`; NaN for 29 February where there is none."""
    known = np.nan_to_num(np.floor(days)).astype("datetime64[D]")
    months = known.astype("datetime64[M]")
    wrong = (known.astype("datetime64[Y]").astype(np.int64) + 1970 - first) // 100
    there = months - 1200 * wrong
    moved = there.astype("datetime64[D]") + (known - months.astype("datetime64[D]"))
    gone = moved.astype("datetime64[M]") != there
    return np.where(gone | np.isnan(days), np.nan, days + (moved - known).astype(np.float64))


def as_regex(pattern: str, last: str) -> str:
    """Text as a pattern has it up to its mark `last`; groups named d, m, H, I are its numbers."""
    pattern = CENTURY.sub(r"\1", pattern)
    words = re.split("(%.)", pattern[: pattern.rindex(last) + 2])
    known = PARTS | {mark: rf"(?P<{mark[1:]}>\d\d?)" for mark in SHORTENED}
    return "^" + "".join(known.get(word) or re.sub(r"(\\ )+", r"\\s+", re.escape(word)) for word in words)


def _misread(shown: pa.ChunkedArray, pattern: str, days: np.ndarray) -> np.ndarray:
    """Rows that strptime has read although they are written otherwise: 30 February as a day in March, `May 2021` as 20
    May of the year 21.
    """
    known = np.nan_to_num(np.floor(days)).astype("datetime64[D]")
    of_month = (known - known.astype("datetime64[M]")).astype(int) + 1
    rows = np.flatnonzero(~np.isnan(days) & ((days < FIRST) | ((of_month <= 3) & ("%d" in pattern))))
    if not len(rows):
        return rows
    marks = [mark for mark in re.findall("%.", pattern) if mark in OF_THE_DAY]
    found = pc.extract_regex(shown.take(pa.array(rows)), f"(?P<whole>{as_regex(pattern, marks[-1])})")
    wrong = np.asarray(pc.is_null(found).to_numpy())
    if "%d" in pattern:
        said = _floats(pc.cast(pc.struct_field(found, "d"), pa.float64()))
        before = (known[rows] - 3).astype("datetime64[M]")  # the month of a day that there is not
        wrong |= said > ((before + 1).astype("datetime64[D]") - before.astype("datetime64[D]")).astype(int)
    return rows[wrong]


def parsed_dates(column: pa.ChunkedArray, absent: np.ndarray, pattern: str) -> np.ndarray:
    """Days since 1970-01-01 (UTC where a zone is written), NaN where a cell is missing or not written so.

    Whole numbers are read by their digits, or from the beginning of an epoch where the pattern says "seconds since
    1970-01-01". A leap second is the second after it, 24:00 the next midnight.
    """
    first, pattern = first_year(pattern), CENTURY.sub(r"\1", with_zeros(pattern))
    epoch = EPOCH.fullmatch(pattern)
    if epoch:
        return _since(column, absent, epoch[1], epoch[2])
    kept = pc.if_else(pa.array(~absent), column, pa.scalar(None, column.type))
    shown = pc.utf8_trim_whitespace(kept) if is_text(column.type) else _digits(kept, DIGITS.get(pattern, 0))
    if is_text(column.type) and pattern in DIGITS:
        shown = pc.replace_substring_regex(shown, r"^(\d+)\.0*$", r"\1")  # as programs write them beside gaps
        shown = shown if pattern.startswith("%Y") else pc.utf8_lpad(shown, DIGITS[pattern], "0")
    if QUARTER.search(pattern):
        shown, pattern = _first_months(shown, pattern), QUARTER.sub("%m", pattern)
    plain, fraction = OFFSET.sub("%z", pattern.replace("%:z", "%z")), 0.0
    late = pc.match_substring_regex(shown, MIDNIGHT)
    if pc.any(late).as_py():
        shown = pc.replace_substring_regex(shown, MIDNIGHT, r"\100:00\2\3")
    mark = re.search(r"([.,]?)%3?f", plain)
    if mark:  # strptime knows whole seconds only
        plain = plain.replace(mark[0], "")
        shown, digits = _fractions(shown, mark[1])
        fraction = np.nan_to_num(_floats(pc.cast(pc.binary_join_element_wise("0.", digits, ""), pa.float64())))
    seconds = _floats(pc.cast(pc.cast(pc.strptime(shown, plain, "s", error_is_null=True), pa.int64()), pa.float64()))
    dated = "%d" in pattern or "%Y" in pattern or "%y" in pattern
    days = np.floor(seconds / DAY) if dated else np.zeros(len(seconds)) + 0.0 * seconds
    if dated:
        days[_misread(shown, plain, days)] = np.nan
        days = in_century(days, first) if first != USUAL_FIRST and "%y" in pattern else days
    return (
        days
        + (np.remainder(seconds, DAY) + fraction) / DAY
        + (dated and _floats(pc.cast(pc.fill_null(late, False), pa.float64())))
    )


def _first_months(shown: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    """Cells with the first month of their quarter in its place; null where they are not written as the pattern has
    it.
    """
    form = "^" + QUARTER.sub(r"\1[1-4]", re.escape(pattern).replace("%Y", r"\d{4}")) + "$"
    shown = pc.if_else(pc.match_substring_regex(shown, form), shown, pa.scalar(None, shown.type))
    for quarter in range(1, 5):
        shown = pc.replace_substring_regex(shown, f"[Qq]{quarter}", f"{3 * quarter - 2:02}")
    return shown


def _fractions(shown: pa.ChunkedArray, mark: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Cells without the fraction of a second, and its digits."""
    before, between = (r"(:\d\d)", "[.,]") if mark else (r"(^\d{14})", "")
    digits = pc.struct_field(
        pc.extract_regex(shown, rf"{before.replace('(', '(?P<before>')}{between}(?P<digits>\d{{1,9}})"), [1]
    )
    return pc.replace_substring_regex(shown, rf"{before}{between}\d{{1,9}}", r"\1"), digits


def _digits(column: pa.ChunkedArray, width: int) -> pa.ChunkedArray:
    """Whole numbers as text of so many digits; null for others."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        raise pa.ArrowInvalid(f"cells of type {column.type} have no digits")
    values = pc.cast(column, pa.int64() if pa.types.is_integer(column.type) else pa.float64(), safe=False)
    fits = pc.fill_null(pc.and_(pc.greater_equal(values, 0), pc.less(values, pa.scalar(1e18).cast(values.type))), False)
    whole = pc.cast(pc.if_else(fits, values, pa.scalar(None, values.type)), pa.int64(), safe=False)
    same = pc.fill_null(pc.equal(pc.cast(whole, values.type, safe=False), values), False)
    return pc.utf8_lpad(pc.cast(pc.if_else(same, whole, pa.scalar(None, pa.int64())), pa.string()), width, "0")


def _since(column: pa.ChunkedArray, absent: np.ndarray, unit: str, begin: str) -> np.ndarray:
    """Days since 1970-01-01 of numbers of units since a day."""
    shown = pc.if_else(pa.array(~absent), column, pa.scalar(None, column.type))
    try:
        whole = np.asarray(pc.fill_null(pc.cast(shown, pa.int64()), 0).to_numpy())
        days = whole // SINCE[unit] + (whole % SINCE[unit]) / SINCE[unit]
    except pa.ArrowInvalid:
        days = _floats(pc.cast(shown, pa.float64())) / SINCE[unit]
    return np.where(
        absent | np.asarray(pc.is_null(column).to_numpy()),
        np.nan,
        days + date.fromisoformat(begin).toordinal() - 719_163,
    )


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return np.array(column.to_numpy(zero_copy_only=False), np.float64)


def resolution(pattern: str) -> float:
    """Seconds between moments that a pattern can tell apart."""
    pattern = with_zeros(pattern)
    epoch = EPOCH.fullmatch(pattern)
    if epoch:
        return DAY / SINCE[epoch[1]]
    steps = (("%3f", 1e-3), ("%f", 1e-6), ("%S", 1.0), ("%M", 60.0), ("%H", 3600.0))
    return next((step for mark, step in steps if mark in pattern), float(DAY))


def moment_of(days: float, step: float = 1e-6) -> datetime:
    """Days since 1970-01-01 as a moment, to the nearest multiple of `step` seconds, within the calendar."""
    day, parts = nanoseconds(np.array([days]), max(step, 1e-6))
    return datetime.fromordinal(int(day[0]) + 719_163) + timedelta(microseconds=int(parts[0]) // 1000)


def digits_in(pattern: str, days: np.ndarray, step: float) -> np.ndarray:
    """Dates as whole numbers in float64: by their digits, or counted from the beginning of an epoch; 0 where NaN."""
    epoch, known = EPOCH.fullmatch(pattern), np.nan_to_num(days)
    if epoch:
        rate, first = SINCE[epoch[1]], date.fromisoformat(epoch[2]).toordinal() - 719_163
        day, parts = nanoseconds(known, step)
        return (day - first) * float(rate) + parts // max(1, DAY * 10**9 // rate)
    return np.array([float(written_date(moment_of(one, step), pattern)) for one in known])


def written_date(moment: date | time, pattern: str) -> str:
    """A date or a moment (in UTC, or of a zone of its own) as the pattern has it; of a whole number since an epoch
    its digits.
    """
    if isinstance(moment, time):
        moment = datetime.combine(date(1970, 1, 1), moment)
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    epoch = EPOCH.fullmatch(pattern)
    if epoch:
        past = moment.replace(tzinfo=None) - datetime.fromisoformat(epoch[2])
        return str(
            (past.days * DAY + past.seconds) * SINCE[epoch[1]] // DAY
            + past.microseconds * SINCE[epoch[1]] // (DAY * 10**6)
        )
    pattern = CENTURY.sub(r"\1", pattern)
    moment = _in_zone(moment, with_zeros(pattern))
    if pattern in ("%-H%M", "%-H%M%S"):  # whole numbers: 28 at 00:28
        return moment.strftime(with_zeros(pattern)).lstrip("0") or "0"
    offset = moment.utcoffset() or timedelta(0)
    sign, minutes = "-" if offset < timedelta(0) else "+", abs(int(offset.total_seconds())) // 60
    for mark, text in (
        ("%-d", str(moment.day)),
        ("%-m", str(moment.month)),
        ("%-H", str(moment.hour)),
        ("%-I", str((moment.hour - 1) % 12 + 1)),
        ("%P", "pm" if moment.hour >= 12 else "am"),
        ("%3f", f"{moment.microsecond // 1000:03}"),
        ("%q", str((moment.month + 2) // 3)),
        ("%Y", f"{moment.year:04}"),  # strftime leaves out the zeros of the year 1
        ("%:z", f"{sign}{minutes // 60:02}:{minutes % 60:02}"),
        ("%z", f"{sign}{minutes // 60:02}{minutes % 60:02}"),
    ):
        pattern = pattern.replace(mark, text)
    return moment.strftime(pattern)


def _in_zone(moment: datetime, pattern: str) -> datetime:
    """A moment in UTC as a clock shows it in the zone that a pattern is written in, within the calendar."""
    found = OFFSET.search(pattern) if "%H" in pattern or "%I" in pattern else None
    if found is None:
        return moment
    sign, hours, minutes = found[0][0], int(found[0][1:3]), int(found[0][-2:])
    plain = moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta(0))
    try:
        return plain + timedelta(hours=hours, minutes=minutes) * (-1 if sign == "-" else 1)
    except OverflowError:
        return plain
