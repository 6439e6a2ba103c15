"""Dates and times written as text: told from the cells, read as days since 1970-01-01, and written again."""

from __future__ import annotations

import re
from datetime import date, datetime
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DAY = 86_400.0  # seconds
FIRST = -354_285.0  # day of the year 1000: with less, a year of two digits was read as one of four
LOOKED_AT = 20  # cells from which a pattern is told before all of them are read
DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y", "%d-%b-%Y", "%d/%b/%Y",
    "%b %d, %Y", "%b %d %Y", "%b-%d-%Y", "%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d-%b-%y", "%d %b %y", "%Y-%m", "%m/%Y", "%b %Y", "%b-%Y",
)  # fmt: skip
LIKELY = re.compile(r"(19|20)\d{6}$|.*\d.*[-/:].*|\d+\.\d+\.\d+\b|[A-Za-z]{3,9}\.? \d|\d{1,2}\.? [A-Za-z]{3}")
SHORT = re.compile(r"\d\d\.\d\d\.\d\d$|\d{1,2}/\d{1,2}/\d\d$|\d{1,2}[- ][A-Za-z]{3}[- ]\d\d$")  # years of two digits
TIME = re.compile(r"(\d\d?:\d\d)(:\d\d)?([.,]\d{1,9})?( ?[AaPp][Mm])?( ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?$")


def told_dates(column: pa.ChunkedArray, absent: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Days since 1970-01-01 and the pattern that all cells are written in, or None.

    Where a day and a month could each be either, American order is taken if every cell allows it.
    """
    shown = column.filter(pa.array(~absent))
    if not LIKELY.match(str(shown[0])):
        return None, ""
    cells = [str(cell) for cell in islice(shown, LOOKED_AT)]
    fullest = max(cells, key=len)  # a fraction of a second is often left out where it is 0
    time = TIME.search(fullest)
    tail = "" if time is None else _time(time)
    head = fullest if time is None else fullest[: time.start()]
    for pattern in _days(head, cells):
        whole = pattern + tail
        if np.isnan(parsed_dates(shown.slice(0, LOOKED_AT), np.zeros(min(LOOKED_AT, len(shown)), bool), whole)).any():
            continue
        days = parsed_dates(column, absent, whole)
        if not np.isnan(days[~absent]).any() and days[~absent].min() >= FIRST:
            return days, whole
    return None, ""


def _days(head: str, cells: list[str]) -> list[str]:
    """Patterns that the part before the time may have."""
    day = head.rstrip(" T,")
    if not day:
        return [""]
    full = any(re.search(r"[A-Za-z]{4,}", cell) for cell in cells)
    found = [one for one in DAYS if ("%y" in one) == bool(SHORT.match(day)) and ("%b" in one) == bool(re.search("[A-Za-z]", day))]
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


def parsed_dates(column: pa.ChunkedArray, absent: np.ndarray, pattern: str) -> np.ndarray:
    """Days since 1970-01-01 (UTC where a zone is written), NaN where a cell is missing or not written so."""
    shown = pc.utf8_trim_whitespace(pc.if_else(pa.array(~absent), column, pa.scalar(None, column.type)))
    plain, fraction = pattern.replace("%:z", "%z"), 0.0
    mark = re.search(r"([.,])%3?f", plain)
    if mark:  # strptime knows whole seconds only
        plain = plain.replace(mark[0], "")
        digits = pc.struct_field(pc.extract_regex(shown, r":\d\d[.,](?P<digits>\d{1,9})"), [0])
        fraction = np.nan_to_num(_floats(pc.cast(pc.binary_join_element_wise("0.", digits, ""), pa.float64())))
        shown = pc.replace_substring_regex(shown, r"(:\d\d)[.,]\d{1,9}", r"\1")
    seconds = _floats(pc.cast(pc.cast(pc.strptime(shown, plain, "s", error_is_null=True), pa.int64()), pa.float64())) + fraction
    return (seconds if "%d" in pattern or "%Y" in pattern else seconds % DAY) / DAY


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return np.array(column.to_numpy(zero_copy_only=False), np.float64)


def resolution(pattern: str) -> int:
    """Microseconds between moments that a pattern can tell apart."""
    steps = (("%3f", 1_000), ("%f", 1), ("%S", 1_000_000), ("%M", 60_000_000), ("%H", 3_600_000_000))
    return next((step for mark, step in steps if mark in pattern), 86_400_000_000)


def written_date(moment: date, pattern: str) -> str:
    """A date or a moment (in UTC) as the pattern has it."""
    micros = moment.microsecond if isinstance(moment, datetime) else 0
    return moment.strftime(pattern.replace("%3f", f"{micros // 1000:03}").replace("%:z", "+00:00").replace("%z", "+0000"))
