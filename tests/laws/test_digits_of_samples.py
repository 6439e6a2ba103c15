"""Law of digits: new numbers of a column are written with no more digits after the point than its cells have, whole
where they are whole, without exponents where those are the exception, and within their range.
"""

import numpy as np
import pytest
import torch

from vael.applications.synthesis import schema_of
from vael.data import ColumnKind, load, read_table
from vael.tables.constraints import enforced
from vael.tables.schema import MOST_DIGITS
from vael.tables.writing import arrow_cells, written_cells

NOISE = np.random.default_rng(0)
SPREAD = NOISE.lognormal(0, 2, 200)
CELLS = {
    "fifteen digits, as R writes them": [f"{one:.15g}" for one in SPREAD],
    "shares of fifteen digits": [f"{one:.15g}" for one in NOISE.uniform(0, 1, 200)],
    "growth rates": [f"{one:.15g}" for one in NOISE.normal(0, 0.01, 200)],
    "returns of a share": [np.format_float_positional(one, 15, fractional=False) for one in NOISE.normal(0, 3e-4, 200)],
    "thirteen decimals": [f"{one:.13f}" for one in NOISE.normal(0, 30, 200)],
    "thousands of which round ones have exponents": [
        np.format_float_scientific(one, trim="-", exp_digits=2) if one % 100_000 == 0 else str(one)
        for one in NOISE.integers(1, 40, 200) * 25_000
    ],
    "small ones with exponents": [f"{one:.3g}" for one in NOISE.lognormal(-6, 3, 200)],
    "two decimals": [f"{one:.2f}" for one in SPREAD],
}


def decimals(cell):
    mantissa, _, power = cell.lower().partition("e")
    return max(0, len(mantissa.partition(".")[2].rstrip("0")) - int(power or 0))


def drawn(cells, tmp_path, rows=400):
    """The column as it is read, and new cells of it."""
    lines = [f"{cell},{row % 7}.5\n" for row, cell in enumerate(cells)]
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(lines))
    schema = read_table(tmp_path / "t.csv").schema
    column = schema.columns[0]
    low, high = column.minimum - column.origin, column.maximum - column.origin
    beyond = 0.2 * (high - low)
    x = torch.from_numpy(
        np.stack([NOISE.uniform(low - beyond, high + beyond, rows), NOISE.uniform(0, 6, rows)], axis=1)
    )
    return column, written_cells(column, arrow_cells(schema, enforced(schema, x)).column("x").combine_chunks())


@pytest.mark.parametrize("name", CELLS)
def test_new_numbers_have_the_digits_of_their_column(name, tmp_path):
    cells = CELLS[name]
    column, new = drawn(cells, tmp_path)
    most = max(map(decimals, cells))
    if most <= MOST_DIGITS:
        assert column.decimals == most
        assert max(map(decimals, new)) <= most
        assert not any("e" in cell for cell in new)
    numbers, seen = np.array(new, float), np.array(cells, float)
    assert seen.min() <= numbers.min()
    assert numbers.max() <= seen.max()
    assert len(set(new)) > 30
    assert (column.kind is ColumnKind.COUNT) == (most == 0)


def test_cells_that_all_have_exponents_declare_no_digits(tmp_path):
    column, _ = drawn([f"{one:.3e}" for one in SPREAD], tmp_path)
    assert column.decimals is None


@pytest.mark.parametrize("name", CELLS)
def test_a_table_of_plain_numbers_has_no_end_beyond_its_own(name, tmp_path):
    """It is kept without a schema, in float32, which rounds ends outwards as often as inwards."""
    other = [f"{one:.9g}" for one in NOISE.normal(30_000, 900, 200)]
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(map("{},{}\n".format, CELLS[name], other)))
    train = load(tmp_path / "t.csv", validation=1, test=1).train
    found = schema_of(train)
    for column, cells in zip(found.columns, (CELLS[name], other), strict=True):
        seen = np.array(cells, float)
        assert seen.min() <= column.minimum
        assert column.maximum <= seen.max()
