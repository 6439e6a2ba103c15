"""Law of the calendar: where all dates of a column are first or last days of months, quarters or years, or days of one
weekday, new ones and filled gaps are too; where they are not, every day may come; stand-ins stay.
"""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
import torch

from vael.data import read_table
from vael.tables.constraints import enforced
from vael.tables.schema_file import as_record, from_record
from vael.tables.writing import arrow_cells, written_cells

NOISE = np.random.default_rng(0)
ONE = dt.timedelta(days=1)
MONTHS = [dt.date(1995 + month // 12, month % 12 + 1, 1) for month in range(180)]
BEATS = {
    "months": (MONTHS, lambda day: day.day == 1, 1),
    "ends of months": ([day - ONE for day in MONTHS], lambda day: (day + ONE).day == 1, -1),
    "quarters": (MONTHS[::3], lambda day: day.day == 1 and day.month in (1, 4, 7, 10), 3),
    "quarters from February on": (MONTHS[1::3], lambda day: day.day == 1 and day.month in (2, 5, 8, 11), 3),
    "years": (MONTHS[::12], lambda day: (day.month, day.day) == (1, 1), 12),
    "fiscal years": (
        [day - ONE for day in MONTHS[6::12]],
        lambda day: (day.month, day.day) == (6, 30),
        -12,
    ),
    "Saturdays": (
        [dt.date(1995, 1, 7) + week * dt.timedelta(days=7) for week in range(60)],
        lambda day: day.weekday() == 5,
        None,
    ),
    "days": ([dt.date(1995, 1, 1) + dt.timedelta(days=int(one)) for one in NOISE.integers(0, 3000, 90)], None, None),
    "few": (MONTHS[:5], None, None),
}


def cells_of(name, stand_in):
    days = [BEATS[name][0][row] for row in NOISE.integers(0, len(BEATS[name][0]), 150)]
    return [*days, *([dt.date(9999, 12, 31)] * 40 if stand_in else [])]


def drawn(table, rows=400):
    """New days of the column `when`."""
    schema = from_record(as_record(table.schema))
    column = schema.columns[0]
    low, high = column.usual or (column.minimum, column.maximum)
    beyond = 0 if column.usual else 9
    days = np.concatenate(
        [NOISE.uniform(low - beyond, high + beyond, rows), [one for one in column.spikes if one > high]]
    )
    x = torch.from_numpy(np.stack([days - column.origin, np.full(len(days), 1.5)], axis=1))
    return column, arrow_cells(schema, enforced(schema, x)).column("when")


@pytest.mark.parametrize("stand_in", [False, True])
@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("name", BEATS)
def test_new_dates_fall_on_the_days_of_their_column(name, typed, stand_in, tmp_path):
    cells, (_, kept, months) = cells_of(name, stand_in), BEATS[name]
    if typed:
        table = read_table(pa.table({"when": pa.array(cells, pa.date32()), "x": [1.5, 2.5] * (len(cells) // 2)}))
    else:
        lines = [f"{cell:%d.%m.%Y},{row % 3}.5\n" for row, cell in enumerate(cells)]
        (tmp_path / "t.csv").write_text("when,x\n" + "".join(lines))
        table = read_table(tmp_path / "t.csv")
    column, found = drawn(table)
    new = [one.date() if isinstance(one, dt.datetime) else one for one in found.to_pylist()]
    assert column.months == months
    assert {cell for cell in new if cell.year > 3000} == ({dt.date(9999, 12, 31)} if stand_in else set())
    real = [cell for cell in new if cell.year < 3000]
    assert min(cells) <= min(real)
    assert max(real) <= max(one for one in cells if one.year < 3000)
    assert len(set(real)) >= min(12, len(set(cells)) - 1)
    if kept is None:
        assert len({cell.day for cell in new}) > 25 or name == "few"
    else:
        assert all(map(kept, real))
    texts = written_cells(column, found.combine_chunks())
    assert typed or texts == [f"{cell:%d.%m.%Y}" for cell in new]
