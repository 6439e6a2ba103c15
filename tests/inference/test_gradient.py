"""Gradient ascent: the eager and the compiled step make the same moves, harmful steps are skipped, weights are
averaged.
"""

import math
import pathlib
import subprocess
import sys

import pytest
import torch
from torch import nn

from vael.data import Kind, Source
from vael.errors import StateError
from vael.inference import GradientAscent, Guard, Moment, World
from vael.inference.steps import length
from vael.models import VAE, BernoulliHead, Decoder, GaussianPosterior, StandardNormal
from vael.networks import Dense
from vael.probability import Stream
from vael.training.device import has_compiler

CELLS = 12


def source(bad: int | None = None) -> Source:
    x = (torch.rand(64, CELLS, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    if bad is not None:
        x[bad] = math.nan
    return Source("dots", x, Kind.BINARY, "dots")


def model(activation=nn.ReLU) -> VAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE(
            StandardNormal(3),
            Decoder(Dense((3,), (CELLS,), (8,), activation), BernoulliHead()),
            GaussianPosterior(Dense((CELLS,), (6,), (8,), activation)),
        )


def climb(ascent: GradientAscent, steps: int, world: World | None = None, data: Source | None = None, rows=range(32)):
    data = data or source()
    state = ascent.init(data, world or World())
    totals = []
    for step in range(steps):
        noise = Stream(torch.Generator().manual_seed(step))
        totals.append(
            ascent.step(state, data.batch(torch.tensor(list(rows))), Moment(step / steps, 1.0, noise, len(rows))).totals
        )
    return state, torch.stack(totals)


def test_the_captured_step_against_the_eager_one(monkeypatch):
    """The graph that is compiled, operation by operation: all that is the house's own of a compiled step."""
    from compiled_cases import test_the_compiled_step_makes_the_moves_of_the_eager_one_and_skips_what_it_skips as cases

    compiled = []

    def uncompiled(graph, inputs, options):
        compiled.append(graph)
        return graph

    monkeypatch.setattr("vael.inference.graphs.compile_graph", uncompiled)
    cases()
    assert len(compiled) == 2


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(torch.device("cpu")), reason="no C++ compiler on this machine")
def test_the_compiled_step_against_the_eager_one():
    """In a process of its own: checked annotations cannot be compiled."""
    cases = pathlib.Path(__file__).with_name("compiled_cases.py")
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", str(cases)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "1 passed" in done.stdout


def test_a_run_of_broken_gradients_is_given_up_with_advice():
    ascent = GradientAscent(model(), guard=Guard(patience=5))
    state, _ = climb(ascent, 7, data=source(bad=3))
    assert ascent.skipped(state) == 7
    with pytest.raises(StateError, match="lower the learning rate"):
        ascent.check(state)


def test_bf16_networks_keep_float32_densities_and_nearly_the_same_bound():
    _, exact = climb(GradientAscent(model()), 3)
    _, rough = climb(GradientAscent(model()), 3, World(precision=torch.bfloat16))
    assert rough.dtype == torch.float32
    torch.testing.assert_close(exact[:, 0], rough[:, 0], rtol=2e-2, atol=0.5)
    assert not torch.equal(exact, rough)


def guard_run(norms: list[float], guard: Guard) -> tuple[list[float], list[float]]:
    """Divisors and skips, by tensors and by plain numbers, which must agree."""
    memory, numbers, scales, skips = guard.start(torch.device("cpu")), [0.0] * 3, [], []
    for norm in norms:
        scale, skip = guard(torch.tensor(norm), memory)
        other_scale, other_skip, numbers = guard.decide(norm, numbers)
        assert float(skip) == other_skip
        assert other_skip or float(scale) == pytest.approx(other_scale, rel=1e-5)
        assert memory.tolist() == pytest.approx(numbers, rel=1e-5)
        scales.append(float(scale))
        skips.append(float(skip))
    return scales, skips


def test_gradients_are_clipped_to_a_multiple_of_the_running_norm():
    scales, skips = guard_run([1.0] * 30 + [8.0], Guard(clip=4.0))
    assert scales == pytest.approx([1.0] * 30 + [2.0])
    assert sum(skips) == 0


def test_a_spike_is_skipped_and_a_lasting_rise_is_not_shut_out():
    _, skips = guard_run([1.0] * 30 + [1000.0] + [1.0] * 5, Guard())
    assert [i for i, skip in enumerate(skips) if skip] == [30]
    _, skips = guard_run([1.0] * 30 + [1000.0] * 400, Guard())
    assert skips[30] == 1
    assert sum(skips[-100:]) == 0


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_broken_gradient_is_skipped_and_forgotten(broken):
    scales, skips = guard_run([1.0] * 3 + [broken] + [1.0] * 3, Guard())
    assert skips == [0, 0, 0, 1, 0, 0, 0]
    assert scales == pytest.approx([1.0] * 7)


def test_a_first_gradient_that_is_broken_does_not_set_the_running_norm():
    scales, skips = guard_run([math.nan, 2.0, 2.0], Guard())
    assert (scales, skips) == ([1.0] * 3, [1.0, 0.0, 0.0])


def still(ascent: GradientAscent, calls: int, steps: int):
    """A state of weights 0 whose averages are 1, after so many steps at a learning rate of 0; `calls` steps were
    made before.
    """
    data, noise = source(), Stream(torch.Generator().manual_seed(0))
    state = ascent.init(data, World())
    state.calls.fill_(calls)
    for parameter, average in zip(state.parameters, state.averaged, strict=True):
        parameter.data.zero_()
        average.fill_(1.0)
    for _ in range(steps):
        ascent.step(state, data.batch(torch.arange(4)), Moment(0.5, 0.0, noise, 4))
    return state


@pytest.mark.parametrize("decay", [0.9, 0.999])
def test_averages_forget_by_their_decay_a_step(decay):
    """What is left of a first value after N steps is decay^N, however seldom the average is taken."""
    ascent = GradientAscent(model(), ema=decay)
    state = still(ascent, calls=100_000, steps=48)
    assert int(state.calls) == 100_048
    for average in state.averaged:
        torch.testing.assert_close(average, torch.full_like(average, decay**48), rtol=1e-5, atol=0)
    assert all(torch.equal(a, b) for a, b in zip(ascent.weights(state).values(), state.averaged, strict=True))


def test_young_averages_are_of_the_last_steps():
    """At step t the decay is at most (1 + t) / (10 + t): of the first value (9/18)^8 (17/26)^8 (25/34)^8 is left
    after 24 steps.
    """
    state = still(GradientAscent(model(), ema=0.999), calls=0, steps=24)
    for average in state.averaged:
        torch.testing.assert_close(
            average, torch.full_like(average, (9 / 18 * 17 / 26 * 25 / 34) ** 8), rtol=1e-4, atol=0
        )


def test_without_averaging_the_weights_are_the_parameters():
    ascent = GradientAscent(model(), ema=0.0)
    state, _ = climb(ascent, 17)
    assert ascent.weights(state).keys() == dict(ascent.model.named_parameters()).keys()
    assert not any(name.startswith("averaged") for name in state.tensors())
    assert all(torch.equal(a, b) for a, b in zip(ascent.weights(state).values(), state.parameters, strict=True))


def test_the_length_of_gradients_is_their_norm():
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(shape, generator=generator) for shape in ((7, 5), (3,))]
    gradients.append(torch.randn(2, 3, 4, generator=generator).transpose(0, 2))
    torch.testing.assert_close(length(gradients), torch.nn.utils.get_total_norm(gradients))
    assert math.isnan(float(length([*gradients, torch.tensor([math.nan])])))
