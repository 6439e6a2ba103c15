"""What a page in one file holds: as many examples as fit, nothing of this machine; a message where it cannot be."""

import base64
import json
import re

import numpy as np
import pytest
import torch

import vael
from vael.errors import StateError
from vael.explorer import keeping, scene_of
from vael.explorer.keeping import kept_page
from vael.explorer.strangeness import Strangeness


@pytest.fixture(scope="module")
def whole(pictures):
    return kept_page(pictures)


def data_of(page):
    found = re.search(rb'<script type="application/json" id="kept">(.*?)</script>', page.content, re.DOTALL)
    return json.loads(found[1])


def test_all_examples_are_in_where_they_fit(whole, pictures):
    assert (whole.examples, whole.of) == (len(pictures.source), len(pictures.source))
    assert (whole.half, whole.error, whole.drawn, whole.absent) == (False, 0.0, False, ())
    kept = data_of(whole)["examples"]
    assert kept["labels"] == pictures.source.label_texts(torch.arange(len(pictures.source)))
    assert kept["scores"] == [list(one) for one in pictures.strangeness.scores]


def test_nothing_of_this_machine_is_in_it(whole, pictures):
    text = whole.content.decode()
    assert str(pictures.run.folder) not in text
    assert str(pictures.run.folder.parent) not in text
    assert data_of(whole)["run"]["folder"] == "runs/digits"


def test_a_smaller_page_has_fewer_examples_and_is_not_above_its_size(whole, pictures):
    size = (len(whole.content) - 10_000) / 1e6
    found = kept_page(pictures, size)
    assert 0 < found.examples < whole.examples
    assert size * 1e6 * 0.9 < len(found.content) <= size * 1e6


def test_no_example_is_explained_twice_for_pages_of_several_sizes(whole, pictures, monkeypatch):
    asked, explained = [], Strangeness.surprise
    monkeypatch.setattr(
        Strangeness, "surprise", lambda judged, chosen: asked.extend(chosen) or explained(judged, chosen)
    )
    found = kept_page(pictures)
    assert found.content == whole.content
    assert len(asked) == len(set(asked)) >= keeping.STRANGEST
    assert data_of(found)["examples"]["why"] == pictures_why(pictures)


def pictures_why(scene):
    order = sorted(range(len(scene.source)), key=lambda one: -scene.strangeness.scores[0][one])[: keeping.STRANGEST]
    told = scene.reasons(order)
    return {
        key: dict(zip(map(str, order), one, strict=True)) if isinstance(one, list) else one for key, one in told.items()
    }


def test_a_size_that_holds_no_example_is_refused(pictures, monkeypatch):
    with pytest.raises(
        StateError, match=r"MB with a single example, and 0\.1 MB were given; allow more \(--size 0\.[1-9] or above"
    ):
        kept_page(pictures, 0.1)
    monkeypatch.setattr(Strangeness, "scores", property(lambda judged: pytest.fail("scored for nothing")))
    with pytest.raises(
        StateError, match=r"MB for the weights alone, and 0\.001 MB were given; allow more \(--size 0\.[1-9] or above"
    ):
        kept_page(pictures, 0.001)


def test_large_weights_are_rounded_where_they_would_fill_the_page(pictures, monkeypatch):
    monkeypatch.setattr(keeping, "SHARE", 0.0)
    found = kept_page(pictures)
    assert found.half
    assert {one["type"] for one in data_of(found)["graphs"]["about"]} >= {"h", "f"}
    assert 0 < found.error < 1 / 255


def test_without_examples_none_of_the_data_is_in_it(pictures, monkeypatch):
    monkeypatch.setattr(keeping, "DRAWN", 50)
    found = kept_page(pictures, without_examples=True)
    assert (found.examples, found.drawn, found.absent) == (50, True, ())
    kept = data_of(found)
    assert kept["examples"]["labels"] is None
    assert kept["examples"]["scores"] is None
    assert kept["run"]["classes"] is None
    assert "draw" in kept["run"]["data"]
    own = {tuple(np.round(pictures.code(one), 4)) for one in range(len(pictures.source))}
    table = np.frombuffer(base64.b64decode(kept["examples"]["coordinates"]), "<f4").reshape(50, -1)
    order = kept["map"]["order"]
    codes = {tuple(np.round(row[2:-1][np.argsort(order)].astype(float), 4)) for row in table}
    assert not own & codes


def test_what_an_autoencoder_cannot_do_is_absent(tmp_path):
    scene = scene_of(vael.train("digits", model="autoencoder", epochs=1, run=tmp_path / "run", callbacks=()))
    found = kept_page(scene)
    assert found.absent == ("new examples",)
    assert not data_of(found)["run"]["draws"]
    assert not data_of(found)["run"]["samples"]


def test_a_condition_is_kept_beside_its_example(tmp_path):
    run = vael.train("digits", condition_on="label", epochs=1, latent=3, hidden=(16,), run=tmp_path / "r", callbacks=())
    scene = scene_of(run)
    kept = data_of(kept_page(scene))
    np.testing.assert_allclose(kept["examples"]["context"], scene.source.context)
    assert kept["run"]["samples"]
    with pytest.raises(StateError, match="those that are known are of examples"):
        kept_page(scene, without_examples=True)


def test_a_column_with_units_is_no_field_of_the_page_alone(tmp_path):
    noise = np.random.default_rng(0)
    lines = [f"{noise.normal(5, 1):.1f} kg,{noise.integers(9)}" for _ in range(200)]
    (tmp_path / "x.csv").write_text("weight,count\n" + "\n".join(lines) + "\n")
    scene = scene_of(vael.train(tmp_path / "x.csv", epochs=1, latent=2, hidden=(8,), run=tmp_path / "r", callbacks=()))
    plain = {one["name"]: one["plain"] for one in scene.looks.facts()["columns"]}
    assert plain == {"weight": False, "count": True}
