"""Proposals fitted to each example: exact where log p(x) is known, chosen without a look at the estimate, and never
a loss of an example.
"""

import math
import sys

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from vael.data import Kind, Source
from vael.evaluation import Proposals, evaluate, evaluate_encoder, evaluate_refined, forecast, proposals
from vael.evaluation.likelihood import Draws
from vael.models import VAE, BernoulliHead, Conditional, Decoder, Head, StandardNormal
from vael.probability import diagonal_gaussian


class FixedGaussian(Head):
    """N(raw, σ²)."""

    is_likelihood, discrete = True, False

    def __init__(self, sigma):
        super().__init__()
        self.sigma = sigma

    def check(self, source):
        pass

    def forward(self, raw):
        return Normal(raw, torch.full_like(raw, self.sigma), validate_args=False)


class Encoder(Conditional):
    """N(A x, diag s²), with the deviations of every second example multiplied by `odd`."""

    def __init__(self, matrix, scale, odd=1.0):
        super().__init__()
        self.register_buffer("matrix", matrix)
        self.register_buffer("scale", scale)
        self.odd = odd

    def forward(self, x, context=None):
        narrow = torch.where(x[:, -1:] > 0, self.odd, 1.0)
        return diagonal_gaussian(x @ self.matrix.T, self.scale * narrow)


def linear(latents, odd, examples=40, sigma=0.5):
    """A linear-Gaussian model with the exact encoder, but for examples with x_5 > 0, whose deviations are `odd`
    times too wide; exact log p(x).
    """
    generator = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(6, latents, generator=generator, dtype=torch.float64)).Q
    w = basis * torch.linspace(2.0, 0.7, latents, dtype=torch.float64)
    precision = w.square().sum(0) / sigma**2 + 1
    network = nn.Linear(latents, 6, bias=False, dtype=torch.float64)
    network.weight.data.copy_(w)
    marginal = MultivariateNormal(
        torch.zeros(6, dtype=torch.float64), w @ w.T + sigma**2 * torch.eye(6, dtype=torch.float64)
    )
    x = torch.randn(examples, 6, generator=generator, dtype=torch.float64) @ marginal.scale_tril.T
    model = VAE(
        StandardNormal(latents).double(),
        Decoder(network, FixedGaussian(sigma)),
        Encoder(w.T / sigma**2 / precision[:, None], precision.rsqrt(), odd),
    )
    return model, Source("made", x, Kind.REAL, "0" * 64), marginal.log_prob(x)


@pytest.mark.parametrize("latents", [1, 3, 6])
def test_heavy_examples_get_their_own_proposal_and_exact_log_likelihood(latents):
    """Per example within 5 standard errors of its weights (40 examples: false alarm 2e-5); the good half keeps the
    encoder and has 10 digits.
    """
    model, data, exact = linear(latents, odd=0.15 if latents == 1 else 0.3)
    bad = data.x[:, -1] > 0
    plain, found = (how(model, data, importance_samples=1000) for how in (evaluate_encoder, evaluate))
    assert plain.k_hat_per_example[bad].median() > 0.7
    assert found.fitted_share == pytest.approx(float(bad.double().mean()))
    torch.testing.assert_close(found.log_likelihood_per_example[~bad], exact[~bad], rtol=1e-10, atol=1e-10)
    worth = (
        (2 * proposals.widening(latents) ** 2 - 1) ** 0.5 / proposals.widening(latents) ** 2
    ) ** latents  # of each draw: the fit is near the exact Gaussian
    error = math.sqrt((1 / (0.8 * worth) - 1) / 1000)
    assert (found.log_likelihood_per_example - exact)[bad].abs().max() < 5 * error
    assert found.k_hat_per_example[bad].max() < 0.5
    assert found.k_hat_above_limit == 0
    assert found.warnings == ()


def test_the_mean_weight_is_p_of_x_whatever_was_decided():
    """E[1/K Σ w] = p(x) through pilot, trial and decision: mean over 40 examples and 12 seeds within 4 standard errors
    (false alarm 6e-5).

    Encoders half as wide as they should be are sometimes kept and sometimes not, which is where choosing by a look at
    the weights would bias.
    """
    model, data, exact = linear(2, odd=0.75)
    found = [evaluate(model, data, importance_samples=100, seed=seed) for seed in range(0, 24, 2)]
    share = sum(one.fitted_share for one in found) / len(found)
    assert 0.02 < share < 0.98
    ratio = torch.stack([(one.log_likelihood_per_example - exact).exp() for one in found])
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / math.sqrt(ratio.numel())
    assert float(torch.stack([one.log_likelihood_per_example for one in found]).mean() - exact.mean()) < 4 * float(
        ratio.std()
    ) / math.sqrt(ratio.numel())


def test_draws_that_decide_or_fit_enter_no_estimate(monkeypatch):
    """Blocks of noise of pilot, trial and estimate are disjoint; an example that keeps the encoder has the estimate
    of `evaluate_encoder`.
    """
    model, data, _ = linear(2, odd=0.3)
    asked = {"under_posterior": [], "weigh": [], "fitted_proposal": []}
    for name, calls in asked.items():
        whole = getattr(proposals, name)

        def noted(*given, whole=whole, calls=calls):
            calls.append(next(one for one in given if isinstance(one, Draws)))
            return whole(*given)

        monkeypatch.setattr(proposals, name, noted)
    found = evaluate(model, data, importance_samples=1300)
    blocks = {
        name: {how.first + block for how in calls for block in range(-(-how.samples // 500))}
        for name, calls in asked.items()
    }
    assert all(blocks.values())
    assert not blocks["weigh"] & (blocks["under_posterior"] | blocks["fitted_proposal"])
    assert not blocks["under_posterior"] & blocks["fitted_proposal"]
    plain = evaluate_encoder(model, data, importance_samples=1300)
    kept = data.x[:, -1] <= 0
    same = (found.log_likelihood_per_example[kept], plain.log_likelihood_per_example[kept])
    torch.testing.assert_close(*same, rtol=1e-14, atol=1e-14)  # a row's rounding depends on its place in a vector unit


def test_skew_posterior_against_quadrature():
    """Eight binary cells under one latent, steep logits: the mode is not the mean.

    Within 5 standard errors (16 examples: false alarm 1e-5).
    """
    generator = torch.Generator().manual_seed(2)
    network = nn.Linear(1, 8).double()
    network.weight.data.copy_(3 * torch.rand(8, 1, generator=generator, dtype=torch.float64) + 1)
    network.bias.data.copy_(torch.linspace(-4, 0, 8, dtype=torch.float64)[torch.randperm(8, generator=generator)])
    encoder = Encoder(torch.zeros(1, 8, dtype=torch.float64), torch.full((1,), 0.2, dtype=torch.float64))
    model = VAE(StandardNormal(1).double(), Decoder(network, BernoulliHead()), encoder)
    data = Source("made", (torch.rand(16, 8, generator=generator) < 0.4).to(torch.uint8), Kind.BINARY, "0" * 64)
    z = torch.linspace(-12, 12, 4801, dtype=torch.float64)[:, None, None]
    with torch.no_grad():
        joint = model.likelihood(z).log_prob(data.x.double()).sum(2) + model.prior(None).log_prob(z)
    exact = joint.logsumexp(0) + math.log(24 / 4800)
    found = evaluate(model, data, importance_samples=2000)
    assert found.fitted_share > 0.9
    assert found.warnings == ()
    assert evaluate_encoder(model, data, importance_samples=2000).k_hat_above_limit > 0.5
    error = math.sqrt(1 / found.worst_effective_sample_size - 1 / 2000)
    assert (found.log_likelihood_per_example - exact).abs().max() < 5 * error
    assert found.worst_effective_sample_size > 1500


@pytest.mark.parametrize("sizes", [{"batch": 7}, {"memory": 30_000}])
def test_no_fitted_number_depends_on_batch_or_memory(sizes):
    model, data, _ = linear(3, odd=0.3)
    one, other = evaluate(model, data, importance_samples=510), evaluate(model, data, importance_samples=510, **sizes)
    assert other.fitted_share == one.fitted_share
    torch.testing.assert_close(other.log_likelihood_per_example, one.log_likelihood_per_example, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(other.k_hat_per_example, one.k_hat_per_example, rtol=1e-5, atol=1e-5)
    assert other.elbo == pytest.approx(one.elbo, rel=1e-9)


def test_an_example_whose_proposal_has_no_finite_numbers_keeps_the_encoder(monkeypatch):
    model, data, _ = linear(2, odd=0.3)
    whole = proposals.fitted_proposal

    def broken(model, given, how):
        found = whole(model, given, how)
        loc = torch.where((given.index % 3 == 0)[:, None], math.nan, found.loc)
        return MultivariateNormal(loc, scale_tril=found.scale_tril, validate_args=False)

    monkeypatch.setattr(proposals, "fitted_proposal", broken)
    found, plain = (
        evaluate_refined(model, data, importance_samples=100),
        evaluate_encoder(model, data, importance_samples=100),
    )
    third = torch.arange(len(data)) % 3 == 0
    same = (found.log_likelihood_per_example[third], plain.log_likelihood_per_example[third])
    torch.testing.assert_close(*same, rtol=1e-14, atol=1e-14)  # a row's rounding depends on its place in a vector unit
    assert found.fitted_share == pytest.approx(float((~third).double().mean()))
    assert found.log_likelihood_per_example.isfinite().all()


def test_few_draws_stay_with_the_encoder():
    model, data, _ = linear(2, odd=0.3)
    found, plain = (how(model, data, importance_samples=99) for how in (evaluate, evaluate_encoder))
    assert found.fitted_share == 0
    assert torch.equal(found.log_likelihood_per_example, plain.log_likelihood_per_example)


@pytest.mark.parametrize("latents", [1, 2, 24, 200])
def test_how_wide_a_proposal_is(latents):
    """Of a Gaussian posterior at least a seventh of the draws' worth is left, and its tails are wider by a tenth of
    a deviation or more below 100.
    """
    c = proposals.widening(latents)
    assert ((2 * c**2 - 1) ** 0.5 / c**2) ** latents > 1 / 7
    assert c > (1.1 if latents < 100 else 1.05)


def test_a_forecast_judges_few_examples_and_leaves_no_trace(monkeypatch):
    model, data, _ = linear(2, odd=0.3)
    model.train()
    sizes, whole = [], proposals.judged
    monkeypatch.setattr(
        sys.modules["vael.evaluation.evaluate"],
        "judged",
        lambda model, given, plan: sizes.append(len(given)) or whole(model, given, plan),
    )
    found = forecast(model, data, importance_samples=200)
    assert max(sizes) <= len(data) // 4
    assert 0 < found.seconds < math.inf
    assert 0 < found.fitted_share < 1
    assert forecast(model, data, importance_samples=200, proposals=Proposals.FITTED).fitted_share == 1
    assert forecast(model, data, importance_samples=200, proposals=Proposals.ENCODER).fitted_share == 0
    assert model.training


def test_the_cost_of_a_fit_is_that_of_pilot_trial_and_laplace():
    """In latents that could be decoded in the same time: 100 draws, 200 draws, 30 steps of three and eleven an axis."""
    assert [proposals.fitting_cost(features) for features in (1, 16)] == [300 + 90 + 11, 300 + 90 + 176]


def test_every_correction_looks_at_draws_of_its_own(monkeypatch):
    """Corrections of one proposal take blocks of noise that no other takes, all within those set aside for trials."""
    model, data, _ = linear(2, odd=0.3)
    blocks, whole = [], proposals._corrected

    def noted(model, given, q, how):
        blocks.append((how.first, how.samples))
        return (*whole(model, given, q, how)[:2], torch.full((len(given),), math.inf))

    monkeypatch.setattr(proposals, "_corrected", noted)
    evaluate(model, data, importance_samples=100)
    assert [samples for _, samples in blocks] == [200] * 3
    assert len({first for first, _ in blocks}) == 3
    assert all(1 << 31 <= first < 1 << 32 for first, _ in blocks)
