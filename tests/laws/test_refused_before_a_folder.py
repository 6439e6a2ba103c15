"""Every recipe on every kind of data either trains, or is refused in one message before anything is written: exit
status 2, no folder left, so that the same command with other data goes through.
"""

import numpy as np
import pytest

from vael.cli.main import main
from vael.specs.recipes import RECIPES

ROWS = 60
SMALL = ["--epochs", "1", "--no-report", "--device", "cpu", "--threads", "1", "--precision", "float32", "--seed", "1"]
# leaves that keep a recipe small, where it has them
SMALLER = {
    "vq-vae": ["--set", "algorithm.second_epochs=1"],
    "vq-vae-2": ["--set", "algorithm.second_epochs=1"],
    "stacked": ["--set", "algorithm.layer_epochs=1"],
    "convolutional": ["--channels", "4,8"],
    "residual": ["--channels", "4,8", "--blocks", "1"],
    "gaussian-mixture": ["--components", "2"],
    "bayesian-mixture": ["--components", "2"],
    "principal": ["--latent", "2"],
    "hierarchical": ["--set", "model.ladder.width=16"],
    "hierarchical-hour": ["--set", "model.ladder.width=32"],
    "hierarchical-convolutional": ["--set", "model.ladder.channels=4", "--set", "model.ladder.repeats=1"],
    "autoregressive": ["--channels", "4,8", "--set", "model.likelihood.width=8"],
    "hierarchical-gpu": ["--set", "model.ladder.channels=4", "--set", "model.ladder.repeats=1"],
}


# what has no draws of latents refuses a number of them; of all others few are drawn when they are judged in the end
WITHOUT_DRAWS = {"autoencoder", "denoising", "sparse", "k-sparse", "contractive", "stacked", "vq-vae", "vq-vae-2"}
WITHOUT_DRAWS |= {"gaussian-mixture", "bayesian-mixture", "td-vae"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small files of every kind."""
    place, noise = tmp_path_factory.mktemp("kinds"), np.random.default_rng(0)
    rows = noise.normal(size=(ROWS, 3)).round(3)
    for name, cell in (
        ("gaps", lambda row: ("" if row % 7 == 0 else f"{rows[row, 0]}", f"{rows[row, 1]}", f"{rows[row, 2]}")),
        ("text", lambda row: (f"{rows[row, 0]}", f"{rows[row, 1]}", ["a", "bb", "c"][row % 3])),
        ("numbers", lambda row: tuple(map(str, rows[row]))),
    ):
        lines = "\n".join(",".join(cell(row)) for row in range(ROWS))
        (place / f"{name}.csv").write_text(f"a,b,c\n{lines}\n")
    np.save(place / "pictures.npy", noise.integers(0, 256, (ROWS, 3, 8, 8)).astype(np.uint8))
    np.save(place / "odd.npy", noise.integers(0, 256, (ROWS, 7, 5)).astype(np.uint8))
    np.save(place / "series.npy", noise.normal(size=(ROWS, 6, 2)).astype(np.float32))
    return place


KINDS = {
    "gaps": ["gaps.csv"],
    "text": ["text.csv"],
    "pictures": ["pictures.npy"],
    "odd": ["odd.npy"],
    "series": ["series.npy", "--sequence"],
    "conditioned": ["numbers.csv", "--condition-on", "a"],
}


def pairs():
    """Every recipe with every kind; of each recipe one kind, and of each mixture all, in the quick tests."""
    for place, recipe in enumerate(RECIPES):
        for number, kind in enumerate(KINDS):
            quick = (number == place % len(KINDS) and not RECIPES[recipe]().suits_data) or "mixture" in recipe
            yield pytest.param(recipe, kind, id=f"{recipe}-{kind}", marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("recipe", "kind"), pairs())
def test_it_trains_or_leaves_nothing(recipe, kind, folder, tmp_path, capsys):
    file, *how = KINDS[kind]
    run = tmp_path / "run"
    words = ["train", str(folder / file), "--model", recipe, "--run", str(run), *how, *SMALL, *SMALLER.get(recipe, [])]
    status = main(words if recipe in WITHOUT_DRAWS else [*words, "--importance-samples", "2"])
    said = capsys.readouterr()
    assert "choose draws" not in said.err
    assert status in (0, 2), said.err
    assert "unexpected" not in said.err
    if status == 0:
        assert (run / "model.safetensors").exists()
        return
    assert said.err.startswith("vael: ")
    assert said.err.strip().count("\nvael: ") == 0
    assert said.out == ""
    assert not run.exists()
