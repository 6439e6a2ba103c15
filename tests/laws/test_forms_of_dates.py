"""Law of dates: whatever form a day or a moment is written in, it is that day, and comes back letter for letter; what
is no day of the calendar is no date.
"""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from vael.data import ColumnKind, read_table
from vael.data.tabular import notes_on
from vael.errors import SupportError
from vael.tables.reading import exact
from vael.tables.values.date_patterns import DAYS
from vael.tables.values.dates import written_date
from vael.tables.writing import arrow_cells, completed, written_cells

NOISE = np.random.default_rng(0)
MOMENTS = [dt.datetime(1995, 1, 1) + dt.timedelta(seconds=int(one)) for one in NOISE.integers(0, 9 * 10**8, 150)]
FORMS = (
    *DAYS,
    *(one.replace("%b", "%B") for one in DAYS if "%b" in one),
    *("%d%m%Y", "%m%d%Y", "%y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"),
    *("%H%M", "%-H%M", "%H%M%S", "%-H%M%S", "%-d%m%Y", "%-m.%Y"),
    *("%YQ%q", "%Y-Q%q", "%Y Q%q", "%Y:Q%q", "%Yq%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%-m/%y"),
    *("%m/%d/%Y %I:%M %P", "%-d.%-m.%Y %-I:%M:%S %P", "%I:%M %p"),
)


def told(cells, tmp_path):
    lines = "".join(f'"{cell}",{row % 7}.5\n' for row, cell in enumerate(cells))
    (tmp_path / "t.csv").write_text(f"when,beside\n{lines}")
    return read_table(tmp_path / "t.csv")


def back(table):
    schema = table.schema
    return written_cells(schema.columns[0], arrow_cells(schema, exact(table)).column(0).combine_chunks())


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_as_it_was_written(form, tmp_path):
    cells = [written_date(one, form) for one in MOMENTS]
    table = told(cells, tmp_path)
    column = table.schema.columns[0]
    assert column.kind is ColumnKind.DATE
    assert back(table) == cells
    if "%Y" in form or "%y" in form:
        days = exact(table)[:, 0].numpy() + column.origin
        past = np.array([(one - dt.datetime(1970, 1, 1)) / dt.timedelta(days=1) for one in MOMENTS])
        unit = 92 if "%q" in form else 31 if "%d" not in form else 1  # days that a form does not tell apart
        assert ((past - days >= -1e-5) & (past - days < unit)).all()


IMPOSSIBLE = (dt.date(2023, 2, 28), dt.date(2024, 2, 29), dt.date(2023, 4, 30), dt.date(2023, 11, 30))


@pytest.mark.parametrize("form", [one for one in DAYS if "%d" in one and one != "%Y%m%d"])
@pytest.mark.parametrize("last", IMPOSSIBLE, ids=str)
def test_the_day_after_the_last_of_a_month_is_no_date(form, last, tmp_path):
    """30 February is no day in March: told before training, and refused in new rows."""
    cells = [written_date(one, form) for one in MOMENTS]
    wrong = written_date(last, form.replace("%d", str(last.day + 1)))
    table = told(cells, tmp_path)
    with pytest.raises(SupportError, match="in row 78 among dates; write a date there"):
        told([*cells[:77], wrong, *cells[78:]], tmp_path)
    with pytest.raises(SupportError, match=r"row 1, column 'when'.*is no date"):
        read_table(pa.table({"when": [wrong], "beside": [1.5]}), table.schema)


@pytest.mark.parametrize(
    ("form", "nothing"),
    [
        ("%Y-%m-%d", "0000-00-00"),
        ("%Y-%m-%d %H:%M:%S", "0000-00-00 00:00:00"),
        ("%d.%m.%Y", "00.00.0000"),
        ("%m/%d/%Y", "00/00/0000"),
        ("%Y%m%d", "0"),
        ("%Y%m%d", "00000000"),
        ("%Y%m%d", "99999999"),
        ("%Y%m%d", "-1"),
        ("%Y%m", "0"),
        ("%d%m%Y", "00000000"),
    ],
)
def test_what_stands_where_there_is_no_day_is_missing_and_said(form, nothing, tmp_path):
    cells = [nothing if row % 9 == 4 else written_date(one, form) for row, one in enumerate(MOMENTS)]
    table = told(cells, tmp_path)
    assert table.schema.columns[0].kind is ColumnKind.DATE
    assert [cell for cell in back(table) if cell] == [cell for cell in cells if cell != nothing]
    assert f"{nothing!r} in {cells.count(nothing)} cells of when" in "".join(notes_on(table))
    assert back(read_table(tmp_path / "t.csv", table.schema)) == back(table)
    if form == "%Y%m%d" and nothing != "00000000":
        for kind in (pa.int64(), pa.float64()):
            whole = pa.table({"when": pa.array([float(cell) for cell in cells]).cast(kind), "beside": [1.5] * 150})
            typed = read_table(whole)
            assert typed.x[:, 0].isnan().sum() == cells.count(nothing)
            assert f"in {cells.count(nothing)} cells of when" in "".join(notes_on(typed))
            filled = completed(typed, exact(typed).nan_to_num(0)).column("when").to_pylist()
            assert all(
                came in (new, float(nothing)) for came, new in zip(whole["when"].to_pylist(), filled, strict=True)
            )


@pytest.mark.parametrize("form", ["%Y%m%d", "%-H%M", "%Y%m%d%H%M%S"])
def test_digits_are_read_as_programs_write_them_beside_gaps(form, tmp_path):
    """pandas writes whole numbers beside a gap as 20230623.0."""
    cells = ["" if row % 9 == 4 else written_date(one, form) for row, one in enumerate(MOMENTS)]
    table = told([cell and f"{cell}.0" for cell in cells], tmp_path)
    assert table.schema.columns[0].pattern == form
    assert back(table) == cells
    typed = read_table(pa.table({"when": [float(cell) if cell else None for cell in cells], "beside": [1.5] * 150}))
    np.testing.assert_array_equal(exact(typed)[:, 0], exact(table)[:, 0])
    assert back(read_table(tmp_path / "t.csv", typed.schema)) == back(typed)


@pytest.mark.parametrize(
    "cells",
    [
        [f"{value:.4f}" for value in NOISE.uniform(1, 13, 90)],  # 3.2020
        [str(value) for value in NOISE.integers(0, 2400, 90)],
        [f"{value:08d}" for value in NOISE.integers(0, 10**8, 90)],
        [str(value) for value in NOISE.integers(10**5, 10**6, 90)],
        [str(value) for value in NOISE.integers(10**9, 2 * 10**9, 90)],
        [f"{('May', 'Jun')[row % 2]}-{day:02d}" for row, day in enumerate([*range(1, 31)] * 3)],  # days of two months
        [f"ABC-{value:02d}" for value in NOISE.integers(0, 99, 90)],
        [f"{one}/{other}" for one, other in NOISE.integers((1, 10), (9, 13), (90, 2))],  # genotypes
        [f"{one}/{other}" for one, other in NOISE.integers((1, 10), (20, 40), (90, 2))],
        [f"{2000 + value // 9}Q{value % 9}" for value in NOISE.integers(0, 99, 90)],
        [f"Q{value}" for value in NOISE.integers(1, 5, 90)],
    ],
)
def test_numbers_and_names_that_look_like_digits_of_dates_are_none(cells, tmp_path):
    table = told(cells, tmp_path)
    assert all(column.kind is not ColumnKind.DATE for column in table.schema.columns)
