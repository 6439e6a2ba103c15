"""How the page of `vael explore` moves: frames a second with many points on the map, milliseconds that one painting of
the map takes, and seconds from opening the address to the first decoded picture or row.

    python benchmarks/explorer_frames.py [RUN] [--points 100000] [--seconds 4]

The map is moved and zoomed in every frame, in Chromium without a window and without a graphics card. With a run its
page is served and opened as well. Frames a second follow the clock of the browser (60 at most), and what else runs on
the machine is part of the number: the milliseconds of one painting say what the page itself takes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import threading
import time
from pathlib import Path

from vael.explorer.bundle import joined

FLAGS = ["--no-sandbox", "--disable-gpu"]
MOVED = """async ([points, seconds]) => {
  const canvas = document.getElementById("map"), map = new of_map.CodeMap(canvas);
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  const x = Float32Array.from({ length: points }, normal), y = Float32Array.from({ length: points }, normal);
  const colours = Uint8Array.from({ length: 3 * points }, () => 256 * Math.random());
  await new Promise((done) => setTimeout(done, 200));
  map.probe = [0, 0];
  map.set(x, y, colours);
  const frames = [], paintings = [], began = performance.now();
  while (performance.now() - began < 1000 * seconds) {
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    map.view.x = Math.sin((now - began) / 300);
    map.view.scale *= 1 + .01 * Math.cos((now - began) / 500);
    map.paint();
    paintings.push(performance.now() - now);
    frames.push(now);
  }
  return { frames, paintings };
}"""


def moved(browser, points: int, seconds: float) -> dict[str, float]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_content('<canvas id="map" style="width: 780px; height: 585px; display: block"></canvas>')
    page.add_script_tag(content=joined("map.js").replace("const of_map", "var of_map"))
    found = page.evaluate(MOVED, [points, seconds])
    page.close()
    frames = found["frames"]
    return {
        "points": points,
        "frames_per_second": 1000 * (len(frames) - 1) / (frames[-1] - frames[0]),
        "painting_median_ms": statistics.median(found["paintings"]),
        "painting_95th_ms": statistics.quantiles(found["paintings"], n=20)[-1],
    }


def first_picture(browser, run: str, split: str | None) -> dict[str, float]:
    """Seconds from the address to what is decoded, of a server that was just started."""
    import vael
    from vael.explorer import scene_of, serving

    scene = scene_of(vael.load(run), split)
    place = serving.listening(None)
    place.listen()
    server = serving.server_of(scene, "measured")
    thread = threading.Thread(target=server.run, args=([place],), daemon=True)
    thread.start()
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    began = time.perf_counter()
    page.goto(f"http://127.0.0.1:{place.getsockname()[1]}/?token=measured")
    page.wait_for_selector("#decoded > *", timeout=120_000)
    found = {"examples": len(scene.source), "first_picture_seconds": time.perf_counter() - began}
    page.close()
    server.should_exit = True
    thread.join(30)
    return found


def kept_page(browser, path: str) -> dict[str, float]:
    """A page in one file: seconds to what is decoded, and milliseconds of one decoding."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    began = time.perf_counter()
    page.goto(Path(path).resolve().as_uri())
    page.wait_for_selector("#decoded > *", timeout=120_000)
    first = time.perf_counter() - began
    page.wait_for_selector("body[data-ready=yes]", timeout=120_000)
    times = page.evaluate(
        """async () => { const found = [], z = [...window.explorer.state.z];
        for (let round = 0; round < 60; round++) { z[0] += .01; const began = performance.now();
          await window.explorer.ask("decoded", { z: [z] }); found.push(performance.now() - began); }
        return found.slice(10); }"""
    )
    page.close()
    return {
        "megabytes": Path(path).stat().st_size / 1e6,
        "first_picture_seconds": first,
        "decoding_median_ms": statistics.median(times),
        "decoding_95th_ms": statistics.quantiles(times, n=20)[-1],
    }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    asked.add_argument("run", nargs="?", help="a run folder whose page is served, or a page that --export wrote")
    asked.add_argument("--split")
    asked.add_argument("--points", type=int, default=100_000)
    asked.add_argument("--seconds", type=float, default=4.0)
    options = asked.parse_args()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=FLAGS
        )
        found = moved(browser, options.points, options.seconds)
        if options.run and options.run.endswith(".html"):
            found |= kept_page(browser, options.run)
        elif options.run:
            found |= first_picture(browser, options.run, options.split)
        browser.close()
    print(json.dumps({key: round(value, 3) for key, value in found.items()}))


if __name__ == "__main__":
    main()
