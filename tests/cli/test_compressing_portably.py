"""`vael compress --level portable`: the model in whole numbers lies beside the run, and is the one that a file
needs.
"""

import shutil

import numpy as np
import pytest
import torch

import vael
from vael.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on bars of zeros and ones."""
    folder = tmp_path_factory.mktemp("portably")
    rng = np.random.default_rng(0)
    x = np.zeros((500, 6, 6), np.uint8)
    for image, column in zip(x, rng.integers(0, 6, len(x)), strict=True):
        image[:, column] = 1
    np.save(folder / "bars.npy", x ^ (rng.random(x.shape) < 0.05))
    vael.train(
        folder / "bars.npy", run=folder / "run", latent=2, hidden=(16,), epochs=8, compile=False, precision="float32"
    )
    assert (
        main(
            [
                "compress",
                str(folder / "run"),
                str(folder / "bars.npy"),
                "-o",
                str(folder / "out.vael"),
                "--level",
                "portable",
            ]
        )
        == 0
    )
    return folder


def decompress(run, folder, target):
    return main(["decompress", str(run), str(folder / "out.vael"), "-o", str(target)])


def test_it_comes_back_byte_for_byte_with_other_threads(folder, tmp_path):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert decompress(folder / "run", folder, tmp_path / "back.npy") == 0
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "back.npy").read_bytes() == (folder / "bars.npy").read_bytes()


def test_without_its_whole_numbers_it_says_what_is_missing(folder, tmp_path, capsys):
    run = shutil.copytree(folder / "run", tmp_path / "run")
    (run / "portable.safetensors").unlink()
    assert decompress(run, folder, tmp_path / "back.npy") == 2
    assert "portable.safetensors is missing" in capsys.readouterr().err
    assert not (tmp_path / "back.npy").exists()


def test_other_whole_numbers_are_noticed(folder, tmp_path, capsys):
    from vael.compression.portable import load_portable

    run = shutil.copytree(folder / "run", tmp_path / "run")
    other = load_portable(run / "portable.safetensors")
    other.networks["decoder"].stages[1].bias.add_(1)
    other.save(run / "portable.safetensors")
    assert decompress(run, folder, tmp_path / "back.npy") == 2
    assert "other whole numbers" in capsys.readouterr().err
    assert not (tmp_path / "back.npy").exists()
