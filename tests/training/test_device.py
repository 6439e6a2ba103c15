"""What the machine can do decides the precision only where neither the settings nor the environment do; in these
tests, never.
"""

import io
import os

import pytest
import torch
from torch import nn

from vael.errors import StateError
from vael.networks import Moving
from vael.training import Settings
from vael.training.device import (
    PRECISIONS,
    WORTH_COMPILING,
    automatic_compilation,
    automatic_precision,
    has_bf16_units,
    has_compiler,
    work_per_example,
)
from vael.training.settings import NOMINAL_SPEED, resolve

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


@pytest.mark.parametrize(
    ("flags", "has"),
    [("fpu amx_bf16", True), ("avx512_bf16 fpu", True), ("fpu avx512f avx512_bf16x", False), ("", False)],
)
def test_the_units_of_a_processor_are_among_its_flags(monkeypatch, flags, has):
    text = f"model name\t: amx_bf16\nflags\t\t: {flags}\nbugs\t: avx512_bf16\nflags\t: amx_bf16\n"
    monkeypatch.setattr("vael.training.device.open", lambda path: io.StringIO(text), raising=False)
    assert has_bf16_units(CPU) is has


@pytest.mark.parametrize("text", ["", "model name : amx_bf16\n", None])
def test_a_processor_that_says_nothing_of_its_flags_has_no_units(monkeypatch, text):
    def opened(path):
        if text is None:
            raise FileNotFoundError(path)
        return io.StringIO(text)

    monkeypatch.setattr("vael.training.device.open", opened, raising=False)
    assert has_bf16_units(CPU) is False


@pytest.mark.parametrize(("capability", "has"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_the_units_of_a_graphics_card_are_known_by_its_capability(monkeypatch, capability, has):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    assert has_bf16_units(torch.device("cuda")) is has


@pytest.mark.parametrize(
    ("there", "named", "has"),
    [("", None, False), ("g++", None, True), ("clang++", None, True), ("icpx", "icpx", True), ("icpx", None, False)],
)
def test_a_compiler_is_any_of_those_that_pytorch_tries(monkeypatch, there, named, has):
    monkeypatch.delenv("CXX", raising=False)
    if named:
        monkeypatch.setenv("CXX", named)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}" if name == there else None)
    assert has_compiler(CPU) is has


class Book(nn.Linear, Moving):
    """Layers with a part that moves."""


@pytest.mark.parametrize(
    ("layers", "there", "device", "times", "compiled", "says"),
    [
        (nn.Linear(3, 4), True, "cpu", 1.01, True, "long enough"),
        (nn.Linear(3, 4), True, "cpu", 0.99, False, "too short"),
        (nn.Linear(3, 4), False, "cpu", 1.01, False, "no C"),
        (Book(3, 4), True, "cpu", 1.01, False, "code book"),
        (nn.Conv2d(1, 1, 3), True, "cpu", 1.01, False, "convolutions"),
        (nn.ConvTranspose2d(1, 1, 3), True, "cpu", 1.01, False, "convolutions"),
        (nn.Conv2d(1, 1, 3), True, "cuda", 1.01, True, "long enough"),
        (nn.Conv2d(1, 1, 3), True, "cuda", 0.99, False, "too short"),
    ],
)
def test_a_step_is_compiled_where_that_pays(monkeypatch, layers, there, device, times, compiled, says):
    monkeypatch.setattr("vael.training.device.has_compiler", lambda device: there)
    found, why = automatic_compilation(torch.device(device), layers, times * WORTH_COMPILING / work_per_example(layers))
    assert found is compiled
    assert says in why
    assert why.startswith("compiled" if compiled else "eager")


def test_a_step_takes_six_operations_a_weight_an_example():
    """Forward, and twice as much backward, of two operations each."""
    assert work_per_example(nn.Linear(3, 4)) == 6 * 16
    assert work_per_example(nn.ReLU()) == 1


@pytest.mark.parametrize(
    ("settings", "examples"),
    [
        (Settings(epochs=7), 700),
        (Settings(epochs=None, time_limit=3.0), 3.0 * NOMINAL_SPEED / 96),
        (Settings(epochs=7, time_limit=1e9), 700),
        (Settings(epochs=10**9, time_limit=3.0), 3.0 * NOMINAL_SPEED / 96),
    ],
)
def test_compilation_is_decided_by_the_examples_that_the_run_will_see(monkeypatch, settings, examples):
    """Of epochs and a time limit, by whichever ends the run first; several processes never compile."""
    monkeypatch.setattr(
        "vael.training.settings.automatic_compilation",
        lambda device, model, seen: asked.append(seen) or (True, "compiled"),
    )
    asked = []
    assert resolve(settings, nn.Linear(3, 4), 100).world.compiled
    assert asked == [pytest.approx(examples)]
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not resolve(settings, nn.Linear(3, 4), 100).world.compiled
