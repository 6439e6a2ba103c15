"""Laws of every objective: its value and its gradient are its formula written out in plain numbers, and it says of
itself what is true.
"""

import math
from statistics import NormalDist, mean

import numpy as np
import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss

from oracles import Even
from vael.errors import StateError
from vael.models import Terms
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
    PartiallyImportanceWeighted,
    Reconstruction,
    Renyi,
    SampledELBO,
    ScoreFunction,
    StickingTheLanding,
    TotalCorrelation,
    Weights,
)
from vael.probability import diagonal_gaussian

LEVELS, SAMPLES, BATCH, FEATURES = 2, 3, 4, 2
PLACE, SPREAD = (0.5, -1.0), (1.5, 0.5)  # of the prior of each level
PROGRESS = (0.0, 0.2, 0.4, 0.7, 1.0)


def prior(dtype):
    return diagonal_gaussian(torch.tensor(PLACE, dtype=dtype), torch.tensor(SPREAD, dtype=dtype))


def terms(scale: float = 1.0, dtype: torch.dtype = torch.float64, **latent) -> Terms:
    numbers = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return (scale * torch.randn(*shape, generator=numbers).to(dtype)).requires_grad_()

    level = (LEVELS, SAMPLES, BATCH)
    drawn_from = {
        "latent": tuple(drawn(SAMPLES, BATCH, FEATURES).detach() for _ in range(LEVELS)),
        "posterior": tuple(
            diagonal_gaussian(drawn(BATCH, FEATURES), drawn(BATCH, FEATURES).exp()) for _ in range(LEVELS)
        ),
        "prior": (prior(dtype),) * LEVELS,
    }
    return Terms(
        drawn(SAMPLES, BATCH),
        drawn(*level),
        drawn(*level),
        drawn(*level),
        {"a": drawn(BATCH), "b": drawn(BATCH)},
        **drawn_from | latent,
    )


def reconstruction(t, b):
    return mean(t.log_likelihood[:, b].tolist())


def mean_reconstruction(t):
    return mean(reconstruction(t, b) for b in range(BATCH))


def divergence(t, b):
    return mean(sum(t.divergence[k, s, b].item() for k in range(LEVELS)) for s in range(SAMPLES))


def log_weight(t, s, b):
    return t.log_likelihood[s, b].item() + sum(
        (t.log_prior[k, s, b] - t.log_posterior[k, s, b]).item() for k in range(LEVELS)
    )


def sampled(t, b):
    return mean(log_weight(t, s, b) for s in range(SAMPLES))


def counts(examples):
    """How much example j of a batch counts in the aggregate at a draw of example i."""
    return lambda i, j: 1 / examples if i == j else (examples - 1) / (examples * (BATCH - 1))


def taken_apart(t, b, weight):
    """Means over samples of log q(z|x) - log q(z), log q(z) - Σ log q(z_j), Σ log q(z_j) - log p(z)."""
    found = []
    for s in range(SAMPLES):
        densities = [  # of every latent of every level, by the example whose posterior it is
            [
                NormalDist(q.mean[j, f].item(), q.stddev[j, f].item()).pdf(z[s, b, f].item())
                for q, z in zip(t.posterior, t.latent, strict=True)
                for f in range(FEATURES)
            ]
            for j in range(BATCH)
        ]
        joint = math.log(sum(weight(b, j) * math.prod(densities[j]) for j in range(BATCH)))
        each = sum(
            math.log(sum(weight(b, j) * densities[j][k] for j in range(BATCH))) for k in range(LEVELS * FEATURES)
        )
        log_q, log_p = (sum(term[k, s, b].item() for k in range(LEVELS)) for term in (t.log_posterior, t.log_prior))
        found.append((log_q - joint, joint - each, each - log_p))
    return [mean(part) for part in zip(*found, strict=True)]


def log_mean(values):
    return math.log(mean(math.exp(value) for value in values))


def importance_weighted(t, b):
    return log_mean([log_weight(t, s, b) for s in range(SAMPLES)])


def renyi(alpha):
    return lambda t, b: log_mean([(1 - alpha) * log_weight(t, s, b) for s in range(SAMPLES)]) / (1 - alpha)


def level_divergence(t, k):
    return mean(t.divergence[k, s, b].item() for s in range(SAMPLES) for b in range(BATCH))


def discrepancy(t):
    """Summed over levels: mean over samples of the unbiased squared discrepancy, its expectations over the prior by
    quadrature in each latent.
    """
    nodes, mass = hermegauss(100)
    mass = (mass / mass.sum()).tolist()
    grid = [[m + s * node for node in nodes.tolist()] for m, s in zip(PLACE, SPREAD, strict=True)]

    def expected(of_point):
        return sum(weight * of_point(i) for i, weight in enumerate(mass))

    def of(h, points):
        def kernel(a, b):
            return math.exp(-sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / (2 * h))

        among = mean(kernel(a, b) for i, a in enumerate(points) for j, b in enumerate(points) if i != j)
        between = mean(
            math.prod(
                expected(lambda i, f=f, a=a: math.exp(-((a[f] - grid[f][i]) ** 2) / (2 * h))) for f in range(FEATURES)
            )
            for a in points
        )
        # the difference of two draws of the prior is normal too, with twice the variance
        within = math.prod(
            expected(lambda i, f=f: math.exp(-((grid[f][i] - PLACE[f]) ** 2) * 2 / (2 * h))) for f in range(FEATURES)
        )
        return among - 2 * between + within

    return sum(
        mean(of(w * FEATURES, z[s].tolist()) for s in range(SAMPLES) for w in (0.25, 0.5, 1.0, 2.0, 4.0))
        for z in t.latent
    )


def unlike_the_identity(t, off_diagonal, diagonal, spread):
    """Summed over levels: squared distance of the covariance of latents over examples from the identity; numpy divides
    by the number of examples, as here.
    """
    cost = 0.0
    for q in t.posterior:
        found = np.cov(q.mean.detach().numpy(), rowvar=False, bias=True)
        found = found + spread * np.diag(q.variance.detach().numpy().mean(0))
        cost += diagonal * sum((found[i, i] - 1) ** 2 for i in range(FEATURES))
        cost += off_diagonal * sum(found[i, j] ** 2 for i in range(FEATURES) for j in range(FEATURES) if i != j)
    return cost


def rise(progress, warmup):
    return min(progress / warmup, 1.0) if warmup else 1.0


NAMES = frozenset({"log_likelihood", "log_prior", "log_posterior"})
CLOSED = frozenset({"log_likelihood", "divergence"})
TABLE = {  # objective, bound, surrogate (of terms, row, progress), fields it asks for, whether it is a bound, warm-up
    "ELBO": (ELBO(), lambda t, b: reconstruction(t, b) - divergence(t, b), None, CLOSED, True, 0.0),
    "ELBO, weight 3": (
        ELBO(Beta(3.0)),
        lambda t, b: reconstruction(t, b) - divergence(t, b),
        lambda t, b, p: reconstruction(t, b) - 3 * divergence(t, b),
        CLOSED,
        True,
        0.0,
    ),
    "ELBO, weight 1 after warm-up": (
        ELBO(Beta(1.0, 0.4)),
        lambda t, b: reconstruction(t, b) - divergence(t, b),
        lambda t, b, p: reconstruction(t, b) - rise(p, 0.4) * divergence(t, b),
        CLOSED,
        True,
        0.4,
    ),
    "ELBO, weight 2 after warm-up": (
        ELBO(Beta(2.0, 0.7)),
        lambda t, b: reconstruction(t, b) - divergence(t, b),
        lambda t, b, p: reconstruction(t, b) - 2 * rise(p, 0.7) * divergence(t, b),
        CLOSED,
        True,
        0.7,
    ),
    "reconstruction alone": (
        ELBO(Beta(0.0)),
        lambda t, b: reconstruction(t, b) - divergence(t, b),
        lambda t, b, p: reconstruction(t, b),
        CLOSED,
        True,
        0.0,
    ),
    "divergence alone": (
        ELBO(Beta(math.inf)),
        lambda t, b: reconstruction(t, b) - divergence(t, b),
        lambda t, b, p: -divergence(t, b),
        CLOSED,
        True,
        0.0,
    ),
    "sampled": (SampledELBO(), sampled, None, NAMES, True, 0.0),
    "sampled, weight 2 after warm-up": (
        SampledELBO(Beta(2.0, 0.5)),
        sampled,
        lambda t, b, p: reconstruction(t, b) - 2 * rise(p, 0.5) * (reconstruction(t, b) - sampled(t, b)),
        NAMES,
        True,
        0.5,
    ),
    "importance-weighted": (
        ImportanceWeighted(),
        lambda t, b: math.log(mean(math.exp(log_weight(t, s, b)) for s in range(SAMPLES))),
        None,
        NAMES,
        True,
        0.0,
    ),
    "multiply importance-weighted, as many groups as samples": (
        MultiplyImportanceWeighted(SAMPLES),
        sampled,
        None,
        NAMES,
        True,
        0.0,
    ),
    "multiply importance-weighted, one group": (
        MultiplyImportanceWeighted(1),
        importance_weighted,
        None,
        NAMES,
        True,
        0.0,
    ),
    "combination importance-weighted": (
        CombinationImportanceWeighted(0.3),
        lambda t, b: 0.3 * sampled(t, b) + 0.7 * importance_weighted(t, b),
        None,
        NAMES,
        True,
        0.0,
    ),
    "partially importance-weighted": (PartiallyImportanceWeighted(3), importance_weighted, None, NAMES, True, 0.0),
    "doubly reparameterised": (DoublyReparameterized(), importance_weighted, None, NAMES, True, 0.0),
    "Renyi of order 0.4": (Renyi(0.4), renyi(0.4), None, NAMES, True, 0.0),
    "Renyi of order 3": (Renyi(3.0), renyi(3.0), None, NAMES, True, 0.0),
    "Renyi of order 0": (Renyi(0.0), importance_weighted, None, NAMES, True, 0.0),
    "Renyi of order 1": (Renyi(1.0), sampled, None, NAMES, True, 0.0),
    "sticking the landing": (StickingTheLanding(), sampled, None, NAMES, True, 0.0),
    "capacity that rises": (
        Capacity(3.0, 5.0, 0.5),
        lambda t, b: reconstruction(t, b) - divergence(t, b),
        lambda t, b, p: reconstruction(t, b) - 5 * abs(divergence(t, b) - 3 * rise(p, 0.5)),
        CLOSED,
        True,
        0.5,
    ),
    "free bits": (
        FreeBits(0.05),
        lambda t, b: reconstruction(t, b) - divergence(t, b),
        lambda t, b, p: reconstruction(t, b) - sum(max(0.05, level_divergence(t, k)) for k in range(LEVELS)),
        CLOSED,
        True,
        0.0,
    ),
    "mean discrepancy": (
        MeanDiscrepancy(10.0, 0.5),
        lambda t, b: reconstruction(t, b) - divergence(t, b),
        lambda t, b, p: reconstruction(t, b) - 0.5 * divergence(t, b) - 10 * discrepancy(t),
        CLOSED,
        True,
        0.0,
    ),
    "covariance of the means": (
        CovarianceMatching(2.0, 7.0, spread=False),
        lambda t, b: reconstruction(t, b) - divergence(t, b),
        lambda t, b, p: reconstruction(t, b) - divergence(t, b) - unlike_the_identity(t, 2, 7, False),
        CLOSED,
        True,
        0.0,
    ),
    "covariance of the latents": (
        CovarianceMatching(),
        lambda t, b: reconstruction(t, b) - divergence(t, b),
        lambda t, b, p: reconstruction(t, b) - divergence(t, b) - unlike_the_identity(t, 10, 10, True),
        CLOSED,
        True,
        0.0,
    ),
    "multi-sample score function": (MultiSampleScoreFunction(), importance_weighted, None, NAMES, True, 0.0),
    "score function": (ScoreFunction(), sampled, None, NAMES, True, 0.0),
    "penalties of weight 1": (
        Reconstruction(),
        reconstruction,
        lambda t, b, p: reconstruction(t, b) - t.penalties["a"][b].item() - t.penalties["b"][b].item(),
        frozenset({"log_likelihood", "penalties"}),
        False,
        0.0,
    ),
    "total correlation, weight 6": (
        TotalCorrelation(),
        sampled,
        lambda t, b, p: sampled(t, b) - 5 * taken_apart(t, b, counts(BATCH))[1],
        NAMES,
        True,
        0.0,
    ),
    "total correlation, all three weights, of many examples": (
        TotalCorrelation(2.0, 0.5, 3.0, examples=50),
        sampled,
        lambda t, b, p: (
            reconstruction(t, b)
            - sum(w * part for w, part in zip((0.5, 2.0, 3.0), taken_apart(t, b, counts(50)), strict=True))
        ),
        NAMES,
        True,
        0.0,
    ),
    "even over the batch": (
        Even(),
        reconstruction,
        lambda t, b, p: reconstruction(t, b) - (reconstruction(t, b) - mean_reconstruction(t)) ** 2,
        frozenset({"log_likelihood"}),
        False,
        0.0,
    ),
    "penalties": (
        Reconstruction({"a": 0.25}),
        reconstruction,
        lambda t, b, p: reconstruction(t, b) - 0.25 * t.penalties["a"][b].item() - t.penalties["b"][b].item(),
        frozenset({"log_likelihood", "penalties"}),
        False,
        0.0,
    ),
}
EACH = pytest.mark.parametrize(
    ("objective", "bound", "surrogate", "requires", "is_bound", "warmup"), TABLE.values(), ids=TABLE
)


@EACH
def test_values_are_the_formula_in_plain_numbers(objective, bound, surrogate, requires, is_bound, warmup):
    """At any share of training, given as a number or as a tensor; where no surrogate is written down, it is the
    bound.
    """
    stated = terms()
    for progress in PROGRESS:
        for given in (progress, torch.tensor(progress, dtype=torch.float64)):
            value = objective(stated, progress=given)
            climbed = [bound(stated, b) if surrogate is None else surrogate(stated, b, progress) for b in range(BATCH)]
            assert value.bound.tolist() == pytest.approx([bound(stated, b) for b in range(BATCH)], rel=1e-12)
            assert value.surrogate.tolist() == pytest.approx(climbed, rel=1e-9)
    assert torch.equal(objective(stated).surrogate, objective(stated, progress=1.0).surrogate)  # training that is over


@EACH
def test_it_says_of_itself_what_is_true(objective, bound, surrogate, requires, is_bound, warmup):
    """Which fields it requires (any other may be missing), whether it is a bound, how long it warms up, whether
    examples of a batch are coupled.
    """
    assert (objective.requires, objective.is_bound, objective.warmup) == (requires, is_bound, warmup)
    stated = terms()
    fewer = {name: getattr(stated, name) for name in ("log_likelihood", *sorted(requires))}
    fewer = Terms(**fewer, latent=stated.latent, posterior=stated.posterior, prior=stated.prior)
    assert torch.equal(objective(fewer).surrogate, objective(stated).surrogate)
    other = objective(first_row_changed(stated)).surrogate != objective(stated).surrogate
    coupled = bool(other[1:].any())
    assert objective.couples is coupled


@EACH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rows_that_fill_a_batch_up_change_nothing(objective, bound, surrogate, requires, is_bound, warmup, dtype):
    """Neither the values of the examples nor their gradients, whatever stands in rows of weight 0 and wherever these
    are; to the last bit where examples are not coupled.
    """
    alone = terms(dtype=dtype)
    order = torch.tensor([4, 0, 5, 1, 2, 6, 3])  # a place below BATCH is an example
    among = padded(alone, order)
    real = order < BATCH
    value = objective(among, Weights(real.to(torch.float32)), 0.3)
    expected = objective(alone, progress=0.3)
    exact = {} if objective.couples else {"rtol": 0, "atol": 0}
    torch.testing.assert_close(value.bound[real], expected.bound, **exact)
    torch.testing.assert_close(value.surrogate[real], expected.surrogate, **exact)
    gradients = [
        torch.autograd.grad(
            climbed.sum(), (alone.log_likelihood, alone.posterior[1].base_dist.loc), materialize_grads=True
        )
        for climbed in (value.surrogate * real, expected.surrogate)
    ]
    torch.testing.assert_close(*gradients, **exact)


def first_row_changed(stated):
    """The same terms, with everything that is stated of the first example moved."""
    return padded(stated, torch.tensor([BATCH, *range(1, BATCH)]), extra=1)


def padded(stated, order, extra=3):
    """Rows by `order`; those past the examples are a thousand times as large."""

    def rows(term):
        return torch.cat((term, 1e3 * term.detach()[..., :extra]), -1)[..., order]

    return Terms(
        rows(stated.log_likelihood),
        rows(stated.log_prior),
        rows(stated.log_posterior),
        rows(stated.divergence),
        {name: rows(penalty) for name, penalty in stated.penalties.items()},
        latent=tuple(rows(z.mT).mT for z in stated.latent),
        posterior=tuple(diagonal_gaussian(rows(q.mean.mT).mT, rows(q.stddev.mT).mT) for q in stated.posterior),
        prior=stated.prior,
    )


@EACH
def test_the_order_of_examples_changes_nothing(objective, bound, surrogate, requires, is_bound, warmup):
    """Each has the value that it had, wherever it stands in the batch."""
    stated, order = terms(), torch.tensor([2, 0, 3, 1])
    assert len(order) == BATCH
    moved, expected = objective(padded(stated, order), progress=0.3), objective(stated, progress=0.3)
    torch.testing.assert_close(moved.bound, expected.bound[order], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(moved.surrogate, expected.surrogate[order], rtol=1e-12, atol=1e-12)


def test_weighted_means_leave_out_what_fills_up_whatever_it_is():
    weights = Weights(torch.tensor([1.0, 0.0, 1.0, 0.0]))
    values = torch.tensor([[1.0, math.nan, 3.0, math.inf], [2.0, 0.0, -2.0, 9.0]])
    assert weights.sum(values).tolist() == [4.0, 0.0]
    assert weights.mean(values).tolist() == [2.0, 0.0]
    assert Weights().mean(values[1]).item() == 2.25


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (1, 4), (3, 1)], ids=str)
def test_sums_and_means_are_over_the_examples_which_are_last(shape):
    """Whatever stands before them; no weights are weights of one."""
    values = torch.arange(math.prod(shape), dtype=torch.float64).view(shape)
    ones = Weights(torch.ones(shape[-1]))
    rows = values.reshape(-1, shape[-1]).tolist()
    for weights in (Weights(), ones):
        assert weights.sum(values).shape == weights.mean(values).shape == shape[:-1]
        assert weights.sum(values).flatten().tolist() == pytest.approx([sum(row) for row in rows])
        assert weights.mean(values).flatten().tolist() == pytest.approx([mean(row) for row in rows])


def test_a_term_that_was_not_required_says_who_has_to():
    """Otherwise an objective that forgets one would be told of a None somewhere else, or climb nothing."""
    bare = Terms(torch.zeros(SAMPLES, BATCH), penalties=None)
    for objective, *_ in TABLE.values():
        missing = objective.requires - {"log_likelihood"}
        if missing:
            with pytest.raises(StateError, match=f"no ({'|'.join(missing)}): .*requires"):
                objective(bare)


def test_the_gradient_of_the_score_function_is_written_out():
    """1/S Σ_s [∇ log p(x, z_s) + (log w_s - mean of the other log w) ∇ log q(z_s|x)]."""
    stated = terms()
    found = torch.autograd.grad(
        ScoreFunction()(stated).surrogate.sum(), (stated.log_likelihood, stated.log_prior, stated.log_posterior)
    )
    weights = [[log_weight(stated, s, b) for b in range(BATCH)] for s in range(SAMPLES)]
    reward = [
        [weights[s][b] - mean(weights[r][b] for r in range(SAMPLES) if r != s) for b in range(BATCH)]
        for s in range(SAMPLES)
    ]
    torch.testing.assert_close(found[0], torch.full((SAMPLES, BATCH), 1 / SAMPLES).double())
    torch.testing.assert_close(found[1], torch.full((LEVELS, SAMPLES, BATCH), 1 / SAMPLES).double())
    torch.testing.assert_close(found[2], torch.tensor(reward).double().div(SAMPLES).expand(LEVELS, -1, -1))


@pytest.mark.parametrize("weight", [Beta(0.0), Beta(math.inf)], ids=["reconstruction alone", "divergence alone"])
@pytest.mark.parametrize("kind", [ELBO, SampledELBO])
def test_a_term_that_counts_for_nothing_has_a_gradient_of_zero_and_not_none(kind, weight):
    """Otherwise half of the parameters would have no gradient at all, which optimisers and data-parallel training
    refuse.
    """
    stated = terms()
    read = [getattr(stated, name) for name in sorted(kind.requires)]
    gradients = torch.autograd.grad(kind(weight)(stated).surrogate.sum(), read)
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    assert any(bool((gradient != 0).any()) for gradient in gradients)
    still = dict(zip(sorted(kind.requires), gradients, strict=True))
    if weight.final == math.inf and kind is ELBO:
        assert bool((still["log_likelihood"] == 0).all())


def test_a_share_that_is_a_tensor_gives_a_weight_that_is_one():
    """In a compiled step the share is data: a number would be fixed when the step is compiled."""
    for share in (0.1, 0.5, 1.0):
        weight = Beta(2.0, 0.5)(torch.tensor(share))
        assert isinstance(weight, torch.Tensor)
        assert float(weight) == pytest.approx(Beta(2.0, 0.5)(share))


def test_weights_at_the_edge_of_what_is_allowed():
    assert Beta(0.0).final == 0.0
    assert Beta(0.5, 0.0).warmup == 0.0
    assert Beta(1.0, 0.999)(0.4995) == pytest.approx(0.5)
