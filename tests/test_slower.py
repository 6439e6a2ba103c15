"""What `make test` leaves to `make slow`: every line names tests that exist, and each law stays with one that runs."""

import ast
from functools import cache

import pytest

from slower import HERE, MOVED, OTHERS, is_moved, place_of


@cache
def functions_in(file):
    return {node.name for node in ast.parse((HERE / file).read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_line_names_a_test_and_one_that_stays():
    for file, lines in MOVED.items():
        for line in lines:
            assert line.test == "*" or line.test in functions_in(file), (file, line.test)
            place, _, name = (file, "", line.test) if line.stays == OTHERS else line.stays.partition("::")
            assert name == "*" or name in functions_in(place), line.stays
            assert not is_moved(place, name, ""), f"{line.stays} is moved as well"


def test_members_are_moved_and_the_others_stay():
    file, test = "training/test_loop_on_linear_models.py", "test_a_trained_linear_vae_reaches_ppca_from_below"
    assert is_moved(file, test, "sampled")
    assert not is_moved(file, test, "closed-form")
    assert not is_moved("training/test_loop.py", test, "sampled")


def test_what_is_moved_has_the_mark_before_it_is_chosen(request):
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    assert items
    for item in items:
        assert not is_moved(*place_of(item)) or item.get_closest_marker("slow")
