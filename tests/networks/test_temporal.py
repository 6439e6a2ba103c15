"""Convolutions over time: shapes of any length, the unit gain of all layers, and what is refused."""

import pytest
import torch

from vael.data import Kind
from vael.data.facts import Facts, unknown_moments
from vael.errors import ShapeError
from vael.models.likelihoods.parts import DiscretizedLogisticPart, GaussianPerChannelPart
from vael.models.parts import VAEPart
from vael.networks import seeded
from vael.networks.temporal import TemporalDecoder, TemporalEncoder, TemporalPart, lengths


@pytest.mark.parametrize("time", [1, 2, 7, 16, 33])
@pytest.mark.parametrize("widths", [(), (5,), (4, 6, 8)])
def test_any_length_goes_in_and_comes_out(time, widths):
    encode = TemporalEncoder((time, 3), 7, widths, torch.nn.SiLU)
    decode = TemporalDecoder(7, (2, time, 3), widths, torch.nn.SiLU)
    z = encode(torch.randn(5, time, 3, generator=torch.Generator().manual_seed(0)))
    assert z.shape == (5, 7)
    assert decode(z).shape == (5, 2, time, 3)
    assert lengths(time, len(widths))[-1] >= 1


def test_layers_keep_the_size_of_what_passes_through():
    """Root mean square of 64 × 64 × 8 numbers through three layers: within a factor of two (each layer 5 % or so)."""
    with seeded(0):
        encode = TemporalEncoder((64, 8), 32, (64, 64), torch.nn.SiLU)
        decode = TemporalDecoder(32, (1, 64, 8), (64, 64), torch.nn.SiLU)
    random = torch.Generator().manual_seed(0)
    code = encode(torch.randn(64, 64, 8, generator=random)) / 0.1  # the last layer is made calm by that factor
    again = decode(torch.randn(64, 32, generator=random)) / 0.1
    for found in (code, again):
        assert 0.5 < float(found.detach().square().mean().sqrt()) < 2


@pytest.mark.parametrize("part", [GaussianPerChannelPart(), DiscretizedLogisticPart(levels=5)])
def test_the_numbers_of_an_element_belong_to_its_time_and_channel(part):
    """The decoder's output for one element moves the distribution of that element alone."""
    event = (6, 2)
    kind = Kind.REAL if isinstance(part, GaussianPerChannelPart) else Kind.INTEGER
    facts = Facts("x", event, kind, unknown_moments(event), levels=5, channels_last=True)
    with seeded(0):
        model = VAEPart(latent=3, network=TemporalPart(channels=(4,)), likelihood=part.settled(facts)).build(facts)
    network = next(one for one in model.likelihood.network if isinstance(one, TemporalDecoder))
    moved = {}

    def nudge(module, given, out):
        return out + moved.get("by", 0)

    network.register_forward_hook(nudge)
    z = torch.zeros(1, 1, 3)
    before = model.decode((z,)).mean[0, 0]
    moved["by"] = torch.zeros(1, network.outputs[0], *event)
    moved["by"][0, 0, 4, 1] = 0.7
    change = (model.decode((z,)).mean[0, 0] - before).abs() > 1e-6
    assert change.nonzero().tolist() == [[4, 1]]


def test_what_is_no_sequence_is_refused():
    with pytest.raises(ShapeError, match="time"):
        TemporalPart().encoder((1, 8, 8), 4)
    with pytest.raises(ShapeError, match="time"):
        TemporalPart().decoder(4, (64,), None)
