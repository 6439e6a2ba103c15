"""Compiled runs on tables against eager ones; run by test_loop_on_tables.py without checked annotations."""

from dataclasses import replace

import pytest
import torch
from test_loop_on_tables import SCHEMA, SETTINGS, rows, splits

from vael.data import Column, ColumnKind, Kind, Schema, Source, Splits
from vael.inference import GradientAscent
from vael.models import ColumnsHead, heaped
from vael.recipes import table
from vael.training import run

PLAIN = Schema(
    (
        *(Column(name, ColumnKind.REAL, minimum=-9.0, maximum=9.0) for name in "ab"),
        Column("n", ColumnKind.COUNT, minimum=0.0, maximum=99.0, decimals=0),
    )
)


def plain(count: int) -> Source:
    """Two real columns without spikes, and whole numbers of which 28 have a probability of their own: there the
    compiler's argmax went wrong.
    """
    generator = torch.Generator().manual_seed(count)
    x = torch.cat(
        (torch.randn(count, 2, generator=generator), torch.randint(0, 28, (count, 1), generator=generator).float()), 1
    )
    return Source("plain", x, Kind.MIXED, f"plain-{count}", columns=tuple(PLAIN.names), schema=PLAIN)


def algorithm(schema: Schema, sample: torch.Tensor) -> GradientAscent:
    """With a free probability for each of some twenty whole numbers: many spikes of which most cells hit one and
    some none.
    """
    sizes = heaped(schema, sample)
    assert max(sizes) > 16
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return GradientAscent(table((3,), ColumnsHead(schema, sample=sample, tables=sizes), latent=2, hidden=(16,)))


@pytest.mark.parametrize(
    ("schema", "sample", "data"),
    [(SCHEMA, rows(1000, 0).x, splits()), (PLAIN, plain(1000).x, Splits(plain(800), plain(200), None))],
    ids=["spikes and gaps", "28 values"],
)
def test_a_compiled_run_on_a_table_ends_where_the_eager_one_does(schema, sample, data):
    eager, compiled = (run(algorithm(schema, sample), data, replace(SETTINGS, compiled=how)) for how in (False, True))
    assert compiled.resolved.world.compiled
    for (name, a), b in zip(eager.model.named_parameters(), compiled.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")
