"""A model of classes judged: divergences in closed form, draws of each class by itself, shares of classes."""

import math

import pytest
import torch
from torch import nn

from vael.data import Batch, Kind, Source
from vael.evaluation.classification import class_bounds, classification, over_classes
from vael.evaluation.likelihood import Draws
from vael.models import (
    VAE,
    ClassPosterior,
    ClassShares,
    Decoder,
    FixedScale,
    GaussianHead,
    Posterior,
    SemiSupervised,
    StandardNormal,
)
from vael.probability import diagonal_gaussian

CLASSES, FEATURES, CELLS, BATCH = 3, 2, 4, 5
SHARES = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)


class Remembered(nn.Module):
    """Linear in z and the class, and keeps what it was given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(
            torch.randn(FEATURES + CLASSES, CELLS, generator=torch.Generator().manual_seed(1)).double()
        )
        self.given = []

    def forward(self, both):
        self.given.append(both.detach())
        return both @ self.weight


class ByClass(Posterior):
    """N(m_y + x_1, s_y²) of an example in class y."""

    def __init__(self, means, spreads):
        super().__init__()
        self.means, self.spreads = (torch.tensor(one, dtype=torch.float64) for one in (means, spreads))

    def forward(self, x, context=None):
        loc = (context @ self.means + x[:, 0])[:, None].expand(-1, FEATURES)
        return diagonal_gaussian(loc, (context @ self.spreads)[:, None].expand(-1, FEATURES))


def model(means=(0.5, -1.0, 0.2), spreads=(0.4, 1.0, 2.0)):
    emission = Remembered()
    decoder = Decoder(emission, GaussianHead(spread=FixedScale(0.7)))
    given = VAE(StandardNormal(FEATURES).double(), decoder, ByClass(means, spreads), context=CLASSES)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        found = SemiSupervised(ClassShares(CLASSES).double(), ClassPosterior(nn.Linear(CELLS, CLASSES).double()), given)
    found.shares.weight.data.copy_(SHARES)
    return found, emission


def batch(zero=False):
    x = torch.randn(BATCH, CELLS, generator=torch.Generator().manual_seed(3)).double()
    return Batch(x=0 * x if zero else x, index=torch.arange(BATCH))


def apart(of, x):
    """KL(q(z | x, y) || N(0, I)) of every class."""
    means, spreads = of.given.posterior.means, of.given.posterior.spreads
    each = 0.5 * ((means + x[:, :1]).square() + spreads.square() - 1) - spreads.log()
    return FEATURES * each


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_divergences_are_in_closed_form_however_few_draws_there_are(samples, seed):
    """KL(q(y | x) || p(y)) and, by q(y | x), that of z in each class."""
    of, _ = model()
    given = batch()
    with torch.no_grad():
        found = over_classes(of, given, Draws(samples, seed, 4000))
        share = of.classify(given).logits.exp()
    wanted = (share * (share.log() - SHARES.log() + apart(of, given.x))).sum(1)
    torch.testing.assert_close(found.divergence, wanted, rtol=1e-10, atol=1e-10)


def test_the_bound_of_a_class_is_what_its_draws_cost():
    """log p(y) + mean of log p(x | z, y) over the draws that the decoder was given - the divergence of the class."""
    of, emission = model()
    given = batch()
    with torch.no_grad():
        found = class_bounds(of, given, samples=6, seed=4)
        drawn = torch.cat(emission.given).view(CLASSES, 6, BATCH, -1)
        mean = drawn @ emission.weight
    log_p = (-0.5 * ((given.x - mean) / 0.7).square() - math.log(0.7 * math.sqrt(2 * math.pi))).sum(-1).mean(1)
    assert drawn[..., FEATURES:].argmax(-1).unique(dim=1).flatten().tolist() == [
        k for k in range(CLASSES) for _ in range(BATCH)
    ]
    torch.testing.assert_close(found, SHARES.log() + log_p.T - apart(of, given.x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 7, 4000])
def test_every_class_and_every_example_has_draws_of_its_own(rows):
    """Posteriors that are all N(0, I) show the noise itself: no number of it comes twice, and however many latents are
    decoded at once they are the same.
    """
    of, emission = model((0.0,) * CLASSES, (1.0,) * CLASSES)
    with torch.no_grad():
        found = over_classes(of, batch(zero=True), Draws(9, 0, rows))
        once = over_classes(of, batch(zero=True), Draws(9, 0, 4000))
    numbers = torch.cat([one[:, :FEATURES].flatten() for one in emission.given])
    assert len(numbers) == 2 * CLASSES * 9 * BATCH * FEATURES
    assert len(numbers.unique()) == len(numbers) // 2
    torch.testing.assert_close(found.log_likelihood, once.log_likelihood)
    torch.testing.assert_close(found.class_bound, once.class_bound)


def test_classes_are_told_by_the_largest_share_of_examples_that_have_one():
    log_q = (
        torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4], [0.9, 0.05, 0.05]])
        .double()
        .log()
    )
    bound = torch.tensor(
        [[5.0, 4.0, 3.0], [1.0, 0.0, -1.0], [0.0, 2.0, 0.0], [9.0, 9.0, 9.5], [0.0, 7.0, 0.0]]
    ).double()
    label = torch.tensor([0, 1, 2, 1, -1])
    source = Source("some", torch.zeros(5, 1), Kind.REAL, "some", label=label)
    found = classification(log_q, bound, source)
    told = [[math.exp(b - max(row)) for b in row] for row in bound.tolist()]
    tight = [-math.log(row[y] / sum(row)) for row, y in zip(told[:4], label.tolist(), strict=False)]
    assert (found.examples, found.accuracy, found.bound_accuracy, found.commonest) == (4, 0.5, 0.25, 0.5)
    assert found.cross_entropy == pytest.approx(-math.log(0.7 * 0.6 * 0.3 * 0.3) / 4)
    assert found.bound_cross_entropy == pytest.approx(sum(tight) / 4)
    assert found.standard_error == pytest.approx(math.sqrt(4 * 0.25 / 3) / 2)
    alone = Source("one", torch.zeros(1, 1), Kind.REAL, "one", label=torch.tensor([0]))
    assert classification(log_q[:1], bound[:1], alone).standard_error is None
    for none in (None, torch.full((5,), -1)):
        assert classification(log_q, bound, Source("some", torch.zeros(5, 1), Kind.REAL, "some", label=none)) is None
