"""`vael sample --class`, `interpolate`, `attribute` and `inpaint` as a person types them."""

import json

import numpy as np
import pytest
from PIL import Image

from vael.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    short = ["--epochs", "1", "--no-report", "--importance-samples", "2"]
    assert main(["train", "digits", "--run", str(folder), *short]) == 0
    return str(folder)


def array(command, path):
    assert main([*command, "-o", str(path)]) == 0
    return np.load(path)


def test_samples_of_a_class_at_a_temperature_are_decided_by_the_seed(run, tmp_path):
    command = ["sample", run, "-n", "6", "--class", "3", "--temperature", "0.7"]
    first, second, other = (array([*command, "--seed", seed], tmp_path / f"{seed}.npy") for seed in ("1", "1", "2"))
    assert first.shape == (6, 1, 8, 8)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_density_fitted_afterwards_is_never_taken_for_the_model(run, tmp_path, capsys):
    plain = array(["sample", run, "-n", "4"], tmp_path / "plain.npy")
    assert "fitted" not in capsys.readouterr().err
    assert np.array_equal(plain, array(["sample", run, "-n", "4", "--sampler", "prior"], tmp_path / "prior.npy"))
    assert "fitted" not in capsys.readouterr().err
    for name in ("gaussian", "mixture"):
        found = array(["sample", run, "-n", "4", "--sampler", name], tmp_path / f"{name}.npy")
        said = capsys.readouterr().err
        assert f"z comes from a {name} fitted to codes of digits afterwards" in said
        assert "its bound and log p(x) say nothing about them" in said
        assert found.shape == plain.shape
        assert not np.array_equal(found, plain)
    for words in (["--temperature", "0.5"], ["--class", "3"], ["--mean"]):
        assert main(["sample", run, "--sampler", "flow", *words, "-o", str(tmp_path / "none.npy")]) == 2
        assert "already says where z comes from" in capsys.readouterr().err
    assert not (tmp_path / "none.npy").exists()


def test_at_temperature_zero_all_means_are_one(run, tmp_path):
    found = array(["sample", run, "-n", "3", "--temperature", "0", "--mean"], tmp_path / "cold.npy")
    np.testing.assert_allclose(found, found[:1].repeat(3, 0), rtol=1e-6)


def test_an_interpolation_ends_at_the_reconstructions(run, tmp_path):
    whole = array(["reconstruct", run], tmp_path / "all.npy")
    for extra in ([], ["--spherical"]):
        found = array(["interpolate", run, "--from", "3", "--to", "7", "--frames", "5", *extra], tmp_path / "path.npy")
        assert len(found) == 5
        np.testing.assert_allclose(found[[0, -1]], whole[[2, 6]], rtol=1e-4, atol=1e-4)


def test_films_and_strips(run, tmp_path, capsys):
    assert main(["interpolate", run, "--frames", "4", "-o", str(tmp_path / "f.gif"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 4
    with Image.open(tmp_path / "f.gif") as film:
        assert film.n_frames == 6  # there and back
    assert main(["attribute", run, "--of", "2", "--give", "8", "--take", "1", "-o", str(tmp_path / "s.png")]) == 0
    assert main(["attribute", run, "--give", "8", "-o", str(tmp_path / "s.html")]) == 0
    with Image.open(tmp_path / "s.png") as strip:
        assert strip.width > 11 * 60


def test_films_of_images_with_other_channels_show_their_mean(tmp_path):
    """As pictures of them do; they were refused."""
    np.save(tmp_path / "two.npy", np.random.default_rng(0).integers(0, 256, (40, 2, 8, 8), dtype=np.uint8))
    run = str(tmp_path / "run")
    assert (
        main(
            [
                "train",
                str(tmp_path / "two.npy"),
                "--epochs",
                "1",
                "--no-report",
                "--importance-samples",
                "1",
                "--run",
                run,
            ]
        )
        == 0
    )
    assert main(["interpolate", run, "--frames", "5", "-o", str(tmp_path / "a.gif")]) == 0
    assert main(["inpaint", run, "--region", "0:4,0:8", "-n", "2", "--draws", "3", "-o", str(tmp_path / "b.gif")]) == 0
    assert main(["sample", run, "-n", "2", "-o", str(tmp_path / "c.gif")]) == 0
    with Image.open(tmp_path / "a.gif") as film:
        assert film.size == (168, 168)


def test_what_is_hidden_is_grey_and_not_black(run, tmp_path):
    """A dark background would hide what is hidden: digits are 0 there."""
    assert main(["inpaint", run, "--region", "0:4,0:8", "-n", "3", "--draws", "1", "-o", str(tmp_path / "a.png")]) == 0
    cells = np.asarray(Image.open(tmp_path / "a.png").convert("L")).astype(int)
    second = cells[cells.shape[0] // 4 : cells.shape[0] // 2]  # the row of what was seen, in four rows
    assert 100 < np.median(second[5:25, 5:55]) < 155


def test_films_of_samples_go_round(run, tmp_path, capsys):
    """The first frame has the means of plain samples with the same seed; the last is a step before the first again."""
    command = ["sample", run, "-n", "4", "--temperature", "0.8", "--seed", "3"]
    assert main([*command, "-o", str(tmp_path / "f.gif"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 4
    with Image.open(tmp_path / "f.gif") as film:
        assert film.n_frames == 40
        first = np.asarray(film.convert("L"), float)
        film.seek(20)
        half = np.asarray(film.convert("L"), float)
        film.seek(39)
        last = np.asarray(film.convert("L"), float)
    assert np.abs(first - last).mean() < np.abs(first - half).mean() / 2
    assert main(["sample", run, "-n", "2", "--class", "5", "-o", str(tmp_path / "f.html")]) == 0
    assert (tmp_path / "f.html").read_text().count('"iVBOR') == 40


def test_reconstructions_from_better_codes(run, tmp_path, capsys):
    """The optimum of a linear-Gaussian model is exact in tests/applications/test_generation.py; here no example
    gets worse and some gain.
    """
    found = array(["reconstruct", run, "-n", "5", "--optimize", "30"], tmp_path / "better.npy")
    assert "the bound rises by" in capsys.readouterr().out
    plain = array(["reconstruct", run, "-n", "5"], tmp_path / "plain.npy")
    assert found.shape == plain.shape
    assert not np.array_equal(found, plain)
    assert (
        main(["inpaint", run, "--region", "0:4,0:8", "-n", "2", "--draws", "3", "-o", str(tmp_path / "draws.gif")]) == 0
    )
    with Image.open(tmp_path / "draws.gif") as film:
        assert film.width == 2 * film.height


def test_a_single_image_is_used_as_one_among_many_and_another_scale_is_refused(run, tmp_path, capsys):
    """One image was too few to be split, and black and white came to a model of 17 levels as 0 and 1."""
    x = np.random.default_rng(0).integers(0, 17, (5, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "five.npy", x)
    np.savez(tmp_path / "one.npz", x=x[2:3])
    np.savez(tmp_path / "white.npz", x=np.where(x > 8, 255, 0).astype(np.uint8))
    many = array(["encode", run, str(tmp_path / "five.npy")], tmp_path / "many_codes.npy")
    one = array(["encode", run, str(tmp_path / "one.npz")], tmp_path / "one_code.npy")
    np.testing.assert_array_equal(one[0], many[2])
    assert main(["reconstruct", run, str(tmp_path / "white.npz"), "-o", str(tmp_path / "no.npy")]) == 2
    assert "row 1, cell 0, 0" in capsys.readouterr().err
    assert not (tmp_path / "no.npy").exists()


def test_interpolated_rows_are_rows_of_the_table(tmp_path):
    """Levels by name, whole numbers whole."""
    lines = [f"{'oak' if row % 2 else 'ash'},{10 + row / 7:.2f},{row % 5}" for row in range(60)]
    (tmp_path / "trees.csv").write_text("\n".join(["kind,height,nests", *lines]) + "\n")
    assert (
        main(["train", str(tmp_path / "trees.csv"), "--run", str(tmp_path / "run"), "--epochs", "2", "--no-report"])
        == 0
    )
    target = tmp_path / "path.csv"
    assert (
        main(["interpolate", str(tmp_path / "run"), "--from", "1", "--to", "2", "--frames", "3", "-o", str(target)])
        == 0
    )
    head, *rows = target.read_text().splitlines()
    assert head == "kind,height,nests"
    assert len(rows) == 3
    assert all(row.split(",")[0] in ("oak", "ash") and row.split(",")[2].isdigit() for row in rows)


def test_inpainting_keeps_what_was_seen(run, tmp_path):
    found = array(["inpaint", run, "--region", "0:4,2:8", "-n", "3"], tmp_path / "in.npy")
    whole = array(["interpolate", run, "--frames", "2"], tmp_path / "two.npy")
    assert found.shape == (3, 1, 8, 8)
    assert np.array_equal(found[:, :, 4:], np.round(found[:, :, 4:]))
    assert not np.array_equal(found[:, :, :4, 2:], np.round(found[:, :, :4, 2:]))
    assert whole.shape == (2, 1, 8, 8)
    assert main(["inpaint", run, "--region", "0:4,0:8", "-n", "2", "-o", str(tmp_path / "in.png")]) == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["sample", "RUN", "--class", "horse"], "no class 'horse'"),
        (["sample", "RUN", "--temperature", "-1"], "at least 0"),
        (["sample", "RUN", "--temperature", "0.7,1"], "2 temperatures for 1 level"),
        (["sample", "RUN", "--class", "11", "-o", "x.gif"], "class"),
        (["interpolate", "RUN", "--to", "9000"], "counted from 1"),
        (["interpolate", "RUN", "--from", "0"], "at least 1"),
        (["interpolate", "RUN", "-o", "x.txt"], "extension"),
        (["attribute", "RUN"], "--give"),
        (["inpaint", "RUN"], "--region is missing"),
        (["inpaint", "RUN", "--region", "0:9,0:8"], "0 <= y0 < y1 <= 8"),
        (["inpaint", "RUN", "--region", "1:2,0:8", "-o", "x.csv"], "extension"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(run, command, said, capsys):
    assert main([run if word == "RUN" else word for word in command]) == 2
    assert said in capsys.readouterr().err
