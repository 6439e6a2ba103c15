"""Axes of columns: dates as dates to the precision of the span, numbers with the unit of their column, stand-ins
left aside.
"""

import datetime as dt

import numpy as np
import pytest
from matplotlib.figure import Figure

from vael.data import Column, ColumnKind
from vael.report.tabular.synthetic_figures import panel, tick, usual_values

DAY = (dt.date(2019, 4, 1) - dt.date(1970, 1, 1)).days


@pytest.mark.parametrize(("span", "text"), [(4000.0, "2019"), (400.0, "2019-04"), (30.0, "04-01"), (0.5, "12:00")])
def test_dates_are_written_as_the_span_asks(span, text):
    assert tick(Column("d", ColumnKind.DATE, pattern="%Y%m%d"), DAY + 0.5 * (span < 1), span) == text


def test_times_of_a_clock_and_units_of_numbers():
    assert tick(Column("t", ColumnKind.DATE, pattern="%H:%M:%S"), 0.25, 1.0) == "06:00"
    assert tick(Column("n", ColumnKind.REAL, pattern="1234.5 %"), 12.5, 100.0) == "12.5 %"
    assert tick(Column("n", ColumnKind.REAL), 1200000.0, 1e6) == "1.2e+06"


def test_a_panel_of_dates_shows_the_years_of_the_usual_ones():
    """With two fifths of the cells at 9999-12-31, the axis spans the others."""
    noise = np.random.default_rng(0)
    column = Column(
        "until",
        ColumnKind.DATE,
        decimals=0,
        pattern="%Y-%m-%d",
        usual=(17_900.0, 19_400.0),
        minimum=17_900.0,
        maximum=2_932_896.0,
    )
    cells = np.concatenate([noise.integers(17_900, 19_400, 300), np.full(200, 2_932_896)]).astype(float)
    assert len(usual_values(column, cells)) == 300
    axes = Figure().subplots()
    panel(axes, column, cells, cells)
    axes.figure.canvas.draw()
    shown = [label.get_text() for label in axes.get_xticklabels() if label.get_text()]
    assert shown
    assert all(text[:2] == "20" for text in shown)
