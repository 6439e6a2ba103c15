"""Squared errors and decibels: known values, no dependence on the batch, and refusals."""

import math

import pytest
import torch

from vael.data import GaussianNoise, Kind, Masking, Source
from vael.errors import StateError, SupportError
from vael.evaluation import code_sensitivity, psnr, reconstruction_error
from vael.models import Autoencoder, Decoder, SquaredErrorHead
from vael.networks import Dense
from vael.recipes import autoencoder


def source(examples=64, kind=Kind.REAL, levels=None):
    x = torch.rand(examples, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return Source("grey", x if levels is None else (x * levels).to(torch.uint8), kind, "f", levels=levels)


def identity():
    """An autoencoder that gives back what it is given."""
    parts = [Dense((16,), (16,), ()) for _ in range(2)]
    for part in parts:
        with torch.no_grad():
            part.last.weight.copy_(torch.eye(16))
            part.last.bias.zero_()
    parts[1].outputs = (1, 4, 4)
    return Autoencoder(parts[0], Decoder(parts[1], SquaredErrorHead()))


@pytest.mark.parametrize(
    ("error", "peak", "decibels"),
    [(0.01, 1.0, 20.0), (1.0, 255.0, 48.1308036087), (1.0, 1.0, 0.0), (0.0, 1.0, math.inf)],
)
def test_decibels_are_known(error, peak, decibels):
    assert psnr(error, peak) == pytest.approx(decibels, abs=1e-9)


def test_what_gives_back_its_input_has_the_error_of_the_noise():
    """Variance 0.04 of 64 × 16 cells within 5 standard errors, false-alarm rate 6e-7."""
    found = reconstruction_error(identity(), source(), corruption=GaussianNoise(0.2), peak=1.0)
    assert found.squared_error == pytest.approx(found.given_squared_error)
    assert found.gain == pytest.approx(0.0, abs=1e-5)
    assert abs(found.squared_error - 0.04) < 5 * 0.04 * math.sqrt(2 / 1024)
    clean = reconstruction_error(identity(), source(), peak=1.0)
    assert clean.squared_error == pytest.approx(0.0, abs=1e-12)
    assert clean.given_psnr == math.inf


def test_the_error_is_that_of_the_definition():
    model, data = autoencoder((1, 4, 4), latent=3, hidden=(8,)), source()
    found = reconstruction_error(model, data, peak=1.0)
    expected = (model.reconstruct(data.batch(torch.arange(64))) - data.x).square().flatten(1).mean(1).detach().double()
    torch.testing.assert_close(found.squared_error_per_example, expected, rtol=1e-5, atol=1e-7)
    assert found.squared_error == pytest.approx(float(expected.mean()), rel=1e-6)
    assert found.psnr == pytest.approx(-10 * math.log10(float(expected.mean())), rel=1e-6)
    assert model.training


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_batch_moves_no_figure(batch):
    model = autoencoder((1, 4, 4), latent=3, hidden=(8,))
    whole, parts = (
        reconstruction_error(model, source(), corruption=Masking(0.5), peak=1.0, batch=size) for size in (512, batch)
    )
    assert parts.given_squared_error == whole.given_squared_error
    assert parts.squared_error == pytest.approx(whole.squared_error, rel=1e-5)
    other = reconstruction_error(model, source(), corruption=Masking(0.5), peak=1.0, seed=1)
    assert other.given_squared_error != whole.given_squared_error


def test_how_far_damage_moves_codes_is_known_for_the_identity():
    """σ² / Var x, to 5 standard errors, false-alarm rate 6e-7."""
    data = source()
    variance = float(data.x.double().flatten(1).var(0, correction=0).mean())
    found = code_sensitivity(identity(), data, GaussianNoise(0.2))
    assert abs(found - 0.04 / variance) < 5 * 0.04 / variance * math.sqrt(2 / 1024)
    assert code_sensitivity(identity(), data, GaussianNoise(0.2), batch=7) == pytest.approx(found, rel=1e-6)
    assert code_sensitivity(identity(), data, GaussianNoise(0)) == 0
    with pytest.raises(StateError, match="at least two"):
        code_sensitivity(identity(), source(1), GaussianNoise(0.2))
    same = Source("same", torch.ones(4, 16), Kind.REAL, "f")
    with pytest.raises(StateError, match="one and the same code"):
        code_sensitivity(identity(), same, GaussianNoise(0.2))


def test_the_peak_follows_the_kind_where_it_can():
    assert reconstruction_error(autoencoder((1, 4, 4), latent=2), source(kind=Kind.INTEGER, levels=16)).peak == 15
    with pytest.raises(SupportError, match="give peak"):
        reconstruction_error(autoencoder((1, 4, 4), latent=2), source())


def test_nothing_to_judge_and_no_peak_are_refused():
    with pytest.raises(StateError, match="0 examples"):
        reconstruction_error(identity(), source(0), peak=1.0)
    with pytest.raises(SupportError, match="peak"):
        psnr(0.1, 0.0)
    with pytest.raises(SupportError, match="squared error"):
        psnr(-0.1)
