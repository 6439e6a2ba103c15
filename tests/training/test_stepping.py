"""The steps of a run, by a clock that the test sets."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from test_loop import SETTINGS, algorithm, splits

from vael.training.loop import Training
from vael.training.settings import resolve
from vael.training.stepping import REHEARSALS, Stepping


@pytest.mark.parametrize(
    ("first", "rest", "epochs", "taken"),
    [
        (60.0, 0.25, 60, REHEARSALS),  # what is compiled in the first step does not count
        (0.5, 0.25, 60, REHEARSALS),
        (9.0, 8.0, 60, 2),  # one slow step is enough
        (0.1, 3.0, 60, 3),
        (0.5, 0.25, None, REHEARSALS),  # until a time limit
        (0.5, 0.25, 8, 4),  # a tenth of 40 steps
        (0.5, 0.25, 1, 2),
    ],
)
def test_a_step_is_timed_without_what_happens_only_once(monkeypatch, first, rest, epochs, taken):
    now, steps = [0.0], []

    def take(self, step, progress):
        now[0] += rest if steps else first
        steps.append(step)

    ascent = algorithm()
    settings = replace(SETTINGS, epochs=epochs, time_limit=None if epochs else 60.0)
    stepping = Training(ascent, splits(), resolve(settings, ascent.model, 150), None, ()).stepping
    monkeypatch.setattr("vael.training.clock.time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(Stepping, "take", take)
    assert stepping.rehearse() == pytest.approx(rest)
    assert len(steps) == taken
