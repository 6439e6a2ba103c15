"""Networks: any image size, no dependence on batch companions, calm starts."""

import math
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from vael.errors import ShapeError
from vael.networks import (
    ConvolutionDecoder,
    ConvolutionEncoder,
    Dense,
    Offset,
    ResidualBlock,
    Standardize,
    residual_stage,
)
from vael.networks.convolution import pyramid
from vael.networks.initialize import gain, unit_gain

EVENTS = [
    (1, 8, 8),
    (1, 7, 9),
    (1, 28, 28),
    (1, 28, 20),
    (3, 32, 32),
    (1, 64, 48),
    (4, 17, 31),
    (3, 1, 5),
    (1, 256, 256),
]
CHANNELS = (4, 6, 8)
LATENT = 5


def seeded(make, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def noise(*shape, seed=1, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def encoder(kind, event):
    return {
        "dense": lambda: Dense(event, (2 * LATENT,), (16, 8)),
        "convolution": lambda: ConvolutionEncoder(event, (2 * LATENT,), CHANNELS),
        "residual": lambda: ConvolutionEncoder(event, (2 * LATENT,), CHANNELS, nn.SiLU, residual_stage(2, 3, nn.SiLU)),
    }[kind]


def decoder(kind, event):
    return {
        "dense": lambda: Dense((LATENT,), event, (8, 16)),
        "convolution": lambda: ConvolutionDecoder((LATENT,), event, CHANNELS),
        "residual": lambda: ConvolutionDecoder((LATENT,), event, CHANNELS, nn.SiLU, residual_stage(2, 3, nn.SiLU)),
    }[kind]


KINDS = ["dense", "convolution", "residual"]
CASES = [pytest.param(k, e, id=f"{k}-{'x'.join(map(str, e))}") for k, e in product(KINDS, EVENTS)]


@pytest.mark.parametrize(("kind", "event"), CASES)
def test_shapes_and_gradients(kind, event):
    encode, decode = seeded(encoder(kind, event)), seeded(decoder(kind, event))
    x = noise(2, *event)
    code = encode(x)
    assert code.shape == (2, 2 * LATENT)
    out = decode(code[:, :LATENT])
    assert out.shape == (2, *event)
    (out.square().mean() + code.square().mean()).backward()
    for network in (encode, decode):
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
        assert any(p.grad.abs().max() > 0 for p in network.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("event", [(1, 7, 9), (4, 17, 31)], ids=str)
def test_every_parameter_matters(kind, event):
    """Against a random direction no gradient vanishes exactly: nothing is made that is not used."""
    for network, x in (
        (seeded(encoder(kind, event)), noise(8, *event)),
        (seeded(decoder(kind, event)), noise(8, LATENT)),
    ):
        out = network(x)
        (out * noise(*out.shape, seed=3)).sum().backward()
        assert all(p.grad.abs().max() > 0 for p in network.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("event", [(1, 7, 9), (3, 32, 32)], ids=str)
def test_companions_and_mode_do_not_matter(kind, event):
    for network, x in (
        (seeded(encoder(kind, event)), noise(7, *event)),
        (seeded(decoder(kind, event)), noise(7, LATENT)),
    ):
        together = network(x)
        alone = torch.cat([network(row[None]) for row in x])
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
        assert torch.equal(network(x), together)
        assert torch.equal(network.eval()(x), together)


@pytest.mark.parametrize("kind", KINDS)
def test_functional_call_and_channels_last(kind):
    event = (3, 7, 9)
    network, x = seeded(encoder(kind, event)), noise(3, *event)
    other = {name: 2 * p for name, p in network.named_parameters()}
    assert not torch.allclose(torch.func.functional_call(network, other, (x,)), network(x))
    last = network.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, network(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_gives_one_network(kind):
    a, b, c = (parameters_to_vector(seeded(encoder(kind, (1, 7, 9)), seed).parameters()) for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("event", [(1, 8, 8), (3, 64, 48)], ids=str)
def test_starts_near_zero(kind, event):
    """A latent of unit scale gives outputs of about 0.1, so the first likelihood is that of the bias."""
    out = seeded(decoder(kind, event))(noise(32, LATENT))
    assert 0.005 < out.std() < 0.3


def test_pyramid_halves_upwards():
    assert pyramid((28, 7), 4) == [(28, 7), (14, 4), (7, 2), (4, 1), (2, 1)]


def test_dense_parameters():
    network = Dense((784,), (20,), (400,))
    assert sum(p.numel() for p in network.parameters()) == 784 * 400 + 400 + 400 * 20 + 20
    assert sum(p.numel() for p in Dense((3,), (2,), ()).parameters()) == 8


@pytest.mark.parametrize(("activation", "expected"), [(nn.ReLU, math.sqrt(2)), (nn.Identity, 1.0), (nn.Tanh, 1.5925)])
def test_gain(activation, expected):
    assert gain(activation) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(300, 200),
        lambda: nn.Conv2d(32, 32, 3, padding=1),
        lambda: nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1),
    ],
)
def test_unit_gain_keeps_the_size(make):
    """Monte Carlo over thousands of outputs; the bounds are over 5 standard deviations wide at this seed's spread."""
    layer = seeded(make)
    seeded(lambda: unit_gain(layer, 1.0))
    x = noise(50, 300) if isinstance(layer, nn.Linear) else noise(8, 32, 24, 24)
    out = layer(x)
    inner = out if out.ndim == 2 else out[:, :, 2:-2, 2:-2]
    assert inner.square().mean().sqrt().item() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("depth", [1, 16])
def test_a_deep_stage_keeps_the_size(depth):
    def make():
        stage = nn.Sequential(*(ResidualBlock(16, depth) for _ in range(depth)))
        for layer in stage.modules():
            if isinstance(layer, nn.Conv2d):
                unit_gain(layer, math.sqrt(2))
        return stage

    stage = seeded(make)
    assert 1.0 < stage(noise(4, 16, 16, 16)).std() < 2.5


@pytest.mark.parametrize("make", [ConvolutionEncoder, lambda event, shape: ConvolutionDecoder(shape, event)])
@pytest.mark.parametrize("event", [(28, 28), (64,), (1, 2, 3, 4), (0, 8, 8)], ids=str)
def test_only_images(make, event):
    with pytest.raises(ShapeError, match=r"\[channels, height, width\]"):
        make(event, (4,))


def test_standardize():
    x = torch.tensor([[1.0, 5.0, 3e8], [3.0, 5.0, 3e8]])
    layer = Standardize(x.mean(0), x.std(0, correction=0))
    out = layer(x)
    assert torch.isfinite(out).all()
    assert torch.equal(out, torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    assert torch.isfinite(layer(x + 1)).all()
    assert not list(layer.parameters())
    assert set(layer.state_dict()) == {"shift", "scale"}


def test_standardize_ignores_a_spread_of_rounding():
    layer = Standardize(torch.tensor([1e6]), torch.tensor([0.1]))
    assert layer.scale.item() == 1.0


def test_offset_is_learned():
    layer = Offset(torch.tensor([2.0, -1.0]))
    assert torch.equal(layer(torch.zeros(3, 2)), torch.tensor([[2.0, -1.0]] * 3))
    assert layer.start.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_exports_as_one_graph(kind):
    """No branch depends on data: ONNX export and compilation see one graph, for any batch."""
    network, x = seeded(decoder(kind, (1, 7, 9))).eval(), noise(3, LATENT)
    graph = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    more = noise(5, LATENT, seed=4)
    torch.testing.assert_close(graph.module()(more), network(more))
