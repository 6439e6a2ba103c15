"""Bits-back coding: round trips over likelihoods and posteriors, the length against -ELBO, and against enumeration
of a tiny model.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from vael import models, recipes
from vael.compression import Level, SafeLevel
from vael.compression.bits_back import bottom_of, decode, encode
from vael.compression.laws import BisectedGaussians, CodingLaw, Tables
from vael.compression.stack import Stack
from vael.data.facts import UnknownMoments
from vael.errors import FormatError, ShapeError, StateError, SupportError
from vael.probability import Stream

EVENT = (3, 4, 4)
HEADS = {
    "bernoulli": (lambda: models.BernoulliHead(), 2),
    "logistic": (lambda: models.DiscretizedLogisticHead(256), 256),
    "mixture": (lambda: models.DiscretizedLogisticMixtureHead(30, components=3), 30),
    "coupled": (lambda: models.CoupledLogisticMixtureHead(256, components=3), 256),
    "categorical": (lambda: models.CategoricalHead(5), 5),
}
CASES = list(itertools.product(HEADS, (False, True)))


def model_of(name, correlated, latent=4):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        moments = UnknownMoments(torch.full(EVENT, HEADS[name][1] / 2), torch.full(EVENT, HEADS[name][1] / 3))
        return recipes.dense(
            EVENT, HEADS[name][0](), latent=latent, hidden=(16,), correlated=correlated, statistics=moments
        ).eval()


def level_of(name, correlated, **how):
    return SafeLevel(model_of(name, correlated), EVENT, HEADS[name][1], **{"batch": 16, **how})


def data_of(name, examples, seed=0):
    """Draws from the model itself, so that a code is possible at all."""
    x = model_of(name, False).sample(examples, generator=Stream(torch.Generator().manual_seed(seed)))
    return x.reshape(examples, -1).to(torch.int32).numpy()


@pytest.mark.parametrize(("name", "correlated"), CASES)
@pytest.mark.parametrize("examples", [1, 5, 60])
def test_examples_come_back_and_so_do_the_first_bits(name, correlated, examples):
    level, x = level_of(name, correlated), data_of(name, examples)
    coded = encode(level, x)
    assert sum(coded.groups) == examples
    assert np.array_equal(
        decode(level, coded.words, coded.kept, coded.groups), x
    )  # raises unless the known words come back


@pytest.mark.parametrize(("name", "correlated"), CASES)
def test_any_data_come_back_not_only_likely_ones(name, correlated):
    level = level_of(name, correlated)
    x = np.random.default_rng(0).integers(0, level.levels, (20, 48)).astype(np.int32)
    coded = encode(level, x)
    assert np.array_equal(decode(level, coded.words, coded.kept, coded.groups), x)


@pytest.mark.parametrize(("name", "correlated"), CASES)
def test_the_length_is_the_bound_at_the_latents_that_were_used(name, correlated):
    """Within 0.5 % and a word; draws at the same latents, so nothing here is left to chance."""
    level = level_of(name, correlated)
    coded = encode(level, data_of(name, 60))
    assert coded.net == pytest.approx(coded.ideal / math.log(2), rel=0.005, abs=32)


def test_the_ideal_length_is_a_draw_of_the_bound():
    """Mean over 60 codings against the closed form, within 4.5 standard errors for 16 examples: a false alarm in
    9,000 seeds.
    """
    model, x = model_of("bernoulli", True), data_of("bernoulli", 16)
    level = SafeLevel(model, EVENT, 2, batch=16)
    stack, draws = Stack(60 * 64), []
    for _ in range(60):
        z = level.posterior(1, x).pop(stack)
        draws.append(level.ideal(x, (z,)))
    batch = models.core.Batch(x=torch.from_numpy(x).double().view(-1, *EVENT))
    terms = level.model.terms(batch, samples=3000, generator=torch.Generator().manual_seed(1))
    bound = (terms.divergence[0] - terms.log_likelihood.mean(0)).detach().numpy()
    spread = np.std(draws, axis=0) / math.sqrt(60)
    noise = terms.log_likelihood.std(0).detach().numpy() / math.sqrt(3000)
    assert (np.abs(np.mean(draws, axis=0) - bound) < 4.5 * np.hypot(spread, noise)).all()


def test_groups_grow_so_that_hardly_any_known_bits_are_used():
    level = level_of("logistic", True)
    coded = encode(level, data_of("logistic", 60))
    assert coded.groups[0] == 1
    assert max(coded.groups) == 16
    assert 32 * len(coded.words) - coded.net < 32 * bottom_of(level)


def test_a_level_is_the_same_whatever_the_company():
    level, x = level_of("mixture", True), data_of("mixture", 12)
    together, alone = level.posterior(1, x), level.posterior(1, x[:1])
    assert np.array_equal(together.loc[:1], alone.loc)
    assert np.array_equal(together.scale[:1], alone.scale)


def test_changed_bits_do_not_decode_in_silence():
    """Flips in the words of a coded block: the known words do not come back (other than by a chance of 2⁻³²)."""
    level, x = level_of("bernoulli", False), data_of("bernoulli", 20)
    coded, rng = encode(level, x), np.random.default_rng(0)
    for _ in range(20):
        words = coded.words.copy()
        words[rng.integers(len(words) - 1)] ^= np.uint32(1 << int(rng.integers(32)))
        with pytest.raises(FormatError, match="did not come back"):
            decode(level, words, coded.kept, coded.groups)


class Toy(Level):
    """Two levels of four and three latents over cells 0 ... 2 in pairs: everything can be enumerated."""

    name, batch, cells, levels, latents = "toy", 8, 2, 3, (1, 1)
    settings, build = {}, {}

    def __init__(self, depth=2):
        self.latents = (1,) * depth
        rng = np.random.default_rng(5)
        self.p_x = rng.dirichlet(np.ones(3), (4, 2))  # P(cell | z1)
        self.p_low = rng.dirichlet(np.ones(4), 3)  # P(z1 | z2)
        self.p_top = rng.dirichlet(np.ones(3)) if depth == 2 else rng.dirichlet(np.ones(4))
        self.q_low = rng.dirichlet(np.ones(4), (3, 3))  # Q(z1 | x)
        self.q_top = rng.dirichlet(np.ones(3), 4)  # Q(z2 | z1)

    def posterior(self, level, below):
        return Tables(self.q_low[below[:, 0], below[:, 1]][:, None] if level == 1 else self.q_top[below[:, 0]][:, None])

    def likelihood(self, level, above):
        return Tables(self.p_x[above[:, 0]] if level == 1 else self.p_low[above[:, 0]][:, None])

    def prior(self, examples):
        return Tables(np.repeat(self.p_top[None, None], examples, axis=0))

    def nats(self, x, path):
        """log q(path | x) - log p(x, path)."""
        cost = math.log(self.q_low[x][path[0]]) - sum(
            math.log(self.p_x[path[0], cell, value]) for cell, value in enumerate(x)
        )
        if self.depth == 1:
            return cost - math.log(self.p_top[path[0]])
        return (
            cost
            + math.log(self.q_top[path[0], path[1]])
            - math.log(self.p_low[path[1], path[0]])
            - math.log(self.p_top[path[1]])
        )

    def ideal(self, x, latents):
        return np.array([self.nats(tuple(row), [int(z[i, 0]) for z in latents]) for i, row in enumerate(x)])

    def bound(self, x):
        """-ELBO by enumeration, nats."""
        total = 0.0
        for path in itertools.product(range(4), *[range(3)] * (self.depth - 1)):
            weight = self.q_low[x][path[0]] * (self.q_top[path[0], path[1]] if self.depth == 2 else 1)
            total += weight * self.nats(x, path)
        return total


@pytest.mark.parametrize("depth", [1, 2])
def test_a_tiny_model_costs_what_enumeration_says(depth):
    """2,000 examples: within 4 standard errors of the enumerated -ELBO, and within 0.1 % of it at the latents that
    were used.
    """
    level = Toy(depth)
    x = np.random.default_rng(1).integers(0, 3, (2000, 2)).astype(np.int32)
    coded = encode(level, x)
    assert np.array_equal(decode(level, coded.words, coded.kept, coded.groups), x)
    assert coded.net == pytest.approx(coded.ideal / math.log(2), rel=0.001)
    expected = sum(level.bound(tuple(row)) for row in x)
    assert abs(coded.ideal - expected) < 4 * 2.0 * math.sqrt(len(x))  # one draw deviates by less than 2 nats


class Chain(Level):
    """z2 ~ N(0, 1), z1 ~ N(a z2, s²), x ~ N(z1, r²) cut into bins of 1/16, with the exact posteriors q(z1 | x) and q(z2
    | z1).

    So -ELBO is -log p(x) of N(0, a² + s² + r²), whatever the latents are: Bit-Swap over Gaussian levels has a closed
    form to meet.
    """

    name, batch, cells, levels, latents = "chain", 64, 3, 256, (3, 3)
    settings, build = {}, {}
    a, s, r, bins, unit, reach = 0.8, 0.5, 0.4, 256, 16, 128

    def gaussian(self, mean, deviation):
        loc = np.asarray(mean, np.float64) * self.bins
        return BisectedGaussians(loc, np.full(loc.shape, deviation * self.bins), 16 * self.bins)

    def posterior(self, level, below):
        if level == 1:
            seen, spread, noise = (below - self.reach) / self.unit, self.a**2 + self.s**2, self.r**2
        else:
            seen, spread, noise = below / self.bins / self.a, 1.0, (self.s / self.a) ** 2
        return self.gaussian(seen * spread / (spread + noise), math.sqrt(spread * noise / (spread + noise)))

    def likelihood(self, level, above):
        if level == 2:
            return self.gaussian(self.a * above / self.bins, self.s)
        loc = above / self.bins * self.unit
        return Shifted(BisectedGaussians(loc, np.full(loc.shape, self.r * self.unit), self.reach), self.reach)

    def prior(self, examples):
        return self.gaussian(np.zeros((examples, 3)), 1.0)

    def ideal(self, x, latents):
        return np.zeros(len(x))


class Shifted(CodingLaw):
    """Another law's symbols counted from 0."""

    def __init__(self, law, by):
        self.law, self.by = law, by

    def questions(self):
        return ((yield from self.law.questions()) + self.by).astype(np.int32)

    def answers(self, symbols):
        yield from self.law.answers((symbols - self.by).astype(np.int32))


def test_a_hierarchy_of_gaussians_costs_what_its_closed_form_says():
    """3,000 × 3 cells: -log₂ p(x) in closed form to 0.1 % (bins of the latents, and 2⁻²⁴ of the coder)."""
    level = Chain()
    deviation = math.sqrt(level.a**2 + level.s**2 + level.r**2)
    x = np.random.default_rng(2).normal(0, deviation * level.unit, (3000, 3)).round().astype(np.int32)
    coded = encode(level, x + level.reach)
    assert np.array_equal(decode(level, coded.words, coded.kept, coded.groups), x + level.reach)
    edges = (x[..., None] + [-0.5, 0.5]) / (level.unit * deviation)
    expected = -np.log2(ndtr(edges[..., 1]) - ndtr(edges[..., 0])).sum()
    assert coded.net == pytest.approx(expected, rel=0.001)


def test_a_stack_that_runs_empty_is_said_to():
    level = SafeLevel(model_of("bernoulli", False, latent=40), EVENT, 2, batch=16)
    level.latents = (0,)  # so that only 256 known bits lie below
    with pytest.raises(StateError, match="ran empty"):
        encode(level, data_of("bernoulli", 60))


def test_models_without_probabilities_are_refused():
    with torch.random.fork_rng(devices=[]):
        grey = recipes.dense(EVENT, models.GaussianHead(), latent=2, hidden=(4,))
    with pytest.raises(SupportError, match="gives no probabilities"):
        SafeLevel(grey, EVENT, 256)
    with pytest.raises(ShapeError, match="at least 1"):
        level_of("bernoulli", False, batch=0)
    with pytest.raises(ShapeError, match="65,536"):
        level_of("bernoulli", False, bins=1 << 20)
    with pytest.raises(ShapeError, match="at once"):
        level_of("bernoulli", False).posterior(1, np.zeros((17, 48), np.int32))
