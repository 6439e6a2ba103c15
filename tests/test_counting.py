"""Counts with their nouns."""

import doctest

import pytest

from vael import counting
from vael.counting import counted


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (2, "row", "2 rows"),
        (1234, "training example", "1,234 training examples"),
        (1, "training example", "1 training example"),
        (2, "copy", "2 copies"),
        (3, "day", "3 days"),
        (2, "batch", "2 batches"),
        (2, "axis", "2 axes"),
        (40, "epoch", "40 epochs"),
        (2, "class", "2 classes"),
    ],
)
def test_the_noun_has_the_number_of_the_count(count, noun, said):
    assert counted(count, noun) == said


def test_a_plural_of_its_own_can_be_given():
    assert counted(2, "datum", "data") == "2 data"
    assert counted(1, "datum", "data") == "1 datum"


def test_examples_of_the_documentation_run():
    assert doctest.testmod(counting).failed == 0
