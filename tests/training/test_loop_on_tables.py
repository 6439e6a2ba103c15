"""Runs on a table of several kinds of columns with gaps: as exact as those on images."""

import pathlib
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from test_loop import KillAt

from vael.data import Column, ColumnKind, Kind, Schema, Source, Splits
from vael.inference import GradientAscent
from vael.models import ColumnsHead
from vael.recipes import table
from vael.training import Settings, run
from vael.training.device import has_compiler

SCHEMA = Schema(
    (
        Column("amount", ColumnKind.REAL, minimum=-50.0, maximum=50.0, spikes=(0.0,), missing=True),
        Column("visits", ColumnKind.COUNT, minimum=0.0, maximum=40.0, decimals=0),
        Column("colour", ColumnKind.CATEGORICAL, levels=("red", "green", "blue"), missing=True),
    )
)
SETTINGS = Settings(epochs=6, batch=32, seed=5, compiled=False)


def rows(count: int, seed: int) -> Source:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(count, generator=generator)
    amount = torch.where(hidden.abs() < 0.3, torch.zeros(count), 5 * hidden)
    visits = (10 + 5 * hidden + torch.randn(count, generator=generator)).round().clamp(0, 40)
    colour = (hidden + torch.rand(count, generator=generator)).clamp(0, 2.5).floor()
    x = torch.stack((amount, visits, colour), 1)
    gone = torch.rand(x.shape, generator=generator) < torch.tensor([0.2, 0.0, 0.2])
    return Source(
        "visits",
        x.masked_fill(gone, torch.nan),
        Kind.MIXED,
        f"visits-{count}-{seed}",
        columns=tuple(SCHEMA.names),
        schema=SCHEMA,
        gaps=True,
    )


def algorithm() -> GradientAscent:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return GradientAscent(table((3,), ColumnsHead(SCHEMA, sample=rows(200, 0).x), latent=2, hidden=(16,)))


def splits() -> Splits:
    return Splits(rows(200, 0), rows(60, 1), None)


def test_a_run_stopped_by_a_signal_and_resumed_ends_in_equal_weights(tmp_path):
    whole = run(algorithm(), splits(), SETTINGS)
    stopped = run(algorithm(), splits(), SETTINGS, folder=tmp_path, callbacks=[KillAt(10)])
    assert stopped.interrupted
    assert stopped.steps < whole.steps
    resumed = run(algorithm(), splits(), SETTINGS, folder=tmp_path, resume=True)
    assert resumed.steps == whole.steps
    for (name, a), b in zip(whole.model.named_parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert [row.elbo for row in whole.history] == [row.elbo for row in resumed.history]


def test_what_a_gap_hides_changes_nothing_that_is_learned():
    """Another number under a gap cannot be seen: NaN with any payload is the same gap."""
    one = run(algorithm(), splits(), replace(SETTINGS, epochs=2))
    x = splits().train.x.clone()
    x[x.isnan()] = -torch.tensor(torch.nan)
    other = run(
        algorithm(), Splits(replace(splits().train, x=x), splits().validation, None), replace(SETTINGS, epochs=2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(torch.device("cpu")), reason="no C++ compiler on this machine")
def test_the_compiled_run_against_the_eager_one():
    """In a process of its own: checked annotations cannot be compiled."""
    cases = pathlib.Path(__file__).with_name("compiled_tables.py")
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", str(cases)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "2 passed" in done.stdout
