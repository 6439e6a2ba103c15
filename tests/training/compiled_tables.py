"""A compiled run on a table against an eager one; run by test_table_runs.py without checked annotations."""

from dataclasses import replace

import torch
from test_table_runs import SCHEMA, SETTINGS, rows, splits

from vael.inference import GradientAscent
from vael.models import ColumnsHead, heaped
from vael.recipes import table
from vael.training import run


def algorithm() -> GradientAscent:
    """With a free probability for each of some twenty whole numbers: many spikes of which most cells hit one and some none."""
    sample = rows(1000, 0).x
    sizes = heaped(SCHEMA, sample)
    assert max(sizes) > 16
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return GradientAscent(table((3,), ColumnsHead(SCHEMA, sample=sample, tables=sizes), latent=2, hidden=(16,)))


def test_a_compiled_run_on_a_table_ends_where_the_eager_one_does():
    eager, compiled = (run(algorithm(), splits(), replace(SETTINGS, compiled=how)) for how in (False, True))
    assert compiled.resolved.world.compiled
    for (name, a), b in zip(eager.model.named_parameters(), compiled.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


def test_a_compiled_density_of_heaped_numbers_is_the_eager_one():
    """The compiler once placed a cell beyond the last of its spikes."""
    model, x = algorithm().model, rows(256, 5).x

    def density(z: torch.Tensor) -> torch.Tensor:
        return model.likelihood(z).log_prob(x.nan_to_num(0.0))

    z = torch.randn(1, len(x), 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.compile(density, dynamic=False)(z), density(z), rtol=1e-4, atol=1e-4)
