"""Draws of different rows are independent given the model, for whatever draws; what rows share is used for scores and
means alone.

Of n equal rows the draws are n draws from one law. Shared noise would make them one draw n times: their mean would then
vary as one of them does. The share of the variance that rows have in common, ρ, is measured by R sets of draws:
Var(mean over rows) = σ² (1 + (n - 1) ρ) / n.
"""

import ast
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import vael
from oracles import LinearGaussian
from sources import nodes_of
from vael.applications.conditional import conditional_samples
from vael.applications.generation import samples
from vael.applications.imputation import impute
from vael.applications.inpainting import inpaint
from vael.applications.latents import drawn, prior_latents
from vael.data import Batch, Column, ColumnKind, Kind, Schema, Source
from vael.evaluation import RowKeys
from vael.models import ColumnsHead
from vael.recipes import table

ROWS, SETS = 60, 16
COMMON = {  # every use of noise that examples share, and what it is for
    "applications/attribution.py": 2,
    "applications/imputation.py": 1,
    "applications/inpainting.py": 1,
    "applications/latents.py": 2,
    "evaluation/rows.py": 1,
    "probability/flows/flow.py": 1,
}
ORACLE = LinearGaussian.of_size(4, 2)
GIVEN = torch.tensor([0.3, torch.nan, torch.nan, -0.4], dtype=torch.float64)
Draw = Callable[[int], torch.Tensor]


def gaps(count: int) -> torch.Tensor:
    return GIVEN.expand(count, -1).clone()


def imputed(fitted: bool) -> Draw:
    def draw(seed: int) -> torch.Tensor:
        source = Source("rows", gaps(ROWS), Kind.REAL, "", gaps=True)
        return torch.cat(
            [part.draws for part in impute(ORACLE.vae(), source, samples=32, draws=1, fitted=fitted, seed=seed)], 1
        )[0, :, 1]

    return draw


def in_pieces(seed: int) -> torch.Tensor:
    """As a command reads a file: piece by piece."""
    keys, source = RowKeys(), Source("rows", gaps(ROWS // 2), Kind.REAL, "", gaps=True)
    return torch.cat(
        [
            next(iter(impute(ORACLE.vae(), source, samples=32, draws=1, seed=seed, keys=keys))).draws[0, :, 1]
            for _ in range(2)
        ]
    )


def painted(seed: int) -> torch.Tensor:
    return inpaint(
        ORACLE.vae(), Batch(gaps(ROWS).nan_to_num(), observed=~gaps(ROWS).isnan()), draws=1, candidates=32, seed=seed
    ).draws[0, :, 1]


def sampled(seed: int) -> torch.Tensor:
    return samples(ORACLE.vae(), ROWS, seed)[:, 1]


def decoded(seed: int) -> torch.Tensor:
    return drawn(ORACLE.vae(), prior_latents(ORACLE.vae(), ROWS, seed=seed), seed + 1)[:, 1]


def given(seed: int) -> torch.Tensor:
    return conditional_samples(ORACLE.vae(), GIVEN, ROWS, seed).x[:, 1]


def exact() -> tuple[float, float]:
    """Mean and variance of cell 1 given cells 0 and 3."""
    covariance, seen = ORACLE.marginal.covariance_matrix, torch.tensor([0, 3])
    weights = torch.linalg.solve(covariance[seen][:, seen], covariance[seen, 1])
    return float(ORACLE.bias[1] + weights @ (GIVEN - ORACLE.bias)[seen]), float(
        covariance[1, 1] - weights @ covariance[seen, 1]
    )


def marginal() -> tuple[float, float]:
    return float(ORACLE.bias[1]), float(ORACLE.marginal.covariance_matrix[1, 1])


WAYS = {
    "impute": (imputed(False), exact),
    "impute --fitted": (imputed(True), exact),
    "impute in pieces": (in_pieces, exact),
    "inpaint": (painted, exact),
    "sample": (sampled, marginal),
    "sample at a temperature": (decoded, marginal),
    "sample --given": (given, exact),
}


@pytest.mark.parametrize("way", WAYS)
def test_draws_of_different_rows_are_independent(way):
    """The variance of a mean over 60 rows is within (1/6, 4) of σ²/60, by 16 sets of draws: χ²(15) / 15 lies outside
    with a probability of 2e-4 at most, and noise that all rows share makes it 60. The mean over all draws is within 5
    standard errors, and their variance (960 draws) too.
    """
    draw, law = WAYS[way]
    found = torch.stack([draw(seed) for seed in range(1, SETS + 1)])
    mean, variance = law()
    assert 1 / 6 < float(found.mean(1).var()) / (variance / ROWS) < 4
    assert abs(float(found.mean()) - mean) < 5 * math.sqrt(variance / found.numel())
    assert abs(float(found.var()) / variance - 1) < 5 * math.sqrt(2 / found.numel())
    assert torch.equal(draw(3), found[2])  # a function of the seed


def test_multiple_imputation_has_the_standard_error_of_theory():
    """Rubin's total variance of a mean, T = W + (1 + 1/M) B, where 40 % of y are missing and x = y + noise is seen.

    By theory W = σ²/n and B = γ v / n, v the variance of y given x and γ the share of gaps. With M = 40 B is known
    within 5 standard errors, √(2/39), and T, of which B is 17 %, within a quarter (false alarm below 1e-6). Draws
    shared by rows gave B the n-fold: T 75 times too large.
    """
    oracle, rows, share, tables = (
        LinearGaussian(torch.ones(2, 1, dtype=torch.float64), torch.zeros(2, dtype=torch.float64), 1.0),
        400,
        0.4,
        40,
    )
    x = oracle.sample(rows, seed=4)
    gone = torch.rand(rows, generator=torch.Generator().manual_seed(1)) < share
    x[gone, 1] = torch.nan
    source = Source("rows", x, Kind.REAL, "", gaps=True)
    draws = torch.cat([part.draws for part in impute(oracle.vae(), source, draws=tables)], dim=1)[:, :, 1]
    within, between = float(draws.var(1).mean()) / rows, float(draws.mean(1).var())
    expected = float(gone.double().mean()) * 1.5 / rows  # the variance of y given x is 2 - 1 / 2
    assert abs(between / expected - 1) < 5 * math.sqrt(2 / (tables - 1))
    assert abs((within + (1 + 1 / tables) * between) / (2 / rows + (1 + 1 / tables) * expected) - 1) < 0.25
    assert (
        abs(float(draws[:, gone].std(1).mean()) / math.sqrt(2) - 1) < 0.15
    )  # over rows in one table, of which 160 are gaps: 2.6 standard errors


MIXED = Schema(
    (
        Column("kind", ColumnKind.CATEGORICAL, levels=("a", "b"), missing=True),
        Column("sensor", ColumnKind.REAL, minimum=-999.0, maximum=3.0, spikes=(-999.0,), missing=True),
        Column("x", ColumnKind.REAL, minimum=-3.0, maximum=3.0),
    )
)


def test_levels_and_spikes_have_their_shares_in_each_table():
    """Each of 500 rows draws its own level and its own part of a spiked column: shares within 5 standard errors,
    0.112 (false alarm below 1e-5).
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 3, generator=generator)
    x[:, 0] = (torch.rand(500, generator=generator) < 0.5).float()
    x[torch.rand(500, generator=generator) < 0.4, 1] = -999.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = table((3,), ColumnsHead(MIXED, sample=x), latent=1, hidden=(4,))
    shares = {0: float((x[:, 0] == 1).float().mean()), 1: float((x[:, 1] == -999).float().mean())}
    holes = x.clone()
    holes[:, :2] = torch.nan
    for part in impute(model, Source("rows", holes, Kind.MIXED, "", gaps=True, schema=MIXED), samples=50, draws=3):
        for column, value in ((0, 1.0), (1, -999.0)):
            assert bool(((part.draws[:, :, column] == value).float().mean(1) - shares[column]).abs().max() < 0.112)


def test_a_row_has_the_same_draws_alone_and_among_others_and_equal_rows_have_others():
    x = gaps(6)
    x[2:4, 0] = torch.tensor([0.9, -0.9], dtype=torch.float64)
    whole = next(iter(impute(ORACLE.vae(), Source("rows", x, Kind.REAL, "", gaps=True), draws=3))).draws
    for row in (2, 3):
        alone = next(
            iter(impute(ORACLE.vae(), Source("rows", x[row : row + 1], Kind.REAL, "", gaps=True), draws=3))
        ).draws
        torch.testing.assert_close(alone[:, 0], whole[:, row], rtol=1e-9, atol=1e-9)
    assert len({float(value) for value in whole[0, :, 1]}) == 6


def test_every_use_of_shared_noise_is_listed_and_says_why():
    """A new use has to be looked at: scores may share, draws that somebody combines over rows may not."""
    root = Path(vael.__file__).parent
    found = {}
    for path in sorted(root.rglob("*.py")):
        calls = [
            node for node in nodes_of(path) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Common"
        ]
        if calls:
            found[str(path.relative_to(root))] = len(calls)
            lines = path.read_text().splitlines()
            assert any("#" in line for call in calls for line in lines[max(0, call.lineno - 4) : call.lineno])
    assert found == COMMON
