"""Law of quotation marks: where a table has bare numbers, whole numbers in quotes are codes and a bare NA among quoted
texts is missing; whatever is found, cells that were seen stay and come back as they were written.
"""

import itertools

import numpy as np
import pytest

from vael.data import ColumnKind, read_table
from vael.data.tabular import notes_on
from vael.errors import SupportError
from vael.tables.inference import why_left_out

ROWS = 60
WORDS = ("NA", "N/A", "none", "null")


def table(folder, name, cells, numbers=None):
    """A column as it is written beside bare numbers, or beside what is given."""
    numbers = [f"{row % 7}.5" for row in range(len(cells))] if numbers is None else numbers
    path = folder / "t.csv"
    path.write_text(f'"n","{name}"\n' + "".join(f"{one},{cell}\n" for one, cell in zip(numbers, cells, strict=True)))
    return read_table(path)


def column_called(found, name):
    return next(column for column in found.schema.columns if column.name == name)


@pytest.mark.parametrize("codes", [("1", "2"), ("0", "10"), ("308", "9", "44"), tuple(map(str, range(25)))], ids=str)
def test_whole_numbers_in_quotes_beside_bare_ones_are_codes_and_said(codes, tmp_path):
    cells = [f'"{one}"' for _, one in zip(range(ROWS), itertools.cycle(codes), strict=False)]
    found = table(tmp_path, "code", cells)
    assert column_called(found, "code").kind is ColumnKind.CATEGORICAL
    assert any("their digits stand in quotes: code" in note for note in notes_on(found))
    for others in (table(tmp_path, "code", [one.strip('"') for one in cells]), table(tmp_path, "code", cells, cells)):
        assert column_called(others, "code").kind is ColumnKind.COUNT  # no mark tells them from other numbers
        assert not any("in quotes" in note for note in notes_on(others))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([f'"{row % 5}.25"' for row in range(ROWS)], ColumnKind.REAL),
        ([f'"{row % 2}"' for row in range(ROWS)], ColumnKind.BOOLEAN),
        ([f'"{row * row + 7}"' for row in range(ROWS)], ColumnKind.COUNT),  # a code that never comes again says nothing
        ([f'"2024-01-{row % 28 + 1:02}"' for row in range(ROWS)], ColumnKind.DATE),
        ([f'"{row % 3} kg"' if row % 30 else '"14 kg"' for row in range(ROWS)], ColumnKind.CATEGORICAL),
        ([f'"1,{row % 9}00"' for row in range(ROWS)], ColumnKind.COUNT),  # quotes that are needed
    ],
)
def test_other_cells_in_quotes_are_what_they_are_without(cells, kind, tmp_path):
    assert column_called(table(tmp_path, "x", cells), "x").kind is kind


def test_codes_with_letters_among_whole_numbers_are_codes_if_they_stand_in_quotes(tmp_path):
    bare = [("136A" if row == 5 else str(100 + row % 24)) for row in range(ROWS)]
    found = column_called(table(tmp_path, "family", [f'"{cell}"' for cell in bare]), "family")
    assert found.kind is ColumnKind.CATEGORICAL
    assert "136A" in (*found.levels, *(level for level, _ in found.rare))
    with pytest.raises(SupportError, match="put all cells of the column in quotes"):
        table(tmp_path, "family", bare)
    with pytest.raises(SupportError, match="'136A' in row 6 among numbers"):
        table(tmp_path, "family", [f'"{cell}.5"' if cell != "136A" else '"136A"' for cell in bare])


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("levels", [("yes", "no"), ("a", "b", "c"), ("1", "2", "3")], ids=str)
def test_a_bare_word_among_texts_in_quotes_is_missing_and_one_in_quotes_a_level(word, levels, tmp_path):
    cells = [f'"{one}"' for _, one in zip(range(ROWS), itertools.cycle(levels), strict=False)]
    for mark in (word, f'"{word}"'):
        given = [mark if row in (4, 9, 31) else cell for row, cell in enumerate(cells)]
        found = table(tmp_path, "x", given)
        gaps = np.isnan(found.x[:, found.schema.names.index("x")].numpy())
        missing = mark == word
        assert gaps.nonzero()[0].tolist() == ([4, 9, 31] if missing else [])
        assert (word in column_called(found, "x").levels) is not missing
        again = read_table(tmp_path / "t.csv", found.schema)
        np.testing.assert_array_equal(again.x, found.x)
        assert any(f"{word!r} in 3 cells of x" in note for note in notes_on(found))


@pytest.mark.parametrize(
    ("rows", "left", "why"),
    [
        (range(1, 9), True, "counts the rows"),
        (range(0, 30), True, "counts the rows"),
        ((4, 9, 10, 11, 57, 33, 2), True, "names the rows"),
        (("50-54", "55-59", "60-64", "65-69", "70-74"), True, "text that differs in most rows"),
        (("Mazda RX4", "Datsun 710", "Valiant"), True, "text that differs in most rows"),
        ((1951, 1956, 1957, 1958, 1960), False, ""),  # years say more than which row it is
        ((1.5, 2.5, 3.25, 7.0), False, ""),
        ((1, 2, 3, 3, 4, 5), False, ""),
        (("a", "b", "a", "b", "c"), False, ""),
        (("2024-01-01", "2024-01-02", "2024-01-05"), False, ""),
    ],
)
@pytest.mark.parametrize("called", ["", "rownames", "Unnamed: 0"])
@pytest.mark.parametrize("quoted", [True, False])
def test_a_first_column_without_a_name_that_is_another_in_every_row_is_left_out(
    rows, left, why, called, quoted, tmp_path
):
    mark = '"' if quoted else ""
    lines = [f"{mark}{row}{mark},{place % 3}.5" for place, row in enumerate(rows)]
    (tmp_path / "t.csv").write_text("\n".join([f"{called},x", *lines]) + "\n")
    found = read_table(tmp_path / "t.csv")
    assert found.schema.left_out == ((called or "column 1",) if left else ())
    if left:
        assert why_left_out(found.original.column(0), called) == why
    (tmp_path / "t.csv").write_text("\n".join(["measured,x", *lines]) + "\n")
    named = read_table(tmp_path / "t.csv").schema.left_out
    assert named == (("measured",) if list(rows) == list(range(30)) else ())  # with a name it may say something


@pytest.mark.parametrize("names", [("142.24", "144.78"), ("16.5", "16.75"), ("1", "4"), ("2001", "2002.5"), ("a", "2")])
@pytest.mark.parametrize("first", ["", "height", "3.5"])
def test_numbers_in_quotes_above_bare_ones_are_names(names, first, tmp_path):
    lines = [f'"r{row}",{row % 7},{row * row % 11}.5\n' for row in range(ROWS)]
    (tmp_path / "t.csv").write_text(",".join(f'"{name}"' for name in (first, *names)) + "\n" + "".join(lines))
    found = read_table(tmp_path / "t.csv")
    assert found.schema.names == names
    assert found.original.num_rows == ROWS
    assert not any("taken for a row" in note for note in notes_on(found))
