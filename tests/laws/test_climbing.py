"""Laws of every objective on models whose log p(x) is known: it is never above it where it says that it is a bound,
equal at the exact posterior, and its gradient is that of what it climbs.
"""

import importlib
import inspect
import math
import pkgutil

import pytest
import torch
from torch import nn

import vael.objectives
from oracles import LinearGaussian, generator
from vael.data import Batch
from vael.models import Terms
from vael.models.semi_supervised import CLASSIFICATION
from vael.objectives import (
    ELBO,
    Beta,
    Capacity,
    CombinationImportanceWeighted,
    CovarianceMatching,
    DoublyReparameterized,
    FreeBits,
    ImportanceWeighted,
    MeanDiscrepancy,
    MultiplyImportanceWeighted,
    MultiSampleScoreFunction,
    Objective,
    PartiallyImportanceWeighted,
    Reconstruction,
    Renyi,
    SampledELBO,
    ScoreFunction,
    StickingTheLanding,
    TotalCorrelation,
)
from vael.objectives.labelled import LabelledELBO
from vael.objectives.parts import ObjectivePart
from vael.parts import members
from vael.probability import diagonal_gaussian

FOR_EVERY_DRAW, IN_THE_MEAN, NOWHERE = "for every draw", "in the mean", "nowhere"
SLOPE = None  # its gradient is the slope of its surrogate on the same draws
PATHS, SCORES = True, False  # whether draws carry a gradient
# objective, samples, where it is log p(x) at the exact posterior, whose mean gradient it has, whether draws carry one
TABLE = {
    "ELBO": (ELBO(), 2, IN_THE_MEAN, SLOPE, PATHS),
    "ELBO, weight 3 after warm-up": (ELBO(Beta(3.0, 0.6)), 2, IN_THE_MEAN, SLOPE, PATHS),
    "sampled": (SampledELBO(), 2, FOR_EVERY_DRAW, SLOPE, PATHS),
    "importance-weighted": (ImportanceWeighted(), 4, FOR_EVERY_DRAW, SLOPE, PATHS),
    "multiply importance-weighted": (MultiplyImportanceWeighted(2), 4, FOR_EVERY_DRAW, SLOPE, PATHS),
    "combination importance-weighted": (CombinationImportanceWeighted(0.3), 4, FOR_EVERY_DRAW, SLOPE, PATHS),
    "Rényi 0.4": (Renyi(0.4), 4, FOR_EVERY_DRAW, SLOPE, PATHS),
    "Rényi 3": (Renyi(3.0), 4, FOR_EVERY_DRAW, SLOPE, PATHS),
    "partially importance-weighted": (
        PartiallyImportanceWeighted(2),
        4,
        FOR_EVERY_DRAW,
        {"decoder": ImportanceWeighted(), "encoder": MultiplyImportanceWeighted(2)},
        PATHS,
    ),
    "doubly reparameterised": (DoublyReparameterized(), 4, FOR_EVERY_DRAW, ImportanceWeighted(), PATHS),
    "sticking the landing": (StickingTheLanding(), 2, FOR_EVERY_DRAW, SampledELBO(), PATHS),
    "score function": (ScoreFunction(), 4, FOR_EVERY_DRAW, SampledELBO(), SCORES),
    "multi-sample score function": (MultiSampleScoreFunction(), 4, FOR_EVERY_DRAW, ImportanceWeighted(), SCORES),
    "capacity": (Capacity(1.0, 5.0, 0.5), 2, IN_THE_MEAN, SLOPE, PATHS),
    "free bits": (FreeBits(0.05), 2, IN_THE_MEAN, SLOPE, PATHS),
    "mean discrepancy": (MeanDiscrepancy(10.0, 0.5), 2, IN_THE_MEAN, SLOPE, PATHS),
    "total correlation": (TotalCorrelation(examples=50), 2, FOR_EVERY_DRAW, SLOPE, PATHS),
    "covariance": (CovarianceMatching(), 2, IN_THE_MEAN, SLOPE, PATHS),
    "of a model of classes": (LabelledELBO(0.5), 2, IN_THE_MEAN, SLOPE, PATHS),
    "reconstruction": (Reconstruction({CLASSIFICATION: 0.3}), 2, NOWHERE, SLOPE, PATHS),
}
EACH = pytest.mark.parametrize(("objective", "samples", "tight", "like", "paths"), TABLE.values(), ids=TABLE)
PROGRESS = 0.3


def with_a_penalty(stated: Terms) -> Terms:
    """The same terms, with one that some objectives ask for besides, and that moves with the rest."""
    return Terms(
        stated.log_likelihood,
        stated.log_prior,
        stated.log_posterior,
        stated.divergence,
        {CLASSIFICATION: 0.1 * stated.log_likelihood.mean(0).square()},
        latent=stated.latent,
        prior=stated.prior,
        posterior=stated.posterior,
    )


class Learning:
    """A linear Gaussian model with a wrong Gaussian posterior, all of it weights."""

    def __init__(self) -> None:
        self.oracle = LinearGaussian.of_size(3, 2, seed=4)
        self.encode, self.raw = nn.Linear(3, 2).double(), torch.zeros(2, dtype=torch.float64, requires_grad=True)
        with torch.no_grad():
            for weights in self.encode.parameters():
                weights.copy_(0.3 * torch.randn(weights.shape, generator=generator(1), dtype=torch.float64))
        self.model = self.oracle.vae(
            lambda x: diagonal_gaussian(self.encode(x), (self.raw - 0.2).exp().expand(len(x), 2))
        )
        self.groups = {
            "encoder": [*self.encode.parameters(), self.raw],
            "decoder": list(self.model.likelihood.network.parameters()),
        }

    def terms(self, x, samples, seed=0, paths=PATHS) -> Terms:
        """On the draws of this seed; without paths the draws are constants, and only their density has a gradient."""
        stated = self.model.terms(Batch(x=x), samples=samples, generator=generator(seed))
        if not paths:
            drawn = tuple(z.detach() for z in stated.latent)
            stated = self.model.terms(Batch(x=x), samples=samples, generator=generator(seed), latent=drawn)
        return with_a_penalty(stated)

    def gradient(self, objective, stated, group):
        climbed = objective(stated, progress=PROGRESS).surrogate.mean()
        found = torch.autograd.grad(climbed, self.groups[group], allow_unused=True, retain_graph=True)
        zeros = (torch.zeros_like(weights) for weights in self.groups[group])
        return torch.cat([(z if g is None else g).flatten() for g, z in zip(found, zeros, strict=True)])


def concrete():
    """Every objective of the package."""
    for module in pkgutil.iter_modules(vael.objectives.__path__):
        found = importlib.import_module(f"vael.objectives.{module.name}")
        for one in vars(found).values():
            if inspect.isclass(one) and issubclass(one, Objective) and not inspect.isabstract(one):
                yield one


def test_every_objective_has_a_row():
    """A new one is held to the laws, or this fails."""
    there = {type(objective) for objective, *_ in TABLE.values()}
    assert set(concrete()) - there == set()
    parts = [part() for kind, part in members(ObjectivePart).items() if part.__module__.startswith("vael.")]
    assert {type(part.build()) for part in parts} - there == set()
    assert {type(part.build()) for part in parts if part.bounds} == {
        type(objective) for objective, *_ in TABLE.values() if objective.is_bound
    }


@EACH
def test_in_expectation_it_is_not_above_log_p(objective, samples, tight, like, paths):
    """On five examples, each 200 times over: at most 4.5 standard errors above for each, which a bound that is equal
    would be with probability 2e-5; and, because the posterior is wrong, below by more than that for their mean.
    """
    learning = Learning()
    x = learning.oracle.sample(5)
    with torch.no_grad():
        stated = learning.terms(x.repeat(200, 1), samples, seed=3)
        found = objective(stated).bound.unflatten(0, (200, 5))
    error = found.std(0) / math.sqrt(200)
    gap = learning.oracle.log_prob(x) - found.mean(0)
    if objective.is_bound:
        assert (gap >= -4.5 * error).all(), (gap / error).tolist()
        assert gap.mean() >= 4.5 * error.square().sum().sqrt() / 5
    else:
        assert tight is NOWHERE


@EACH
def test_at_the_exact_posterior_it_is_log_p(objective, samples, tight, like, paths):
    """For every draw, or within 4.5 standard errors over 200 draws of each of five examples (false alarms: 3e-5)."""
    oracle = LinearGaussian.of_size(4, 2, orthogonal=True)
    x = oracle.sample(5)
    with torch.no_grad():
        stated = oracle.vae().terms(Batch(x=x.repeat(200, 1)), samples=samples, generator=generator(5))
        gap = objective(with_a_penalty(stated)).bound.unflatten(0, (200, 5)) - oracle.log_prob(x)
    if tight is FOR_EVERY_DRAW:
        assert gap.abs().max() < 1e-9
    elif tight is IN_THE_MEAN:
        error = gap.std(0) / math.sqrt(200)
        assert (gap.mean(0).abs() <= 4.5 * error).all(), (gap.mean(0) / error).tolist()
    else:
        assert gap.mean() > 1


@EACH
def test_its_gradient_is_that_of_what_it_climbs(objective, samples, tight, like, paths):
    """On the same draws the slope of the surrogate by central differences, to 1e-6; of an estimator in the mean over 80
    times the draws of another, at most 6 standard errors of the difference apart in each of 19 weights (79 degrees of
    freedom: false alarms below 1e-5).
    """
    learning = Learning()
    x = learning.oracle.sample(6)
    for group, weights in learning.groups.items():
        if like is SLOPE:
            found = learning.gradient(objective, learning.terms(x, samples), group)
            torch.testing.assert_close(found, slopes(learning, objective, x, samples, weights), rtol=1e-6, atol=1e-7)
            continue
        other = like[group] if isinstance(like, dict) else like
        apart = torch.stack(
            [
                learning.gradient(objective, learning.terms(x, samples, seed, paths), group)
                - learning.gradient(other, learning.terms(x, samples, seed), group)
                for seed in range(80)
            ]
        )
        error = apart.std(0) / math.sqrt(len(apart))
        assert (apart.mean(0).abs() <= 6 * error + 1e-12).all(), (group, (apart.mean(0) / error).tolist())


@torch.no_grad()
def slopes(learning, objective, x, samples, weights, step=1e-5):
    """Of the surrogate in each weight, draws moving with it."""
    found = []
    for tensor in weights:
        flat = tensor.view(-1)
        for place in range(len(flat)):
            ends, at = [], float(flat[place])
            for moved in (at + step, at - step):
                flat[place] = moved
                ends.append(objective(learning.terms(x, samples), progress=PROGRESS).surrogate.mean())
            flat[place] = at
            found.append((ends[0] - ends[1]) / (2 * step))
    return torch.stack(found)


SEVERAL = [ImportanceWeighted(), Renyi(0.4), Renyi(3.0), CombinationImportanceWeighted(0.3), DoublyReparameterized()]
SEVERAL += [MultiplyImportanceWeighted(1), PartiallyImportanceWeighted(1)]


@pytest.mark.parametrize("objective", SEVERAL, ids=repr)
def test_with_one_sample_it_is_the_elbo(objective):
    learning = Learning()
    stated = learning.terms(learning.oracle.sample(6), 1)
    torch.testing.assert_close(objective(stated).bound, SampledELBO()(stated).bound, rtol=1e-12, atol=1e-12)


def test_renyi_falls_with_its_order_from_the_importance_weighted_bound_through_the_elbo():
    """And comes to the evidence lower bound from both sides of α = 1: half the variance of log w for each unit of α."""
    learning = Learning()
    stated = learning.terms(learning.oracle.sample(6), 8)
    orders = (0.0, 0.2, 0.7, 1.0, 1.5, 4.0)
    values = torch.stack([Renyi(alpha)(stated).bound for alpha in orders])
    assert (values.diff(dim=0) < 0).all()
    torch.testing.assert_close(values[0], ImportanceWeighted()(stated).bound)
    torch.testing.assert_close(values[3], SampledELBO()(stated).bound)
    log_w = stated.log_likelihood + (stated.log_prior - stated.log_posterior).sum(0)
    for step in (1e-4, -1e-4):
        slope = (Renyi(1 + step)(stated).bound - values[3]) / step
        torch.testing.assert_close(slope, -log_w.var(0, correction=0) / 2, rtol=1e-2, atol=1e-4)


def test_multiply_importance_weighted_with_one_group_is_importance_weighted():
    """In value and in every gradient: the roles of groups and samples are not exchanged."""
    learning = Learning()
    stated = learning.terms(learning.oracle.sample(6), 8)
    one, whole = MultiplyImportanceWeighted(1), ImportanceWeighted()
    torch.testing.assert_close(one(stated).bound, whole(stated).bound)
    assert (one(stated).bound > MultiplyImportanceWeighted(8)(stated).bound).all()
    for group in learning.groups:
        torch.testing.assert_close(learning.gradient(one, stated, group), learning.gradient(whole, stated, group))
