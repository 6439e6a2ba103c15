"""Where an option stands among the other words of a command line does not matter, for every command."""

import importlib

import pytest

from vael.cli.main import COMMANDS
from vael.cli.parser import Parser


def parser_of(name):
    parser = Parser(name, COMMANDS[name].summary)
    getattr(importlib.import_module(f"vael.cli.{COMMANDS[name].module}"), f"{name}_options")(parser)
    parser.option("-q", "--quiet", action="store_true")
    return parser


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_may_stand_anywhere(name):
    parser = parser_of(name)
    plain = [action for action in parser._actions if not action.option_strings]
    words = [
        next(iter(action.choices)) if action.choices else "word"
        for action in plain
        for _ in range(action.nargs if isinstance(action.nargs, int) else 1)
    ]
    found = [vars(parser.read([*words[:place], "-q", *words[place:]])) for place in range(len(words) + 1)]
    assert all(one == found[0] for one in found)
    assert found[0]["quiet"]
