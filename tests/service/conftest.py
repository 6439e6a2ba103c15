"""Small runs of every kind of data."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import vael
from small_runs import series_run

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'vael[serve]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'vael[serve]'")

SMALL = {"epochs": 2, "hidden": (16,), "latent": 3, "callbacks": ()}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="session")
def rows(folder):
    noise = np.random.default_rng(0)
    lines = ["height,weight,size,born,member"]
    for number in range(300):
        height = noise.normal(170, 10)
        weight = "" if noise.random() < 0.1 else f"{height - 100 + noise.normal(0, 5):.1f}"
        size = "tall" if height > 172 else "short"
        lines.append(f"{height:.1f},{weight},{size},19{60 + number % 40}-03-{1 + number % 28:02},{number % 3 == 0}")
    (folder / "people.csv").write_text("\n".join(lines) + "\n")
    return vael.train(folder / "people.csv", run=folder / "people", **SMALL | {"epochs": 10})


@pytest.fixture(scope="session")
def pictures(folder):
    return vael.train("digits", run=folder / "digits", binarize="dynamic", **SMALL)


@pytest.fixture(scope="session")
def classes(folder):
    """Three of the ten digits: every class is tried for every row that is scored."""
    digits = load_digits(n_class=3)
    np.savez(folder / "classes.npz", x=digits.images[:300, None].astype(np.uint8), y=digits.target[:300])
    options = {"epochs": 1, "latent": 2, "hidden": (16,), "callbacks": ()}
    return vael.train(folder / "classes.npz", model="semi-supervised", labelled=5, run=folder / "classes", **options)


@pytest.fixture(scope="session")
def series(folder):
    return series_run(folder)


@pytest.fixture(scope="session")
def numbers(folder):
    x = np.random.default_rng(0).normal(size=(300, 2)).round(2)
    (folder / "numbers.csv").write_text("\n".join(["a,b,c", *(f"{a},{b},{a + b:.2f}" for a, b in x)]) + "\n")
    return vael.train(folder / "numbers.csv", run=folder / "numbers", **SMALL)
