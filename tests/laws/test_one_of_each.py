"""Counts that are said to people have nouns in the right number: no "1 rows"."""

import ast
from pathlib import Path

import pytest

import vael
from sources import tree_of

SOURCE = Path(vael.__file__).parent
ROOMS = (
    "cli/scoring.py",
    "cli/listing.py",
    "cli/wording.py",
    "cli/progress.py",
    "cli/training.py",
    "report",
    "training/lines.py",
    "data/files/images.py",
)
PLURALS = (
    "examples",
    "rows",
    "files",
    "cells",
    "columns",
    "images",
    "steps",
    "epochs",
    "latents",
    "draws",
    "samples",
    "pixels",
    "blocks",
    "parameters",
    "sizes",
)
FILES = sorted(
    path for room in ROOMS for path in ([SOURCE / room] if room.endswith(".py") else (SOURCE / room).glob("*.py"))
)
ALLOWED = (  # counts that are never one there, or are part of a share
    "limited",
    "_limited",
    "column_name",
    "latent_maps",
    "_umap",
    "unused",
    "told_apart",
    "not_told_apart",
    "samples",
    "manifold",
    "correlation",
    "sentences",
    "written",
    "tick",
    "row",
    "_warn",
    "images",
    "_channels",
    "of_sizes",
    "_facts",
)


def counts(path):
    """(function, noun) of every formatted number that is followed by a plural without passing through `counted`,
    messages of errors left out.
    """
    tree = tree_of(path)
    raised = {id(node) for one in ast.walk(tree) if isinstance(one, ast.Raise) for node in ast.walk(one)}
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for text in ast.walk(function):
            if not isinstance(text, ast.JoinedStr) or id(text) in raised:
                continue
            for value, after in zip(text.values, text.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                    words = str(after.value).split()
                    noun = next((word.strip(".,;:)") for word in words[:2] if word.strip(".,;:)") in PLURALS), None)
                    beside = str(after.value).startswith(" ")
                    if (
                        noun
                        and beside
                        and isinstance(value.value, (ast.Name, ast.Attribute, ast.Call))
                        and not ast.unparse(value.value).isupper()
                    ):
                        yield function.name, ast.unparse(value.value), noun


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_plural_stands_behind_a_bare_count(path):
    found = [one for one in counts(path) if not one[1].startswith("counted(") and one[0] not in ALLOWED]
    assert found == []
