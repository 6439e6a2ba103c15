"""README, CONTRIBUTING and docs: every block of Python and every `vael` command on a page is run, in order, in one
folder and one namespace.

Only the length of training is changed: `--epochs N` and `epochs=N` become one epoch, as does no word about length; a
time limit is left out, and estimates of log p(x) take five importance samples unless the page says how many. A run
that several pages train with the same command on the same data is trained once. Commands that are not `vael` (pip,
make, git) are not run here. A line that must not be run stands in a block of another kind (`text`); of those it is
tested that there are such commands and such options.
"""

import calendar
import importlib.util
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

ROOT = Path(__file__).resolve().parents[1]
FRONT = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES = [*FRONT, *sorted((ROOT / "docs").glob("*.md"))]
README_LIMIT = 9_000  # bytes: what somebody who came by reads to the end
FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RUNNABLE = [page for page in PAGES if FENCE.search(page.read_text())]


def shortened(text):
    text = re.sub(r"--epochs \d+", "--epochs 1", text)
    text = re.sub(r" --time-limit \d+", " --epochs 1", text)
    return re.sub(r"\bepochs=\d+", "epochs=1", text)


def prepare(folder):
    """What the pages take for granted: a folder of photographs with two classes, tables, and more digits."""
    rng = np.random.default_rng(0)
    for name, tint in (("cats", 0.3), ("dogs", 0.7)):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(20):
            height, width = rng.integers(40, 60, 2)
            ramp = np.linspace(0, 1, width)[None, :, None] * rng.random(3) + tint * rng.random((height, width, 3))
            Image.fromarray((ramp / ramp.max() * 255).astype(np.uint8)).save(
                folder / "photos" / name / f"{number:03}.png"
            )
    np.save(folder / "more.npy", load_digits().images[:300, ::-1].astype(np.uint8))
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
    if words[0] == "train" and "--epochs" not in words:
        words[2:2] = ["--epochs", "1"]
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


QUICK = ("README", "extending", "my-csv", "fill-gaps")  # the others in `make slow`
EACH_RUNNABLE = [
    pytest.param(one, id=one.stem, marks=() if one.stem in QUICK else pytest.mark.slow) for one in RUNNABLE
]


@pytest.mark.parametrize("page", EACH_RUNNABLE)
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
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]+)?\)", page.read_text()):
            found = page.parent / target if target else page
            if "://" in target:
                continue
            if not found.exists() or (anchor and anchor[1:] not in anchors(found)):
                lost.append(f"{page.name}: {target}{anchor}")
    assert lost == []


def anchors(page):
    """What the headings of a page are called in a link."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_a_table_of_contents():
    """A page outside of all of them cannot be found, and ends the build of the pages."""
    docs = ROOT / "docs"
    listed = {docs / "index.md"}
    pages = {page for page in docs.rglob("*.md") if "_build" not in page.parts}
    for page in pages:
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", page.read_text(), re.M | re.S):
            names = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {found for name in names for found in page.parent.glob(f"{name}.md")}
    assert sorted(str(page.relative_to(docs)) for page in pages - listed) == []


CITATION = re.compile(
    r"((?:[A-Z][\w'-]+(?:, | & | and ))*[A-Z][\w'-]+)(?: et al\.?| and others)?,?(?: \*[^*]+\*,)? \(?((?:19|20)\d\d)\b"
)
NO_NAMES = {"Since", "In", "Until", "Before", "After", *calendar.month_name}  # of something that has a year


def citations(page):
    """First author and year of everything that a page refers to, blocks of code left out."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    found = CITATION.findall(re.sub(r"\s+", " ", prose))
    return {(re.split(r", | & | and ", names)[0], year) for names, year in found if names not in NO_NAMES}


def test_every_reference_has_an_entry_with_a_link_that_names_the_page():
    docs = ROOT / "docs"
    bibliography = docs / "bibliography.md"
    entries = [line for line in bibliography.read_text().splitlines() if line.startswith("* ")]
    assert [line for line in entries if "](https://" not in line] == []
    pages = {page for page in docs.rglob("*.md") if "_build" not in page.parts} - {bibliography}

    def has_entry(name, year, page):
        entry = re.compile(rf"\*\*[^*]*\b{name}\b[^*]*\*\* \({year}\)")
        return any(entry.search(line) and f"({page.relative_to(docs)})" in line for line in entries)

    cited = [(page, *one) for page in sorted(pages) for one in sorted(citations(page))]
    assert [(page.name, name, year) for page, name, year in cited if not has_entry(name, year, page)] == []
    assert sum(len(citations(page)) for page in pages) > 30, "the pattern finds them"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) < README_LIMIT


def test_trees_of_files_are_as_the_files_say():
    """`make tree` writes them anew."""
    spec = importlib.util.spec_from_file_location("tree", ROOT / "docs" / "tree.py")
    tree = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tree)
    pages = tree.drawn()
    assert set(pages) == {ROOT / "README.md", ROOT / "docs" / "architecture.md", ROOT / "llms.txt"}
    assert [page.name for page, text in pages.items() if page.read_text() != text] == []


PROGRAMS = re.compile(r"(?:\.venv/bin/)?(vael|make|pytest|python)(?= |$)")
TEXT = re.compile(r"^```(?:text|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def commands(page):
    """Every command that a page names, as words: in blocks, and in running text between backticks."""
    text = page.read_text()
    lines = [line for block in TEXT.findall(text) for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))
    for line in lines:
        line = re.sub(r"^(\$ )?([A-Z_]+=\S+ )*", "", line.strip())  # the prompt, and variables of the environment
        if PROGRAMS.match(line):
            yield shlex.split(line.removeprefix(".venv/bin/"), comments=True)


MAKEFILE = (ROOT / "Makefile").read_text()


def wrong_with_make(words):
    """Which of the targets and variables there are none of."""
    variables = set(re.findall(r"^(\w+) [?:]?=", MAKEFILE, re.M))
    targets = {name.replace("$(VENV)", ".venv") for name in re.findall(r"^([^\s:#]+):(?!=)", MAKEFILE, re.M)}
    return [word for word in words if (word.split("=")[0] not in variables if "=" in word else word not in targets)]


def wrong_with_script(words):
    """A file that there is not, or options whose names do not stand in it."""
    if words[:2] == ["-m", "pytest"]:
        return wrong_with_pytest(words[2:])
    if not words[0].endswith(".py"):
        return []
    script = ROOT / words[0]
    if not script.exists():
        return words[:1]
    options = [word.split("=")[0].removeprefix("--") for word in words if word.startswith("--")]
    return [f"--{name}" for name in options if not re.search(f'"(--)?{name}"', script.read_text())]


def wrong_with_pytest(words):
    """Files and folders of tests that there are not."""
    return [word for word in words if word.startswith("tests") and not (ROOT / word.split("::")[0]).exists()]


def wrong_with_vael(words, capsys):
    """A command that there is not, or options that its help does not name."""
    from vael.cli import main

    if not words or words[0] in ("COMMAND", "-V") or words[0].startswith("--"):
        words = ["train", *words[1:]] if words[:1] == ["COMMAND"] else ["train", "--help"]
    if main([words[0], "--help"]) != 0:
        return words[:1]
    known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out))
    options = [word.split("=")[0] for word in words[1:] if re.match(r"--?[a-zA-Z]", word)]
    return [word for word in options if word not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_that_a_page_names_exist(page, capsys):
    def wrong(program, *words):
        if program == "vael":
            return wrong_with_vael(words, capsys)
        return {"make": wrong_with_make, "python": wrong_with_script, "pytest": wrong_with_pytest}[program](list(words))

    assert {" ".join(words): wrong(*words) for words in commands(page) if wrong(*words)} == {}


@pytest.mark.parametrize("page", FRONT, ids=lambda page: page.stem)
def test_commands_of_the_front_pages_are_read_to_the_end(page, capsys):
    """Values included: an option that nobody has is what is refused, and nothing before it."""
    from vael.cli import main

    for program, *words in commands(page):
        if program == "vael" and words[:1] not in ([], ["COMMAND"]) and not words[0].startswith("-"):
            assert main([*words, "--no-such-option"]) == 2
            assert "--no-such-option" in capsys.readouterr().err, " ".join(words)
