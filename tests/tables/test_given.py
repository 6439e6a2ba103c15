"""Rows in memory: trained on, kept with the run, and read again by it, whatever they came as."""

import numpy as np
import pyarrow as pa
import pytest
import torch

import vael
from vael import specs
from vael.errors import FormatError, StateError
from vael.tables.given import as_table

QUICK = {"epochs": 1, "hidden": (8,), "latent": 2, "precision": "float32", "compile": False}
ROWS = 60


def columns():
    random = np.random.default_rng(0)
    return {"x": random.normal(size=ROWS).round(3).tolist(), "kind": random.choice(["a", "b"], ROWS).tolist()}


def as_rows(given):
    return [dict(zip(given, row, strict=True)) for row in zip(*given.values(), strict=True)]


def frame(library):
    return lambda given: pytest.importorskip(library).DataFrame(given)


FORMS = {"columns": dict, "rows": as_rows, "arrow": pa.table, "pandas": frame("pandas"), "polars": frame("polars")}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_are_one_table(form):
    assert as_table(FORMS[form](columns())).to_pydict() == columns()


@pytest.mark.parametrize("form", ["columns", "pandas"])
def test_a_run_on_rows_in_memory_finds_them_again(tmp_path, form):
    run = vael.train(FORMS[form](columns()), run=tmp_path / "run", **QUICK)
    again = vael.load(tmp_path / "run")
    assert (again.folder / "data.parquet").exists()
    assert torch.equal(again.splits().train.x, run.splits().train.x)
    assert len(vael.train(run=tmp_path / "run", resume=True, epochs=2).history) > len(run.history)
    source, table = specs.table_of(again.spec, FORMS[form](columns()))
    assert (len(source), table.x.shape) == (ROWS, (ROWS, 2))
    assert torch.equal(specs.table_of(again.spec, as_rows(columns())[3])[1].x[0], table.x[3])


def test_rows_that_cannot_be_kept_or_read_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(StateError, match="run=FOLDER"):
        vael.train(columns(), **QUICK)
    with pytest.raises(StateError, match="resume without giving data"):
        vael.train(columns(), run=tmp_path / "run", resume=True)
    for wrong in ({"x": [1, 2], "y": [1]}, [], 3.5, [1, 2], object()):
        with pytest.raises(FormatError):
            vael.train(wrong, run=tmp_path / "run", **QUICK)
    with pytest.raises(StateError, match="no option"):
        vael.train(columns(), run=tmp_path / "run", wrong=1)
    assert list(tmp_path.iterdir()) == []
