"""Files read block by block: the same cells in the same order, and cells of another kind refused with their row."""

import numpy as np
import pytest
import torch

from vael.data import Kind
from vael.data.blocks import Like, array_blocks
from vael.errors import FormatError, ShapeError, SupportError

X = np.arange(60, dtype=np.float32).reshape(20, 3)
TABLE = Like("t", (3,), Kind.REAL, columns=("a", "b", "c"))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("rows", [1, 7, 20, 50])
def test_blocks_are_the_file(tmp_path, rows, order):
    np.save(tmp_path / "x.npy", np.array(X, order=order))
    found = list(array_blocks(tmp_path / "x.npy", rows))
    assert max(len(block) for block in found) == min(rows, 20)
    np.testing.assert_array_equal(np.concatenate(found), X)


def test_damaged_files_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", X)
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:-8])
    with pytest.raises(FormatError, match="truncated"):
        list(array_blocks(tmp_path / "x.npy"))
    np.save(tmp_path / "o.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="objects"):
        list(array_blocks(tmp_path / "o.npy"))
    np.save(tmp_path / "e.npy", X[:0])
    with pytest.raises(FormatError, match="at least one"):
        list(array_blocks(tmp_path / "e.npy"))


def test_a_block_becomes_a_source():
    source = TABLE.source(X.astype(np.float64))
    assert source.x.dtype == torch.float32
    assert source.columns == ("a", "b", "c")
    grey = Like("g", (1, 4, 4), Kind.INTEGER, 256).source(np.full((2, 4, 4), 200, np.uint8))
    assert grey.x.dtype == torch.uint8
    assert (grey.levels, grey.event) == (256, (1, 4, 4))


@pytest.mark.parametrize(
    ("kind", "levels", "bad"),
    [(Kind.REAL, None, np.inf), (Kind.REAL, None, np.nan), (Kind.BINARY, None, 2), (Kind.INTEGER, 60, 60)],
)
def test_cells_of_another_kind_are_named(kind, levels, bad):
    x = X.copy() % 2 if kind is Kind.BINARY else X.copy()
    x[4, 1] = bad
    with pytest.raises(SupportError, match=r"t, row 105, column 'b': .* came"):
        Like("t", (3,), kind, levels, ("a", "b", "c")).source(x, first=100)


def test_gaps_are_taken_where_there_may_be_some():
    x = X.copy()
    x[0, 0] = np.nan
    assert Like("t", (3,), Kind.REAL, gaps=True).source(x).gaps
    with pytest.raises(ShapeError, match=r"\(3,\), but the model takes \(4,\)"):
        Like("t", (4,), Kind.REAL).source(x)
