"""`vael compress` and `vael decompress` as a person meets them."""

import json

import numpy as np
import pytest
from PIL import Image

import vael
from vael.cli import main
from vael.specs import archives

EVENT = (6, 6)


def digits(count, seed=0):
    """Bars on a dark ground: 36 cells of zero and one that a small model learns."""
    rng = np.random.default_rng(seed)
    x = np.zeros((count, *EVENT), np.uint8)
    for image, column in zip(x, rng.integers(0, 6, count), strict=True):
        image[:, column] = 1
    return x ^ (rng.random(x.shape) < 0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on zeros and ones, one on grey values, and one on real numbers."""
    folder = tmp_path_factory.mktemp("compressing")
    small = {"latent": 2, "hidden": (16,), "epochs": 12, "compile": False, "precision": "float32"}
    np.save(folder / "bars.npy", digits(600))
    np.save(folder / "grey.npy", digits(300) * 3)
    np.save(folder / "real.npy", np.random.default_rng(0).normal(size=(100, 3)))
    vael.train(folder / "bars.npy", run=folder / "bars", **small)
    vael.train(folder / "grey.npy", run=folder / "dynamic", binarize="threshold", **{**small, "epochs": 1})
    vael.train(folder / "real.npy", run=folder / "real", **{**small, "epochs": 1})
    return folder


def compressed(folder, data, name="bars", *more):
    assert (
        main(["compress", str(folder / name), *([str(data)] if data else []), "-o", str(folder / "out.vael"), *more])
        == 0
    )
    return folder / "out.vael"


def test_an_array_comes_back_byte_for_byte(folder, tmp_path, capsys):
    np.save(tmp_path / "x.npy", digits(300, seed=1))
    file = compressed(folder, tmp_path / "x.npy")
    said = capsys.readouterr().out
    for word in ("net rate", "-ELBO", "gross rate", "MB/s", "compared with the original"):
        assert word in said
    assert main(["decompress", str(folder / "bars"), str(file), "-o", str(tmp_path / "back.npy")]) == 0
    assert (tmp_path / "back.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()
    assert "every block checked" in capsys.readouterr().out
    assert file.stat().st_size < 300 * 36 / 8  # below the cells packed to bits


def test_json_is_one_object(folder, tmp_path, capsys):
    file = compressed(folder, None, "bars", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["net_bits_per_dim"] == pytest.approx(told["elbo_bits_per_dim"], rel=0.03)
    assert told["bytes"] == file.stat().st_size
    assert told["raw_blocks"] == 0
    assert "labels" in told["note"]
    assert main(["decompress", str(folder / "bars"), str(file), "-o", str(tmp_path / "back.npy"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"] == [60, 1, 6, 6]


def test_a_folder_of_black_and_white_images_comes_back(folder, tmp_path, capsys):
    (tmp_path / "in" / "a").mkdir(parents=True)
    for number, image in enumerate(digits(30)):
        Image.fromarray(image * 255).save(tmp_path / "in" / "a" / f"{number}.png")
    file = compressed(folder, tmp_path / "in")
    assert main(["decompress", str(folder / "bars"), str(file), "-o", str(tmp_path / "out")]) == 0
    assert "30 images" in capsys.readouterr().out
    for number in range(30):
        first, second = (np.asarray(Image.open(tmp_path / where / "a" / f"{number}.png")) for where in ("in", "out"))
        assert np.array_equal(first, second)
    assert main(["decompress", str(folder / "bars"), str(file), "-o", str(tmp_path / "out")]) == 2
    assert "there already" in capsys.readouterr().err


def test_grey_values_of_a_run_that_binarises_are_kept_as_binarised_cells(folder, tmp_path, capsys):
    file = compressed(folder, folder / "grey.npy", "dynamic")
    assert "binarised" in capsys.readouterr().out
    archives.decompress(vael.load(folder / "dynamic"), file, tmp_path / "back.npy")
    assert np.array_equal(np.load(tmp_path / "back.npy")[:, 0], np.load(folder / "grey.npy") // 3)


def test_what_cannot_be_used_is_refused_in_one_message(folder, tmp_path, capsys):
    file = compressed(folder, None)
    np.save(tmp_path / "wide.npy", np.zeros((5, 9, 9), np.uint8))
    np.save(tmp_path / "own.npy", digits(5))
    (tmp_path / "torn.vael").write_bytes(file.read_bytes()[:-5])
    (tmp_path / "text.npy").write_bytes(b"no array")
    bars = str(folder / "bars")
    for arguments, word in [
        (["compress", bars, str(tmp_path / "wide.npy"), "-o", "x"], "trained on"),
        (["compress", bars, str(tmp_path / "text.npy"), "-o", "x"], "could not be read"),
        (["compress", bars, str(tmp_path / "own.npy"), "-o", str(tmp_path / "own.npy")], "the data themselves"),
        (["decompress", bars, str(file), "-o", str(file)], "the compressed file itself"),
        (["compress", bars], "-o FILE is missing"),
        (["compress", bars, "-o", "x", "--level", "fast"], "expected one of safe, portable"),
        (["compress", str(folder / "real"), "-o", "x"], "densities"),
        (["decompress", bars, str(tmp_path / "none.vael"), "-o", "x.npy"], "no such file"),
        (["decompress", bars, str(tmp_path / "torn.vael"), "-o", "x.npy"], "cut short"),
        (["decompress", bars, str(file), "-o", "x.csv"], ".npy, not .csv"),
        (["decompress", str(folder / "dynamic"), str(file), "-o", "x.npy"], "another model"),
    ]:
        capsys.readouterr()
        assert main(arguments) == 2, arguments
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert word in err
    assert not list(tmp_path.glob("x*"))
