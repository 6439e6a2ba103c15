"""What functions assume where nothing is said is the same everywhere: seeds are 0, a split is that of test or all."""

import ast
import importlib
import inspect
import json
from enum import Enum
from pathlib import Path

import pytest
from test_parts import FAMILIES

import vael
from vael.parts import as_json, members

HOME = Path(vael.__file__).parent


def assumed(name):
    """The default of every parameter and field of that name, by file and function or class; what is no constant is
    left out.
    """
    found = {}
    for path in sorted(HOME.rglob("*.py")):
        text = path.read_text()
        if f" {name}:" not in text or path.is_relative_to(HOME / "cli"):
            continue
        tree = ast.parse(text)
        for record in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            for field in (one for one in record.body if isinstance(one, ast.AnnAssign)):
                if ast.unparse(field.target) == name and isinstance(field.value, ast.Constant):
                    found[f"{path.relative_to(HOME)}: {record.name}"] = field.value.value
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            given = function.args
            placed = zip(reversed([*given.posonlyargs, *given.args]), reversed(given.defaults), strict=False)
            named = zip(given.kwonlyargs, given.kw_defaults, strict=True)
            for parameter, default in (*placed, *named):
                if parameter.arg == name and isinstance(default, ast.Constant):
                    found[f"{path.relative_to(HOME)}: {function.name}"] = default.value
    return found


@pytest.mark.parametrize(("name", "usual", "least"), [("seed", (0, None), 40), ("split", ("test", None), 2)])
def test_what_is_assumed_where_nothing_is_said_is_the_same_everywhere(name, usual, least):
    found = assumed(name)
    assert {where: value for where, value in found.items() if value not in usual} == {}
    assert len(found) >= least  # there are so many to look at


TABLE = json.loads((Path(__file__).parent / "defaults_of_parts.json").read_text())


@pytest.mark.parametrize("family", TABLE)
def test_a_part_of_which_nothing_is_said_is_the_one_that_it_was(family):
    """Whoever changes a default changes what everyone gets: it stands in the table and in CHANGELOG.md. Leaves that
    came later need not stand there.
    """
    parts = members(FAMILIES[family])
    for kind, known in TABLE[family].items():
        now = json.loads(as_json(parts[kind]()))
        assert {name: now.get(name) for name in known} == known


ROOMS = ("probability", "models", "objectives", "inference", "training", "evaluation")


def plain(value):
    """Whether a default is a constant that JSON has, or a tuple of such."""
    return isinstance(value, (bool, int, float, str)) or (isinstance(value, tuple) and value and all(map(plain, value)))


def defaults(package):
    """The constants that each public function, class and method of a package assumes, by its name and the parameter's;
    None is no constant: something is chosen then.
    """
    home, found = importlib.import_module(f"vael.{package}"), {}
    for name in home.__all__:
        thing = getattr(home, name)
        is_class = inspect.isclass(thing) and not issubclass(thing, Enum)
        methods = vars(thing).items() if is_class else ()
        called = {f"{name}.{one}": what for one, what in methods if one[0] != "_" and inspect.isfunction(what)}
        if inspect.isfunction(thing) or (is_class and thing.__init__ is not object.__init__):
            called[name] = thing
        for one, what in called.items():
            given = inspect.signature(what).parameters.values()
            assumed = {each.name: each.default for each in given if plain(each.default)}
            if assumed:
                found[one] = json.loads(json.dumps(assumed))
    return found


PUBLIC = json.loads((Path(__file__).parent / "defaults_of_functions.json").read_text())


@pytest.mark.parametrize("package", ROOMS)
def test_a_public_function_of_which_nothing_is_said_does_what_it_did(package):
    """As above: a default is a promise to all who call it, so it changes in the table and in CHANGELOG.md. What came
    later need not stand there.
    """
    now = defaults(package)
    assert len(PUBLIC[package]) >= 7
    for called, known in PUBLIC[package].items():
        assert {name: now.get(called, {}).get(name, "none") for name in known} == known
