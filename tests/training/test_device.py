"""What the machine can do decides the precision only where neither the settings nor the environment do; in these tests, never."""

import os

import pytest
import torch

from vael.errors import StateError
from vael.training import Settings
from vael.training.device import PRECISIONS, automatic_precision
from vael.training.settings import resolve

CPU = torch.device("cpu")


@pytest.mark.parametrize("units", [True, False])
def test_the_units_of_the_machine_decide_where_nothing_else_does(monkeypatch, units):
    monkeypatch.delenv("VAEL_PRECISION")
    monkeypatch.setattr("vael.training.device.has_bf16_units", lambda device: units)
    precision, why = automatic_precision(CPU)
    assert precision == (torch.bfloat16 if units else torch.float32)
    assert ("no bf16" in why) is not units


@pytest.mark.parametrize("name", PRECISIONS)
@pytest.mark.parametrize("units", [True, False])
def test_the_environment_decides_before_the_machine_and_the_settings_before_both(monkeypatch, name, units):
    monkeypatch.setenv("VAEL_PRECISION", name)
    monkeypatch.setattr("vael.training.device.has_bf16_units", lambda device: units)
    resolved = resolve(Settings(epochs=1), torch.nn.Linear(2, 2), 10)
    assert resolved.world.precision == PRECISIONS[name]
    assert "VAEL_PRECISION" in resolved.reasons[0]
    for asked in PRECISIONS.values():
        assert resolve(Settings(epochs=1, precision=asked), torch.nn.Linear(2, 2), 10).world.precision == asked


def test_a_name_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("VAEL_PRECISION", "half")
    with pytest.raises(StateError, match="VAEL_PRECISION is 'half'; expected float32 or bfloat16"):
        automatic_precision(CPU)


def test_no_test_leaves_its_precision_or_its_threads_to_the_machine(monkeypatch):
    """conftest.py sets both before any test is imported; processes that a test starts inherit them."""
    monkeypatch.setattr("vael.training.device.has_bf16_units", lambda device: pytest.fail("the machine was asked"))
    assert automatic_precision(CPU)[0] == PRECISIONS[os.environ["VAEL_PRECISION"]]
    assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"]) == int(os.environ["MKL_NUM_THREADS"])
