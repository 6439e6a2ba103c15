"""Progress from Python: plain lines on a terminal, nothing elsewhere."""

import io
import itertools
import re
import sys

import pytest

from vael.training import Lines, NotebookBar, Plan, Row, Tick, on_terminal


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "listeners"), [(Terminal(), 1), (io.StringIO(), 0)])
def test_lines_are_for_terminals(monkeypatch, stream, listeners):
    monkeypatch.setattr(sys, "stderr", stream)
    assert len(on_terminal()) == listeners


def test_the_plan_the_first_and_the_last_validation_are_said():
    said = []
    lines = Lines(said.append)
    lines.plan(Plan(1, 1, 1, 30, "cpu", "float32", "eager", 0.2))
    for step in (10, 20, 30):
        for split in ("train", "validation"):
            lines.row(Row(step, step // 10, split, -50.0, 45.0, 5.0, 1e3, 1.0, 0, 1e-3, is_bound=False))
    lines.note("one step was skipped")
    assert said == [
        "training: 1 parameter, 1 example, 30 steps, about 1 s, on cpu",
        "epoch 1: validation objective -50.00 nats, after 1 s",
        "epoch 3: validation objective -50.00 nats, after 1 s",
        "note: one step was skipped",
    ]


def test_a_bar_is_for_notebooks(monkeypatch):
    shell = type("Shell", (), {"kernel": None})
    monkeypatch.setitem(sys.modules, "IPython", type("Module", (), {"get_ipython": staticmethod(shell)}))
    assert [type(one) for one in on_terminal()] == [NotebookBar]
    monkeypatch.setitem(sys.modules, "IPython", type("Module", (), {"get_ipython": staticmethod(lambda: None)}))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert on_terminal() == ()


def seen(texts):
    """The lines that a cell shows in the end: a return goes back to the start of the line."""
    lines = [""]
    for one in "".join(texts):
        lines = [*lines, ""] if one == "\n" else [*lines[:-1], ""] if one == "\r" else [*lines[:-1], lines[-1] + one]
    return [line.rstrip() for line in lines if line]


def test_a_bar_is_one_line_however_long_training_takes(monkeypatch):
    said, clock = [], iter(range(1, 10**6))
    monkeypatch.setattr("vael.training.lines.time.monotonic", lambda: float(next(clock)))
    bar = NotebookBar(said.append)
    bar.plan(Plan(1, 1, 1, 1000, "cpu", "float32", "eager", 0.2))
    for step in range(1, 1001):
        left = float("inf") if step < 10 else 1000.0 - step
        bar.tick(Tick(step, step // 10, step / 1000, -1e6 / step, 45.0, 5.0, 1e3, left))
        if step == 500:
            assert seen(said) == ["[##########..........]  50%  epoch 50, bound -2,000.00, 500 s left"]
            bar.note("one step was skipped")
    bar.row(Row(1000, 100, "validation", -50.0, 45.0, 5.0, 1e3, 12.0, 0, 1e-3))
    assert seen(said)[1:] == [
        "note: one step was skipped",
        "[####################] 100%  epoch 100: validation bound -50.00 after 12 s",
    ]


def test_a_bar_says_little_often_asked(monkeypatch):
    said = []
    monkeypatch.setattr("vael.training.lines.time.monotonic", lambda: 100.0)
    bar = NotebookBar(said.append)
    for step in range(1000):
        bar.tick(Tick(step, 0, 0.5, -1.0, 1.0, 0.0, 1e3, 1.0))
    assert len(said) == 1


def at_least(seconds, moments):
    """Of these moments the first, and each that is so long after the last one taken."""
    taken = []
    for moment in moments:
        if not taken or moment - taken[-1] >= seconds:
            taken.append(moment)
    return taken


QUARTERS = [quarter / 4 for quarter in range(80)]


@pytest.mark.parametrize("start", [0.0, 0.25, 1e6])  # as the clock of a machine that was just started, and later
def test_lines_are_five_seconds_apart_and_looks_of_a_bar_half_a_second(monkeypatch, start):
    """Besides the last validation, which is always said; epochs tell here which ones were said."""
    lines, bar, length = [], [], len(QUARTERS)
    plain, drawn = Lines(lines.append), NotebookBar(bar.append)
    for listener in (plain, drawn):
        listener.plan(Plan(1, 1, 1, length, "cpu", "float32", "eager", 0.2))
    for number, moment in enumerate(QUARTERS):
        monkeypatch.setattr("vael.training.lines.time.monotonic", lambda now=start + moment: now)
        plain.row(Row(number + 1, number, "validation", -50.0, 45.0, 5.0, 1e3, 1.0, 0, 1e-3))
        drawn.tick(Tick(number, number, 0.5, -1.0, 1.0, 0.0, 1e3, 1.0))
    assert [int(re.search(r"epoch (\d+)", line)[1]) for line in lines[1:]] == [
        *(4 * int(moment) for moment in at_least(5.0, QUARTERS)),
        length - 1,
    ]
    assert [int(re.search(r"epoch (\d+)", text)[1]) / 4 for text in bar] == at_least(0.5, QUARTERS)


def test_a_bar_leaves_nothing_of_a_longer_line_behind(monkeypatch):
    """It is full at the end and empty at the start, and never beyond either; what it shows is the last line alone."""
    clock = itertools.count(1)
    monkeypatch.setattr("vael.training.lines.time.monotonic", lambda: float(next(clock)))
    said, screen, before = [], "", 0
    bar = NotebookBar(said.append)
    for progress, full, elbo in ((-0.5, 0, -1e6), (0.0, 0, -1.0), (0.24, 5, -10.0), (1.0, 20, -1e9), (1.5, 20, -1.0)):
        bar.tick(Tick(1, 1, progress, elbo, 1.0, 0.0, 1e3, -5.0))
        text = said[-1].removeprefix("\r")
        screen = text + screen[len(text) :]
        line = f"[{'#' * full}{'.' * (20 - full)}] {progress:4.0%}  epoch 1, bound {elbo:,.2f}, 0 s left"
        assert screen.rstrip() == line
        assert len(text) == max(len(line), before)
        before = len(line)


@pytest.mark.parametrize("planned", [False, True])
def test_a_run_whose_steps_are_not_known_has_no_last_one(monkeypatch, planned):
    """Nor has one that was never announced: a bar is full at the end alone."""
    monkeypatch.setattr("vael.training.lines.time.monotonic", lambda: 100.0)
    for listener, first in ((Lines, 1), (NotebookBar, 0)):
        said = []
        one = listener(said.append)
        if planned:
            one.plan(Plan(1, 1, 1, None, "cpu", "float32", "eager", None))
        before = len(said)
        for step in range(1, 4):
            one.row(Row(step, step, "validation", -50.0, 45.0, 5.0, 1e3, 1.0, 0, 1e-3))
        assert len(said) - before == first  # of lines so quick one after another the first alone is said
