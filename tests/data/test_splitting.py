"""The test split as validation split, as textbooks have it: nothing is lost, and every figure says so."""

import numpy as np
import pytest

import vael
from vael.data import load
from vael.data.splitting import ValidateOn
from vael.errors import StateError


def test_all_else_is_for_training_and_the_note_is_there():
    usual, found = load("digits"), load("digits", validation=ValidateOn.TEST)
    assert (len(found.train), len(found.validation), len(found.test)) == (1617, 180, 180)
    assert len(found.train) == len(usual.train) + len(usual.validation)
    assert found.validation.fingerprint == found.test.fingerprint == usual.test.fingerprint
    for source in (found.train, found.validation, found.test):
        assert any("test split was the validation split" in note for note in source.notes)


def test_too_few_are_refused(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros((1, 2)))
    with pytest.raises(StateError, match="too few"):
        load(tmp_path / "one.npy", validation=ValidateOn.TEST)


def test_a_run_keeps_it_and_reads_its_data_again(tmp_path):
    options = {"latent": 2, "hidden": (8,), "epochs": 1, "precision": "float32", "compile": False, "callbacks": ()}
    run = vael.train("digits", validation="test", run=tmp_path / "run", **options)
    again = vael.load(tmp_path / "run")
    assert again.spec.data.validation == "test"
    assert len(again.splits().train) == 1617
    assert any("validation split" in note for note in run.spec.data.notes)
