"""Names that may have been meant: one slip finds a name, and a word that means something else finds none."""

import pytest
from pydantic import BaseModel

from vael.nearest import SLIP, did_you_mean, hint, nearest
from vael.parts import Part
from vael.specs.leaves import in_family, leaves
from vael.specs.recipes import RECIPES


def names_of_leaves():
    recipes = [RECIPES[name]() for name in RECIPES]
    trees = [tree for one in recipes for tree in (one.model, one.algorithm)]
    return sorted({path.rpartition(".")[2] for tree in trees for path, _ in leaves(tree)} - {"kind"})


def slips(word):
    """One letter left out, doubled or exchanged for its neighbour."""
    for place in range(1, len(word)):
        yield word[:place] + word[place + 1 :]
        yield word[:place] + word[place] * 2 + word[place + 1 :]
        yield word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :]


@pytest.mark.parametrize("name", [name for name in names_of_leaves() if len(name) > 3])
def test_one_slip_finds_the_leaf(name):
    assert [slip for slip in slips(name) if slip != name and nearest(slip, [name], SLIP) != name] == []


# of other programs, or of other things; none is a leaf of this one
FAR = "momentum dropout width depth rate gamma units layers steps padding stride verbose shuffle metric loss".split()  # noqa: SIM905


@pytest.mark.parametrize("word", FAR)
def test_a_word_for_something_else_finds_none(word):
    """Half of the letters of some name are in nearly every word; so many are no reason to name it."""
    assert nearest(word, [name for name in names_of_leaves() if word not in name], SLIP) is None


def families(tree):
    for name in type(tree).model_fields:
        value = getattr(tree, name)
        if isinstance(value, BaseModel):
            yield value
            yield from families(value)


def test_no_part_advises_a_far_name():
    parts = {type(part): part for name in RECIPES for part in families(RECIPES[name]().model) if isinstance(part, Part)}
    assert {
        (word, said)
        for word in ("momentum", "dropout", "verbose")
        for one in parts.values()
        if (said := in_family(one, word))
    } == set()


def test_case_does_not_matter_and_a_sentence_has_its_marks():
    assert nearest("LATENT", ["Latent", "other"]) == "Latent"
    assert hint("latnet", ["latent"]) == "; did you mean latent?"
    assert did_you_mean("latnet", ["latent"]) == "did you mean latent? "
    assert hint("xyz", ["latent"]) == did_you_mean("xyz", ["latent"]) == ""
    assert nearest("x", []) is None
