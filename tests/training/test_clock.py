"""What a run says of itself and of its time: shares of time done, plans, ticks and rows, by a clock that the test
sets.
"""

import itertools
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from test_loop import SETTINGS, algorithm, splits

from vael.inference import World
from vael.training import Callback, Settings, run
from vael.training.clock import Clock
from vael.training.loop import Training
from vael.training.settings import resolve
from vael.training.stepping import Stepping


def training(settings: Settings, callbacks=(), folder=None) -> Training:
    ascent = algorithm()
    return Training(ascent, splits(), resolve(settings, ascent.model, 150), folder, callbacks)


@pytest.fixture(autouse=True)
def standing_still(monkeypatch):
    """A clock that shows what `shown` says, where it says anything."""
    real = Clock.elapsed.fget
    monkeypatch.setattr(Clock, "elapsed", property(lambda self: getattr(self, "shown", None) or real(self)))


def share_of(clock: Clock, elapsed: float, start: float, judging: float, step: int) -> float:
    clock.first_step, clock.validation_seconds, clock.shown = start, judging, elapsed
    clock.update(step)
    return clock.progress


def share(elapsed: float, start: float = 0.0, judging: float = 0.0, epochs: int | None = None, step: int = 3) -> float:
    """Of a run of 10 seconds, what it takes to be done."""
    going = training(replace(SETTINGS, epochs=epochs, time_limit=10.0))
    return share_of(going.clock, elapsed, start, judging, step)


def test_the_share_of_time_that_is_done():
    """From the first step to the limit, less the seconds that the last judgement will take; after a long set-up,
    half the limit at least.
    """
    assert share(2.5) == pytest.approx(0.25)
    assert share(4.0, start=2.0) == pytest.approx(0.25)
    assert share(4.0, start=2.0, judging=3.0) == pytest.approx(0.4)
    assert share(10.0, start=9.0) == pytest.approx(0.2)
    assert share(4.0, start=1.0, judging=8.0) == pytest.approx(0.6)
    assert share(99.0) == 1.0
    assert share(2.5, epochs=1) == pytest.approx(0.6)
    assert share(2.5, epochs=6) == pytest.approx(0.25)
    assert [share(2.5, step=step) for step in (0, 15, 16, 17)] == [pytest.approx(0.25)] * 4


def test_a_run_that_goes_on_is_as_far_as_it_was(tmp_path):
    """The set-up before the first step counts as little after a resume as it did before, so the rate of learning
    does not leap.
    """
    limited = replace(SETTINGS, epochs=None, time_limit=10.0)
    going = training(limited, folder=tmp_path)
    going.clock.first_step, going.clock.shown = 2.0, 6.0
    going.clock.update(0)
    going.save()
    again = training(limited, folder=tmp_path)
    again.restore()
    assert (again.clock.before, again.clock.first_step) == (6.0, 2.0)
    again.stepping.rehearse, again.clock.shown = lambda: 0.01, 6.0
    stop = threading.Event()
    stop.set()
    again.go(stop)
    assert again.clock.progress == going.clock.progress == pytest.approx(0.5)


def test_the_share_of_epochs_that_is_done_is_that_of_steps():
    going = training(replace(SETTINGS, epochs=4))
    going.clock.update(5)
    assert going.clock.progress == 0.25


@pytest.mark.parametrize("step", [13, 16])
def test_several_processes_know_the_share_at_any_step_that_they_go_on_from(step):
    """They agree at steps that 16 divides, and at the first one, whichever that is."""
    clock = Clock(None, 10.0, World(size=2))
    assert share_of(clock, 2.5, 0.0, 0.0, step) == 0.25
    assert share_of(clock, 5.0, 0.0, 0.0, 17) == 0.25
    assert share_of(clock, 5.0, 0.0, 0.0, 32) == 0.5


class Heard(Callback):
    """Keeps whatever it is told."""

    def __init__(self):
        self.plans, self.ticks, self.rows, self.notes, self.at = [], [], [], [], []

    def plan(self, plan):
        self.plans.append(plan)

    def tick(self, tick):
        self.ticks.append(tick)

    def row(self, row):
        self.rows.append(row)
        self.at.append(time.perf_counter())

    def note(self, text):
        self.notes.append(text)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, 30 * 0.02 * 1.05),
        ({"time_limit": 0.1}, 0.1),
        ({"time_limit": 100.0}, 0.63),
        ({"epochs": None, "time_limit": 7.0}, 7.0),
    ],
)
def test_the_plan_is_what_comes(changed, expected):
    """Steps at the seconds of the rehearsal, and 1 in 20 for judging, but no more than the time limit."""
    heard = Heard()
    training(replace(SETTINGS, precision=torch.float32, **changed), (heard,))._announce(0.02)
    (plan,) = heard.plans
    assert plan.expected_seconds == pytest.approx(expected)
    assert plan.steps == (30 if changed.get("epochs", 6) else None)
    assert (plan.examples, plan.batch, plan.device, plan.precision) == (150, 32, "cpu", "float32")
    assert plan.parameters == sum(p.numel() for p in algorithm().model.parameters())
    assert plan.compilation == "step eager, as asked for"


@pytest.fixture(scope="module")
def told():
    """A run of three epochs of five steps that tells of every step, with ten milliseconds for each; and how long it
    took.
    """
    heard, begun = Heard(), time.perf_counter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vael.training.loop.TICK_SECONDS", -1.0)
        going = Stepping.take
        patch.setattr(Stepping, "take", lambda self, step, progress: time.sleep(0.01) or going(self, step, progress))
        fit = run(algorithm(), splits(), replace(SETTINGS, epochs=3, precision=torch.float32), callbacks=[heard])
    return heard, fit, time.perf_counter() - begun


def test_ticks_are_means_over_the_epoch_so_far(told):
    heard, fit, seconds = told
    assert [tick.step for tick in heard.ticks] == list(range(1, 16))
    assert [tick.epoch for tick in heard.ticks] == [1] * 4 + [2] * 5 + [3] * 5 + [4]
    assert [tick.progress for tick in heard.ticks] == pytest.approx([step / 15 for step in range(15)])
    for tick in heard.ticks:
        assert tick.elbo == pytest.approx(-tick.distortion - tick.divergence, abs=1e-5)
        assert 32 / seconds < tick.examples_per_second <= 32 / 0.01
    rows = [row for row in fit.history if row.split == "train"]
    for tick, row in zip(heard.ticks[4::5], rows, strict=True):  # the last tick of an epoch is of all of it
        assert (tick.elbo, tick.distortion, tick.divergence) == pytest.approx(
            (row.elbo, row.distortion, row.divergence)
        )
    lefts = [tick.seconds_left for tick in heard.ticks[1:]]
    assert all(0 < left < seconds * 15 for left in lefts)
    spent = [tick.seconds_left * tick.progress / (1 - tick.progress) for tick in heard.ticks[1:]]  # as fast as so far
    assert spent[3] <= rows[0].seconds
    for k, (row, before) in enumerate(zip(rows[1:], rows[:-1], strict=True), 1):
        assert spent[5 * k + 3] - spent[5 * k - 2] == pytest.approx(row.seconds - before.seconds, rel=0.5)


def test_rows_tell_the_speed_and_the_time_of_the_run(told):
    heard, fit, seconds = told
    assert list(fit.history) == heard.rows
    assert [(row.step, row.epoch, row.split, row.skipped) for row in fit.history] == [
        (5 * epoch, epoch, split, 0) for epoch in (1, 2, 3) for split in ("train", "validation")
    ]
    assert all(0 < a.seconds <= b.seconds for a, b in itertools.pairwise(fit.history))
    assert fit.history[-1].seconds <= fit.seconds <= seconds
    train = [(row, at) for row, at in zip(fit.history, heard.at, strict=True) if row.split == "train"]
    ends = [at for row, at in zip(fit.history, heard.at, strict=True) if row.split == "validation"]
    for row, _ in train:
        assert 0 < row.examples_per_second <= 160 / 0.05  # steps of padded rows count whole
    for (row, at), before in zip(train[1:], ends[:-1], strict=True):
        assert 160 / row.examples_per_second == pytest.approx(at - before, rel=0.5)
    assert all(row.examples_per_second > 50 / seconds for row in fit.history if row.split == "validation")
    assert (fit.steps, fit.epochs, fit.stopped, fit.interrupted, fit.skipped) == (
        15,
        3,
        "all 3 epochs are done",
        False,
        0,
    )
    assert not heard.notes


def test_seconds_of_a_judgement_are_kept_for_the_last_one_where_time_is_limited():
    for limit, some in ((None, False), (100.0, True)):
        going = training(replace(SETTINGS, time_limit=limit))
        going._validate()
        assert (0 < going.clock.validation_seconds < 100) is some
        assert some or going.clock.validation_seconds == 0


def test_settings_are_resolved_to_what_the_world_has():
    assert (Settings().batch, Settings().epochs, Settings().seed) == (128, 20, 0)
    found = resolve(replace(SETTINGS, precision=torch.bfloat16), algorithm().model, 150)
    assert found.settings.precision is found.world.precision is torch.bfloat16
    assert (found.settings.device, found.settings.compiled) == (found.world.device, False)
    chosen = resolve(replace(SETTINGS, compiled=None, precision=None), algorithm().model, 150)  # nothing is left open
    assert (chosen.settings.compiled, chosen.settings.precision, chosen.settings.device) == (
        chosen.world.compiled,
        chosen.world.precision,
        chosen.world.device,
    )


@pytest.mark.parametrize("stop", [3, 5, 7])
def test_the_speed_of_an_epoch_is_that_of_its_steps_resumed_or_not(tmp_path, monkeypatch, stop):
    """Each step takes a second, so there are as many examples a second as a step has, before and after."""
    now, event, take = [0.0], threading.Event(), Stepping.take

    def moving():
        now[0] += 1e-6
        return now[0]

    def second(self, step, progress):
        now[0] += 1.0
        if int(now[0]) == stop:
            event.set()
        return take(self, step, progress)

    monkeypatch.setattr("vael.training.clock.time", SimpleNamespace(perf_counter=moving))
    monkeypatch.setattr(Stepping, "rehearse", lambda self: 1.0)
    monkeypatch.setattr(Stepping, "take", second)
    settings = replace(SETTINGS, epochs=3)
    training(settings, folder=tmp_path).go(event)
    event.clear()
    again = training(settings, folder=tmp_path)
    again.restore()
    again.go(event)
    speeds = [row.examples_per_second for row in again.log.rows if row.split == "train"]
    assert speeds == pytest.approx([settings.batch] * settings.epochs, rel=1e-3)
