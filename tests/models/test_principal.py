"""Weights from principal components: the bound before training is that of a factor analysis, against dense linear
algebra.
"""

import math

import pytest
import torch

from vael.data import Batch, Kind, Source, statistics
from vael.errors import ShapeError, SupportError
from vael.models import BernoulliHead, CoupledLogisticMixtureHead, DiscretizedLogisticHead
from vael.models.principal import channel_noise, coupled_noise, factors, start_at_principal_components
from vael.recipes import dense, principal

EVENT, LATENT = (3, 6, 6), 10


def smooth(count=600, seed=0):
    """Images of a few waves and noise that channels share, in 256 levels."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.arange(6.0).expand(3, 6, 6).flatten()
    waves = torch.stack([torch.cos(place * math.pi * n / 24 + n) for n in range(5)])
    x = 128 + 15 * torch.randn(count, 5, generator=generator) @ waves
    noise = torch.randn(count, 1, 36, generator=generator) * 4 + torch.randn(count, 3, 36, generator=generator)
    return Source(
        "waves",
        (x.view(count, 3, 36) + noise).view(count, *EVENT).round().clamp(0, 255).to(torch.uint8),
        Kind.INTEGER,
        "p",
        levels=256,
    )


def started(head):
    source = smooth()
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        model = principal(EVENT, head, latent=LATENT, statistics=statistics(source))
    start_at_principal_components(model, source)
    return model


def bits(model, source):
    terms = model(Batch(x=source.x.float()), generator=torch.Generator().manual_seed(0))
    return float(terms.divergence.mean() - terms.log_likelihood.mean()) / math.log(2) / math.prod(EVENT)


def test_the_bound_is_near_that_of_the_gaussian_before_any_training():
    """The best Gaussian of these data, density for probability, is a lower limit up to sampling error; a logistic
    and 10 latents cost little.
    """
    x = smooth().x.flatten(1).double()
    covariance = torch.cov(x.mT)
    ideal = 0.5 * float(torch.logdet(2 * math.pi * math.e * covariance)) / math.log(2) / x.shape[1]
    coupled, plain = (
        bits(started(head), smooth(seed=1))
        for head in (CoupledLogisticMixtureHead(256, 1, 3), DiscretizedLogisticHead(256))
    )
    assert ideal - 0.1 < coupled < ideal + 0.4
    assert coupled < plain - 0.5  # channels share most of their noise


def test_factors_are_the_leading_eigenvectors_of_whitened_channels():
    x = smooth().x.float()
    found = factors(x, 3)
    whitened = torch.einsum(
        "ij,njk->nik", torch.linalg.inv(found.mixing), (x.double() - x.double().mean(0)).flatten(2)
    ).flatten(1)
    values, vectors = torch.linalg.eigh(whitened.mT @ whitened / len(x))
    torch.testing.assert_close(found.variance, values.flip(0)[:3], rtol=1e-4, atol=0.0)
    torch.testing.assert_close((found.axes.mT @ vectors.flip(1)[:, :3]).abs(), torch.eye(3).double(), rtol=0, atol=1e-2)
    assert found.noise == pytest.approx(float(values[:-3].mean()), rel=1e-3)


def test_coupling_is_regression_on_the_channels_before():
    mixing = torch.linalg.cholesky(channel_noise(smooth().x.float()))
    covariance = mixing @ mixing.mT
    coupling = coupled_noise(mixing)
    torch.testing.assert_close(coupling[2, :2], torch.linalg.solve(covariance[:2, :2], covariance[:2, 2]))
    assert coupling.triu().abs().max() == 0


def test_the_decoder_starts_with_the_coupling_of_the_noise_and_its_spread_for_any_latent():
    """Each channel follows those before it as the noise of a pixel does; scales are those of the noise that is left."""
    model, source = started(CoupledLogisticMixtureHead(256, 1, 3)), smooth()
    found = factors(source.x.float(), LATENT)
    law = model.decode((torch.randn(1, 2, LATENT, generator=torch.Generator().manual_seed(4)),))
    expected = coupled_noise(found.mixing)[torch.tril_indices(3, 3, -1).unbind()].float()
    coupling = law.coupling[0, :, :, :, :, 0]
    torch.testing.assert_close(coupling, expected[None, :, None, None].expand_as(coupling), rtol=1e-4, atol=1e-4)
    # a logistic of scale s has deviation π s / √3; near the least scale that a head gives it is a little wider
    spread = found.mixing.diagonal() * found.noise**0.5 * math.sqrt(3) / math.pi
    ratio = law.log_scale[0, :, :, :, :, 0].exp().double() / spread[None, :, None, None]
    assert 0.999 < float(ratio.min()) <= float(ratio.max()) < 1.1


def test_the_middle_of_the_posterior_gives_the_data_back():
    model, source = started(CoupledLogisticMixtureHead(256, 1, 3)), smooth(seed=2)
    error = (model.reconstruct(Batch(x=source.x.float())) - source.x).std()
    assert float(error) < 6  # levels: the noise has a deviation of 4.1, the data of 30


def test_what_cannot_start_so_is_refused():
    with pytest.raises(SupportError, match="BernoulliHead"):
        started(BernoulliHead())
    with pytest.raises(ShapeError, match="3 linear layers"):
        start_at_principal_components(dense(EVENT, DiscretizedLogisticHead(256), latent=4, hidden=(8, 8)), smooth())
    with pytest.raises(SupportError, match="correlated"):
        start_at_principal_components(
            dense(EVENT, DiscretizedLogisticHead(256), latent=4, hidden=(8,), correlated=True), smooth()
        )
    with pytest.raises(ShapeError, match="fewer latents"):
        factors(smooth(20).x.float(), 108)
