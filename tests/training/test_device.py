"""What the machine can do decides the precision only where neither the settings nor the environment do; in these
tests, never.
"""

import io
import os
from dataclasses import fields

import pytest
import torch
from test_loop import SETTINGS, algorithm, splits
from torch import nn

from vael.data import Source
from vael.errors import StateError
from vael.evaluation.examples import batch_at
from vael.networks import Moving
from vael.training import Settings, encoded
from vael.training.device import (
    PRECISIONS,
    WORTH_COMPILING,
    automatic_compilation,
    automatic_precision,
    has_bf16_units,
    has_compiler,
    usable,
    work_per_example,
)
from vael.training.order import Order
from vael.training.settings import NOMINAL_SPEED, resolve
from vael.training.stepping import Stepping
from vael.training.validation import Validation

CPU = torch.device("cpu")


@pytest.mark.parametrize("asked", ["abacus", "cpu:7:7", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_with_the_reason_that_pytorch_gives(asked):
    with pytest.raises(StateError, match=f"device {asked} cannot be used") as refused:
        usable(asked)
    assert str(refused.value.__cause__).splitlines()[0] in str(refused.value)


@pytest.mark.parametrize(("there", "chosen"), [(False, "cpu"), (True, "cuda")])
def test_where_no_device_is_asked_for_it_is_the_graphics_card_if_there_is_one(monkeypatch, there, chosen):
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    monkeypatch.setattr("torch.empty", lambda size, device: None)
    assert usable(None) == torch.device(chosen)
    assert usable("cpu") == usable(CPU) == CPU


@pytest.mark.parametrize("units", [True, False])
def test_the_units_of_the_machine_decide_where_nothing_else_does(monkeypatch, units):
    asked = []
    monkeypatch.delenv("VAEL_PRECISION")
    monkeypatch.setattr("vael.training.device.has_bf16_units", lambda device: asked.append(device) or units)
    precision, why = automatic_precision(CPU)
    assert precision == (torch.bfloat16 if units else torch.float32)
    assert ("no bf16" in why) is not units
    resolved = resolve(Settings(epochs=1, device="cpu"), torch.nn.Linear(2, 2), 10)
    assert (resolved.world.precision, why in resolved.reasons[0]) == (precision, True)
    assert asked == [CPU, CPU]


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


class Asked(Exception):
    """What a source that lies elsewhere was asked for."""


class Elsewhere(Source):
    """Data on a device of their own, of which no example can be had here."""

    def batch(self, index, noise=None):
        raise Asked(index.device.type)


def elsewhere() -> Source:
    known = splits().train
    return Elsewhere(**{**{one.name: getattr(known, one.name) for one in fields(known)}, "x": known.x.to("meta")})


def a_step():
    ascent = algorithm()
    going = Stepping(ascent, splits().train, Order(150, 32, 5), resolve(SETTINGS, ascent.model, 150))
    going.data = elsewhere()
    return going.take(0, 0.0)


def a_judgement():
    ascent = algorithm()
    resolved = resolve(SETTINGS, ascent.model, 150)
    return Validation(ascent, elsewhere(), resolved).judge(ascent.init(splits().train, resolved.world), 0)


@pytest.mark.parametrize(
    "ask",
    [
        a_step,
        a_judgement,
        lambda: encoded(algorithm().model, elsewhere()),
        lambda: batch_at(elsewhere(), range(3), 0, torch.zeros(1)),
    ],
    ids=["a step", "a judgement", "codes", "an evaluation"],
)
def test_examples_are_asked_for_where_the_data_are(ask):
    """Numbers of examples go to the device of the data, wherever the model is."""
    with pytest.raises(Asked, match="meta"):
        ask()
