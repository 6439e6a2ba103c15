"""A compiled run on a table against an eager one; run by test_table_runs.py without checked annotations."""

from dataclasses import replace

import torch
from test_table_runs import SETTINGS, algorithm, splits

from vael.training import run


def test_a_compiled_run_on_a_table_ends_where_the_eager_one_does():
    eager, compiled = (run(algorithm(), splits(), replace(SETTINGS, compiled=how)) for how in (False, True))
    assert compiled.resolved.world.compiled
    for (name, a), b in zip(eager.model.named_parameters(), compiled.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")
