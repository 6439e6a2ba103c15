"""Modules that moved are found under their old names, and are the same ones."""

import importlib
import importlib.util
import subprocess
import sys

import pytest

from vael.moved import MOVED, SHELVES


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_gives_the_module_of_the_new_one(old):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=rf"{old} is {MOVED[old]} now"):
        found = importlib.import_module(old)
    new = importlib.import_module(MOVED[old])
    assert new.__spec__.name == MOVED[old]
    if old in SHELVES:
        assert all(getattr(found, name) is value for name, value in vars(new).items() if not name.startswith("__"))
    else:
        assert found is new


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_hides_nothing_that_its_package_offers(old):
    """Python sets a module that is imported as an attribute of its package."""
    package, _, name = old.rpartition(".")
    assert name not in getattr(importlib.import_module(package), "__all__", ())


def test_what_never_was_is_not_found():
    for name in ("vael.data.nothing", "vael.nothing", "vael.evaluation.nothing"):
        assert importlib.util.find_spec(name) is None


def test_programs_of_before_run():
    """As they were written, in a process of their own: nothing is imported before."""
    program = (
        "from vael.data.images import Images, read_folder\nfrom vael.data.tables import read_table\n"
        "from vael.data.text import read_text\nfrom vael.evaluation.efficacy import efficacy\n"
        "from vael.report.synthetic_verdict import learned_from\nfrom vael.models.heads import BernoulliHead\n"
        "from vael.applications.compression.archive import *\nimport vael.models as models\n"
        "assert models.BernoulliHead is BernoulliHead"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
