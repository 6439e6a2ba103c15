"""The pattern that dates and times are written in, told from the cells."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice

import numpy as np
import pyarrow as pa

from vael.tables import columnwise as pc
from vael.tables.values.dates import (
    DIGITS,
    EPOCH,
    FIRST,
    NO_DAYS,
    SHORTENED,
    USUAL_FIRST,
    as_regex,
    in_century,
    is_dated,
    no_day,
    parsed_dates,
)

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
    "%m/%y",
    "%Y-%m",
    "%m/%Y",
    "%b %Y",
    "%b-%Y",
    "%b-%y",
    "%b %y",
    "%Y %b",
    "%Y-%b",
    "%m.%Y",
)
COMPACT = re.compile(
    r"(?:0001|1[5-9]\d\d|2\d\d\d|9999)(?:0[1-9]|1[0-2])(?:[0-3]\d(?:[ "
    r"T]?[0-2]\d(?:[0-5]\d(?:[0-5]\d(?:\d{3}|\d{6})?)?)?)?)?Z?$"
)
LIKELY = re.compile(
    r".*\d.*[-/:].*|\d+\.\d+\.\d+\b|\d{4} [A-Za-z]{3}|"
    r"[A-Za-z]{3,9}(\.? |-)\d|\d{1,2}\.? [A-Za-z]{3}|\d{1,2}\.(?:1[5-9]|20)\d\d$"
)
SHORT = re.compile(
    r"\d{1,2}\.\d{1,2}\.\d\d$|(\d{1,2}/)?\d{1,2}/\d\d$|(\d{1,2}[- ])?[A-Za-z]{3,9}[- ]\d\d$"
)  # years of two digits
OF_QUARTERS = re.compile(r"\d{4}[-: ]?[Qq][1-4]|[Qq][1-4][-/ ]?\d{4}")
TIME = re.compile(r"(\d\d?:\d\d)(:\d\d)?([.,]\d{1,9})?( ?[AaPp][Mm])?( ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?$")


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
            return _in_one_stretch(days, with_offset(shown, pattern))
    return None, ""


def _in_one_stretch(days: np.ndarray, pattern: str) -> tuple[np.ndarray, str]:
    """Dates and their pattern, with years of two digits in the hundred years in which they lie closest together: 51 to
    84 are 1951 to 1984 and not 1969 to 2068, as which strptime has them.
    """
    if "%y" not in pattern or np.isnan(days).all():
        return days, pattern
    digits = np.unique(days[~np.isnan(days)].astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970) % 100
    digits = np.sort(digits)
    after = np.diff(np.append(digits, digits[0] + 100))  # years to the next one, around the century
    later = np.searchsorted(digits, USUAL_FIRST % 100) % len(digits)  # the first from 1969 on
    widest = int(after.argmax())
    if after[widest] <= after[later - 1]:
        return days, pattern
    begin = int(digits[(widest + 1) % len(digits)])
    span = 100 - int(after[widest])
    first = 2000 + begin if 2000 + begin + span < USUAL_FIRST + 100 else 1900 + begin
    moved = in_century(days, first)
    return (
        (days, pattern)
        if np.isnan(moved).sum() > np.isnan(days).sum()
        else (moved, pattern.replace("%y", f"%y{{{first}}}"))
    )


def _patterns(cells: list[str], day_first: bool) -> list[str]:
    """Patterns that some cells may be written in, the likeliest first."""
    fullest = max(cells, key=len)  # a fraction of a second is often left out where it is 0
    if any(map(COMPACT.match, cells)) and (
        COMPACT.match(cells[0]) or all(re.fullmatch(r"\d{6,20}", cell) for cell in cells)
    ):
        return _compact(fullest)
    if all(re.fullmatch(r"\d{8}", cell) for cell in cells):
        return ["%d%m%Y", "%m%d%Y"]
    if all(map(OF_QUARTERS.fullmatch, cells)):
        return [re.sub(r"\d{4}", "%Y", re.sub(r"([Qq])\d", r"\1%q", cells[0]))]
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
    do not begin with the year, months before a year of two digits (Mar-20, which could be a day of March; 1/86, which
    could be a ratio).
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
    if pattern == "%m/%y":
        return len(usual) >= LOOKED_AT and len(np.unique(months)) >= 10
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
    found = pc.extract_regex(pc.utf8_trim_whitespace(pc.unique(shown)), as_regex(pattern, marks[-1]))
    for place, mark in enumerate(marks):
        digits = pc.struct_field(found, [place])
        short = pc.any(pc.equal(pc.utf8_length(digits), 1)).as_py()
        if short and not pc.any(pc.match_substring_regex(digits, r"^0\d")).as_py():
            pattern = pattern.replace(mark, f"%-{mark[1:]}")
    return pattern
