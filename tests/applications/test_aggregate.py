"""Codes of data as they are drawn, a mixture fitted to them, and samples from where they are: all exact for a
linear model.
"""

import math

import pytest
import torch

from oracles import LinearGaussian
from vael.applications import aggregate, generation
from vael.applications.aggregate import (
    SAMPLERS,
    aggregate_codes,
    aggregate_samples,
    fit_aggregate,
    fit_aggregate_flow,
)
from vael.applications.generation import mean_samples, samples
from vael.data import Kind, Source
from vael.errors import StateError
from vael.models import Autoencoder, Decoder, SquaredErrorHead


@pytest.fixture(scope="module")
def oracle():
    return LinearGaussian.of_size(6, 2, orthogonal=True)


def rows(oracle, count):
    return Source("rows", oracle.sample(count), Kind.REAL, "")


def test_codes_are_one_draw_of_the_posterior_for_each_example_in_order(oracle, monkeypatch):
    """Standardised by the exact posterior they are N(0, 1): 3,000 numbers, mean and variance within 5 standard
    errors (false alarm 1e-6).
    """
    source = rows(oracle, 1500)
    q = oracle.diagonal_posterior(source.x)
    z = aggregate_codes(oracle.vae(), source)
    unit = (z - q.mean) / q.stddev
    assert abs(float(unit.mean())) < 5 / math.sqrt(3000)
    assert abs(float(unit.square().mean()) - 1) < 5 * math.sqrt(2 / 3000)
    assert torch.equal(z, aggregate_codes(oracle.vae(), source, seed=0))
    assert not torch.equal(z, aggregate_codes(oracle.vae(), source, seed=1))
    monkeypatch.setattr(aggregate, "MOST", 1500)
    assert torch.equal(z, aggregate_codes(oracle.vae(), source))
    monkeypatch.setattr(aggregate, "MOST", 40)
    q = oracle.diagonal_posterior(source.x)
    some = aggregate_codes(oracle.vae(), source, seed=3)
    near = ((some[:, None] - q.mean).square() / q.stddev.square()).sum(2).argmin(1)
    assert len(some) == 40
    assert len(set(near.tolist())) > 30  # spread over all, none twice but by a draw that is nearer to another


def test_a_mixture_of_one_component_has_the_moments_of_the_codes(oracle):
    source = rows(oracle, 39)  # fewer than 20 for each of two
    found, z = (
        fit_aggregate(oracle.vae(), source, seed=5).components,
        aggregate_codes(oracle.vae(), source, seed=5).double(),
    )
    assert found.weight.tolist() == [1.0]
    torch.testing.assert_close(found.mean[0], z.mean(0), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        found.covariance[0], torch.cov(z.mT, correction=0) + 1e-4 * torch.eye(2).double(), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(("examples", "asked", "taken"), [(19, 20, 1), (40, 20, 2), (79, 20, 3), (100, 4, 4)])
def test_there_are_twenty_examples_for_each_component(oracle, examples, asked, taken):
    assert len(fit_aggregate(oracle.vae(), rows(oracle, examples), asked).components.weight) == taken


def test_samples_of_the_mixture_are_those_of_its_latents(oracle, monkeypatch):
    """N(W m + b, W S Wᵀ + σ² I) for one component: 20,000 draws, each entry of mean and covariance within 5
    standard errors (false alarm 2e-5).
    """
    count, mixture = 20_000, fit_aggregate(oracle.vae(), rows(oracle, 39))
    x = aggregate_samples(oracle.vae(), mixture, count, seed=2).double()
    part = mixture.components
    mean = oracle.weight.double() @ part.mean[0] + oracle.bias.double()
    covariance = (
        oracle.weight.double() @ part.covariance[0] @ oracle.weight.double().mT
        + oracle.sigma**2 * torch.eye(6).double()
    )
    assert ((x.mean(0) - mean).abs() < 5 * (covariance.diag() / count).sqrt()).all()
    error = ((covariance.diag()[:, None] * covariance.diag() + covariance.square()) / count).sqrt()
    assert ((torch.cov(x.mT) - covariance).abs() < 5 * error).all()
    assert torch.equal(x[:5].float(), aggregate_samples(oracle.vae(), mixture, count, seed=2)[:5].float())
    assert not torch.equal(x[:5], aggregate_samples(oracle.vae(), mixture, 5, seed=3).double())
    with pytest.raises(StateError, match="0 samples"):
        aggregate_samples(oracle.vae(), mixture, 0)


def test_as_many_samples_are_drawn_as_were_asked_for_in_blocks(oracle, monkeypatch):
    monkeypatch.setattr(generation, "AT_ONCE", 7)
    mixture = fit_aggregate(oracle.vae(), rows(oracle, 39))
    for count in (1, 7, 20):
        for found in (
            samples(oracle.vae(), count),
            mean_samples(oracle.vae(), count),
            aggregate_samples(oracle.vae(), mixture, count),
        ):
            assert found.shape == (count, 6)
            assert len(found.unique(dim=0)) == count
    assert not torch.equal(samples(oracle.vae(), 3), samples(oracle.vae(), 3, seed=1))
    assert torch.equal(samples(oracle.vae(), 3), samples(oracle.vae(), 3, seed=0))
    assert torch.equal(mean_samples(oracle.vae(), 3), mean_samples(oracle.vae(), 3, seed=0))


def test_a_flow_is_fitted_to_codes_that_are_no_gaussian():
    """Codes x² - 1 and x of one number: far likelier under the flow than under the best Gaussian, on held-out ones."""
    line, off = torch.randn(2, 1500, 1, generator=torch.Generator().manual_seed(0))
    curve = Source("curve", torch.cat((line**2 - 1 + 0.2 * off, line), 1), Kind.REAL, "")
    model = Autoencoder(torch.nn.Identity(), Decoder(torch.nn.Linear(2, 2), SquaredErrorHead()))
    flow = fit_aggregate_flow(model, curve.subset(torch.arange(1200)), steps=120)
    held, gaussian = curve.x[1200:], SAMPLERS["gaussian"](model, curve.subset(torch.arange(1200)), 0)
    assert float(flow.log_prob(held).mean()) > float(gaussian.log_prob(held.double()).mean()) + 0.3
    x = aggregate_samples(model, flow, 5, seed=1)
    assert torch.equal(x, aggregate_samples(model, flow, 5, seed=1))
    assert not torch.equal(x, aggregate_samples(model, flow, 5, seed=2))
    with pytest.raises(StateError, match="at least 2"):
        fit_aggregate_flow(model, curve.subset(torch.arange(1)))
