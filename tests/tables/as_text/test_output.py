"""Files of rows: whole at the end, read back equal by other readers, or not there."""

import csv

import numpy as np
import pyarrow.parquet
import pytest

from vael.errors import FormatError, ShapeError
from vael.tables.as_text.output import row_file

ROWS = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32) * np.float32([1e-9, 1, 1e12])


def store(path, names=("a", "b, with a comma", 'c "quoted"'), rows=ROWS):
    with row_file(path, names) as file:
        for block in np.split(rows, (4, 4, 9)):
            file.add(block)
    return path


def test_npy_is_what_numpy_reads(tmp_path):
    found = np.load(store(tmp_path / "x.npy"), allow_pickle=False)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, ROWS)
    images = np.arange(48, dtype=np.uint8).reshape(4, 1, 3, 4)
    np.testing.assert_array_equal(np.load(store(tmp_path / "i.npy", (), images)), images)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(mapped, ROWS)


def test_csv_gives_every_float_back(tmp_path):
    with open(store(tmp_path / "x.csv"), newline="") as file:
        names, *rows = csv.reader(file)
    assert names == ["a", "b, with a comma", 'c "quoted"']
    np.testing.assert_array_equal(np.array(rows, np.float32), ROWS)


def test_parquet_gives_every_float_back(tmp_path):
    found = pyarrow.parquet.read_table(store(tmp_path / "x.parquet"))
    assert found.column_names == ["a", "b, with a comma", 'c "quoted"']
    np.testing.assert_array_equal(np.stack([column.to_numpy() for column in found.columns], axis=1), ROWS)


@pytest.mark.parametrize("ending", [".npy", ".csv", ".parquet"])
def test_a_failure_leaves_what_was_there(tmp_path, ending):
    path = tmp_path / f"x{ending}"
    path.write_bytes(b"before")
    with pytest.raises(ShapeError, match="came after"):
        store_badly(path, ("a", "b", "c"))
    assert path.read_bytes() == b"before"
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def store_badly(path, names):
    with row_file(path, names) as file:
        file.add(ROWS)
        file.add(ROWS[:, :2])


def test_rows_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ShapeError, match="2 names"):
        store(tmp_path / "x.csv", ("a", "b"))
    with pytest.raises(ShapeError, match=r"\(2,\) came after rows of shape \(3,\)"):
        store_badly(tmp_path / "x.npy", ())
    with pytest.raises(FormatError, match=r"\.npy, \.csv, \.parquet"):
        row_file(tmp_path / "x.xlsx")
    assert not list(tmp_path.iterdir())
