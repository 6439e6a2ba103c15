"""Law of words for missing: a cell that was seen is never filled, whatever it says, in every format; what is
missing is null, empty or said so.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vael.data import Column, ColumnKind, Schema, read_table
from vael.data.blocks import table_blocks
from vael.data.tabular import notes_on
from vael.errors import SupportError
from vael.tables.as_text.naming import MISSING
from vael.tables.as_text.output import cell_file
from vael.tables.as_text.text import text_table
from vael.tables.missing import WORDS
from vael.tables.writing import completed

ROWS = 40
SPELLINGS = sorted({form for word in MISSING - {""} for form in (word, word.upper(), word.capitalize())})
LEVELS = st.lists(st.sampled_from(["x", "yes", "no", *SPELLINGS]), min_size=2, max_size=4, unique=True)


def filled(path, schema):
    """The column `level` of a table after its gaps were filled."""
    layout = None if path.suffix == ".parquet" else text_table(path).layout
    target = path.with_name(f"filled{path.suffix}")
    with cell_file(target, layout) as file:
        for block in table_blocks(path, schema, rows=16):
            file.add(completed(block, torch.nan_to_num(block.x, nan=0.0)), block.kept)
    if layout is None:
        return pa.parquet.read_table(target).column("level").to_pylist()
    return [line.split(",")[1] for line in target.read_text().splitlines()[1:]]


def written(folder, ending, cells, gap=None):
    path, numbers = folder / f"words{ending}", [f"{row % 7}.5" for row in range(len(cells))]
    if ending == ".parquet":
        pa.parquet.write_table(pa.table({"n": [float(one) for one in numbers], "level": cells}), path)
    else:
        lines = [f"{number},{'' if cell is None else cell}" for number, cell in zip(numbers, cells, strict=True)]
        path.write_text("n,level\n" + "".join(f"{line}\n" for line in lines))
    return path


@settings(max_examples=30, deadline=None, derandomize=True)
@given(LEVELS, st.sampled_from([".csv", ".parquet"]), st.booleans(), st.sets(st.integers(0, ROWS - 1), max_size=5))
def test_cells_that_were_seen_stay(tmp_path_factory, levels, ending, told, gaps):
    """With a schema that lists every word; without one in Parquet; in CSV without one those words that levels are
    called.
    """
    folder = tmp_path_factory.getbasetemp()
    if ending == ".csv" and not told:
        levels = [level for level in levels if level in ("x", "yes", "no") or level.lower() in WORDS] + ["other"]
    cells = [None if row in gaps else levels[(row + row // 5) % len(levels)] for row in range(ROWS)]
    path = written(folder, ending, cells)
    number = Column("n", ColumnKind.REAL, minimum=0.5, maximum=6.5, decimals=1)
    kind = ColumnKind.CATEGORICAL
    schema = (
        Schema((number, Column("level", kind, levels=tuple(sorted(levels)), missing=True)))
        if told
        else read_table(path).schema
    )
    after = filled(path, schema)
    assert [
        one for row, (one, other) in enumerate(zip(cells, after, strict=True)) if row not in gaps and one != other
    ] == []
    assert all(after[row] in levels for row in gaps)


def test_nulls_of_typed_cells_are_missing_and_nothing_else(tmp_path):
    cells = ["NA", "none", "", "nan", None] * 8
    found = read_table(written(tmp_path, ".parquet", cells))
    assert found.schema.columns[1].levels == ("", "NA", "nan", "none")
    assert int(found.x[:, 1].isnan().sum()) == 8
    frame = read_table(pa.table({"level": pa.array(cells).dictionary_encode(), "n": np.arange(40) % 7}), found.schema)
    assert torch.equal(frame.x[:, 1].isnan(), found.x[:, 1].isnan())
    schema = Schema((Column("level", ColumnKind.CATEGORICAL, levels=("a", "b")),))
    with pytest.raises(SupportError, match="'NA' is no level"):
        read_table(pa.table({"level": ["a", "NA"]}), schema)


def test_a_word_among_numbers_marks_what_is_missing_in_the_whole_table(tmp_path):
    """As R and pandas write: then it is missing among levels too; other words are levels.

    Both are said with how many cells.
    """
    lines = [
        f"{'NA' if row % 10 == 3 else row / 4},{['NA', 'x', 'none', 'y'][row % 4]},{['yes', 'no', 'n/a'][row % 3]}"
        for row in range(60)
    ]
    (tmp_path / "t.csv").write_text("n,level,answer\n" + "\n".join(lines) + "\n")
    table = read_table(tmp_path / "t.csv")
    assert [column.levels for column in table.schema.columns] == [(), ("none", "x", "y"), ("n/a", "no", "yes")]
    assert table.x.isnan().sum(0).tolist() == [6, 15, 0]
    (gone, there) = notes_on(table)
    assert "'NA' in 6 cells of n" in gone
    assert "'NA' in 15 cells of level" in gone
    assert "'none' in 15 cells of level" in there
    assert "'n/a' in 20 cells of answer" in there


def test_bits_have_no_third_answer(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{['0', '1', 'NA'][row % 3]},{row % 5}\n" for row in range(30)))
    table = read_table(tmp_path / "t.csv")
    assert table.schema.columns[0].kind is ColumnKind.BOOLEAN
    assert int(table.x[:, 0].isnan().sum()) == 10
