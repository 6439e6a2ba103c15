"""Two small runs that the page is opened over: pictures with classes, and rows of columns with gaps."""

import shutil

import numpy as np
import pytest

import vael

SMALL = {"epochs": 2, "latent": 3, "hidden": (16,), "callbacks": ()}


def explored(data, folder, **how):
    from vael.explorer import scene_of

    return scene_of(vael.train(data, run=folder, **how))


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BROWSER is None:
        pytest.skip("no Chromium was found: apt install chromium")
    with sync.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="package", autouse=True)
def _traced_once(_operators_listed_once):
    """The graphs of a run stay as they are, and tracing them takes seconds: they are made once for each folder."""
    from vael.explorer.functions import Tracing

    made, functions = {}, Tracing.functions

    def once(tracing):
        folder = tracing.scene.run.folder
        if folder not in made:
            made[folder] = functions(tracing)
        return made[folder] if folder else made.pop(folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tracing, "functions", once)
        yield


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    return explored("digits", tmp_path_factory.mktemp("explored") / "digits", **SMALL)


@pytest.fixture(scope="session")
def rows(tmp_path_factory):
    place, noise = tmp_path_factory.mktemp("explored"), np.random.default_rng(0)
    height = noise.normal(170, 10, 300)
    weight = ["" if noise.random() < 0.1 else f"{one - 100 + noise.normal(0, 5):.1f}" for one in height]
    lines = [f"{one:.1f},{w},{'tall' if one > 172 else 'short'}" for one, w in zip(height, weight, strict=True)]
    (place / "people.csv").write_text("height,weight,size\n" + "\n".join(lines) + "\n")
    return explored(place / "people.csv", place / "run", **SMALL | {"epochs": 30})


@pytest.fixture(scope="session")
def plane(tmp_path_factory):
    """Pictures with two latents, whose exact posterior is known."""
    small = SMALL | {"latent": 2, "epochs": 10}
    return explored("digits", tmp_path_factory.mktemp("explored") / "plane", **small)
