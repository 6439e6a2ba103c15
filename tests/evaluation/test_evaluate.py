"""Evaluated numbers against exact ones: a linear-Gaussian model, a grid over two latents, and laws that hold for
any model.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, StudentT

from vael.data import Batch, Kind, Source
from vael.errors import StateError
from vael.evaluation import evaluate, evaluate_encoder, evaluate_refined
from vael.evaluation.evaluate import ROWS_AT_ONCE, _rows
from vael.models import VAE, BernoulliHead, Conditional, Decoder, GaussianPosterior, Head, StandardNormal
from vael.networks import Dense
from vael.objectives import SampledELBO
from vael.probability import PerExample, diagonal_gaussian


class FixedGaussian(Head):
    """Likelihood N(raw, σ²) of the linear-Gaussian oracle."""

    is_likelihood, discrete = True, False

    def __init__(self, sigma):
        super().__init__()
        self.sigma = sigma

    def check(self, source):
        pass

    def forward(self, raw):
        return Normal(raw, torch.full_like(raw, self.sigma), validate_args=False)


class CrossEntropy(BernoulliHead):
    is_likelihood = False


class LinearPosterior(Conditional):
    """N(A x, diag s²), by default the exact posterior of the oracle when W has orthogonal columns."""

    def __init__(self, matrix, scale):
        super().__init__()
        self.register_buffer("matrix", matrix)
        self.register_buffer("scale", scale)

    def forward(self, x, context=None):
        mean = x @ self.matrix.T
        return diagonal_gaussian(mean, self.scale.expand_as(mean))


def source(x, kind=Kind.BINARY):
    return Source(name="made", x=x, kind=kind, fingerprint="0" * 64, notes=("made for a test",))


def linear(narrow=1.0, sigma=0.5, examples=23):
    """(model, source, exact log p(x)) in float64; `narrow` below 1 makes the posterior too narrow by that factor."""
    generator = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(5, 2, generator=generator, dtype=torch.float64)).Q
    w = basis * torch.tensor([2.0, 0.7], dtype=torch.float64)
    precision = (w.square().sum(0) / sigma**2) + 1  # diagonal, since the columns are orthogonal
    network = nn.Linear(2, 5, bias=False, dtype=torch.float64)
    network.weight.data.copy_(w)
    posterior = LinearPosterior(w.T / sigma**2 / precision[:, None], narrow * precision.rsqrt())
    marginal = MultivariateNormal(
        torch.zeros(5, dtype=torch.float64), w @ w.T + sigma**2 * torch.eye(5, dtype=torch.float64)
    )
    x = torch.randn(examples, 5, generator=generator, dtype=torch.float64) @ marginal.scale_tril.T
    return (
        VAE(StandardNormal(2).double(), Decoder(network, FixedGaussian(sigma)), posterior),
        source(x, Kind.REAL),
        marginal.log_prob(x),
    )


def binary(latent=2, cells=12, examples=13):
    """A small random Bernoulli model and binary data."""
    model = VAE(
        StandardNormal(latent),
        Decoder(Dense((latent,), (cells,), (16,)), BernoulliHead()),
        GaussianPosterior(Dense((cells,), (2 * latent,))),
    )
    for weight in model.likelihood.parameters():
        weight.data.mul_(2)
    return model, source((torch.rand(examples, cells) < 0.4).to(torch.uint8))


def test_exact_posterior_gives_exact_log_likelihood_and_trusted_weights():
    model, data, exact = linear()
    found = evaluate(model, data, importance_samples=100)
    torch.testing.assert_close(found.log_likelihood_per_example, exact, rtol=1e-10, atol=1e-10)
    assert found.log_likelihood == pytest.approx(float(exact.mean()), rel=1e-10)
    assert found.standard_error == pytest.approx(float(exact.std()) / math.sqrt(len(exact)), rel=1e-10)
    assert found.effective_sample_size == pytest.approx(100, rel=1e-9)
    assert found.k_hat == 0
    assert found.k_hat_above_limit == 0
    assert found.warnings == ()
    assert found.bits_per_dim is None  # a density has no bits
    assert (found.data, found.split, found.examples, found.importance_samples, found.seed) == (
        "made",
        "test",
        23,
        100,
        0,
    )
    assert found.is_bound is True
    assert evaluate(model, data, split="train", seed=3).split == "train"
    assert evaluate(model, data, seed=3).seed == 3


def test_narrow_posterior_is_flagged():
    # weights have an infinite variance: the ratio of widths 0.35 gives k = 1 - 0.35² = 0.88 for two latents
    model, data, _ = linear(narrow=0.35)
    found = evaluate_encoder(model, data, importance_samples=2000)
    assert found.k_hat > 0.7
    assert any("k-hat" in warning for warning in found.warnings)
    assert found.fitted_share == 0


@pytest.mark.parametrize("samples", [1, 3])
def test_k_draws_equal_the_bounds_on_the_same_noise(samples):
    model, data = binary()
    found = evaluate(model, data, importance_samples=samples, seed=4)
    batch = replace(data.batch(torch.arange(len(data))))
    terms = model.terms(batch, samples=samples, generator=PerExample(5, batch.index))
    sampled = SampledELBO()(terms).bound
    if samples == 1:
        torch.testing.assert_close(found.log_likelihood_per_example.float(), sampled, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        found.elbo_per_example.float(), (terms.log_likelihood - terms.divergence.sum(0)).mean(0), rtol=1e-5, atol=1e-5
    )
    assert found.k_hat is None
    assert any("few" in warning for warning in found.warnings)


def test_grid_over_two_latents_agrees():
    # false alarm of 4 standard errors for 13 examples: below 1e-3
    model, data = binary()
    axis = torch.linspace(-7, 7, 281)
    grid = torch.cartesian_prod(axis, axis)[:, None]
    batch = data.batch(torch.arange(len(data)))
    with torch.no_grad():
        cells = model.likelihood(grid).log_prob(batch.x).sum(2) + model.prior(None).log_prob(grid)
        exact = cells.double().logsumexp(0) + 2 * math.log(float(axis[1] - axis[0]))
    found = evaluate(model, data, importance_samples=4000)
    effective = found.effective_sample_size
    error = (1 / effective - 1 / 4000) ** 0.5  # delta method: relative error of the mean weight, mean over examples
    assert (found.log_likelihood_per_example - exact).abs().mean() < 4 * error
    worst = (1 / found.worst_effective_sample_size - 1 / 4000) ** 0.5
    assert (found.log_likelihood_per_example - exact).abs().max() < 4 * worst


def test_little_memory_means_few_latents_at_once():
    model, data = binary()
    one = data.batch(torch.arange(1))
    assert 1 < _rows(model, one, 30_000) < 100
    assert _rows(model, one, 1) == 1
    assert _rows(model, one, 1 << 30) == 4000


def test_on_a_device_that_is_not_known_as_many_latents_are_decoded_as_on_a_processor(monkeypatch):
    model, data = binary()
    monkeypatch.delitem(ROWS_AT_ONCE, "cpu")
    assert _rows(model, data.batch(torch.arange(1)), 1 << 30) == 4000


@pytest.mark.parametrize("way", [evaluate, evaluate_encoder, evaluate_refined])
def test_a_record_says_what_was_judged_and_how(way):
    """The split and the seed as they were given, or test and 0; the draws that were asked for, or 100."""
    model, data = binary(examples=3)
    found = way(model, data, split="validation", importance_samples=7, seed=3)
    assert (found.split, found.importance_samples, found.seed, found.examples) == ("validation", 7, 3, 3)
    usual = way(model, data)
    assert (usual.split, usual.importance_samples, usual.seed, usual.data) == ("test", 100, 0, "made")


@pytest.mark.parametrize("sizes", [{"batch": 1}, {"batch": 7}, {"batch": 128}, {"memory": 30_000}])
def test_no_number_depends_on_batch_or_memory(sizes):
    model, data = binary()
    one, other = evaluate(model, data, importance_samples=510), evaluate(model, data, importance_samples=510, **sizes)
    for name in (
        "elbo",
        "log_likelihood",
        "standard_error",
        "distortion",
        "divergence",
        "effective_sample_size",
        "bits_per_dim",
    ):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-5), name
    torch.testing.assert_close(other.log_likelihood_per_example, one.log_likelihood_per_example, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(other.k_hat_per_example, one.k_hat_per_example, rtol=1e-3, atol=1e-3)
    assert other.active_units == one.active_units


def test_two_runs_are_equal_and_leave_no_trace():
    model, data = binary()
    model.train()
    state = torch.get_rng_state()
    one, other = (evaluate(model, data, importance_samples=50) for _ in range(2))
    assert torch.equal(one.log_likelihood_per_example, other.log_likelihood_per_example)
    assert one.elbo == other.elbo
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(not layer._forward_hooks for layer in model.modules())
    assert evaluate(model, data, importance_samples=50, seed=1).elbo != one.elbo


def test_more_draws_raise_the_estimate():
    # mean over 64 examples of a gap that is 0.3 nats at K = 1; exact log p(x) is known, so no draw can pass it by
    # chance for long
    model, data, exact = linear(narrow=0.8, examples=64)
    gaps = [
        float((exact - evaluate(model, data, importance_samples=k).log_likelihood_per_example).mean())
        for k in (1, 10, 1000)
    ]
    assert gaps[0] > gaps[1] > gaps[2] > -0.01


def test_bits_per_dim_and_weighting_of_the_last_batch():
    model, data = binary(examples=13)
    found = evaluate(model, data, importance_samples=100, batch=5)
    assert found.bits_per_dim == pytest.approx(-found.log_likelihood / 12 / math.log(2))
    assert found.elbo_per_example.shape == (13,)
    assert found.elbo == pytest.approx(float(found.elbo_per_example.mean()), rel=1e-12)
    assert found.elbo == pytest.approx(-found.distortion - found.divergence, rel=1e-12)
    alone = [evaluate(model, data, importance_samples=100, batch=1).elbo_per_example[i] for i in (0, 12)]
    torch.testing.assert_close(found.elbo_per_example[[0, 12]], torch.stack(alone), rtol=1e-5, atol=1e-5)


def test_cross_entropy_has_no_likelihood_and_says_so():
    model, data = binary()
    model.likelihood.head = CrossEntropy()
    found = evaluate(model, data, importance_samples=10)
    assert (found.log_likelihood, found.standard_error, found.bits_per_dim, found.k_hat) == (None, None, None, None)
    assert math.isfinite(found.elbo)
    assert found.is_bound is False
    assert any("no likelihood" in note for note in found.notes)
    assert "made for a test" in found.notes


def test_active_units_and_divergence_per_latent():
    model, data, _ = linear(examples=200)
    model.posterior.matrix[1] = 0  # the second latent is shut off: its mean is 0 and its scale is the prior's
    model.posterior.scale[1] = 1
    found = evaluate(model, data, importance_samples=5)
    assert (found.active_units, found.latent_features) == (1, 2)
    assert found.divergence_per_latent[1] == pytest.approx(0, abs=1e-12)
    assert float(found.divergence_per_latent.sum()) == pytest.approx(found.divergence, rel=1e-12)


def test_divergence_without_closed_form_is_estimated_and_said():
    class HeavyPrior(StandardNormal):
        def forward(self, context=None):
            return Independent(StudentT(5.0, self.loc, self.scale, validate_args=False), 1, validate_args=False)

    model, data = binary()
    closed = evaluate(model, data, importance_samples=200)
    assert "closed form" in closed.estimator
    model.prior = HeavyPrior(2)
    found = evaluate_encoder(model, data, importance_samples=200)
    assert "estimated from 200 draws" in found.estimator
    assert math.isfinite(found.divergence)
    assert found.elbo <= found.log_likelihood  # Jensen's inequality holds for the mean of the very same log w


def test_progress_counts_every_example_once():
    model, data = binary()
    calls = []
    evaluate(model, data, importance_samples=1, batch=4, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(4, 13), (8, 13), (12, 13), (13, 13)]


@pytest.mark.parametrize("wrong", [{"importance_samples": 0}, {"batch": 0}, {"memory": 0}, {"seed": -1}])
def test_impossible_requests_are_refused(wrong):
    model, data = binary()
    with pytest.raises(StateError, match=next(iter(wrong))):
        evaluate(model, data, **wrong)


def test_empty_split_and_half_precision_are_refused():
    model, data = binary()
    with pytest.raises(StateError, match="no examples"):
        evaluate(model, source(data.x[:0]))
    with pytest.raises(StateError, match="float32"):
        evaluate(model.bfloat16(), data)
    assert isinstance(data.batch(torch.arange(2)), Batch)
