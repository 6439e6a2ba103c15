"""The API reference: a page for every public package, whose docstrings Sphinx takes for what they are."""

import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest

import vael

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {page.stem: page.read_text() for page in (DOCS / "api").glob("*.md")}
NAMED = re.compile(r"^\.\. automodule:: (\S+)$", re.MULTILINE)
INSIDE = {  # no page: the command line, whose names are those of `vael --help`; inner workings; names of before
    *(
        "cli",
        "__main__",
        "claims",
        "counting",
        "files",
        "moved",
        "nearest",
        "options",
        "parts",
        "process",
        "signals",
        "stored",
        "visible",
    ),
}


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_every_public_package_has_a_page_and_every_page_its_package():
    there = {module.name for module in pkgutil.iter_modules(vael.__path__)}
    assert set(PAGES) == (there - INSIDE) | {"index", "vael"}
    assert set(vael.MODULES) <= set(PAGES)
    assert there >= INSIDE


def test_what_a_page_shows_is_there_and_nothing_that_is_public_is_left_out():
    for name, text in PAGES.items():
        package = "vael" if name == "vael" else f"vael.{name}"
        shown = NAMED.findall(text)
        assert bool(shown) == (name != "index"), name
        for module in map(importlib.import_module, shown):
            assert module.__name__ == package or module.__name__.startswith(f"{package}."), name
            assert module.__doc__
        if name != "index" and hasattr(importlib.import_module(package), "__all__"):
            assert package in shown


def test_the_contents_name_every_page():
    for name in PAGES.keys() - {"index"}:
        assert f"({name}.md)" in PAGES["index"]
        assert f"\n{name}\n" in PAGES["index"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("The `model` of q(z | x).", r"The ``model`` of q(z \| x)."),
        ("`[samples, batch, *event]`, and *event", r"``[samples, batch, *event]``, and \*event"),
        ("models of `Part`s", r"models of ``Part``\ s"),
        ("log p(x)_ and x_", r"log p(x)_ and x\_"),
    ],
)
def test_a_docstring_is_code_and_plain_text(reference, line, shown):
    assert reference.as_markup([line]) == [shown, ""]


def test_code_goes_over_the_end_of_a_line_and_examples_stay(reference):
    assert reference.as_markup(["the `one", "two` of it"]) == ["the ``one two`` of it", ""]
    example = [">>> x = 2 * 3  # |x|", "6"]
    assert reference.as_markup(["What it is:", "", *example]) == ["What it is:", "", *example, ""]
