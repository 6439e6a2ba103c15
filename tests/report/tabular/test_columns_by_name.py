"""Figures of rows call columns by their names."""

import numpy as np
import pytest
import torch

import vael
import vael.report
from vael import domains
from vael.report.record import ReportInput

NAMES = ("height of the tree", "girth")


# what the dense model shows of columns the mixture shows too, by the same code
@pytest.mark.parametrize("model", ["gaussian-mixture", pytest.param("dense", marks=pytest.mark.slow)])
def test_names_of_columns_stand_in_every_figure_of_columns(model, tmp_path):
    rows = np.random.default_rng(0).normal(size=(120, 2))
    np.savetxt(tmp_path / "trees.csv", rows, delimiter=",", header=",".join(NAMES), comments="", fmt="%.6f")
    options = {"components": 2} if model == "gaussian-mixture" else {"hidden": (8,), "latent": 2}
    how = {"epochs": 1, "precision": "float32", "callbacks": ()}
    run = vael.train(tmp_path / "trees.csv", model=model, run=tmp_path / "run", **how, **options)
    record = ReportInput(run.model, splits := run.splits(), run.history, view=domains.of(splits.train))
    assert record.view.names(record.shown) == NAMES
    vael.report.write(run.folder, record)
    shown = {path.stem: path.read_text() for path in (run.folder / "figures").glob("*.svg")}
    of_columns = {"histograms", "reconstructions"} | ({"component_means"} if model == "gaussian-mixture" else set())
    assert of_columns <= shown.keys()
    for name in of_columns:
        assert "girth" in shown[name], name
        assert "column 1" not in shown[name]
    assert all(torch.isfinite(weight).all() for weight in run.model.state_dict().values())
