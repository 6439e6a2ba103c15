"""Laws that every likelihood obeys: normalised for any numbers, drawn as it says, differentiated right, as good in
float32 as in float64.
"""

import math
from functools import partial

import numpy as np
import pytest
import torch
from members import MEMBERS
from scipy import stats
from torch.distributions import Distribution

from vael.probability import detached, draw

EACH = pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name.replace(" ", "-"))
DRAWS = 20_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbers_of(rows, dtype=torch.float64):
    return torch.tensor(rows, dtype=dtype)


def log_total(member, rows, dtype):
    numbers = numbers_of(rows, dtype)
    grid = member.grid(numbers)
    return torch.logsumexp((member.make(numbers).log_prob(grid.points) + grid.log_measure).double(), 0)


@EACH
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_sums_or_integrates_to_one_for_any_numbers(member, dtype):
    rows = member.usual + (member.extreme if member.discrete or member.name.startswith("continuous") else ())
    exact = 1e-9 if member.discrete else 1e-6
    torch.testing.assert_close(
        log_total(member, rows, dtype).exp(),
        torch.ones(len(rows)).double(),
        rtol=0,
        atol=exact if dtype.itemsize == 8 else 2e-5,
    )


def code(points, levels):
    """One whole number for each point of a discrete support."""
    return points.long() if points.dim() == 2 else (points.long() * levels ** torch.arange(points.shape[-1])).sum(-1)


def p_value_of_counts(drawn, support, expected):
    """Chi-square over the values that are expected at least five times; all others are one."""
    order = support.argsort()
    counts = torch.bincount(torch.searchsorted(support[order], drawn), minlength=len(support)).double()
    expected = expected[order]
    often = expected >= 5
    seen, due = ([*side[often].tolist(), float(side[~often].sum())] for side in (counts, expected))
    if due[-1] < 5:  # too few to stand alone
        seen, due = [*seen[1:-1], seen[0] + seen[-1]], [*due[1:-1], due[0] + due[-1]]
    return stats.chi2.sf(sum((s - d) ** 2 / d for s, d in zip(seen, due, strict=True)), len(due) - 1)


@EACH
def test_the_sampler_draws_from_the_density(member):
    """False-alarm rate 1e-6 for each of 29 comparisons: chi-square of counts, or Kolmogorov-Smirnov against the
    integrated density.
    """
    law, grid = member.law(member.usual), member.grid(numbers_of(member.usual))
    x = draw(law, DRAWS, generator())
    log_mass = law.log_prob(grid.points) + grid.log_measure
    for row in range(len(member.usual)):
        if member.discrete:
            support, drawn = code(grid.points, 6)[:, row], code(x, 6)[:, row].contiguous()
            p = p_value_of_counts(drawn, support, DRAWS * log_mass[:, row].exp())
        else:
            points, density = grid.points[:, row], law.log_prob(grid.points)[:, row].exp()
            cumulative = torch.cat([torch.zeros(1), torch.cumulative_trapezoid(density, points)]).numpy()
            cdf = partial(np.interp, xp=points.numpy(), fp=cumulative)
            p = stats.kstest(x[:, row].numpy(), cdf).pvalue
        assert p > 1e-6, f"row {row}: p = {p}"


@EACH
def test_the_mean_is_the_mean_of_the_density_and_of_draws(member):
    """Draws: 5 standard errors, false-alarm rate 6e-7 for each of 31 numbers."""
    law, grid = member.law(member.usual), member.grid(numbers_of(member.usual))
    weight = (law.log_prob(grid.points) + grid.log_measure).exp()
    exact = (weight.reshape(*weight.shape, *[1] * (grid.points.dim() - 2)) * grid.points).sum(0)
    torch.testing.assert_close(law.mean, exact, rtol=1e-7, atol=member.mean_error)
    x = draw(law, DRAWS, generator(1))
    assert ((x.mean(0) - exact).abs() <= 5 * x.std(0) / math.sqrt(DRAWS)).all()


@EACH
def test_the_gradient_is_that_of_finite_differences(member):
    x = draw(member.law(member.usual), 3, generator(2))
    numbers = numbers_of(member.usual).requires_grad_()
    assert torch.autograd.gradcheck(lambda n: member.make(n).log_prob(x), (numbers,))


def value_and_gradient(member, rows, dtype):
    numbers = numbers_of(rows, dtype).requires_grad_()
    values = torch.tensor(member.tails, dtype=dtype)
    values = values[:, None].expand(len(values), len(rows), *values.shape[1:])
    log_prob = member.make(numbers).log_prob(values)
    gradients = torch.stack([torch.autograd.grad(part.sum(), numbers, retain_graph=True)[0] for part in log_prob])
    return log_prob.detach().double(), gradients.double()


@EACH
def test_float32_is_as_good_as_float64_in_the_tails(member):
    """Logits ±100, log σ at and beyond its bounds, the outermost pixels and their neighbours: values and gradients,
    all finite.
    """
    rows = member.usual + member.extreme
    (value, gradient), (value64, gradient64) = (
        value_and_gradient(member, rows, dtype) for dtype in (torch.float32, torch.float64)
    )
    assert value.isfinite().all()
    assert gradient.isfinite().all()
    torch.testing.assert_close(value, value64, rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(gradient, gradient64, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("member", [m for m in MEMBERS if m.known], ids=lambda member: member.name.replace(" ", "-"))
def test_scipy_agrees(member):
    law, points = member.law(member.usual), member.grid(numbers_of(member.usual)).points[::7]
    for row, numbers in enumerate(member.usual):
        known = member.known(numbers, points[:, row])
        mine = law.log_prob(points)[:, row]
        weighty = known > -30  # SciPy's differences of cumulative probabilities hold no digits further out
        torch.testing.assert_close(mine[weighty], known[weighty], rtol=1e-7, atol=1e-9)


@EACH
def test_detached_is_the_same_law_without_a_gradient(member):
    numbers = numbers_of(member.usual).requires_grad_()
    law = member.make(numbers)
    x = draw(law, 2, generator()).detach()
    cut = detached(law)
    assert isinstance(cut, Distribution)
    assert not cut.log_prob(x).requires_grad
    assert torch.equal(cut.log_prob(x), law.log_prob(x))


@EACH
def test_log_prob_broadcasts_over_samples(member):
    x = draw(member.law(member.usual), 1, generator())[0].float()
    law = member.make(numbers_of((member.usual,) * 4, torch.float32))
    assert law.log_prob(x).shape == (4, len(member.usual))
    torch.testing.assert_close(law.log_prob(x)[2], member.law(member.usual, torch.float32).log_prob(x))


def checked(law):
    """Whether a law, or one that it is made of, looks at its parameters and values before it answers."""
    within = [part for part in vars(law).values() if isinstance(part, Distribution)]
    return law._validate_args or any(checked(part) for part in within)


@EACH
def test_no_law_stops_a_step_to_look_at_its_numbers(member):
    """What is not finite is met by the guard of a step; a look at every value would take a wait for the device, and
    a graph of a compiled step.
    """
    assert not checked(member.law(member.usual))
