"""Laws of every optimiser of `torch.optim` that takes a gradient: vael's step is PyTorch's, to the last bit, what is
skipped changes nothing, and a run that was killed goes on as if nothing had happened.
"""

import inspect
import math
import os
import signal
from dataclasses import replace

import pytest
import torch

from vael.data import Kind, Source, Splits
from vael.errors import StateError
from vael.inference import SGD, Adagrad, Adam, AdamW, GradientAscent, Guard, Moment, Optimizer, RMSprop, World
from vael.inference.steps import Climb, Step, length
from vael.models import BernoulliHead
from vael.objectives import ELBO
from vael.probability import Stream
from vael.recipes import dense
from vael.training import Callback, Keep, Settings, run
from vael.training.checkpoint import read_tensors, write_tensors

NAMED = {
    "AdamW": AdamW(0.01, weight_decay=0.1),
    "Adam": Adam(0.01),
    "RMSprop": RMSprop(0.01),
    "RMSprop, centred": RMSprop(0.01, decay=0.9, centered=True),
    "Adagrad": Adagrad(0.02),
    "SGD": SGD(0.02),
    "SGD with momentum": SGD(0.02, momentum=0.9, nesterov=True),
}
REST = {  # of torch.optim, and options that change what the first step or the state is
    "AdamW, amsgrad": Optimizer(torch.optim.AdamW, 0.01, {"amsgrad": True}),
    "AdamW, one by one": Optimizer(torch.optim.AdamW, 0.01, {"foreach": False}),
    "RMSprop with momentum": Optimizer(torch.optim.RMSprop, 0.01, {"momentum": 0.5}),
    "SGD, damped": Optimizer(torch.optim.SGD, 0.02, {"momentum": 0.9, "dampening": 0.5}),
    **{
        kind.__name__: Optimizer(kind, 0.01)
        for kind in (
            torch.optim.Adadelta,
            torch.optim.Adafactor,
            torch.optim.Adamax,
            torch.optim.ASGD,
            torch.optim.NAdam,
            torch.optim.RAdam,
            torch.optim.Rprop,
        )
    },
}
EVERY = {**NAMED, **REST}
EACH = pytest.mark.parametrize("optimizer", EVERY.values(), ids=EVERY)
FUSED = pytest.mark.parametrize(
    "optimizer",
    [one for one in EVERY.values() if one.may_fuse],
    ids=[name for name, one in EVERY.items() if one.may_fuse],
)
QUIET = Guard(clip=1e12, spike=1e12)
EVENT = (1, 3, 4)
STEPS = 12


def dots(examples=40, seed=0):
    x = (torch.rand(examples, *EVENT, generator=torch.Generator().manual_seed(seed)) < 0.3).to(torch.uint8)
    return Source("dots", x, Kind.BINARY, f"dots-{examples}-{seed}")


def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return dense(EVENT, BernoulliHead(), latent=2, hidden=(5,))


def moment(step):
    return Moment(step / STEPS, 1 - step / (2 * STEPS), Stream(torch.Generator().manual_seed(step)), 16)


def batch(step):
    return dots().batch((torch.arange(16) + step) % 40)


def test_no_optimiser_of_pytorch_is_forgotten():
    """Each that can step on these parameters by a gradient stands in the table."""
    kinds = {kind for _, kind in inspect.getmembers(torch.optim, inspect.isclass) if kind is not torch.optim.Optimizer}
    refused = {torch.optim.LBFGS, torch.optim.SparseAdam, torch.optim.Muon}
    assert {one.kind for one in EVERY.values()} == kinds - refused


@EACH
def test_a_step_is_pytorchs_to_the_last_bit(optimizer):
    """Float32, eager, with a learning rate that changes and a guard that does nothing; parameters and state."""
    ascent = GradientAscent(model(), optimizer=optimizer, guard=QUIET)
    state = ascent.init(dots(), World())
    other = model()
    named = dict(other.named_parameters())
    fused = {"fused": True} if optimizer.may_fuse else {}
    plain = optimizer.kind(named.values(), lr=optimizer.learning_rate, **optimizer.options, **fused)
    for step in range(STEPS):
        ascent.step(state, batch(step), moment(step))
        plain.param_groups[0]["lr"] = optimizer.learning_rate * moment(step).rate
        plain.zero_grad()
        objective = ELBO()
        terms = other(batch(step), generator=moment(step).noise, requires=objective.requires)
        (objective(terms).surrogate.sum() * (-1 / 16)).backward()
        plain.step()
    assert all(torch.equal(a, named[name]) for name, a in zip(state.names, state.parameters, strict=True))
    kept = {
        f"optimizer.{key}.{name}": value
        for name, p in named.items()
        for key, value in plain.state[p].items()
        if value is not None
    }
    mine = state.updates.tensors()
    assert mine.keys() == kept.keys() == state.updates.wanted().keys()
    assert all(torch.equal(mine[name], kept[name]) for name in kept)
    assert not all(torch.equal(a, b) for a, b in zip(state.parameters, model().parameters(), strict=True))


@EACH
def test_steps_that_are_undone_leave_no_trace(optimizer):
    """As a rehearsal is undone: what a first step does differently it does again."""
    found = []
    for rehearsed in (0, 3):
        ascent = GradientAscent(model(), optimizer=optimizer)
        state = ascent.init(dots(), World())
        kept = {name: tensor.clone() for name, tensor in state.tensors().items()}
        for step in range(rehearsed):
            ascent.step(state, batch(step + 5), moment(step + 5))
        state.load(kept)
        assert state.tensors().keys() == kept.keys()
        for step in range(4):
            ascent.step(state, batch(step), moment(step))
        found.append(state.tensors())
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@EACH
def test_a_step_that_is_skipped_changes_nothing(optimizer):
    state = GradientAscent(model(), optimizer=optimizer).init(dots(), World())
    step = Step(state.apply.gradients, state, optimizer.learning_rate, Guard())
    for broken in (True, False, True):  # before there is a state, and after
        before = {name: tensor.clone() for name, tensor in state.tensors().items()}
        gradients = [torch.full_like(p, math.nan if broken else 0.1) for p in state.parameters]
        climb = Climb(torch.tensor(0.0), torch.ones(4), gradients)
        step._in_step(climb, length(gradients), moment(0))
        if broken:
            assert state.tensors().keys() == before.keys()
            same = [torch.equal(tensor, before[name]) for name, tensor in state.tensors().items() if name != "guard"]
            assert all(same)


@FUSED
def test_a_device_that_runs_ahead_makes_the_moves_of_the_processor(optimizer):
    """Norms that are usual, clipped, broken, usual, leaping, usual: parameters, state, totals, steps and the guard's
    memory agree.
    """
    guard = Guard(settle=2, spike=50.0, decay=0.5)
    states = [GradientAscent(model(), optimizer=optimizer, guard=guard).init(dots(), World()) for _ in "ab"]
    steps = [Step(state.apply.gradients, state, optimizer.learning_rate, guard) for state in states]
    generator = torch.Generator().manual_seed(0)
    shapes = [p.shape for p in states[0].parameters]
    skipped = []
    for place, size in enumerate((1.0, 1.0, 10.0, math.nan, 1.0, 1e4, 2.0)):
        gradients = [size * torch.randn(shape, generator=generator) for shape in shapes]
        norm = length(gradients)
        climbs = [
            Climb(torch.tensor(0.0), torch.tensor([-3.0, 2.0, 1.0, 8.0]), [g.clone() for g in gradients]) for _ in "ab"
        ]
        ahead = steps[1]._ahead if place else steps[1]._in_step  # the first step makes the state
        with torch.no_grad():
            a, b = steps[0]._in_step(climbs[0], norm, moment(0)), ahead(climbs[1], norm, moment(0))
        assert torch.equal(a, b)
        skipped.append(bool(b[3] == 0))
        for name, mine in states[0].tensors().items():
            torch.testing.assert_close(
                states[1].tensors()[name], mine, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
            )
    assert skipped == [False, False, False, True, False, True, False]
    assert int(states[1].steps) == 5


def test_only_what_is_fused_and_started_skips_by_itself():
    for optimizer in (AdamW(), RMSprop()):
        state = GradientAscent(model(), optimizer=optimizer).init(dots(), World())
        gradients = [torch.ones_like(p) for p in state.parameters]
        with pytest.raises(StateError, match="skip a step by itself"):
            state.updates(gradients, 0.1, None, torch.tensor(1.0))


# runs

SETTINGS = Settings(epochs=4, batch=16, seed=2, compiled=False)


class KillAt(Callback):
    def __init__(self, step):
        self.step = step

    def row(self, row):
        if row.step >= self.step and row.split == "train":
            os.kill(os.getpid(), signal.SIGTERM)


def splits():
    return Splits(dots(50), dots(20, 1), None)


def state_of(folder):
    return read_tensors(folder / "checkpoint" / "state.safetensors")[0]


# In the quick tests each form of a state once: fused moments, a buffer that begins empty, an average of gradients
# beside, one tensor alone, factors of rows and columns, a product that decays, signs of before, averages of weights.
# The others hold the same tensors by other names; that a step of theirs is undone without a trace is tested of all.
RESUMED = {"AdamW", "SGD, damped", "RMSprop, centred", "Adagrad", "Adafactor", "NAdam", "Rprop", "ASGD"}
WITH_AVERAGES = [  # and without them, which leaves out tensors and adds none, one in the quick tests
    pytest.param(
        one, ema, id=f"{ema}-{name}", marks=() if name in (RESUMED if ema else {"AdamW"}) else pytest.mark.slow
    )
    for ema in (0.9, 0.0)
    for name, one in EVERY.items()
]


@pytest.mark.parametrize(("optimizer", "ema"), WITH_AVERAGES)
def test_a_run_that_is_stopped_and_resumed_ends_in_the_same_bits(tmp_path, optimizer, ema):
    def ascent():
        return GradientAscent(model(), optimizer=optimizer, ema=ema)

    whole = run(ascent(), splits(), SETTINGS, folder=tmp_path / "whole")
    half = run(ascent(), splits(), SETTINGS, folder=tmp_path / "half", callbacks=[KillAt(5)])
    assert half.interrupted
    assert 0 < half.steps < whole.steps
    run(ascent(), splits(), SETTINGS, folder=tmp_path / "half", resume=True)
    first, second = state_of(tmp_path / "whole"), state_of(tmp_path / "half")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_that_is_stopped_before_its_first_step_can_be_resumed(tmp_path):
    class AtOnce(Callback):
        def plan(self, plan):
            os.kill(os.getpid(), signal.SIGTERM)

    def ascent():
        return GradientAscent(model(), optimizer=SGD(0.02, momentum=0.9))

    none = run(ascent(), splits(), SETTINGS, folder=tmp_path / "none", callbacks=[AtOnce()])
    assert none.steps == 0
    run(ascent(), splits(), SETTINGS, folder=tmp_path / "none", resume=True)
    run(ascent(), splits(), SETTINGS, folder=tmp_path / "whole")
    first, second = state_of(tmp_path / "whole"), state_of(tmp_path / "none")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_last_weights_are_kept_where_they_are_asked_for(tmp_path, ema):
    """A learning rate that is far too high at the end makes the best weights others."""
    settings = replace(SETTINGS, epochs=6, schedule=lambda share: 1.0 if share < 0.5 else 3000.0)
    fits = {
        keep: run(
            GradientAscent(model(), optimizer=AdamW(0.001), ema=ema),
            splits(),
            replace(settings, keep=keep),
            folder=tmp_path / keep.name,
        )
        for keep in Keep
    }
    best, last = fits[Keep.BEST], fits[Keep.LAST]
    assert best.kept_step == best.best_step == last.best_step < last.kept_step == last.steps
    state = state_of(tmp_path / "LAST")
    group = "averaged" if ema else "parameter"
    for name, weight in last.model.named_parameters():
        assert torch.equal(weight, state[f"{group}.{name}"])
    assert not all(torch.equal(a, b) for a, b in zip(best.model.parameters(), last.model.parameters(), strict=True))
    saved, facts = read_tensors(tmp_path / "LAST" / "model.safetensors")
    assert facts["step"] == last.steps
    assert all(torch.equal(saved[name], weight) for name, weight in last.model.named_parameters())


def test_a_checkpoint_of_another_optimiser_or_of_another_version_is_refused(tmp_path):
    run(GradientAscent(model()), splits(), SETTINGS, folder=tmp_path, callbacks=[KillAt(5)])
    with pytest.raises(StateError, match=r"optimizer.*start a new run"):
        run(GradientAscent(model(), optimizer=RMSprop()), splits(), SETTINGS, folder=tmp_path, resume=True)
    path = tmp_path / "checkpoint" / "state.safetensors"
    tensors, facts = read_tensors(path)
    del facts["layout"]
    write_tensors(path, tensors, facts)
    with pytest.raises(StateError, match=r"another version of vael.*new run"):
        run(GradientAscent(model()), splits(), SETTINGS, folder=tmp_path, resume=True)
