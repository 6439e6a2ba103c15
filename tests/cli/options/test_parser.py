import pytest

from vael.cli.main import COMMANDS
from vael.cli.options.parser import ELSEWHERE, Parser, meant

TRAIN = ("--run", "--latent", "--beta", "--device", "--quiet", "--id", "--importance-samples", "--samples", "--debug")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("--out", "--run"),
        ("--output", "--run"),
        ("--gpu", "--device"),
        ("--z-dim", "--latent"),
        ("--latnet", "--latent"),
        ("--kl-weight", "--beta"),
        ("latent", "--latent"),
        ("--K", "--importance-samples"),
    ],
)
def test_a_word_of_other_programs_and_a_slip_name_the_option_that_was_meant(word, name):
    assert meant(word, TRAIN) == f"; did you mean {name}?"


@pytest.mark.parametrize("word", ["--data", "--input", "--xyz", "big/001.png"])
def test_dashes_in_common_are_no_likeness(word):
    assert meant(word, TRAIN) == ""


def test_every_word_of_other_programs_leads_to_an_option_that_some_command_has():
    records = [command.record(name) for name, command in COMMANDS.items()]
    names = {name for record in records for name in Parser("any", "", record).names}
    assert {word for word, ours in ELSEWHERE.items() if not any(f"--{one}" in names for one in ours)} == set()
    assert {one for ours in ELSEWHERE.values() for one in ours if f"--{one}" not in names} == set()
