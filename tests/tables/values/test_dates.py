"""Dates as text, as digits and as units since an epoch: read to the microsecond, written again as they came, within
the calendar.
"""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vael.errors import SupportError
from vael.tables.inference import infer_schema, told
from vael.tables.reading import read_table
from vael.tables.values.date_patterns import as_written, told_dates, told_digits
from vael.tables.values.dates import digits_in, moment_of, parsed_dates, resolution, with_zeros, written_date
from vael.tables.writing import arrow_cells, written_cells

FORMS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d.%m.%Y",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y%m%d%H%M%S",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%d%H%M",
    "%Y%m%d%H%M%S%3f",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S+02:00",
    "%Y-%m-%d %H:%M:%S-0330",
    "%d %b %Y",
    "%d %B %Y %H:%M",
    "%b %d, %Y",
    "%d.%m.%Y %H:%M:%S,%3f",
)
EPOCHS = (
    "days since 1899-12-30",
    "seconds since 1970-01-01",
    "milliseconds since 1970-01-01",
    "microseconds since 2000-01-01",
)
ORDINARY = st.datetimes(dt.datetime(1600, 1, 1), dt.datetime(2900, 1, 1))
ENDS = (
    dt.datetime(1, 1, 1),
    dt.datetime(9999, 12, 31),
    dt.datetime(9999, 12, 31, 23, 59, 59),
    dt.datetime(1900, 1, 1),
    dt.datetime(1970, 1, 1),
)


def texts(cells):
    return pa.chunked_array([pa.array(cells, pa.string())]), np.zeros(len(cells), bool)


def cut(moment: dt.datetime, pattern: str) -> dt.datetime:
    """The moment as far as the pattern tells it."""
    step = max(1000, round(resolution(pattern) * 1e6))  # milliseconds are kept in all years
    past = (moment - dt.datetime(1, 1, 1)) // dt.timedelta(microseconds=1)
    return dt.datetime(1, 1, 1) + dt.timedelta(microseconds=past // step * step)


@pytest.mark.parametrize(
    "pattern", ["%Y-%m", "%m/%Y", "%m.%Y", "%m/%y", "%b %Y", "%b-%Y", "%Y %b", "%Y-%b", "%B %Y", "%Y %B", "%b-%y"]
)
def test_months_without_a_day_are_told_in_every_form(pattern):
    months = [dt.datetime(1971 + n // 12, 1 + n % 12, 1) for n in range(400)]
    cells = [written_date(one, pattern) for one in months]
    days, told = told_dates(*texts(cells))
    assert told == pattern
    assert days.tolist() == [(one - dt.datetime(1970, 1, 1)).days for one in months]


@pytest.mark.parametrize("pattern", ["%m/%y", "%-m/%y", "%b-%y", "%d.%m.%y", "%-d %b %y %H:%M"])
@pytest.mark.parametrize(("first", "years"), [(1951, 34), (1935, 70), (1971, 30), (1985, 60), (2005, 20), (1960, 99)])
def test_years_of_two_digits_lie_in_one_stretch(pattern, first, years):
    """Whatever the century turns at, dates in order come back in order and are written as they came."""
    months = [dt.datetime(first + n // 12, 1 + n % 12, 1) for n in range(12 * years)]
    cells = [written_date(one, pattern) for one in months]
    days, told = told_dates(*texts(cells))
    assert days.tolist() == [(one - dt.datetime(1970, 1, 1)).days for one in months]
    written = as_written(pa.chunked_array([pa.array(cells)]), told)
    assert [written_date(one, written) for one in months] == cells
    again = parsed_dates(*texts(cells[:5]), written)  # fewer rows, of data that come later
    assert again.tolist() == days[:5].tolist()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMS), st.lists(ORDINARY, min_size=1, max_size=6), st.lists(st.sampled_from(ENDS), max_size=3))
def test_every_form_is_told_read_and_written_again(pattern, moments, ends):
    """Cells of one form, stand-ins among them, come back letter for letter, and are the moments that they say."""
    if "+" in pattern or "-0" in pattern:
        ends = [end for end in ends if 1 < end.year < 9999]  # of which a zone makes the day before or after
    seconds = pattern.endswith("%f") or pattern.endswith("%3f")
    moments = [cut(one, pattern) + dt.timedelta(milliseconds=7 * seconds) for one in (*moments, *ends)]
    cells = [written_date(one, pattern) for one in moments]
    column, absent = texts(cells)
    days = parsed_dates(column, absent, pattern)
    assert [written_date(moment_of(one, max(resolution(pattern), 1e-3)), pattern) for one in days] == cells
    found, form = told_dates(column, absent)
    assert found is not None
    np.testing.assert_allclose(found, days, rtol=0, atol=0 if form == pattern else 366 * 400)
    assert [written_date(moment_of(one, max(resolution(form), 1e-3)), form) for one in found] == cells


@settings(max_examples=40, deadline=None)
@given(st.lists(st.datetimes(dt.datetime(1882, 1, 1), dt.datetime(2059, 1, 1)), min_size=1, max_size=6))
def test_microseconds_are_kept_in_the_years_of_float64(moments):
    """Days in float64 tell microseconds apart from 1881 to 2059, milliseconds in all years."""
    cells = [written_date(one, "%Y-%m-%d %H:%M:%S.%f") for one in moments]
    days = parsed_dates(*texts(cells), "%Y-%m-%d %H:%M:%S.%f")
    assert [moment_of(one, 1e-6) for one in days] == moments


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(EPOCHS), st.lists(st.integers(-(10**9), 4 * 10**9), min_size=1, max_size=5))
def test_units_since_an_epoch_go_there_and_back(pattern, seconds):
    unit = resolution(pattern)
    cells = pa.chunked_array([pa.array([round(one / unit) for one in seconds], pa.int64())])
    days = parsed_dates(cells, np.zeros(len(seconds), bool), pattern)
    np.testing.assert_allclose(
        digits_in(pattern, days, max(unit, 1e-3)), cells.to_numpy(), rtol=0, atol=2 if unit < 1e-3 else 0
    )
    as_text = parsed_dates(cells.cast(pa.string()), np.zeros(len(seconds), bool), pattern)
    np.testing.assert_array_equal(days, as_text)


def test_moments_are_those_of_the_calendar_to_the_end_of_it():
    """A leap second is the next second, 24:00 the next midnight, and nothing lies beyond the year 9999."""
    column, absent = texts(["2016-12-31 23:59:60", "2016-12-31 24:00:00", "9999-12-31 23:59:59", "0001-01-01 00:00:00"])
    days = parsed_dates(column, absent, "%Y-%m-%d %H:%M:%S")
    said = [written_date(moment_of(one), "%Y-%m-%d %H:%M:%S") for one in days]
    assert said == ["2017-01-01 00:00:00", "2017-01-01 00:00:00", "9999-12-31 23:59:59", "0001-01-01 00:00:00"]
    for beyond in (2_932_896.9999999999, 2_932_897.0, 1e7, np.float32(2_932_896.99)):
        assert moment_of(float(beyond), 1.0).year == 9999
    assert moment_of(-1e7).year == 1


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.float64(), pa.uint64()])
@pytest.mark.parametrize(
    ("pattern", "cells"),
    [("%Y%m%d", [20230623, 20191231, 99991231]), ("%Y%m", [202301 + 100 * (k % 3) + k % 11 for k in range(24)])],
)
def test_whole_numbers_that_are_dates_are_told(kind, pattern, cells):
    column = pa.chunked_array([pa.array(cells).cast(kind)])
    days, form = told_digits(column, column.cast(pa.float64()).to_numpy())
    assert form == pattern
    assert digits_in(pattern, days, 86_400.0).tolist() == cells


def test_numbers_of_fourteen_digits_and_times_of_a_clock_are_told():
    noise = np.random.default_rng(0)
    moments = [
        20230101000000 + 10**6 * int(day) + int(hour) * 10**4 + 15 for day, hour in noise.integers(0, 24, (50, 2))
    ]
    clock = noise.integers(0, 24, 80) * 100 + noise.integers(0, 60, 80)
    for cells, pattern in ((moments, "%Y%m%d%H%M%S"), (clock, "%H%M")):
        column = told("when", pa.chunked_array([pa.array(cells)]), "here").column
        assert (column.kind.value, column.pattern) == ("date", pattern)


@pytest.mark.parametrize(
    "cells",
    [
        range(20200000, 20200300),
        [2001, 2002, 2003] * 20,
        range(200001, 200013),
        np.arange(0, 2400, 50),
        [10, 20, 59] * 20,
        [123456789] * 5,
    ],
)
def test_ordinary_numbers_stay_numbers(cells):
    column = pa.chunked_array([pa.array(cells, pa.int64())])
    assert told_digits(column, column.to_numpy().astype(float)) == (None, "")


@pytest.mark.parametrize("mark", ["9999-12-31", "1900-01-01", "1970-01-01", "0001-01-01", "2999-12-31"])
@pytest.mark.parametrize("share", [5, 120])
def test_stand_ins_are_spikes_and_do_not_move_the_origin(mark, share):
    noise = np.random.default_rng(1)
    usual = [str(dt.date(2018, 1, 1) + dt.timedelta(int(day))) for day in noise.integers(0, 1500, 300 - share)]
    column = infer_schema(pa.table({"until": usual + [mark] * share, "x": noise.normal(size=300)}))[0].columns[0]
    assert [written_date(moment_of(one), "%Y-%m-%d") for one in column.spikes] == [mark]
    assert moment_of(column.origin).year == 2018


def test_moments_outside_of_the_calendar_are_refused_before_training():
    column = pa.chunked_array([pa.array([0, 10**12], pa.timestamp("s"))])
    with pytest.raises(SupportError, match="'when' holds a moment outside of the calendar in row 2"):
        told("when", column, "here")


MOMENTS = [dt.datetime(2015, 1, 1) + dt.timedelta(minutes=7919 * place) for place in range(400)]  # 2015 to 2021
WRITTEN = [
    *(f"{day}{clock}" for day in ("%-d.%-m.%Y", "%-m/%-d/%Y", "%-d %b %Y", "%b %-d, %Y") for clock in ("", " %-H:%M")),
    *("%Y-%-m-%-d", "%Y/%-m/%-d %-H:%M:%S", "%-d-%-m-%Y %H:%M", "%d/%m/%Y %-H:%M", "%-H:%M", "%-H:%M:%S", "%-I:%M %p"),
]


@pytest.mark.parametrize("zeros", [False, True], ids=["without zeros", "with zeros"])
@pytest.mark.parametrize("pattern", WRITTEN)
def test_zeros_in_front_are_written_where_the_cells_have_them(pattern, zeros, tmp_path):
    """Each cell comes back as it was, of days, months and hours alike; where one cell has a zero, all are given one."""
    pattern = pattern.replace("%-", "%") if zeros else pattern
    cells = [written_date(moment, pattern) for moment in MOMENTS]
    (tmp_path / "t.csv").write_text("n,when\n" + "".join(f'{place},"{cell}"\n' for place, cell in enumerate(cells)))
    table = read_table(tmp_path / "t.csv")
    column = table.schema.columns[-1]
    back = arrow_cells(table.schema, table.x.double()).column("when").combine_chunks()
    assert column.pattern == pattern
    assert written_cells(column, back) == cells
    mixed = [written_date(moment, (pattern, with_zeros(pattern))[moment.day % 2]) for moment in MOMENTS]
    assert as_written(pa.chunked_array([mixed]), with_zeros(pattern)) == with_zeros(pattern)
