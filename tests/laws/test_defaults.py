"""What functions assume where nothing is said is the same everywhere: seeds are 0, a split is that of test or all."""

import ast
import json
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
