"""Diagrams of models: what stands in a box and under an arrow is what the model has."""

import pytest
import torch

from vael.data import Batch, GaussianNoise
from vael.errors import StateError
from vael.models import BernoulliHead, GaussianMixture
from vael.recipes import autoencoder, convolutional, dense, residual
from vael.report.diagrams import Side, architecture_figure, plate_figure, stages

EVENT = (1, 8, 8)
MODELS = {
    "dense": lambda: dense(EVENT, BernoulliHead(), latent=3, hidden=(20, 12)),
    "convolutional": lambda: convolutional(EVENT, BernoulliHead(), latent=3),
    "residual": lambda: residual(EVENT, BernoulliHead(), latent=3),
    "autoencoder": lambda: autoencoder(EVENT, latent=5, hidden=(20,)),
    "denoising": lambda: autoencoder(EVENT, latent=5, hidden=(20,), corruption=GaussianNoise(0.2)),
}


def numbers(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_under_an_arrow_and_sizes_are_those_of_a_pass(name):
    model = MODELS[name]()
    model.train()
    found = stages(model, EVENT)
    assert model.training, "looking at a model changes nothing about it"
    assert sum(one.parameters for one in found) == numbers(model)
    encoder = model.encoder if hasattr(model, "encoder") else model.posterior
    inward = [one for one in found if one.side is Side.ENCODER or one.name == "code"]
    assert sum(one.parameters for one in inward) == numbers(encoder)
    code = next(one for one in found if one.side is Side.CODE)
    assert code.shape == tuple(model.encode(Batch(x=torch.zeros(1, *EVENT))).shape[1:])
    assert found[0].shape == EVENT
    assert found[-1].size % 64 == 0
    assert ("x̃, damaged" in [one.name for one in found]) == (name == "denoising")


def test_the_boxes_of_a_dense_model_are_its_layers():
    assert [(one.name, one.size, one.parameters) for one in stages(MODELS["dense"](), EVENT)] == [
        ("x", 64, 0),
        ("hidden", 20, 65 * 20),
        ("hidden", 12, 21 * 12),
        ("μ, log σ", 6, 13 * 6),
        ("z ~ q", 3, 0),
        ("hidden", 12, 4 * 12),
        ("hidden", 20, 13 * 20),
        ("p(x | z)", 64, 21 * 64),
    ]


def written(figure):
    return {text.get_text() for axes in figure.axes for text in axes.texts}


def test_figures_write_the_numbers_of_the_model():
    models = {"VAE": MODELS["dense"](), "denoising autoencoder": MODELS["denoising"]()}
    words = written(architecture_figure(models, EVENT))
    assert {f"{name}: {numbers(model):,} parameters" for name, model in models.items()} <= words
    assert {"1 × 8 × 8", "20", "6", "z ~ q", "code", "x̃, damaged", "a draw", f"{65 * 20:,}"} <= words
    plate = written(plate_figure(models["VAE"], EVENT, 1500))
    assert {"n = 1 … 1,500", "3 numbers", "64 numbers"} <= plate
    assert f"encoder q(z | x)\n{numbers(models['VAE'].posterior):,} parameters" in plate


def test_a_model_without_such_a_code_is_refused():
    with pytest.raises(StateError, match="GaussianMixture"):
        stages(GaussianMixture(2, 2), (2,))
    with pytest.raises(StateError, match="Autoencoder"):
        plate_figure(MODELS["autoencoder"](), EVENT, 10)
