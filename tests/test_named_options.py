"""Every option that a message, a help text or a page names is one that the command it is for takes."""

import ast
import re
from pathlib import Path

import vael
from vael.cli.main import COMMANDS
from vael.cli.options.declaring import record_of
from vael.cli.options.parser import Parser
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


RECORDS = {command: record_of(COMMANDS[command].function(command)) for command in COMMANDS}


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
        for line, text in texts(ast.parse(path.read_text())):
            if path.name == "style.py":
                continue
            for found in OPTION.finditer(text):
                yield path.relative_to(SOURCE), line, text, found


FOUND = list(named())


def test_there_is_something_to_look_at():
    assert len(FOUND) > 100
    assert {"--on-error", "--test", "--proposal"} <= {found.group() for *_, found in FOUND}


def test_every_option_that_is_named_exists():
    unknown = [
        f"{path}:{line}: {found.group()}"
        for path, line, _, found in FOUND
        if "{" not in found.group() and found.group() not in EVERY
    ]
    assert unknown == []


def test_an_option_named_with_its_command_is_one_of_that_command():
    wrong = []
    for path, line, text, found in FOUND:
        before = re.findall(r"\bvael ([a-z]+)\b", text[: found.start()])
        if (
            before
            and before[-1] in OPTIONS
            and "{" not in found.group()
            and found.group() not in OPTIONS[before[-1]] | ALWAYS
        ):
            wrong.append(f"{path}:{line}: vael {before[-1]} has no {found.group()}")
    assert wrong == []


def test_the_library_names_options_beside_what_python_takes():
    """Whoever calls from Python reads what to do first, and the option in brackets or in a whole command."""
    bare = []
    for path, line, text, found in FOUND:
        if path.parts[0] == "cli":
            continue
        before = text[: found.start()]
        inside = before.count("(") > before.count(")") or before.count("`") % 2 == 1
        if not inside:
            bare.append(f"{path}:{line}: {found.group()} in {text[:120]!r}")
    assert bare == []


def test_what_a_recipe_may_miss_has_an_option():
    """Leaves are named as options in messages."""
    assert {f"--{name.replace('_', '-')}" for name in LEAVES} <= OPTIONS["train"]
