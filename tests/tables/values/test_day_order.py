"""Dates in which day and month could be exchanged: decided by what the table says, and never in silence."""

import csv
import datetime as dt
import warnings

import numpy as np
import pyarrow as pa
import pytest

from vael.data import load_table, read_table
from vael.tables.inference import date_notes, infer_schema
from vael.tables.values.dates import written_date
from vael.tables.values.day_order import swapped

MONTHLY = [dt.date(year, month, 1) for year in (2022, 2023) for month in range(1, 13)]
LOW = [
    dt.date(2024, month, day) for day, month in ((1, 2), (3, 4), (5, 6), (7, 2), (4, 9), (11, 3))
]  # which no reading puts in order


def found(dates, pattern, **more):
    cells = [written_date(one, pattern) for one in dates]
    table = pa.table({"day": cells, **{name: column[: len(cells)] for name, column in more.items()}})
    schema = infer_schema(table)[0]
    return schema.columns[0].pattern, date_notes(table, schema), schema


@pytest.mark.parametrize("mark", ["/", "-", "."])
@pytest.mark.parametrize("order", ["%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%d{0}%m{0}%y"])
@pytest.mark.parametrize("time", ["", " %H:%M"])
def test_monthly_dates_are_read_as_written_in_either_order(mark, order, time):
    """First days of months: one number is always 1, the other never above 12."""
    if mark != "/" and ("%y" in order or (mark == "." and order.startswith("%m"))):
        pytest.skip("not among the orders that are read")
    shuffled = np.random.default_rng(0).permutation(np.array(MONTHLY))
    pattern, notes, _ = found([dt.datetime.combine(one, dt.time()) for one in shuffled], order.format(mark) + time)
    assert pattern == order.format(mark) + time
    assert len(notes) == (mark != ".")


def test_a_day_above_twelve_leaves_nothing_to_say():
    for pattern in ("%d/%m/%Y", "%m/%d/%Y"):
        assert found([*LOW, dt.date(2024, 5, 13)], pattern)[:2] == (pattern, ())


def test_other_dates_of_the_table_and_decimal_commas_tell():
    sure = [f"{day}/01/2024" for day in range(13, 13 + len(LOW))]
    assert found(LOW, "%d/%m/%Y", other=sure)[0] == "%d/%m/%Y"
    assert found(LOW, "%d-%m-%Y", other=[f"01-{day}-2024" for day in range(13, 13 + len(LOW))])[0] == "%m-%d-%Y"
    prices = ["1.234,50", "2,5", "3,75", "4,5", "10,1", "9,25"]
    assert found(LOW, "%d/%m/%Y", price=prices)[0] == "%d/%m/%Y"


def test_order_in_time_tells():
    dates = sorted(LOW)
    assert found(dates, "%d/%m/%Y")[0] == "%d/%m/%Y"
    assert found(dates, "%m/%d/%Y")[0] == "%m/%d/%Y"


def test_what_cannot_be_told_is_said_with_what_to_write(tmp_path):
    """The note names both readings and the pattern; a schema with that pattern is taken, and then nothing is said."""
    pattern, (note,), _ = found(LOW, "%d/%m/%Y")
    assert pattern == "%m/%d/%Y"
    assert all(
        part in note
        for part in ("01/02/2024", "2 January 2024", "1 February 2024", '"pattern": "%d/%m/%Y"', "--schema")
    )
    path = tmp_path / "low.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["day", "x"], *((written_date(one, "%d/%m/%Y"), place**2) for place, one in enumerate(LOW * 5))]
        )
    assert any("01/02/2024" in one for one in load_table(path).train.notes)
    given = read_table(path).schema
    given = type(given)(
        (type(given.columns[0])("day", given.columns[0].kind, pattern=swapped(pattern)), *given.columns[1:])
    )
    assert not any("01/02/2024" in one for one in load_table(path, schema=given).train.notes)
    assert float(read_table(path, given).x[0, 0]) == (dt.date(2024, 2, 1) - dt.date(1970, 1, 1)).days


def test_estimators_say_so_too():
    pd = pytest.importorskip("pandas")
    from vael.estimators.frames import begin

    frame = pd.DataFrame({"day": [written_date(one, "%d/%m/%Y") for one in LOW], "x": np.arange(len(LOW)) ** 2})
    with pytest.warns(UserWarning, match="2 January 2024 or 1 February 2024"):
        begin(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        begin(frame.assign(day=pd.to_datetime(frame["day"], format="%d/%m/%Y")))
