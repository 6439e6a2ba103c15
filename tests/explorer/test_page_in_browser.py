"""The page in a real browser: every control is moved, what it shows is what Python gives, and it asks nobody else."""

import os
import threading

import numpy as np
import pytest

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'vael[explore]'")
serving = pytest.importorskip("vael.explorer.serving")

SHOTS = os.environ.get("VAEL_SHOTS")  # a folder for pictures of what was seen


@pytest.fixture(scope="module")
def addresses(pictures, rows):
    servers, found = [], {}
    for name, scene in {"pictures": pictures, "rows": rows}.items():
        place = serving.listening(None)
        place.listen()
        server = serving.server_of(scene, "secret")
        thread = threading.Thread(target=server.run, args=([place],), daemon=True)
        thread.start()
        servers.append((server, thread))
        found[name] = f"http://127.0.0.1:{place.getsockname()[1]}/?token=secret"
    yield found
    for server, thread in servers:
        server.should_exit = True
        thread.join(30)


class Seen:
    """A page that is open, and what it said and asked for."""

    def __init__(self, browser, address, name, **how):
        self.page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}} | how)
        self.said, self.asked, self.name = [], [], name
        self.page.on("console", lambda one: self.said.append(one.text))
        self.page.on("pageerror", lambda one: self.said.append(str(one)))
        self.page.on("request", lambda one: self.asked.append(one.url))
        self.page.goto(address)
        self.page.wait_for_selector("body[data-ready=yes]", timeout=60_000)

    def state(self, key):
        return self.page.evaluate(f"window.explorer.state.{key}")

    def settled(self):
        """Wait until no answer is awaited any more."""
        self.page.evaluate(
            """async () => { for (let frames = 0; frames < 3; frames = window.explorer.idle() ? frames + 1 : 0)
            await new Promise(requestAnimationFrame); }"""
        )

    def shot(self):
        if SHOTS:
            self.page.screenshot(path=f"{SHOTS}/{self.name}.png", full_page=True)


@pytest.fixture
def seen(browser, addresses, request):
    opened = []

    def see(which, **how):
        opened.append(Seen(browser, addresses[which], request.node.name.replace("/", "-"), **how))
        return opened[-1]

    yield see
    for one in opened:
        one.settled()
        one.shot()
        assert one.said == []
        assert {url.split("/")[2].split(":")[0] for url in one.asked if url.startswith("http")} == {"127.0.0.1"}
        one.page.close()


def shown_pixels(page, place):
    """Red of every pixel of the first picture in a place of the page."""
    found = page.evaluate(
        f"""() => {{ const c = document.querySelector("{place} canvas.picture");
        return [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0); }}"""
    )
    return np.array(found, np.int64)


def expected_pixels(scene, z):
    return np.frombuffer(bytes.fromhex(scene.decoded([z])["pixels"][0]), np.uint8)[::3].astype(np.int64)


def ring(page):
    """Where the ring is, on the screen."""
    return page.evaluate(
        """() => { const m = window.explorer.map, [x, y] = m.toScreen(...m.probe), b = m.canvas.getBoundingClientRect();
        return [b.left + x / m.ratio, b.top + y / m.ratio]; }"""
    )


def test_dragging_the_ring_decodes_where_it_is(seen, pictures):
    one = seen("pictures")
    before = one.state("z")
    x, y = ring(one.page)
    one.page.mouse.move(x, y)
    one.page.mouse.down()
    one.page.mouse.move(x + 60, y - 40, steps=8)
    one.page.mouse.up()
    one.settled()
    after = one.state("z")
    assert np.abs(np.subtract(after, before)).max() > 0.1
    assert np.abs(shown_pixels(one.page, "#decoded") - expected_pixels(pictures, after)).max() <= 1
    assert ring(one.page) == pytest.approx([x + 60, y - 40], abs=2)


def test_every_slider_moves_its_own_latent(seen, pictures):
    one = seen("pictures")
    for slider in one.page.locator("#sliders input").all():
        latent, before = int(slider.get_attribute("data-latent")), one.state("z")
        slider.focus()
        for _ in range(5):
            one.page.keyboard.press("ArrowRight")
        after = one.state("z")
        assert after[latent] != before[latent]
        assert [a for place, a in enumerate(after) if place != latent] == [
            b for place, b in enumerate(before) if place != latent
        ]
    one.settled()
    assert np.abs(shown_pixels(one.page, "#decoded") - expected_pixels(pictures, one.state("z"))).max() <= 1


def test_the_keyboard_alone_moves_the_ring(seen, pictures):
    one = seen("pictures")
    one.page.locator("#map").focus()
    before = one.state("z")
    for key in ("ArrowUp", "ArrowLeft", "ArrowLeft", "+", "-"):
        one.page.keyboard.press(key)
    one.settled()
    assert one.state("z") != before
    assert np.abs(shown_pixels(one.page, "#decoded") - expected_pixels(pictures, one.state("z"))).max() <= 1


def test_a_click_goes_to_the_example_and_shift_pairs_it(seen, pictures):
    one = seen("pictures")
    for example, keys in ((17, []), (29, ["Shift"])):
        x, y = one.page.evaluate(
            f"""() => {{ const m = window.explorer.map, [x, y] = m.toScreen(m.x[{example}], m.y[{example}]),
            b = m.canvas.getBoundingClientRect(); return [b.left + x / m.ratio, b.top + y / m.ratio]; }}"""
        )
        one.page.mouse.move(x, y)
        nearest = one.page.evaluate(
            f"""() => {{ const m = window.explorer.map, b = m.canvas.getBoundingClientRect();
            return m.nearest(({x} - b.left) * m.ratio, ({y} - b.top) * m.ratio); }}"""
        )
        for key in keys:
            one.page.keyboard.down(key)
        one.page.mouse.down()
        one.page.mouse.up()
        for key in keys:
            one.page.keyboard.up(key)
        one.settled()
        assert one.state("other" if keys else "example") == nearest
    assert one.page.locator("#path canvas").count() == 9
    assert one.page.locator("#hover").is_visible()


def test_menus_lasso_and_buttons(seen):
    one = seen("pictures")
    for value in [option.get_attribute("value") for option in one.page.locator("#axes option").all()]:
        one.page.select_option("#axes", value)
    for value in [option.get_attribute("value") for option in one.page.locator("#colour option").all()]:
        one.page.select_option("#colour", value)
        assert one.page.locator("#legend span").count() >= 3
    one.page.check("#lasso")
    box = one.page.locator("#map").bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
    places = [(box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in corners]
    one.page.mouse.move(*places[0])
    one.page.mouse.down()
    for place in places[1:]:
        one.page.mouse.move(*place, steps=4)
    one.page.mouse.up()
    one.page.wait_for_selector("#chosen canvas >> nth=23")
    with one.page.expect_download() as saved:
        one.page.click("#save")
    lines = saved.value.path().read_text().splitlines()
    assert lines[0].startswith("example,class,z")
    assert f"{len(lines) - 1} examples" in one.page.locator("#chosen-count").inner_text().replace(",", "")
    for button in ("#whole", "#centre", "#python", "#again", "#judge"):
        one.page.click(button)
    one.page.wait_for_selector("#judge", state="detached", timeout=60_000)
    assert "vael.load(" in one.page.locator("#code").inner_text()
    one.page.select_option("#colour", "score")
    assert one.page.locator("#strange canvas").count() == 2 * 24  # each above the pixels that make it strange
    assert one.page.locator("#strange figcaption", has_text="nats").count() > 0


def test_a_digit_drawn_by_hand_is_read(seen, pictures):
    one = seen("pictures")
    box = one.page.locator("#hand").bounding_box()
    one.page.locator("#hand").scroll_into_view_if_needed()
    box = one.page.locator("#hand").bounding_box()
    one.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.15)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.85, steps=6)
    one.page.mouse.up()
    one.settled()
    drawn = one.page.evaluate(
        """() => { const c = document.getElementById("hand"); return [...c.getContext("2d")
        .getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0); }"""
    )
    drawn = [one / 255 for one in drawn]
    assert max(drawn) > 0.5
    assert one.state("z") == pytest.approx(pictures.read(drawn)["code"], abs=1e-3)
    one.page.click("#clear")


def test_a_link_opens_the_same_view(seen, browser, addresses):
    one = seen("pictures")
    one.page.fill("#example", "42")
    one.page.locator("#example").press("Enter")
    one.page.wait_for_url("**%22e%22%3A41%2C**")
    one.settled()
    again = Seen(browser, one.page.url, "again")
    assert again.state("example") == 41
    assert again.state("z") == pytest.approx(one.state("z"), abs=1e-3)
    again.page.close()


def test_what_if_shows_what_follows(seen):
    one = seen("rows")
    one.page.select_option("#given select[name=size]", "tall")
    one.page.fill("#given input[name=height]", "180.0")
    one.page.locator("#given input[name=height]").press("Enter")
    one.page.get_by_text("worth").filter(has_text="independent ones").wait_for()
    assert one.page.locator("#answers figure").count() == 3
    for value in [option.get_attribute("value") for option in one.page.locator("#colour option").all()]:
        one.page.select_option("#colour", value)
    one.settled()


@pytest.mark.parametrize("which", ["pictures", "rows"])
def test_nothing_runs_over_on_a_narrow_screen(seen, which):
    one = seen(which, viewport={"width": 400, "height": 800})
    for scheme in ("light", "dark"):
        one.page.emulate_media(color_scheme=scheme)
        one.settled()
        assert one.page.evaluate("document.documentElement.scrollWidth") <= 400, scheme


def test_every_control_has_a_name(seen):
    for which in ("pictures", "rows"):
        one = seen(which)
        nameless = one.page.evaluate(
            """() => [...document.querySelectorAll("button, input, select, canvas[tabindex]")].filter((e) =>
            !(e.textContent.trim() || e.labels?.[0]?.textContent.trim() || e.getAttribute("aria-label")))
            .map((e) => e.outerHTML)"""
        )
        assert nameless == []
