"""Weights of a VQ-VAE that an earlier version wrote, whose code book kept whether it had started, are read."""

import json

import torch

import vael
from vael.training.checkpoint import read_tensors, write_tensors


def test_a_code_book_that_had_started_loads_to_the_same_codes(tmp_path):
    folder = tmp_path / "run"
    how = {
        "epochs": 1,
        "precision": "float32",
        "set": {"algorithm.second_epochs": 1, "model.channels": (4, 4)},
        "callbacks": (),
    }
    run = vael.train("digits", model="vq-vae", run=folder, **how)
    path = folder / "model.safetensors"
    tensors, facts = read_tensors(path)
    books = [name for name in tensors if name.endswith(".steps")]
    assert books
    for name in books:
        tensors[name.removesuffix("steps") + "started"] = tensors.pop(name) > 0
    sha256 = write_tensors(path, tensors, facts)
    said = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**said, "weights_sha256": sha256}))
    again = vael.load(folder)
    x = run.split()[1].batch(torch.arange(20))
    assert torch.equal(again.model.codes(x), run.model.codes(x))
    assert all(int(again.model.state_dict()[name]) > 0 for name in books)
