"""Progress from Python: plain lines on a terminal, nothing elsewhere."""

import io
import sys

import pytest

from vael.training import Lines, Plan, Row, on_terminal


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
