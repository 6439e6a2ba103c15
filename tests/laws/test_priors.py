"""Laws of every prior that has a name: normalised, drawn from as it says, kept with its weights. A prior stands in the
table by itself, once it is a part.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from vael.data import Kind
from vael.data.facts import Facts
from vael.models import GaussianPosterior
from vael.models.families import PriorPart
from vael.models.flows.parts import CouplingPart
from vael.networks import Dense
from vael.parts import members
from vael.probability import diagonal_gaussian, divergence, draw
from vael.probability.flows.conditionals import AutoregressiveGaussians
from vael.probability.flows.flow import Flow

FEATURES, DRAWS, CONDITION = 2, 20_000, (0.7, -1.2)
PRIORS = members(PriorPart)
SETTINGS = {
    "vamp": {"components": 3},
    "conditional-gaussian": {"hidden": ()},
    "flow": {"flow": CouplingPart(layers=2, hidden=(8,))},
    "autoregressive": {"components": 2, "hidden": (8,)},
    "categorical": {"levels": 3},
}  # leaves by kind, where the default would take long
CALM = {"flow": 0.2, "autoregressive": 0.2}  # how far from their start parameters are, where half a unit is very far
EACH = pytest.mark.parametrize("name", PRIORS)
REAL = pytest.mark.parametrize("name", [name for name, part in PRIORS.items() if part.latents == "real"])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Known:
    """Moments of three columns."""

    mean, std, sample = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.5, 3.0, 1.0]), None


def posterior():
    """One whose means lie far apart."""
    encode = GaussianPosterior(Dense((3,), (2 * FEATURES,), (4,))).double()
    with torch.no_grad():
        encode.network.last.weight[:FEATURES] *= 30
    return encode


def condition(name):
    """What the prior is given: nothing, or one condition."""
    return torch.tensor(CONDITION) if PRIORS[name].conditional else None


def part_of(name):
    return PRIORS[name](**SETTINGS.get(name, {}))


def prior_of(name, encode=None, dtype=torch.float64):
    """A prior away from where it starts."""
    part = part_of(name)
    facts = Facts("x", (3,), Kind.REAL, Known(), context=len(CONDITION) if part.conditional else 0)
    made = part.build(FEATURES, facts, encode or posterior()).to(dtype)
    with torch.no_grad():
        for number, weights in enumerate(made.parameters()):
            weights += CALM.get(name, 0.5) * torch.randn(
                weights.shape, generator=generator(number), dtype=torch.float64
            ).to(dtype)
    return made


def law_of(name):
    with torch.no_grad():
        return prior_of(name).requires_grad_(False)(condition(name))


def support(name):
    """Points `[points, features]` and the logarithm of what each stands for."""
    if PRIORS[name].latents == "bits":
        return torch.cartesian_prod(*[torch.arange(2.0).double()] * FEATURES), 0.0
    if PRIORS[name].latents == "categories":
        one = torch.eye(part_of(name).levels, dtype=torch.float64)
        return torch.stack([torch.cat(each) for each in itertools.product(one, repeat=FEATURES)]), 0.0
    line = torch.linspace(-14, 14, 561, dtype=torch.float64)
    return torch.cartesian_prod(line, line), 2 * math.log(0.05)


@EACH
def test_sums_or_integrates_to_one(name):
    points, log_measure = support(name)
    total = (law_of(name).log_prob(points) + log_measure).logsumexp(0)
    assert total.item() == pytest.approx(0, abs=1e-9)


@EACH
def test_mean_and_draws_are_those_of_the_density(name):
    """Draws: means and second moments within 5 standard errors, and Kolmogorov-Smirnov of each latent that is a real
    number at 1e-6: false-alarm rate 1e-5 for a prior.
    """
    p, (points, log_measure) = law_of(name), support(name)
    mass = (p.log_prob(points) + log_measure).exp()
    width, variance = part_of(name).width(FEATURES), mass @ points.square() - (mass @ points).square()
    if isinstance(p, Flow | AutoregressiveGaussians):  # from 128 pairs of draws, always the same
        assert ((p.mean - mass @ points).abs() <= 5 * (variance / 128).sqrt()).all()
        torch.testing.assert_close(p.variance, variance, rtol=0.5, atol=0)
    else:
        torch.testing.assert_close(p.mean, mass @ points, rtol=0, atol=1e-8)
        torch.testing.assert_close(p.variance, variance, rtol=0, atol=1e-7)
    z = draw(p, DRAWS, generator())
    assert z.shape == (DRAWS, width)
    each = torch.cat((z, z.square(), z.prod(-1, keepdim=True)), -1)
    exact = mass @ torch.cat((points, points.square(), points.prod(-1, keepdim=True)), -1)
    assert ((each.mean(0) - exact).abs() <= 5 * each.std(0) / math.sqrt(DRAWS)).all()
    if PRIORS[name].latents == "real":
        side = math.isqrt(len(points))
        for axis in range(FEATURES):
            marginal = mass.reshape(side, side).sum(1 - axis).cumsum(0).numpy()
            line = points.reshape(side, side, 2).select(1 - axis, 0)[:, axis].numpy()
            cdf = np.concatenate(([0.0], marginal))
            edges = np.concatenate((line, line[-1:] + 0.05)) - 0.025  # a point stands for what is around it
            assert stats.kstest(z[:, axis].numpy(), lambda at, e=edges, c=cdf: np.interp(at, e, c)).pvalue > 1e-6


@REAL
def test_its_divergence_is_the_integral(name):
    """In closed form, or as the mean of log q - log p over draws within 5 standard errors: false-alarm rate 6e-7."""
    p, q = (
        prior_of(name)(condition(name)),
        diagonal_gaussian(torch.tensor([0.4, -0.7]).double(), torch.tensor([0.6, 0.3]).double()),
    )
    points, log_measure = support(name)
    ratio = q.log_prob(points) - p.log_prob(points)
    exact = ((q.log_prob(points) + log_measure).exp() * ratio).sum().item()
    found = divergence(q, p, draw(q, DRAWS, generator(3))).double()
    assert abs(found.mean().item() - exact) <= 5 * found.std().item() / math.sqrt(DRAWS) + 1e-7


@EACH
def test_no_numbers_break_it(name):
    """Parameters far beyond what training gives: finite densities and gradients of the latents in float32."""
    for scale in (-100.0, 100.0):
        made = prior_of(name, posterior().float(), torch.float32)
        with torch.no_grad():
            for number, weights in enumerate(made.parameters()):
                weights.copy_(scale * torch.randn(weights.shape, generator=generator(number)))
        z = torch.zeros(4, part_of(name).width(FEATURES)).requires_grad_()
        log_prob = made(condition(name)).log_prob(z)
        assert bool(log_prob.isfinite().all())
        if log_prob.requires_grad:
            found = torch.autograd.grad(log_prob.sum(), [z, *made.parameters()], allow_unused=True)
            assert all(bool(gradient.isfinite().all()) for gradient in found if gradient is not None)


@EACH
def test_weights_bring_it_back(name):
    """What is learned stands in its weights, once, and nothing else does."""
    encode = posterior()
    one, other = prior_of(name, encode), part_of(name)
    facts = Facts("x", (3,), Kind.REAL, None, context=len(CONDITION) if other.conditional else 0)
    other = other.build(FEATURES, facts, encode).double()
    other.load_state_dict(one.state_dict())
    z = support(name)[0][-2:]
    assert torch.equal(one(condition(name)).log_prob(z), other(condition(name)).log_prob(z))
    assert not {id(w) for w in one.parameters()} & {id(w) for w in encode.parameters()}
