"""Dates and times written as text or as digits of a whole number: told from the cells, read as days since
1970-01-01, and written again.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, datetime, time, timedelta
from itertools import islice

import numpy as np
import pyarrow as pa

from vael.tables import columnwise as pc
from vael.tables.values.arrow_types import DAY, is_text, nanoseconds

FIRST = -354_285.0  # day of the year 1000: with less, a year of two digits may have been read as one of four
LOOKED_AT = 20  # cells from which a pattern is told before all of them are read
DAYS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d/%b/%Y",
    "%b %d, %Y",
    "%b %d %Y",
    "%b-%d-%Y",
    "%d.%m.%y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d-%b-%y",
    "%d %b %y",
    "%Y-%m",
    "%m/%Y",
    "%b %Y",
    "%b-%Y",
    "%b-%y",
    "%b %y",
    "%m.%Y",
)
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
COMPACT = re.compile(
    r"(?:0001|1[5-9]\d\d|2\d\d\d|9999)(?:0[1-9]|1[0-2])(?:[0-3]\d(?:[ "
    r"T]?[0-2]\d(?:[0-5]\d(?:[0-5]\d(?:\d{3}|\d{6})?)?)?)?)?Z?$"
)
LIKELY = re.compile(
    r".*\d.*[-/:].*|\d+\.\d+\.\d+\b|[A-Za-z]{3,9}(\.? |-)\d|\d{1,2}\.? [A-Za-z]{3}|\d{1,2}\.(?:1[5-9]|20)\d\d$"
)
SHORT = re.compile(
    r"\d{1,2}\.\d{1,2}\.\d\d$|\d{1,2}/\d{1,2}/\d\d$|(\d{1,2}[- ])?[A-Za-z]{3,9}[- ]\d\d$"
)  # years of two digits
NO_DAY = r"^(?:0[-0/.:T ]*|99[-9/. ]*|-[19]9*)$"  # what programs write where there is no date: 0000-00-00, 99999999
TIME = re.compile(r"(\d\d?:\d\d)(:\d\d)?([.,]\d{1,9})?( ?[AaPp][Mm])?( ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?$")
OFFSET = re.compile(
    r"[+-]\d\d:?\d\d$"
)  # at the end of a pattern: the zone in which the column is written; others are read too
PARTS = {"%Y": r"\d{4}", "%y": r"\d\d", "%b": "[A-Za-z]+", "%B": "[A-Za-z]+", "%M": r"\d\d", "%S": r"\d\d"}
NO_DAYS = (0.0, -1.0, *(sign * (10.0**width - 1) for sign in (1, -1) for width in range(2, 18)))  # `NO_DAY` as numbers
OF_THE_DAY = frozenset({"%Y", "%y", "%m", "%d", "%b", "%B"})  # marks that say which day it is
SHORTENED = ("%d", "%m", "%H", "%I")  # what may be written without a zero in front, as %-d
MIDNIGHT = r"(^|[ T])24:00(:00)?([.,]0+)?"


def told_dates(column: pa.ChunkedArray, absent: np.ndarray, day_first: bool = False) -> tuple[np.ndarray | None, str]:
    """Days since 1970-01-01 and the pattern that all cells are written in, or None.

    Where a day and a month could each be either, the day is the first of them with `day_first`, else the month. Cells
    that say that there is no date (0000-00-00) are NaN.
    """
    days, pattern = _told(column, absent, day_first)
    gone = absent | no_day(column) if days is None else absent
    if days is not None or gone.all() or gone.sum() == absent.sum():
        return days, pattern
    days, pattern = _told(column, gone, day_first)
    return (days, pattern) if is_dated(pattern) else (None, "")


def no_dates(column: pa.ChunkedArray) -> np.ndarray:
    """Rows of a text that are no dates although nine in ten are, by the form of most of its cells; none where it is no
    column of dates. Nothing is missing in it.
    """
    forms = Counter(re.sub(r"[A-Za-z]+", "a", re.sub(r"\d", "0", str(cell))) for cell in islice(column, 5 * LOOKED_AT))
    often = forms.most_common(1)[0][0]
    cells = [str(cell) for cell in islice(column, 5 * LOOKED_AT)]
    cells = [cell for cell in cells if re.sub(r"[A-Za-z]+", "a", re.sub(r"\d", "0", cell)) == often]
    for pattern in _patterns(cells, False):
        days = parsed_dates(column, np.zeros(len(column), bool), pattern)
        wrong = np.flatnonzero(np.isnan(days))
        if len(wrong) < 0.1 * len(days) and _enough(pattern, days[~np.isnan(days)]):
            return wrong
    return np.zeros(0, int)


def no_day(column: pa.ChunkedArray) -> np.ndarray:
    """Where a text is what programs write in place of a date: zeros alone, nines alone, -1."""
    return np.asarray(pc.fill_null(pc.match_substring_regex(pc.utf8_trim_whitespace(column), NO_DAY), False).to_numpy())


def is_dated(pattern: str) -> bool:
    """Whether a pattern says which day it is, not only the time of day or how much has passed since a day."""
    return any(mark in pattern for mark in ("%Y", "%y"))


def _told(column: pa.ChunkedArray, absent: np.ndarray, day_first: bool) -> tuple[np.ndarray | None, str]:
    shown = column.filter(pa.array(~absent))
    cells = [str(cell) for cell in islice(shown, LOOKED_AT)]
    for pattern in _patterns(cells, day_first):
        if np.isnan(parsed_dates(shown.slice(0, LOOKED_AT), np.zeros(min(LOOKED_AT, len(shown)), bool), pattern)).any():
            continue
        days = parsed_dates(column, absent, pattern)
        if (
            not np.isnan(days[~absent]).any()
            and _four_digits(shown, pattern, days[~absent])
            and _enough(pattern, days[~absent])
        ):
            return days, with_offset(shown, pattern)
    return None, ""


def _patterns(cells: list[str], day_first: bool) -> list[str]:
    """Patterns that some cells may be written in, the likeliest first."""
    fullest = max(cells, key=len)  # a fraction of a second is often left out where it is 0
    if any(map(COMPACT.match, cells)) and (
        COMPACT.match(cells[0]) or all(re.fullmatch(r"\d{6,20}", cell) for cell in cells)
    ):
        return _compact(fullest)
    if all(re.fullmatch(r"\d{8}", cell) for cell in cells):
        return ["%d%m%Y", "%m%d%Y"]
    if not any(LIKELY.match(cell) for cell in cells):
        return []
    found = TIME.search(fullest)
    tail, head = ("", fullest) if found is None else (_time(found), fullest[: found.start()])
    days = _days(head, cells)
    return [one + tail for one in (sorted(days, key=lambda one: one.startswith("%m")) if day_first else days)]


def _compact(cell: str) -> list[str]:
    """Patterns of digits alone, perhaps with a letter between date and time and one for UTC behind."""
    digits, zone = re.sub(r"[ TZ]", "", cell), "Z" if cell.endswith("Z") else ""
    mark = cell[8] if len(cell) > 8 and cell[8] in " T" else ""
    whole = next((one for one, width in DIGITS.items() if width == len(digits) and one.startswith("%Y")), None)
    return [] if whole is None else [whole[:6] + mark + whole[6:] + zone if mark else whole + zone]


def _four_digits(shown: pa.ChunkedArray, pattern: str, days: np.ndarray) -> bool:
    """Whether early years are written with four digits, rather than years of two read as if they had four."""
    return (
        "%Y" not in pattern
        or bool(days.min() >= FIRST)
        or bool(pc.all(pc.match_substring_regex(shown, r"\d{4}")).as_py())
    )


def _enough(pattern: str, days: np.ndarray) -> bool:
    """Whether what numbers look like too is told from them: months of digits alone (202301), days of digits alone that
    do not begin with the year, months before a year of two digits (Mar-20, which could be a day of March).
    """
    usual = np.unique(days[days > FIRST]).astype("datetime64[D]")
    of_month = (usual - usual.astype("datetime64[M]")).astype(int) + 1
    months, years = usual.astype("datetime64[M]").astype(int) % 12, usual.astype("datetime64[Y]").astype(int) + 1970
    if pattern == "%m.%Y" and ((days < FIRST).any() or years.min() < 1900 or years.max() > 2100):
        return False
    if pattern in ("%Y%m", "%m.%Y"):
        return len(usual) >= 6 and bool(np.ptp(years) >= 1) and len(np.unique(months)) >= 4
    if pattern in ("%d%m%Y", "%m%d%Y", "%y%m%d"):
        spread = len(np.unique(of_month)) >= 8 and len(np.unique(months)) >= 4
        return len(usual) >= LOOKED_AT and spread and bool(years.min() >= 1900 and years.max() <= 2100)
    if pattern in ("%b-%y", "%b %y"):
        return len(np.unique(years % 100)) <= 25 or bool((~np.isin(years % 100, np.arange(1, 32))).any())
    return True


def told_digits(column: pa.ChunkedArray, values: np.ndarray) -> tuple[np.ndarray | None, str]:
    """As `told_dates` for whole numbers (`values` are the cells as float64): 20230623, 20230623101530, 202306,
    23062023, 230623, 93015 or 1415 of the clock.
    """
    absent = np.isnan(values)
    every = np.unique(values[~absent])
    if not len(every) or (every != np.floor(every)).any():
        return None, ""
    days_only = every[~np.isin(every, NO_DAYS)]
    for pattern in DIGITS:
        dated = is_dated(pattern)
        if _by_width(days_only if dated else every, pattern):
            gone = absent | np.isin(values, NO_DAYS) if dated else absent
            days = parsed_dates(column, gone, pattern)
            if not np.isnan(days[~gone]).any() and _enough(pattern, days[~gone]) and _one_order(column, gone, pattern):
                return days, pattern
    return None, ""


def _by_width(seen: np.ndarray, pattern: str) -> bool:
    """Whether whole numbers, different and in order, have as many digits as a pattern, and begin as a year does or are
    times of a clock.
    """
    if not len(seen) or seen[0] < 0 or seen[-1] >= 1e18:
        return False
    if not is_dated(pattern):
        return _clock(seen, pattern)
    fits = DIGITS[pattern] == len(f"{seen[-1]:.0f}")
    return fits and (not pattern.startswith("%Y") or bool(COMPACT.match(f"{seen[len(seen) // 2]:.0f}"[:4] + "0101")))


def _one_order(column: pa.ChunkedArray, absent: np.ndarray, pattern: str) -> bool:
    """Whether digits cannot be read with day and month exchanged."""
    other = {"%d%m%Y": "%m%d%Y", "%m%d%Y": "%d%m%Y"}.get(pattern, "")
    return not other or bool(np.isnan(parsed_dates(column, absent, other)[~absent]).any())


def _clock(seen: np.ndarray, pattern: str) -> bool:
    """Whether numbers can only be times of a clock: many different ones, in many hours, none with 60 or more
    minutes or seconds.
    """
    parts = [seen // 100**place % 100 for place in range(3 if pattern == "%H%M%S" else 2)]
    hours = seen // 100 ** (len(parts) - 1)
    grid = len(np.unique(parts[0])) >= 12 or set(np.unique(parts[0])) == {0, 15, 30, 45}
    return (
        len(seen) >= 40
        and bool(hours.max() <= 24)
        and len(np.unique(hours)) >= 6
        and all(one.max() < 60 for one in parts[:-1])
        and grid
    )


def _days(head: str, cells: list[str]) -> list[str]:
    """Patterns that the part before the time may have."""
    day = head.rstrip(" T,")
    if not day:
        return [""]
    full = any(re.search(r"[A-Za-z]{4,}", cell) for cell in cells)
    found = [
        one
        for one in DAYS
        if ("%y" in one) == bool(SHORT.match(day)) and ("%b" in one) == bool(re.search("[A-Za-z]", day))
    ]
    return [(one.replace("%b", "%B") if full else one) + head[len(day) :] for one in found]


def _time(found: re.Match[str]) -> str:
    """The pattern of a time of day as it is written."""
    _, seconds, fraction, half, zone = found.groups()
    hours = "%I" if half else "%H"
    parts = f"{hours}:%M" + (":%S" if seconds else "")
    parts += "" if not fraction else fraction[0] + ("%3f" if len(fraction) == 4 else "%f")
    parts += "" if not half else half[:-2] + "%p"
    if zone is None or zone.strip() in ("Z", "UTC", "GMT"):
        return parts + (zone or "")
    return parts + zone[: len(zone) - len(zone.lstrip())] + ("%:z" if ":" in zone else "%z")


def with_offset(shown: pa.ChunkedArray, pattern: str) -> str:
    """The pattern with the commonest offset of the cells in place of %z, so that new cells are written in the zone
    of the others.
    """
    if not pattern.endswith("z"):
        return pattern
    found = pc.struct_field(pc.extract_regex(shown, r"(?P<zone>[+-]\d\d:?\d\d)$"), [0])
    commonest = Counter(cell for cell in found.to_pylist() if cell).most_common(1)
    return re.sub(r"%:?z$", commonest[0][0], pattern) if commonest else pattern


def with_zeros(pattern: str) -> str:
    """A pattern with %d in place of %-d and %p in place of %P, by which both are read."""
    return pattern.replace("%-", "%").replace("%P", "%p")


def as_written(shown: pa.ChunkedArray, pattern: str) -> str:
    """The pattern with %-d, %-m, %-H and %-I for days, months and hours of which no cell has a zero in front and some
    cell could have one.
    """
    if pattern in DIGITS:
        short = (
            pattern[1] in "Hdm" and not pc.all(pc.match_substring_regex(shown, rf"^\d{{{DIGITS[pattern]}}}$")).as_py()
        )
        return f"%-{pattern[1:]}" if short else pattern
    if EPOCH.fullmatch(pattern):
        return pattern
    if "%p" in pattern and not pc.any(pc.match_substring_regex(shown, "[AP][Mm]")).as_py():
        pattern = pattern.replace("%p", "%P")
    marks = [mark for mark in re.findall("%.", pattern) if mark in SHORTENED]
    if not marks:
        return pattern
    found = pc.extract_regex(pc.utf8_trim_whitespace(pc.unique(shown)), _as_regex(pattern, marks[-1]))
    for place, mark in enumerate(marks):
        digits = pc.struct_field(found, [place])
        short = pc.any(pc.equal(pc.utf8_length(digits), 1)).as_py()
        if short and not pc.any(pc.match_substring_regex(digits, r"^0\d")).as_py():
            pattern = pattern.replace(mark, f"%-{mark[1:]}")
    return pattern


def _as_regex(pattern: str, last: str) -> str:
    """Text as a pattern has it up to its mark `last`; groups named d, m, H, I are its numbers."""
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
    found = pc.extract_regex(shown.take(pa.array(rows)), f"(?P<whole>{_as_regex(pattern, marks[-1])})")
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
    pattern = with_zeros(pattern)
    epoch = EPOCH.fullmatch(pattern)
    if epoch:
        return _since(column, absent, epoch[1], epoch[2])
    kept = pc.if_else(pa.array(~absent), column, pa.scalar(None, column.type))
    shown = pc.utf8_trim_whitespace(kept) if is_text(column.type) else _digits(kept, DIGITS.get(pattern, 0))
    if is_text(column.type) and pattern in DIGITS:
        shown = pc.replace_substring_regex(shown, r"^(\d+)\.0*$", r"\1")  # as programs write them beside gaps
        shown = shown if pattern.startswith("%Y") else pc.utf8_lpad(shown, DIGITS[pattern], "0")
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
    return (
        days
        + (np.remainder(seconds, DAY) + fraction) / DAY
        + (dated and _floats(pc.cast(pc.fill_null(late, False), pa.float64())))
    )


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
