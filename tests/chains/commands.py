"""Commands run in this process, each held to the laws that every command keeps whatever it is given.

Exit status 0, or 2 with one message; no traceback, no `unexpected ...`, no warning of a library; what is read stays as
it is; nothing is written on refusal.
"""

import contextlib
import hashlib
import io
import sys
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

from vael.cli import main

TINY = (
    "--epochs",
    "1",
    "--latent",
    "2",
    "--precision",
    "float32",
    "--no-compile",
    "--no-report",
    "--importance-samples",
    "2",
)
DONE, UNUSABLE = 0, 2


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    words: tuple[str, ...]
    status: int
    out: str
    err: str
    trace: str  # of a refusal, for whoever reads a failed test

    @property
    def done(self) -> bool:
        return self.status == DONE

    @property
    def message(self) -> str:
        """The one message of a refusal."""
        return next((line for line in self.err.splitlines() if line.startswith("vael: ")), "")

    def __str__(self) -> str:
        return (
            f"vael {' '.join(self.words)} -> "
            f"{self.status}\n{self.out[-2000:]}\n{self.err[-3000:]}\n{self.trace[-3000:]}"
        )


class Chain:
    """Commands in one folder, what they gave, and the laws that each of them keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.outcomes = folder, []

    def __call__(self, *words: object) -> Outcome:
        """Run a command; `AssertionError` where it breaks a law."""
        before = contents(self.folder)
        outcome, told = carried_out(tuple(map(str, words)))
        self.outcomes.append(outcome)
        assert outcome.status in (DONE, UNUSABLE), outcome
        assert "Traceback" not in outcome.err, outcome
        assert "unexpected " not in outcome.message, outcome
        assert not told, f"warnings {told}\n{outcome}"
        if not outcome.done:
            messages = [line for line in outcome.err.splitlines() if line.startswith("vael: ")]
            assert len(messages) == 1, outcome
            assert outcome.err.splitlines()[-1] == messages[0], outcome
            after = contents(self.folder)
            assert after == before, (
                f"a refusal wrote or changed {sorted(set(after.items()) ^ set(before.items()))}\n{outcome}"
            )
        return outcome

    def succeeds(self, *words: object) -> Outcome:
        """Run a command that has no reason to refuse."""
        outcome = self(*words)
        assert outcome.done, outcome
        return outcome


def carried_out(words: tuple[str, ...]) -> tuple[Outcome, list[str]]:
    """One command, and the warnings that a person would have seen."""
    out, err, traces = io.StringIO(), io.StringIO(), []
    house = sys.modules["vael.cli.main"]

    def failed(message: str, status: int, debug: bool) -> int:
        traces.append(traceback.format_exc())
        return as_before(message, status, debug)

    as_before, house.failed = house.failed, failed
    try:
        with (
            warnings.catch_warnings(record=True) as told,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            warnings.simplefilter("default")
            status = main(list(words))
    finally:
        house.failed = as_before
    seen = [
        f"{one.category.__name__}: {one.message} ({one.filename}:{one.lineno})"
        for one in told
        if not issubclass(one.category, DeprecationWarning)
    ]
    return Outcome(words, status, out.getvalue(), err.getvalue(), "".join(traces)), seen


def contents(folder: Path) -> dict[str, str]:
    """Every file and folder under `folder` with what it holds."""
    found = sorted(folder.rglob("*"))
    return {
        str(path.relative_to(folder)): hashlib.sha1(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in found
    }
