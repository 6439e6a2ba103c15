"""Every command prints, asked for it, one JSON object and nothing else."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import vael
from vael import explorer, service
from vael.cli.main import COMMANDS, main
from vael.cli.sharing import hub

pytestmark = pytest.mark.usefixtures("_operators_listed_once")
SMALL = {"epochs": 1, "hidden": (8,), "callbacks": ()}
TRAINED = ["--epochs", 1, "--hidden", 8, "--latent", 2, "--importance-samples", 2]
LINES = {
    "train": ["train", "digits", "--run", "OUT", *TRAINED],
    "sweep": ["sweep", "digits", "--betas", "0.5,1", "--run", "OUT", *TRAINED],
    "evaluate": ["evaluate", "PICTURES", "--importance-samples", 2],
    "report": ["report", "PICTURES", "--importance-samples", 2],
    "sample": ["sample", "PICTURES", "-o", "OUT.npy"],
    "forecast": ["forecast", "SERIES", "-o", "OUT.csv"],
    "interpolate": ["interpolate", "PICTURES", "-o", "OUT.npy"],
    "attribute": ["attribute", "PICTURES", "--give", "8", "-o", "OUT.npy"],
    "inpaint": ["inpaint", "PICTURES", "--region", "0:4,0:8", "-o", "OUT.npy"],
    "reconstruct": ["reconstruct", "PICTURES", "-o", "OUT.npy"],
    "encode": ["encode", "PICTURES", "-o", "OUT.npy"],
    "classify": ["classify", "CLASSES", "-o", "OUT.npy"],
    "score": ["score", "PICTURES", "-o", "OUT.npy"],
    "impute": ["impute", "ROWS", "people.csv", "-o", "OUT.csv"],
    "compress": ["compress", "PICTURES", "-o", "OUT.vael"],
    "decompress": ["decompress", "PICTURES", "digits.vael", "-o", "OUT.npy"],
    "export": ["export", "PICTURES", "-o", "OUT"],
    "explore": ["explore", "PICTURES", "--no-browser"],
    "serve": ["serve", "PICTURES"],
    "push": ["push", "PICTURES", "ada/digits", "--importance-samples", 2],
    "pull": ["pull", "ada/digits", "--run", "OUT"],
    "data": ["data", "list"],
    "models": ["models"],
    "completion": ["completion", "bash"],
}
NEEDS = {"export": "onnx", "explore": "starlette", "serve": "starlette", "completion": "shtab"}


class Hub:
    """A hub that has one run and forgets what it is sent."""

    def __init__(self, folder):
        self.folder = folder

    def HfApi(self):
        return SimpleNamespace(create_repo=lambda *given, **how: None, upload_folder=lambda **how: None)

    def snapshot_download(self, name, *, local_dir, **how):
        shutil.copytree(self.folder, local_dir, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder, noise = tmp_path_factory.mktemp("json"), np.random.default_rng(0)
    x = noise.normal(size=(60, 2)).round(2)
    lines = [f"{a},{'' if place % 7 == 0 else b},{'xy'[int(a > 0)]}" for place, (a, b) in enumerate(x)]
    (folder / "people.csv").write_text("\n".join(["a,b,c", *lines]) + "\n")
    steps = [f"{t},{np.sin(t / 3):.3f},{noise.normal():.3f}" for t in range(200)]
    (folder / "series.csv").write_text("\n".join(["time,load,heat", *steps]) + "\n")
    vael.train("digits", run=folder / "PICTURES", latent=2, **SMALL)
    vael.train(folder / "people.csv", run=folder / "ROWS", latent=2, **SMALL)
    vael.train(folder / "series.csv", run=folder / "SERIES", sequence="time", window=8, epochs=1, callbacks=())
    vael.train("digits", model="semi-supervised", labelled=5, run=folder / "CLASSES", latent=2, **SMALL)
    assert main(["compress", str(folder / "PICTURES"), "-o", str(folder / "digits.vael"), "-q"]) == 0
    return folder


def test_every_command_has_its_line():
    assert set(LINES) == set(COMMANDS)


@pytest.mark.parametrize("name", LINES)
def test_a_command_prints_one_object_and_nothing_else(name, place, tmp_path, capsys, monkeypatch):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    monkeypatch.setattr(hub, "hugging_face", lambda: Hub(place / "PICTURES"))
    monkeypatch.setattr(explorer, "serve", lambda scene, port, ready: ready("http://127.0.0.1:1/"))
    monkeypatch.setattr(service, "serve", lambda found, port, host, token, ready: ready("http://127.0.0.1:1", None))
    words = [str(word) for word in LINES[name]]
    known = {path.name for path in place.iterdir()}
    words = [
        str(place / word) if word in known else str(tmp_path / word) if word.startswith("OUT") else word
        for word in words
    ]
    assert main([*words, "--json"]) == 0
    printed = capsys.readouterr().out
    assert isinstance(json.loads(printed), dict)
    assert printed.count("\n") == 1
