"""Where an option stands among the other words of a command line does not matter, for every command."""

import pytest

from vael.cli.main import COMMANDS
from vael.cli.options.parser import Parser
from vael.options.declaring import options_of


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_may_stand_anywhere(name):
    record = COMMANDS[name].record(name)
    parser = Parser(name, COMMANDS[name].summary, record)
    words = ["word" for one in options_of(record) if one.option.placed]
    found = [parser.read([*words[:place], "--json", *words[place:]]) for place in range(len(words) + 1)]
    assert all(one == found[0] for one in found)
    assert found[0].json
    assert found[0] != parser.read(words)
