"""README and docs: every block of Python and every `vael` command on a page is run, in order, in one folder and one
namespace.

Only the length of training is changed: `--epochs N` and `epochs=N` become one epoch, a time limit is left out, and
estimates of log p(x) take five importance samples unless the page says how many. A run that several pages train with
the same command on the same data is trained once. Commands that are not `vael` (pip, make, git) are not run here. A
line that must not be run stands in a block of another kind (`text`).
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RUNNABLE = [page for page in PAGES if FENCE.search(page.read_text())]


def shortened(text):
    text = re.sub(r"--epochs \d+", "--epochs 1", text)
    text = re.sub(r" --time-limit \d+", " --epochs 1", text)
    return re.sub(r"\bepochs=\d+", "epochs=1", text)


def prepare(folder):
    """What the pages take for granted: a folder of photographs with two classes, and a table."""
    rng = np.random.default_rng(0)
    for name, tint in (("cats", 0.3), ("dogs", 0.7)):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(20):
            height, width = rng.integers(40, 60, 2)
            ramp = np.linspace(0, 1, width)[None, :, None] * rng.random(3) + tint * rng.random((height, width, 3))
            Image.fromarray((ramp / ramp.max() * 255).astype(np.uint8)).save(
                folder / "photos" / name / f"{number:03}.png"
            )
    size = rng.normal(size=(150, 1))
    table = np.hstack(
        [5.8 + size, 3.0 + 0.4 * rng.normal(size=(150, 1)), 3.7 + 1.6 * size + 0.3 * rng.normal(size=(150, 1))]
    )
    np.savetxt(folder / "measurements.csv", table, delimiter=",", header="length,width,mass", comments="", fmt="%.3f")
    days = np.datetime64("1998-04-02") + rng.integers(0, 5000, 150)
    columns = (rng.choice(["ash", "oak", "elm"], 150), rng.integers(50, 250, 150) / 10, rng.integers(0, 9, 150), days)
    trees = np.stack([column.astype(object).astype(str) for column in columns], 1)
    trees[rng.random(trees.shape) < 0.1] = ""
    trees[(trees == "").all(1), 0] = "ash"
    np.savetxt(folder / "trees.csv", trees, delimiter=",", header="kind,height,nests,planted", comments="", fmt="%s")


def command(line, trained_once=None):
    from vael.cli import main

    words = shlex.split(shortened(line), comments=True)[1:]
    if words[0] in ("train", "evaluate", "report") and "--importance-samples" not in words:
        words += ["--importance-samples", "5"]

    def end() -> None:
        status = main(words)
        assert status == 0, f"`{line}` ended with status {status}"

    if trained_once and words[0] == "train" and "--run" in words and words[1] in ("digits", "trees.csv"):
        trained_once(words, Path(words[words.index("--run") + 1]), end)
    else:
        end()


@pytest.fixture(scope="session")
def trained_once(made_once):
    """Have a run folder made by a command, or a copy of the one that the same command made on another page of this
    session.
    """

    def get(words, folder, make):
        def first(place):
            make()
            shutil.copytree(folder, place)

        place = made_once("-".join(re.sub(r"\W", "", word) for word in words), first)
        if not folder.exists():
            shutil.copytree(place, folder)

    return get


def python(code, names, where):
    line = "\n" * where  # so that a traceback names the line of the page
    exec(compile(line + shortened(code), names["__file__"], "exec", dont_inherit=True), names)


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_what_a_page_says_runs(page, tmp_path, monkeypatch, trained_once):
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VAEL_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["vael"])
    text, names = page.read_text(), {"__name__": "page", "__file__": str(page)}
    for block in FENCE.finditer(text):
        if block[1] == "python":
            python(block[2], names, text[: block.start(2)].count("\n"))
            continue
        for line in block[2].splitlines():
            if line.startswith("$ vael "):
                command(line.removeprefix("$ "), trained_once)


def test_the_runner_runs_commands_and_python(tmp_path):
    """Otherwise a fence that is written in another way would be left out in silence."""
    found = [block[1] for page in PAGES for block in FENCE.finditer(page.read_text())]
    fences = [
        line for page in PAGES for line in page.read_text().splitlines() if re.match(r"```(python|console)", line)
    ]
    assert len(found) == len(fences)
    assert set(found) == {"python", "console"}
    with pytest.raises(ZeroDivisionError):
        python("1 / 0", {"__file__": "page"}, 3)
    with pytest.raises(AssertionError, match="status 2"):
        command("vael no-such-command")


def test_links_between_pages_lead_somewhere():
    lost = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                lost.append(f"{page.name}: {target}")
    assert lost == []


def test_the_readme_lists_every_file():
    listed = (ROOT / "README.md").read_text()
    package = ROOT / "src" / "vael"
    files = [
        str(path.relative_to(package))
        for path in sorted(package.rglob("*.py"))
        if path.name != "__init__.py" and path.stat().st_size
    ]
    assert [
        name for name in files if not re.search(rf"^ *{re.escape(os.path.basename(name))} ", listed, re.MULTILINE)
    ] == []
    known = {os.path.basename(name) for name in files}
    tree = re.findall(r"^ +(\w+\.py) ", listed, re.MULTILINE)
    assert [name for name in tree if name not in known] == []
