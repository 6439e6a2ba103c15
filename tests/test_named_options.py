"""Every option that a message, a help text or a page names is one that the command it is for takes."""

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

import vael
from sources import tree_of
from vael.cli.main import COMMANDS, main
from vael.cli.options.parser import Parser
from vael.cli.options.shared import CommandOptions
from vael.cli.options.training import AskedOptions
from vael.inference.parts import AlgorithmPart, OptimizerPart
from vael.models.families import ModelPart
from vael.networks.parts import NetworkPart
from vael.objectives.parts import ObjectivePart
from vael.options.declaring import options_of
from vael.parts import members
from vael.specs.asked import Request
from vael.specs.leaves import LEAVES

SOURCE = Path(vael.__file__).parent
OPTION = re.compile(r"(?<![\w{-])--[a-z{][a-z{}-]*")
ALWAYS = {
    "--help",
    "--version",
    "--quiet",
    "--debug",
    "--nproc-per-node",
}  # of every command; of vael itself; of torchrun


RECORDS = {command: COMMANDS[command].record(command) for command in COMMANDS}


def options_taken(command):
    parser = Parser(command, "", RECORDS[command])
    return {option for action in parser._actions for option in action.option_strings if option.startswith("--")}


OPTIONS = {command: options_taken(command) for command in COMMANDS}
EVERY = set().union(*OPTIONS.values()) | ALWAYS


def texts(tree):
    """Every string with its line, pieces of one with braces for what is put in, docstrings and style sheets left
    out.
    """
    held = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in held | inner:
            text = node.value
        else:
            continue
        if not any(style in text for style in ("var(--", ":root", 'style="')):
            yield node.lineno, text


def named():
    """(file, line, text, option) wherever one is named."""
    for path in sorted(SOURCE.rglob("*.py")):
        for line, text in texts(tree_of(path)):
            if path.name == "style.py":
                continue
            for found in OPTION.finditer(text):
                yield path.relative_to(SOURCE), line, text, found


@pytest.fixture(scope="module")
def places():
    return list(named())


def test_there_is_something_to_look_at(places):
    assert len(places) > 100
    assert {"--on-error", "--test", "--proposal"} <= {found.group() for *_, found in places}


def test_every_option_that_is_named_exists(places):
    unknown = [
        f"{path}:{line}: {found.group()}"
        for path, line, _, found in places
        if "{" not in found.group() and found.group() not in EVERY
    ]
    assert unknown == []


def test_an_option_named_with_its_command_is_one_of_that_command(places):
    wrong = []
    for path, line, text, found in places:
        before = re.findall(r"\bvael ([a-z]+)\b", text[: found.start()])
        if (
            before
            and before[-1] in OPTIONS
            and "{" not in found.group()
            and found.group() not in OPTIONS[before[-1]] | ALWAYS
        ):
            wrong.append(f"{path}:{line}: vael {before[-1]} has no {found.group()}")
    assert wrong == []


def test_the_library_names_options_beside_what_python_takes(places):
    """Whoever calls from Python reads what to do first, and the option in brackets or in a whole command."""
    bare = []
    for path, line, text, found in places:
        if path.parts[0] in ("cli", "options"):
            continue
        before = text[: found.start()]
        inside = before.count("(") > before.count(")") or before.count("`") % 2 == 1
        if not inside:
            bare.append(f"{path}:{line}: {found.group()} in {text[:120]!r}")
    assert bare == []


CLI = sorted((SOURCE / "cli").rglob("*.py"))


def lookups(tree):
    """Where an option is asked for by a string: `options.get("...")`, `options["..."]`, `vars(...)`, `getattr`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name, words = ast.unparse(node.func), [one for one in node.args if isinstance(one, ast.Constant)]
            first = node.args[:1] and ast.unparse(node.args[0])
            if re.search(r"(options|given|asked)\.(get|pop)$", name) and words:
                yield ast.unparse(node)
            if name in ("vars", "getattr") and re.search(r"\b(options|given|asked)\b", str(first)):
                yield ast.unparse(node)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("options", "given", "asked"):
            yield from [ast.unparse(node)] if isinstance(getattr(node.slice, "value", None), str) else []


def test_no_option_is_asked_for_by_a_string():
    found = {path.name: list(lookups(tree_of(path))) for path in CLI}
    assert {name: calls for name, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "code",
    ['options.get("json")', 'options["run"]', 'vars(given)["x"]', "getattr(options, name)", 'asked.pop("where")'],
)
def test_the_check_of_strings_sees(code):
    assert len(list(lookups(ast.parse(code)))) == 1


def test_every_command_takes_a_record_of_its_own():
    """Frozen, with a declaration at every field; nothing else decides what the parser takes."""
    assert len(set(RECORDS.values())) == len(RECORDS)
    for command, record in RECORDS.items():
        assert record.__dataclass_params__.frozen
        assert issubclass(record, CommandOptions)
        parameters = inspect.signature(COMMANDS[command].function(command)).parameters
        assert {name: one.annotation for name, one in parameters.items()} == {"options": record.__name__}
        assert list(options_of(record))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_every_option_within_eighty_columns(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([command, "--help"]) == 0
    page = capsys.readouterr().out
    shown = " ".join(page.split())
    for one in options_of(RECORDS[command]):
        names = [] if one.option.placed else one.names
        for said in (*names, one.option.takes or "", " ".join(one.about.split())):
            assert said in shown, (command, one.name, said)
    usage, *_ = page.split("\n\n")
    assert max(map(len, page.removeprefix(usage).splitlines())) < 80


def test_the_first_page_fits_into_eighty_columns_and_says_a_line_for_each_command(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) < 80
    for name, command in COMMANDS.items():
        assert f"  {name:<12} {command.summary}\n" in page


def test_what_can_be_asked_of_training_are_the_options_of_train():
    """One name in Python and on the command line; what was not given is not asked for."""
    assert {one.name for one in options_of(AskedOptions)} == {one.name for one in fields(Request)}
    assert AskedOptions().named == {}


def parts_at(path):
    """Every part that may stand at a path of a run, whatever the recipe."""
    families = {"model": ModelPart, "algorithm": AlgorithmPart, "network": NetworkPart}
    families |= {"objective": ObjectivePart, "optimizer": OptimizerPart}
    return members(families[path.rpartition(".")[2]]).values()


@pytest.mark.parametrize("path", LEAVES.values())
def test_the_leaf_of_an_option_is_one_that_parts_have(path):
    """A field of theirs that is renamed takes its option along."""
    home, _, name = path.rpartition(".")
    assert [part for part in parts_at(home) if name in part.model_fields]


def test_what_a_recipe_may_miss_has_an_option():
    """Leaves are named as options in messages."""
    assert {f"--{name.replace('_', '-')}" for name in LEAVES} <= OPTIONS["train"]
