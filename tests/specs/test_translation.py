"""Run folders that an earlier version wrote are read, and judged to the same figures."""

import json
import math
import shutil
from pathlib import Path

import pytest

import vael
from vael.evaluation import evaluate
from vael.specs import read_spec

OLD = Path(__file__).parent / "schema-1"
# what `vael evaluate --importance-samples 100` of the version that wrote them printed
FIGURES = {
    "table": (-9.31750691364597, -9.315253955508451),
    "digits": (-113.10560661098268, -107.35667067576445),
    "images": (-1109.064092410449, -1108.4589681385096),
}
DATA = {"table": "table.csv", "images": "images.npy"}


@pytest.mark.parametrize("name", FIGURES)
def test_a_run_of_schema_1_loads_and_is_judged_as_before(name, tmp_path):
    folder = shutil.copytree(OLD / name, tmp_path / name)
    if name in DATA:
        path = folder / "run.json"
        path.write_text(path.read_text().replace(f'"{DATA[name]}"', json.dumps(str(OLD / DATA[name]))))
    run = vael.load(folder)
    split, source = run.split()
    judged = evaluate(run.model, source, split=split, importance_samples=100)
    elbo, log_likelihood = FIGURES[name]
    assert math.isclose(judged.elbo, elbo, rel_tol=1e-5)
    assert math.isclose(judged.log_likelihood, log_likelihood, rel_tol=1e-5)
    assert read_spec(folder).schema_version == 2
