"""Runs on patches of pictures: what run.json says, and going on."""

import numpy as np
import pytest
import torch
from PIL import Image

import vael
from vael.cli import main
from vael.errors import ShapeError, StateError
from vael.specs import read_spec

SMALL = {
    "model": "dense",
    "latent": 2,
    "hidden": (8,),
    "batch": 16,
    "callbacks": (),
    "precision": "float32",
    "threads": 1,
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two grey pictures of different sizes."""
    folder, noise = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, size in (("wide", (40, 150)), ("high", (131, 40))):
        Image.fromarray(noise.integers(0, 256, size, dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


def test_a_run_knows_its_patches_and_goes_on_as_if_it_had_not_stopped(pictures, tmp_path):
    how = {**SMALL, "patches": 8, "schedule": "constant", "warmup": 0.0, "keep": "last"}
    whole = vael.train(pictures, run=tmp_path / "whole", epochs=3, **how)
    vael.train(pictures, run=tmp_path / "two", epochs=1, **how)
    two = vael.train(run=tmp_path / "two", resume=True, epochs=3)
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), two.model.parameters(), strict=True))
    assert read_spec(tmp_path / "two").data.patching.size == (8, 8)
    name, source = vael.load(tmp_path / "two").split()
    assert (name, source.event, source.patching.regions) == ("test", (1, 8, 8), True)
    with pytest.raises(StateError, match="patches"):
        vael.train(run=tmp_path / "two", resume=True, patches=16)


def test_few_large_pictures_are_cut_without_being_asked_for(tmp_path):
    noise = np.random.default_rng(0)
    for number in range(2):
        cells = noise.integers(0, 256, (130, 140 + number), dtype=np.uint8)
        Image.fromarray(cells).save(tmp_path / f"{number}.png")
    run = vael.train(tmp_path, epochs=1, **SMALL)
    assert run.spec.data.patching.size == (32, 32)
    assert "few large pictures" in run.spec.data.notes[0]
    with pytest.raises(StateError, match="each split needs at least"):
        vael.train(tmp_path, size=8, **SMALL)  # whole pictures, made smaller: two are too few


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"patches": 64}, ShapeError, "--patches 40"),
        ({"patches": 8, "size": 8}, StateError, "leave one of them out"),
        ({"patches": 1}, StateError, "height"),
        ({"patches": 8, "binarize": "static"}, StateError, "dynamic"),
    ],
)
def test_patches_that_cannot_be_are_refused_before_a_folder_is_made(pictures, tmp_path, options, kind, words):
    with pytest.raises(kind, match=words):
        vael.train(pictures, run=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_pictures_go_through_a_run_tile_by_tile_and_come_back(pictures, tmp_path, capsys):
    run, out = str(tmp_path / "run"), tmp_path / "back"
    vael.train(pictures, run=run, epochs=1, patches=8, test=0.3, validation=0.3, **SMALL)
    assert main(["compress", run, str(pictures), "-o", str(tmp_path / "p.vael")]) == 0
    assert "tiles" in capsys.readouterr().out
    assert main(["decompress", run, str(tmp_path / "p.vael"), "-o", str(out)]) == 0
    assert "2 pictures" in capsys.readouterr().out
    for name in ("wide", "high"):
        before, after = (np.asarray(Image.open(folder / f"{name}.png")) for folder in (pictures, out))
        assert np.array_equal(before, after)
    assert main(["score", run, str(pictures), "-o", str(tmp_path / "s.csv")]) == 0
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0].startswith("row,file,top,left,")
    assert len(lines) == 1 + 5 * 19 + 17 * 5
    assert lines[1].split(",")[1:4] == ["high.png", "0", "0"]


def test_tables_have_no_patches(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(StateError, match="--patches"):
        vael.train(tmp_path / "t.csv", patches=8)
