"""A model is judged by what it has: numbers of the record against their definitions, written out."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from vael.data import Kind, Source
from vael.data.transforms import DynamicBinarization
from vael.errors import StateError, SupportError
from vael.evaluation import judge
from vael.evaluation.estimation import Estimation
from vael.evaluation.judgement import CodeJudgement, ErrorJudgement, ExactJudgement
from vael.evaluation.judging import judge_codes, judge_error, judge_exactly, standard_error
from vael.evaluation.record import Evaluation
from vael.models import AutoregressiveCodes, BernoulliHead, CodeGrid, GaussianMixture, SquaredErrorHead
from vael.models.mixtures import Components
from vael.networks import CodeBook
from vael.recipes import autoencoder, dense, vq_vae


def built(make):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return make()


def rows(count=7, columns=3, gaps=False):
    x = torch.randn(count, columns, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    if gaps:
        x[::2, 1] = math.nan
    return Source("rows", x, Kind.REAL, "", gaps=gaps, notes=("made for a test",))


def pictures(kind=Kind.BINARY, levels=None, count=9):
    x = torch.randint(0, levels or 2, (count, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return Source("pictures", x, kind, "", levels=levels)


def mixture():
    covariance = torch.stack((torch.eye(3), torch.diag(torch.tensor([4.0, 1.0, 0.25])))).double()
    mean = torch.tensor([[0.0, 0.0, 0.0], [1.0, -1.0, 2.0]]).double()
    return GaussianMixture(2, 3).assign(Components(torch.tensor([0.25, 0.75]).double(), mean, covariance))


def test_an_exact_log_likelihood_is_that_of_every_example():
    source, model = rows(), mixture().train()
    parts = [stats.multivariate_normal([0, 0, 0], np.eye(3)), stats.multivariate_normal([1, -1, 2], [4, 1, 0.25])]
    exact = np.log(0.25 * parts[0].pdf(source.x) + 0.75 * parts[1].pdf(source.x))
    found = judge(model, source, split="validation", batch=3, seed=4)
    assert isinstance(found, ExactJudgement)
    np.testing.assert_allclose(found.log_likelihood_per_example, exact)
    assert found.log_likelihood == pytest.approx(exact.mean())
    assert found.standard_error == pytest.approx(exact.std(ddof=1) / math.sqrt(7))
    assert (found.data, found.split, found.examples, found.seed) == ("rows", "validation", 7, 4)
    assert (found.notes, found.warnings, found.bits_per_dim) == (("made for a test",), (), None)
    assert found.estimator == model.told
    assert found.seconds >= 0
    assert model.training
    assert [one.value for one in found.figures] == [found.log_likelihood]


def test_bits_are_those_of_probabilities_for_each_element():
    model = built(lambda: AutoregressiveCodes([CodeGrid(2, 2, 3)], features=2, channels=2, layers=1))
    codes = torch.randint(0, 3, (5, 4), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    found = judge(model, Source("codes", codes, Kind.INTEGER, "", levels=3))
    assert found.bits_per_dim == pytest.approx(-found.log_likelihood / (4 * math.log(2)))
    assert [one.value for one in found.figures] == [found.log_likelihood, found.bits_per_dim]


def test_rows_without_a_finite_density_are_told_and_gaps_refused():
    far = replace(rows(), x=torch.cat((rows().x, torch.full((2, 3), 1e200, dtype=torch.float64))))
    assert judge(mixture(), far).warnings == ("log p(x) is not finite for 2 of 9 examples: look at these rows",)
    with pytest.raises(SupportError, match="rows has gaps"):
        judge(mixture(), rows(gaps=True))


@pytest.mark.parametrize("gaps", [False, True])
def test_an_error_is_the_mean_square_over_what_was_seen(gaps):
    source, model = rows(gaps=gaps), built(lambda: autoencoder((3,), latent=2, hidden=(4,))).double()
    given = source.batch(torch.arange(7))
    apart = (model.eval().reconstruct(given) - given.x).detach().square()
    seen = torch.ones(7, 3, dtype=torch.bool) if given.observed is None else given.observed
    expected = [float(a[s].mean()) for a, s in zip(apart, seen, strict=True)]
    found = judge(model, source, batch=2)
    assert isinstance(found, ErrorJudgement)
    assert found.squared_error_per_example.tolist() == pytest.approx(expected)
    assert found.squared_error == pytest.approx(np.mean(expected))
    assert found.standard_error == pytest.approx(np.std(expected, ddof=1) / math.sqrt(7))
    known = source.x[seen]
    assert found.peak == pytest.approx(float(known.max() - known.min()))
    assert found.decibels == pytest.approx(10 * math.log10(found.peak**2 / found.squared_error))
    assert (found.split, found.seed, found.use, found.notes) == ("test", 0, (), source.notes)


@pytest.mark.parametrize(("kind", "levels", "peak"), [(Kind.BINARY, None, 1.0), (Kind.INTEGER, 6, 5.0)])
def test_the_peak_is_the_largest_difference_that_the_kind_allows(kind, levels, peak):
    found = judge(built(lambda: autoencoder((1, 4, 4), latent=2, hidden=(4,))), pictures(kind, levels))
    assert found.peak == peak
    flat = replace(rows(), x=torch.ones(4, 3))
    assert judge(built(lambda: autoencoder((3,), latent=2, hidden=(4,))), flat).decibels is None


@pytest.mark.parametrize("head", [BernoulliHead, SquaredErrorHead])
def test_codes_are_judged_by_a_likelihood_where_there_is_one_and_else_by_their_error(head):
    model = built(lambda: vq_vae((1, 4, 4), head(), CodeBook(4, 2), channels=(4,)))
    model.coder.books[0].sums.copy_(0.3 * torch.randn(4, 2, generator=torch.Generator().manual_seed(1)))
    source = pictures()
    found = judge(model, source, batch=4, seed=2)
    codes = model.eval().codes(source.batch(torch.arange(9)))
    shares = torch.bincount(codes.flatten(), minlength=4) / codes.numel()
    perplexity = math.exp(-sum(float(p) * math.log(float(p)) for p in shares if p))
    use = found.use if isinstance(found, ErrorJudgement) else found.found.use
    assert isinstance(found, CodeJudgement if head is BernoulliHead else ErrorJudgement)
    assert [one.perplexity for one in use] == [pytest.approx(perplexity)]
    assert 1 < perplexity < 4
    assert (found.split, found.seed, found.examples) == ("test", 2, 9)
    if isinstance(found, CodeJudgement):
        assert found.found.rate == pytest.approx(codes[0].numel() * math.log(4))


@pytest.mark.parametrize("batch", [2, 9])
def test_what_a_source_draws_is_drawn_by_the_seed_alone(batch):
    """Grey pictures made black and white by chance: each judge sees those of its seed, in batches of any size."""
    grey = replace(pictures(Kind.INTEGER, 256), kind=Kind.BINARY, levels=None, transform=DynamicBinarization(255))
    grid = [CodeGrid(4, 4, 2)]
    codes = built(lambda: vq_vae((1, 4, 4), BernoulliHead(), CodeBook(4, 2), channels=(4,)))
    codes.coder.books[0].sums.copy_(0.3 * torch.randn(4, 2, generator=torch.Generator().manual_seed(1)))
    ways = {
        judge_exactly: built(lambda: AutoregressiveCodes(grid, features=2, channels=2, layers=1)),
        judge_codes: codes,
        judge_error: built(lambda: autoencoder((1, 4, 4), latent=2, hidden=(4,))),
    }
    for way, model in ways.items():
        data = replace(grey, x=grey.x.flatten(1)) if way is judge_exactly else grey
        one, same, other = (
            way(model, data, Estimation(seed=seed, batch=size)) for seed, size in ((5, batch), (5, 4), (6, batch))
        )
        first, again, fresh = ([figure.value for figure in found.figures] for found in (one, same, other))
        assert first == pytest.approx(again, rel=1e-6)
        assert first[0] != fresh[0]
        assert (one.seed, other.seed) == (5, 6)


def test_latents_are_judged_by_draws_as_they_were_asked_for():
    model = built(lambda: dense((1, 4, 4), BernoulliHead(), latent=2, hidden=(4,)))
    heard = []
    asked = {"split": "train", "importance_samples": 7, "seed": 5, "batch": 2}
    found = judge(model, pictures(), progress=lambda done, total: heard.append((done, total)), **asked)
    assert isinstance(found, Evaluation)
    assert (found.split, found.importance_samples, found.seed) == ("train", 7, 5)
    assert heard[-1] == (9, 9)


@pytest.mark.parametrize("model", [mixture, lambda: built(lambda: autoencoder((3,), latent=2, hidden=(4,)))])
def test_nothing_to_judge_is_refused(model):
    with pytest.raises(StateError, match="0 examples in batches of 256"):
        judge(model(), replace(rows(), x=rows().x[:0]))
    with pytest.raises(StateError, match="7 examples in batches of 0"):
        judge(model(), rows(), batch=0)


def test_defaults_are_the_test_split_and_the_seed_0():
    source = rows()
    for way, model in ((judge_exactly, mixture()), (judge_error, built(lambda: autoencoder((3,), latent=1)))):
        found = way(model, source)
        assert (found.split, found.seed) == ("test", 0)
    book = built(lambda: vq_vae((1, 4, 4), BernoulliHead(), CodeBook(4, 2), channels=(4,)))
    found = judge_codes(book, pictures())
    assert (found.split, found.seed) == ("test", 0)
    assert standard_error(torch.tensor([1.0])) is None
    assert standard_error(torch.tensor([1.0, 3.0])) == pytest.approx(1.0)
