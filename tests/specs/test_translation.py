"""Run folders that an earlier version wrote are read, and judged to the same figures."""

import json
import math
import shutil
from pathlib import Path

import pytest

import vael
from vael.cli import main
from vael.errors import FormatError
from vael.evaluation import evaluate
from vael.specs import prepare, read_spec, request

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


@pytest.mark.parametrize("name", FIGURES)
def test_a_run_json_of_schema_1_is_a_configuration(name, tmp_path, capsys):
    """Trained again on the data that it names, with the same model; without these data refused by their name."""
    shutil.copy(OLD / name / "run.json", tmp_path / "old.json")
    if name in DATA:
        asked = ["train", "--config", str(tmp_path / "old.json"), "--run", str(tmp_path / "none")]
        assert main(asked) == 2
        assert DATA[name] in capsys.readouterr().err
        assert not (tmp_path / "none").exists()
    data = [str(OLD / DATA[name])] if name in DATA else []
    prepared = prepare(request(*data, config=str(tmp_path / "old.json"), set={"training.epochs": 1}))
    old = vael.load(OLD / name).spec
    assert prepared.spec.schema_version == 2
    assert prepared.spec.model == old.model
    assert prepared.spec.algorithm == old.algorithm
    assert prepared.spec.training.epochs == 1
    assert prepared.spec.data.train == old.data.train


@pytest.mark.parametrize("version", [0, 3, None, "1"])
def test_a_run_json_of_no_known_schema_is_refused_as_a_configuration(version, tmp_path):
    told = json.loads((OLD / "digits" / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**told, "schema_version": version}))
    with pytest.raises(FormatError, match=r"run\.json"):
        prepare(request(config=str(tmp_path / "run.json")))
