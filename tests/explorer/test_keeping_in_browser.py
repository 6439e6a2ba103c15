"""The page in one file, opened as a person opens it: by its path, without a server, and it shows what Python gives."""

import json
import os
from itertools import chain

import numpy as np
import pytest
import torch

import vael
from vael.applications.conditional import conditional_samples
from vael.cli import main
from vael.explorer import keeping, scene_of
from vael.explorer.keeping import kept_page

SMALLER = {"model.ladder.width": 32, "model.ladder.latents": (4, 8)}
SHOTS = os.environ.get("VAEL_SHOTS")  # a folder for pictures of what was seen


@pytest.fixture(scope="module")
def levels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "run"
    return scene_of(vael.train("digits", model="hierarchical", epochs=1, run=folder, callbacks=(), set=SMALLER))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Function from a scene and its name to its file, made once where it is asked for: tracing takes seconds."""
    place = tmp_path_factory.mktemp("pages")

    def file(name, scene):
        path = place / f"{name}.html"
        if not path.exists():
            path.write_bytes(kept_page(scene).content)
        return path

    return file


@pytest.fixture
def seen(browser, files, request):
    opened = []

    def see(which, **how):
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}} | how)
        page.said, page.asked = [], []
        page.on("console", lambda one: page.said.append(one.text))
        page.on("pageerror", lambda one: page.said.append(str(one)))
        page.on("request", lambda one: page.asked.append(one.url))
        page.goto(files(which, request.getfixturevalue(which)).as_uri())
        page.wait_for_selector("body[data-ready=yes]", timeout=60_000)
        opened.append(page)
        return page

    yield see
    for place, page in enumerate(opened):
        settled(page)
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/{request.node.name.replace('/', '-')}-{place}.png", full_page=True)
        assert page.said == []
        assert [one for one in page.asked if not one.startswith(("file:", "data:", "blob:"))] == []
        assert sum(one.startswith("file:") for one in page.asked) == 1
        assert not page.locator("#trouble").is_visible()
        page.close()


def settled(page):
    """Wait until no answer is awaited any more."""
    page.evaluate(
        """async () => { for (let frames = 0; frames < 3; frames = window.explorer.idle() ? frames + 1 : 0)
        await new Promise(requestAnimationFrame); }"""
    )


def asked(page, question, given):
    """What the page answers itself."""
    return page.evaluate("([question, given]) => window.explorer.ask(question, given)", [question, given])


def bytes_of(found):
    """Pixels, from Python as hexadecimal text and from the page as numbers."""
    return np.array(
        [list(bytes.fromhex(one)) if isinstance(one, str) else list(one) for one in found["pixels"]], np.int64
    )


@pytest.mark.parametrize("which", ["pictures", "levels"])
def test_pixels_are_those_of_python(seen, which, request):
    page, scene = seen(which), request.getfixturevalue(which)
    size = sum(shape.numel() for shape in scene.shapes)
    z = torch.randn(5, size, generator=torch.Generator().manual_seed(0)).tolist()
    assert np.abs(bytes_of(asked(page, "decoded", {"z": z})) - bytes_of(scene.decoded(z))).max() <= 1
    chosen = [0, 17, len(scene.source) - 1]
    found = asked(page, "examples", {"examples": chosen})
    assert np.array_equal(bytes_of(found), bytes_of(scene.examples(chosen)))
    assert found["labels"] == scene.examples(chosen)["labels"]
    for one in chosen:
        assert asked(page, "code", {"example": one})["code"] == pytest.approx(scene.code(one), abs=1e-6)
    found = asked(page, "reconstructed", {"examples": chosen})
    assert np.abs(bytes_of(found) - bytes_of(scene.reconstructed(chosen))).max() <= 1


def test_a_picture_drawn_by_hand_is_encoded_as_in_python(seen, pictures):
    page, grey = seen("pictures"), (np.arange(64) % 7 / 6).tolist()
    found, expected = asked(page, "read", {"pixels": grey}), pictures.read(grey)
    assert found["code"] == pytest.approx(expected["code"], abs=1e-4)
    assert np.abs(bytes_of(found) - bytes_of(expected)).max() <= 1


def test_the_strangest_rows_are_told_with_reasons(seen, rows):
    page = seen("rows")
    page.click("#judge")
    page.wait_for_selector("#judge", state="detached")
    first = max(range(len(rows.source)), key=lambda one: rows.strangeness.scores[0][one])
    shown = page.locator("#strange td").first.inner_text()
    assert shown.startswith(f"{first + 1}: p ")
    assert all(reason in shown for reason in rows.reasons([first])["reasons"][0])
    assert "score" in page.locator("#compare").inner_text()


def test_strange_pictures_stand_above_the_pixels_that_make_them_so(seen, plane):
    page = seen("plane")
    page.click("#judge")
    page.wait_for_selector("#judge", state="detached")
    order = sorted(range(len(plane.source)), key=lambda one: -plane.strangeness.scores[0][one])[:24]
    expected = plane.reasons(order)
    assert page.locator("#strange figcaption").nth(1).inner_text().endswith(expected["reasons"][1][0])
    assert f"{expected['most']:.2g} nats more" in page.locator("#strange p").inner_text()
    bright = page.evaluate(
        """() => { const c = document.querySelectorAll("#strange canvas")[3];
        return [...c.getContext("2d").getImageData(0, 0, 8, 8).data].filter((_, i) => i % 4 === 1); }"""
    )
    shown = list(bytes.fromhex(expected["maps"][1]))
    assert np.argmax(bright) == np.argmax(shown)  # green grows with it
    assert np.corrcoef(bright, shown)[0, 1] > 0.97


def test_the_posterior_of_a_drawn_picture_is_that_of_python(seen, plane):
    page, grey = seen("plane"), (np.arange(64) // 8 % 3 / 2).tolist()
    found, expected = asked(page, "posterior", {"pixels": grey}), plane.posterior(grey)
    for name in ("exact", "encoder"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-3)
    assert found["divergence"] == pytest.approx(expected["divergence"], abs=5e-3)
    page.locator("#hand").scroll_into_view_if_needed()
    box = page.locator("#hand").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.15)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.85, steps=6)
    page.mouse.up()
    page.wait_for_selector("#posterior canvas >> nth=1")
    assert "nats" in page.locator("#posterior-told").inner_text()


def test_a_level_is_drawn_anew_and_the_others_stay(seen, levels):
    page, top = seen("levels"), levels.shapes[0].numel()
    first, below = (
        asked(page, "levels", {"seeds": [1, seed], "temperatures": temperatures})
        for seed, temperatures in ((2, [1, 1]), (9, [1, 1]))
    )
    calm = asked(page, "levels", {"seeds": [1, 2], "temperatures": [1, 0]})
    assert first["z"][:top] == below["z"][:top] == calm["z"][:top]
    assert first["z"][top:] != below["z"][top:] != calm["z"][top:]
    assert np.abs(bytes_of(first) - bytes_of(levels.decoded([first["z"]]))).max() <= 1
    z = page.evaluate("window.explorer.state.z")
    for button in page.locator("#levels button").all():
        button.click()
    for slider in page.locator("#levels input").all():
        slider.focus()
        page.keyboard.press("ArrowLeft")
    page.click("#levels-ring")
    after = page.evaluate("window.explorer.state.z")
    assert after != z
    assert len(after) == len(z)


def test_draws_have_the_mean_that_is_decoded(seen, pictures):
    """As the test of the scene: 512 draws, each element within 6 standard errors of up to 8 of 16 levels."""
    page, z = seen("pictures"), [0.3, -0.2, 0.1]
    drawn = bytes_of(asked(page, "draws", {"z": z, "count": 512, "seed": 1})).mean(0)
    assert np.abs(drawn - bytes_of(pictures.decoded([z]))[0]).max() < 255 / 16 * 8 * 6 / 512**0.5
    again = bytes_of(asked(page, "draws", {"z": z, "count": 512, "seed": 1})).mean(0)
    assert np.array_equal(drawn, again)
    samples = bytes_of(asked(page, "samples", {"count": 300, "seed": 2})).mean(0)
    expected = bytes_of(pictures.samples(300, 0)).mean(0)
    assert np.abs(samples - expected).max() < 255 / 2 * 6 * (2 / 300) ** 0.5  # 6 standard errors of a mean of 0 ... 255


def test_cells_are_written_as_in_python(seen, rows):
    page = seen("rows")
    z = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).tolist()
    found, expected = asked(page, "decoded", {"z": z}), rows.decoded(z)
    np.testing.assert_allclose(found["numbers"], expected["numbers"], rtol=1e-4, atol=1e-4)
    pairs = zip(chain(*found["texts"]), chain(*expected["texts"]), strict=True)
    near = sum(here != there for here, there in pairs)
    assert near <= 1  # a number that lies half way between two of its last digit
    assert asked(page, "examples", {"examples": [0, 5]})["texts"] == rows.examples([0, 5])["texts"]
    assert asked(page, "column", {"name": "weight"})["values"] == rows.column("weight")["values"]


def test_what_if_agrees_with_python(seen, rows):
    """400 draws of each: means within 5 standard errors of their difference, which fails once in a million times."""
    page, given = seen("rows"), {"height": "181.5"}
    row = torch.tensor([181.5, torch.nan, torch.nan])
    expected = conditional_samples(rows.run.model, row, 400).x.double().numpy()
    found = asked(page, "given", {"values": given})
    assert set(found["columns"][0]) == {181.5}
    assert found["worth"] > 400
    for column in (1, 2):
        here, there = np.array(found["columns"][column], float), expected[:, column]
        error = np.sqrt(here.var() / 400 + np.nanvar(there) / 400)
        assert abs(here.mean() - np.nanmean(there)) < 5 * error + 1e-6
    before = np.array(found["before"][1], float)
    assert abs(before.mean() - np.nanmean(rows.given({})["before"][1])) < 5 * before.std() * (2 / 400) ** 0.5


def test_what_cannot_be_read_is_said(seen):
    page = seen("rows")
    page.fill("#given input[name=height]", "enormous")
    page.locator("#given input[name=height]").press("Enter")
    page.get_by_text("is no value of height").wait_for()
    page.fill("#given input[name=height]", "175.0")
    page.locator("#given input[name=height]").press("Enter")
    page.get_by_text("worth").filter(has_text="independent ones").wait_for()


def test_controls_work_without_a_server(seen, pictures):
    page = seen("pictures")
    slider = page.locator("#sliders input").first
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.locator("#map").focus()
    page.keyboard.press("ArrowUp")
    page.click("#again")
    page.click("#judge")
    page.wait_for_selector("#judge", state="detached")
    page.select_option("#colour", "score")
    assert page.locator("#strange canvas").count() == 2 * 24
    z = page.evaluate("window.explorer.state.z")
    shown = page.evaluate(
        """() => { const c = document.querySelector("#decoded canvas");
        return [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 !== 3); }"""
    )
    assert np.abs(np.array(shown) - bytes_of(pictures.decoded([z]))[0]).max() <= 1


def test_a_link_to_the_file_opens_the_same_view(seen, browser):
    page = seen("pictures")
    page.fill("#example", "42")
    page.locator("#example").press("Enter")
    page.wait_for_url("**%22e%22%3A41%2C**")
    again = browser.new_page()
    again.goto(page.url)
    again.wait_for_selector("body[data-ready=yes]")
    assert again.evaluate("window.explorer.state.example") == 41
    again.close()


@pytest.mark.parametrize("which", ["pictures", "rows", "levels"])
def test_nothing_runs_over_on_a_narrow_screen(seen, which):
    page = seen(which, viewport={"width": 400, "height": 800})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, scheme


def test_draws_of_the_model_are_shown_where_examples_stay_out(pictures, browser, tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "DRAWN", 30)
    (tmp_path / "page.html").write_bytes(kept_page(pictures, without_examples=True).content)
    page = browser.new_page()
    said = []
    page.on("pageerror", lambda one: said.append(str(one)))
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector("body[data-ready=yes]")
    assert "30 draws of the model, none of the data" in page.locator("#lead").inner_text()
    assert not page.locator("#strange-section").is_visible()
    assert said == []
    page.close()


def test_the_command_writes_the_file_and_says_what_is_in_it(pictures, browser, tmp_path, capsys):
    path = tmp_path / "new" / "page.html"
    assert main(["explore", str(pictures.run.folder), "--export", str(path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "180 of the 180 examples of the test split: whoever has the file has them" in said
    assert "in float32" in said
    assert main(["explore", str(pictures.run.folder), "--export", str(path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["examples"], record["bytes"]) == (180, path.stat().st_size)
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready=yes]")
    page.close()
