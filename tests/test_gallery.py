"""Pages of the gallery: every one is complete, and calls only what the library has. `make docs` executes them."""

import ast
import contextlib
import importlib
import importlib.util
import io
import json
import re
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "docs" / "gallery"
PAGES = sorted(path for path in GALLERY.glob("*/*.md"))
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
HEADER = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n# "


def runner(name="page"):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@EACH
def test_a_page_is_complete(page):
    text = page.read_text()
    assert text.startswith(HEADER), "MyST-NB would not execute it"
    assert len(re.findall(r"^## Exercise$", text, re.MULTILINE)) == 1
    assert re.search(r"^\*(Lecture \d|Beyond)", text, re.MULTILINE), (
        "the line that says which section of which lecture this is"
    )
    assert runner().cells(text), "a page without code"
    assert "$" in text, "a page without a formula"


@EACH
def test_a_page_calls_what_there_is(page, monkeypatch):
    monkeypatch.syspath_prepend(str(GALLERY))
    for _, code in runner().cells(page.read_text()):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("vael", "show"):
                module = importlib.import_module(node.module)
                missing = [
                    alias.name
                    for alias in node.names
                    if not hasattr(module, alias.name) and not _is_module(node.module, alias.name)
                ]
                assert missing == [], f"{node.module} has no {missing}"
    sys.modules.pop("show", None)


def _is_module(package, name):
    return importlib.util.find_spec(f"{package}.{name}") is not None


OPTIONS = re.compile(r"\A(?:---\n.*?^---\n|(?::\w[\w-]*:[^\n]*\n)+)", re.DOTALL | re.MULTILINE)
FOLDED = ("hide-input", "remove-input", "hide-cell", "remove-cell")
WIDEST = 88  # of a line of code that is read on a page


def not_folded(text):
    """Code of a page that stands open, with its first line; solutions of exercises are hidden as a whole."""
    text = re.sub(r"^<details>.*?^</details>", lambda cut: "\n" * cut[0].count("\n"), text, flags=re.S | re.M)
    found = []
    for block in runner().CELL.finditer(text):
        options = OPTIONS.match(block[1])
        if not (options and any(name in options[0] for name in FOLDED)):
            found.append((text[: block.start(1)].count("\n"), OPTIONS.sub("", block[1])))
    return found


def is_import_or_plotting(node):
    """An import, `style()` or a live part; or what has to do with pyplot or with axes that it gave."""
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} | {
        one.arg for one in ast.walk(node) if isinstance(one, ast.arg)
    }
    return isinstance(node, ast.Import | ast.ImportFrom) or bool(
        names & {"plt", "axes", "style", "live", "live_attributes", "live_decoder"}
    )


def unfolded(text):
    """Lines of imports and of plotting that are not folded."""
    return [
        line + node.lineno
        for line, code in not_folded(text)
        for node in ast.parse(code).body
        if is_import_or_plotting(node)
    ]


@EACH
def test_imports_and_plotting_are_folded_and_lines_are_short(page):
    """What is left open is what the page is about, and it fits on the screen."""
    text = page.read_text()
    assert unfolded(text) == []
    wide = [line for _, code in runner().cells(text) for line in code.splitlines() if len(line) > WIDEST]
    assert wide == []


@pytest.mark.parametrize(
    "code", ["import torch", "from show import style", "style()", "figure, axes = plt.subplots()", "axes.plot(x)",
        "for axes in places:\n    axes.set(title='')", "def draw(axes, x):\n    axes.plot(x)", "live('bound', x=1)"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("before", "seen"), [("", True), (":tags: [hide-input]\n", False), ("---\ntags: [hide-input]\n---\n", False)]
)
def test_the_check_of_folding_sees(code, before, seen):
    text = f"# T\n\n```{{code-cell}}\n{before}x = 1\n{code}\n```\n"
    assert bool(unfolded(text)) == seen
    assert unfolded(f"<details>\n<summary>Solution</summary>\n\n{text}</details>\n") == []


def test_the_runner_stops_at_an_error_and_shows_values(tmp_path, capsys):
    page = tmp_path / "folder" / "page.md"
    page.parent.mkdir()
    page.write_text(
        HEADER + "T\n```{code-cell}\n:tags: [remove-input]\nx = 20\nx + 1\n```\n\n```{code-cell}\n1 / (x - 20)\n```\n"
    )
    with pytest.raises(ZeroDivisionError) as raised:
        runner().run(page, tmp_path / "out")
    assert capsys.readouterr().out == "21\n"
    assert raised.traceback[-1].lineno + 1 == 14  # of the page


def test_the_table_of_lectures_names_every_page_and_tests_that_exist():
    table = (ROOT / "docs" / "lectures.md").read_text()
    assert [
        str(page.relative_to(ROOT / "docs")) for page in PAGES if f"({page.relative_to(ROOT / 'docs')})" not in table
    ] == []
    named = set(re.findall(r"`([\w/]+\.py)`", table))
    assert named
    assert [name for name in sorted(named) if not (ROOT / "tests" / name).is_file()] == []


BOX = "Where the lecture is loose"
ERRATA = GALLERY / "errata.md"


def test_the_errata_name_every_page_that_names_a_slip_and_the_other_way_round():
    texts = {str(page.relative_to(GALLERY)): page.read_text() for page in PAGES}
    with_box = {name: text for name, text in texts.items() if f"{{admonition}} {BOX}" in text}
    assert len(with_box) > 35
    assert [name for name, text in with_box.items() if "](../errata.md)" not in text] == []
    named = set(re.findall(r"\]\((lecture-\d/[\w-]+\.md)\)", ERRATA.read_text()))
    assert named == set(with_box)


def test_every_row_of_the_errata_is_computed_once_and_in_order():
    text = ERRATA.read_text()
    rows = re.findall(r"^\| (\d+\.\d+) \|", text, re.MULTILINE)
    code = "\n".join(code for _, code in runner().cells(text))
    checked = re.findall(r'^check\("(\d+\.\d+)"', code, re.MULTILINE)
    assert rows == checked
    assert len(rows) > 60


SOLUTION = re.compile(r"^<details>\n<summary>Solution</summary>\n\n(.*?)^</details>$", re.MULTILINE | re.DOTALL)


def test_pages_have_solutions_that_check_themselves():
    """Hidden until they are asked for; each has a cell, and the cell an assertion."""
    solved = 0
    for page in PAGES:
        for solution in SOLUTION.findall(page.read_text()):
            assert any("assert " in code for _, code in runner().cells(solution)), page
            solved += 1
    assert solved >= 10


def sources(notebook, kind):
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_every_page_has_a_notebook_with_its_code_and_its_words(tmp_path):
    written = runner("notebooks").write(tmp_path)
    assert len(written) == len(PAGES) + 1
    for place in written:
        notebook = json.loads(place.read_text())
        page = (GALLERY / place.relative_to(tmp_path)).with_suffix(".md")
        shared, *code = sources(notebook, "code")
        assert shared == "%%writefile show.py\n" + (GALLERY / "show.py").read_text().rstrip()
        assert [one.strip() for one in code] == [one.strip() for _, one in runner().cells(page.read_text())]
        words = "\n".join(sources(notebook, "markdown"))
        assert words.startswith("# "), page
        assert re.findall(r":::|```\{|<details>|\.md[)#]", words) == [], page
        ids = [cell["id"] for cell in notebook["cells"]]
        assert len(set(ids)) == len(ids)
        for link in re.findall(r"\]\(([^)#\s]+\.ipynb)", words):
            assert (place.parent / link).exists(), (page, link)
    with zipfile.ZipFile(tmp_path / "gallery.zip") as archive:
        assert len(archive.namelist()) == len(written)


def test_a_notebook_runs_with_nothing_beside_it(tmp_path, monkeypatch):
    """The cheapest page of its kind: its notebook alone in a folder, cell after cell."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.delitem(sys.modules, "show", raising=False)
    import matplotlib as mpl

    first, *code = sources(runner("notebooks").notebook(GALLERY / "lecture-3" / "02-basics.md"), "code")
    magic, shared = first.split("\n", 1)
    assert magic == "%%writefile show.py"
    Path("show.py").write_text(shared)
    names, shown = {"__name__": "__main__"}, io.StringIO()
    with mpl.rc_context(), contextlib.redirect_stdout(shown):
        for one in code:
            exec(compile(one, "notebook", "exec"), names)
    sys.modules.pop("show", None)
    assert "P(fails) = 0.030" in shown.getvalue()
