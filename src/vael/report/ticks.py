"""What stands at the axis of a column: dates as dates, numbers as the column has them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from vael.tables.schema import Column, ColumnKind
from vael.tables.values.arrow_types import DAY
from vael.tables.values.dates import EPOCH, moment_of, written_date
from vael.tables.values.numerals import numeral_of

SPANS = (
    (1000.0, "%Y"),
    (60.0, "%Y-%m"),
    (2.0, "%m-%d"),
    (0.0, "%H:%M"),
)  # days that an axis spans at least, and how it is written then


def tick(column: Column, value: float, span: float) -> str:
    """A place on the axis of a column of numbers or dates that spans so much: 2019-04, not 17987; 12 %, not 12."""
    if column.kind is not ColumnKind.DATE:
        return numeral_of(column).around(f"{value:,.6g}".replace(",", "") if abs(value) < 1e6 else f"{value:.3g}")
    clock = not any(mark in column.pattern for mark in ("%Y", "%y", "%d")) and not EPOCH.fullmatch(column.pattern)
    pattern = "%H:%M" if clock else next(form for least, form in SPANS if span >= least)
    return written_date(moment_of(value, float(DAY if pattern != "%H:%M" else 60)), pattern)


def usual_values(column: Column, values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " usual"]:
    """The values without stand-ins that lie beyond all others (9999-12-31), which would leave a single bar; all of
    them where there is none.
    """
    if not column.usual:
        return values
    room = 1e-6 * max(1.0, *(abs(end - column.origin) for end in column.usual))
    found = values[(values >= column.usual[0] - room) & (values <= column.usual[1] + room)]
    return found if len(found) else values
