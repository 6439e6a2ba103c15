"""What training wraps: sums over the real rows of a batch.

Rows of weight 0, which fill the last batch up, move nothing.
"""

from dataclasses import replace

import pytest
import torch

from oracles import Even
from vael.data import Batch, Kind, Source
from vael.errors import StateError
from vael.inference import GradientAscent, Moment, World
from vael.inference.bound import Bound, sampled_divergence
from vael.models import VAE, BernoulliHead, Decoder, GaussianPosterior, StandardNormal
from vael.networks import Dense
from vael.objectives import ELBO, Beta, ImportanceWeighted, SampledELBO
from vael.probability import PerExample

CELLS, REAL = 6, 5
OBJECTIVES = {
    "closed form": ELBO(),
    "weighted": ELBO(Beta(0.5)),
    "sampled": SampledELBO(),
    "importance-weighted": ImportanceWeighted(),
    "divergence alone": ELBO(Beta(float("inf"))),
    "coupled": Even(),
}
EACH = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
APART = pytest.mark.parametrize(
    "objective", [one for one in OBJECTIVES.values() if not one.couples], ids=lambda one: type(one).__name__
)


def model() -> VAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE(
            StandardNormal(2),
            Decoder(Dense((2,), (CELLS,), (4,)), BernoulliHead()),
            GaussianPosterior(Dense((CELLS,), (4,), (4,))),
        ).double()


def batches() -> tuple[Batch, Batch]:
    """Five rows; and the same with three more of weight 0, one of them with cells that occur in no other row."""
    x = (torch.rand(REAL, CELLS, generator=torch.Generator().manual_seed(1)) < 0.5).double()
    padded = torch.cat((x, x[:1], x[:1], 1 - x[1:2]))
    weight = (torch.arange(len(padded)) < REAL).float()
    return Batch(x, index=torch.arange(REAL)), Batch(padded, index=torch.arange(len(padded)), weight=weight)


def noise(batch: Batch) -> PerExample:
    return PerExample(0, batch.index)


@EACH
def test_rows_of_weight_zero_move_neither_the_sums_nor_the_gradient(objective):
    bound = Bound(model(), objective, samples=3)
    found = []
    for batch in batches():
        surrogate, totals = bound(batch, 1.0, noise(batch))
        found.append((surrogate, totals, *torch.autograd.grad(surrogate, tuple(bound.parameters()))))
    for alone, padded in zip(*found, strict=True):
        torch.testing.assert_close(alone, padded, rtol=1e-12, atol=1e-12)
    assert float(found[1][1][3]) == REAL


@EACH
def test_a_step_with_padding_is_the_step_without(objective):
    moved = []
    for batch in batches():
        ascent = GradientAscent(model(), objective, samples=3)
        state = ascent.init(Source("rows", batch.x, Kind.BINARY, ""), World())
        info = ascent.step(state, batch, Moment(1.0, 1.0, noise(batch), REAL))
        moved.append((info.totals, *state.parameters))
    for alone, padded in zip(*moved, strict=True):
        torch.testing.assert_close(alone, padded, rtol=1e-9, atol=1e-9)


@APART
def test_the_sums_are_those_of_the_rows_one_by_one(objective):
    bound, (batch, _) = Bound(model(), objective, samples=3), batches()
    surrogate, totals = bound(batch, 1.0, noise(batch))
    singles = [
        bound(
            replace(batch, x=batch.x[i : i + 1], index=batch.index[i : i + 1]),
            1.0,
            PerExample(0, batch.index[i : i + 1]),
        )
        for i in range(REAL)
    ]
    torch.testing.assert_close(surrogate, sum(single[0] for single in singles), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(totals, sum(single[1] for single in singles), rtol=1e-12, atol=1e-12)


@APART
def test_the_sums_are_the_bound_its_distortion_its_divergence_and_the_count(objective):
    """For ELBO and sampled ELBO, bound = -distortion - divergence; each as the terms have it."""
    bound, (batch, _) = Bound(model(), objective, samples=3), batches()
    _, totals = bound(batch, 1.0, noise(batch))
    terms = bound.model(batch, samples=3, generator=noise(batch), requires=objective.requires)
    ratio = (
        terms.divergence.mean(1).sum()
        if terms.states("divergence")
        else (terms.log_posterior - terms.log_prior).mean(1).sum()
    )
    expected = torch.stack(
        (
            objective(terms).bound.sum(),
            -terms.log_likelihood.mean(0).sum(),
            ratio,
            torch.tensor(float(REAL)).double(),
        )
    )
    torch.testing.assert_close(totals, expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(sampled_divergence(terms).sum(), ratio)


def test_terms_without_a_prior_have_no_divergence():
    _, batch = batches()
    terms = model()(batch, samples=2, generator=noise(batch), requires=frozenset({"log_likelihood"}))
    assert torch.equal(sampled_divergence(terms), torch.zeros(len(batch)).double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_coupling_objective_that_ignored_the_weights_would_be_noticed(dtype):
    """What the laws above compare differs by far where the padding is taken for examples."""
    _, batch = batches()
    bound = Bound(model().to(dtype), Even(), samples=3)
    batch = replace(batch, x=batch.x.to(dtype))
    seen = bound(batch, 1.0, noise(batch))[0]
    blind = bound(replace(batch, weight=torch.ones(len(batch))), 1.0, noise(batch))[0]
    assert abs(seen.item() / blind.item() - 1) > 0.01


@APART
def test_several_processes_train_any_objective_that_couples_no_examples(objective):
    GradientAscent._check(objective, {}, World(size=2))


def test_several_processes_refuse_one_that_does():
    """Each would see its own part of the batch and climb another objective than one process does."""
    source = Source("rows", batches()[0].x, Kind.BINARY, "")
    with pytest.raises(StateError, match=r"Even couples the examples of a batch.*2 processes.*one process"):
        GradientAscent(model(), Even()).init(source, World(size=2))
