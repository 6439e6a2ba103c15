"""Some cells under the law of their columns have the answers that the whole law gives, whichever others are asked
for, and nothing is computed for the rest.
"""

import math

import pytest
import torch

from vael.probability import Common, EachLatent, draw_wide, widened
from vael.probability.column_cells import CELLS_AT_ONCE, VECTOR, parts_of
from vael.probability.columns import Columns, NumberParameters, Numbers
from vael.probability.warp import Warp

SAMPLES, BATCH, NUMBERS, COMPONENTS, LEVELS, CODES = 6, 40, 5, 3, 3, 4
COLUMNS = NUMBERS + LEVELS
ORDER = torch.randperm(COLUMNS, generator=torch.Generator().manual_seed(1))


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


@pytest.fixture(scope="module")
def law():
    """Numbers of all kinds: logarithmic or not, whole or not, two with spikes; and levels."""
    warp = Warp(
        torch.tensor([False, True, False, True, False]),
        random(NUMBERS, seed=1),
        random(NUMBERS, seed=2).exp() + 1,
        random(NUMBERS, seed=3),
        random(NUMBERS, seed=4).exp() + 0.5,
    )
    numbers = Numbers(
        ORDER[:NUMBERS],
        warp,
        torch.tensor([False, False, True, True, False]),
        torch.full((NUMBERS,), -math.inf),
        torch.full((NUMBERS,), -50.0),
        torch.full((NUMBERS,), 50.0),
        torch.tensor([2, 4]),
        torch.tensor([[4.0, math.nan], [0.0, 5.0]]),
        torch.tensor([[True, False], [False, False]]),
    )
    given = NumberParameters(
        *(random(SAMPLES, BATCH, NUMBERS, COMPONENTS, seed=seed) * scale for seed, scale in ((5, 1), (6, 1), (7, 0.3))),
        2 * random(SAMPLES, BATCH, 2, 3, seed=8),
    )
    codes = random(SAMPLES, BATCH, LEVELS, CODES, seed=9).log_softmax(-1)
    return Columns(COLUMNS, numbers, given, ORDER[NUMBERS:], codes)


SHARE = random(SAMPLES, BATCH, seed=10).softmax(0)


def answers(law, wanted):
    """Means and one draw of each sample where they are wanted, NaN elsewhere."""
    mean = torch.full((BATCH, COLUMNS), torch.nan, dtype=torch.float64)
    drawn = torch.full((SAMPLES, BATCH, COLUMNS), torch.nan, dtype=torch.float64)
    variates = law.variates(torch.Size((1, *law.batch_shape)), EachLatent(Common(3)), torch.empty(0))
    for cells in parts_of(law, wanted):
        own, count = cells.law(law), len(cells.row)
        mean[cells.row, cells.column] = own.mean_under(SHARE[:, cells.rows][:, None])[0, :count]
        found = own.made_of(cells.variates(variates, own.log_probs))
        drawn[:, cells.row, cells.column] = found[0, :, 0, :count]
    return mean, drawn


def test_each_cell_has_the_answers_of_the_whole_law(law):
    every = torch.ones(BATCH, COLUMNS, dtype=torch.bool)
    mean, drawn = answers(law, every)
    torch.testing.assert_close(mean, widened(law).mean_under(SHARE), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(drawn, draw_wide(law, 1, EachLatent(Common(3)))[0], rtol=1e-13, atol=1e-13)
    assert len(mean[:, ORDER[NUMBERS - 1]].unique()) > 1


@pytest.mark.parametrize("share", [0.01, 0.2, 0.7])
def test_an_answer_has_the_same_bits_whichever_other_cells_are_asked_for(law, share):
    whole = answers(law, torch.ones(BATCH, COLUMNS, dtype=torch.bool))
    wanted = torch.rand(BATCH, COLUMNS, generator=torch.Generator().manual_seed(2)) < share
    assert bool(wanted.any())
    for found, known in zip(answers(law, wanted), whole, strict=True):
        assert torch.equal(found[..., wanted], known[..., wanted])
        assert bool(found[..., ~wanted].isnan().all())


def test_cells_that_nobody_asks_for_cost_nothing(law, monkeypatch):
    """Numbers that go through the inverse of the warp, counted: those of the cells asked for and of what fills them up,
    less than `VECTOR` for each of the kinds with spikes and without.
    """
    inverse, passed = Warp.inverse, []
    monkeypatch.setattr(Warp, "inverse", lambda warp, y: passed.append(y.numel()) or inverse(warp, y))
    answers(law, torch.zeros(BATCH, COLUMNS, dtype=torch.bool))
    assert not passed
    counts = {}
    for rows in (1, 20, BATCH):
        passed.clear()
        wanted = torch.zeros(BATCH, COLUMNS, dtype=torch.bool)
        wanted[:rows] = True
        answers(law, wanted)
        counts[rows] = sum(passed) / SAMPLES
    each = 16 * COMPONENTS + 1  # quantiles of components, and a draw
    for rows, count in counts.items():
        assert rows * NUMBERS * each <= count <= (rows * NUMBERS + 2 * VECTOR) * each


def test_a_few_cells_are_taken_at_a_time(law):
    parts = list(parts_of(law, torch.ones(BATCH, COLUMNS, dtype=torch.bool)))
    assert max(len(cells.rows) for cells in parts) <= CELLS_AT_ONCE
    assert all(len(cells.rows) * SAMPLES % VECTOR == 0 for cells in parts)
    assert sum(len(cells.row) for cells in parts) == BATCH * COLUMNS
    assert len({(int(r), int(c)) for cells in parts for r, c in zip(cells.row, cells.column, strict=True)}) == 320
