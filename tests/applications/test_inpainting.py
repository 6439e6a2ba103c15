"""Elements from the others where there are several levels of latents: of two linear Gaussian levels all is exact."""

import torch
from torch.distributions import Normal

from oracles import R, W, generator, linear_levels, variance_of_levels
from vael.applications.inpainting import inpaint
from vael.data import Batch

DRAWS = 4000


def hidden_last(count=5):
    """Rows of three numbers whose last one was not seen; it is NaN, so that nothing can depend on it."""
    x = 1.5 * torch.randn(count, 3, generator=generator(4), dtype=torch.float64)
    x[:, 2] = torch.nan
    return Batch(x, observed=torch.tensor([True, True, False]).expand(count, 3), index=torch.arange(count))


def exact(x):
    """Mean and deviation of the last number given the first two."""
    covariance = variance_of_levels() * W[:, None] * W + R**2 * torch.eye(3, dtype=torch.float64)
    slope = torch.linalg.solve(covariance[:2, :2], covariance[:2, 2])
    return x[:, :2] @ slope, (covariance[2, 2] - covariance[2, :2] @ slope).sqrt()


def test_the_mean_of_what_was_not_seen_is_exact():
    """The posterior's own means are off by 1.5 deviations of the prior; to 1e-6."""
    batch = hidden_last()
    found = inpaint(linear_levels(1.5), batch, draws=0)
    torch.testing.assert_close(found.mean[:, 2], exact(batch.x)[0], rtol=1e-6, atol=1e-6)
    assert torch.equal(found.mean[:, :2], batch.x[:, :2])
    assert bool((found.effective_samples > 127.9).all())  # every weight is the same


def test_draws_have_the_distribution_of_what_was_not_seen():
    """By the distance of Kolmogorov: 5 rows of 4,000 draws from 4,000 candidates, of which 63 % are chosen, so
    √n D < 2.9 with √2,000; false-alarm rate below 1e-6.
    """
    batch = hidden_last()
    found = inpaint(linear_levels(1.5), batch, draws=DRAWS, candidates=DRAWS).draws[..., 2]
    mean, deviation = exact(batch.x)
    uniform = Normal(mean, deviation).cdf(found).sort(0).values
    place = (torch.arange(DRAWS, dtype=torch.float64)[:, None] + 0.5) / DRAWS
    assert float((uniform - place).abs().max()) < 2.9 / 2000**0.5
