"""Runs on a hub, against a stand-in for it: what is sent, what is taken, and what is said where it says no."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import vael
from vael.cli import main
from vael.cli.sharing import hub
from vael.evaluation import Evaluation
from vael.specs.cards import SHARED, model_card

SECRET = "a-very-private-folder"


class Refused(Exception):
    """What the stand-in says no with."""


class Hub:
    """Keeps repositories in a folder."""

    def __init__(self, folder):
        self.folder, self.private = folder, {}

    def HfApi(self):
        return SimpleNamespace(create_repo=self.create, upload_folder=self.upload)

    def create(self, name, *, private, exist_ok):
        if name.startswith("other/"):
            raise Refused("403 Forbidden: you have no rights here\nRequest ID: 1")
        assert exist_ok
        self.private[name] = private

    def upload(self, *, repo_id, folder_path, commit_message):
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)

    def snapshot_download(self, name, *, revision, local_dir, allow_patterns):
        if not (self.folder / name).is_dir():
            raise Refused("404 Client Error: Repository Not Found")
        for path in (self.folder / name).iterdir():
            if path.name in allow_patterns:
                shutil.copy(path, local_dir, follow_symlinks=False)


@pytest.fixture
def known(tmp_path, monkeypatch):
    found = Hub(tmp_path / "hub")
    monkeypatch.setattr(hub, "hugging_face", lambda: found)
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, noise = tmp_path_factory.mktemp("hub") / SECRET, np.random.default_rng(0)
    folder.mkdir()
    lines = [f"{a:.4f},{b:.4f}" for a, b in noise.normal(size=(80, 2))]
    (folder / "rows.csv").write_text("height,weight\n" + "\n".join(lines) + "\n")
    return vael.train(folder / "rows.csv", run=folder / "run", epochs=2, latent=2, hidden=(8,), callbacks=())


def pushed(run, known, *words):
    assert main(["push", str(run.folder), "ada/rows", "--importance-samples", "5", "-q", *words]) == 0
    return known.folder / "ada" / "rows"


def test_what_is_sent_has_no_path_and_no_example(run, known):
    place = pushed(run, known)
    assert {path.name for path in place.iterdir()} == set(SHARED)
    text = "".join((place / name).read_text() for name in ("run.json", "README.md", "metrics.jsonl"))
    assert SECRET not in text
    cells = [cell for line in Path(run.spec.data.source).read_text().splitlines()[1:] for cell in line.split(",")]
    told = set(re.findall(r"-?\d+\.\d+", text))
    assert set(cells) & told == set()
    assert set(cells) & set(re.findall(r"-?\d+\.\d+", text + "\n" + cells[0])) == {cells[0]}


def test_the_card_has_the_numbers_of_the_evaluation(run, known):
    card = (pushed(run, known) / "README.md").read_text()
    judged = vael.evaluate(run.model, run.split()[1], importance_samples=5, seed=0)
    assert isinstance(judged, Evaluation)
    assert f"{judged.log_likelihood:.2f} ± {judged.standard_error:.2f}" in card
    assert f"{judged.elbo:.2f}" in card
    assert "K = 5" in card
    assert card.startswith("---\nlibrary_name: vael\n")
    assert "vael pull ada/rows" in card


def test_a_card_of_a_run_without_data_has_the_numbers_of_training(run):
    last = [row for row in run.history if row.split == "validation"][-1]
    card = model_card(run, "ada/rows", [])
    assert f"validation bound {last.elbo:.2f}" in card
    assert "not judged" in card


def test_what_is_sent_and_taken_again_is_the_same_model(run, known, tmp_path):
    pushed(run, known)
    assert main(["pull", "ada/rows", "--run", str(tmp_path / "back"), "-q"]) == 0
    back = vael.load(tmp_path / "back")
    rows = [{"height": 0.5, "weight": -1.0}]
    assert back.encode(rows).tolist() == run.encode(rows).tolist()
    assert back.spec.data.source == "rows.csv"


def test_figures_are_sent_only_where_asked_for(run, known, capsys):
    assert main(["push", str(run.folder), "ada/rows", "--with-figures"]) == 2
    assert "vael report" in capsys.readouterr().err
    assert main(["report", str(run.folder), "--importance-samples", "2", "-q"]) == 0
    assert not (pushed(run, known) / "report.html").exists()
    assert (pushed(run, known, "--with-figures") / "report.html").exists()
    assert list((known.folder / "ada" / "rows" / "figures").iterdir())


@pytest.mark.parametrize("name", ["report.html", "figures", "figures/1.png"])
def test_no_file_is_sent_that_a_link_leads_to(name, run, known, tmp_path, capsys):
    """A folder from somebody else can have links to files of yours."""
    copy, secret = tmp_path / "run", tmp_path / "secret"
    shutil.copytree(run.folder, copy, ignore=shutil.ignore_patterns("report.html", "figures"))
    secret.mkdir()
    (secret / "key").write_text("of nobody else")
    (copy / "figures").mkdir()
    (copy / "report.html").write_text("<p>")
    (copy / "figures" / "1.png").write_text("1")
    push = ["push", str(copy), "ada/linked", "--importance-samples", "2", "--with-figures", "-q"]
    assert main(push) == 0
    shutil.rmtree(known.folder)
    shutil.rmtree(copy / name) if name == "figures" else (copy / name).unlink()
    (copy / name).symlink_to(secret if name == "figures" else secret / "key")
    assert main(push) == 2
    assert "is a link" in capsys.readouterr().err
    assert not known.folder.exists()


def test_what_is_taken_is_not_trusted(run, known, tmp_path, capsys):
    place = pushed(run, known)
    for name in ("report.html", "evil.py"):
        (place / name).write_text("<script>")
    assert main(["pull", "ada/rows", "--run", str(tmp_path / "one"), "-q"]) == 0
    assert {path.name for path in (tmp_path / "one").iterdir()} == set(SHARED)
    spec = json.loads((place / "run.json").read_text())
    smaller = {"weights_sha256": None, "data": spec["data"] | {"event": [3]}}
    for change in (smaller, {"weights_sha256": "0" * 64}, {"model": {"kind": "os:system"}}):
        (place / "run.json").write_text(json.dumps(spec | change))
        assert main(["pull", "ada/rows", "--run", str(tmp_path / "two")]) == 2
        assert not (tmp_path / "two").exists()
    (place / "run.json").write_text(json.dumps(spec))
    (place / "model.safetensors").unlink()
    (place / "model.safetensors").symlink_to("/etc/passwd")
    assert main(["pull", "ada/rows", "--run", str(tmp_path / "three")]) == 2
    assert not (tmp_path / "three").exists()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["push", "RUN", "other/rows", "--importance-samples", "2"], "403 Forbidden"),
        (["pull", "ada/nothing", "--run", "NEW"], "404"),
        (["pull", "ada", "--run", "NEW"], "user/name"),
        (["pull", "../../etc", "--run", "NEW"], "user/name"),
        (["pull", "ada/rows", "--run", "RUN"], "holds"),
    ],
)
def test_a_refusal_is_one_message(run, known, tmp_path, capsys, words, said):
    known_places = {"RUN": str(run.folder), "NEW": str(tmp_path / "new")}
    assert main([known_places.get(word, word) for word in words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not (tmp_path / "new").exists()


def test_a_repository_may_be_private(run, known):
    pushed(run, known)
    assert known.private == {"ada/rows": None}
    pushed(run, known, "--private")
    assert known.private == {"ada/rows": True}


def test_a_missing_package_is_told(run, monkeypatch, capsys):
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    assert main(["push", str(run.folder), "ada/rows"]) == 2
    assert "pip install 'vael[hub]'" in capsys.readouterr().err
