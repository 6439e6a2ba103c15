"""What stands around the networks of a model: units and gaps of the data in front, their mean behind."""

import pytest
import torch

from vael.data.facts import Facts
from vael.data.source import Kind
from vael.models.assembly import decoder, encoder
from vael.models.likelihoods.parts import BernoulliPart, ColumnsPart, GaussianPart
from vael.networks.parts import NetworkPart
from vael.parts import read
from vael.tables.schema import Column, ColumnKind, Schema


class Known:
    """Another mean and another deviation for each element."""

    def __init__(self, event, low=-2.0, high=3.0):
        self.mean = torch.linspace(low, high, torch.Size(event).numel()).view(event)
        self.std = torch.linspace(0.5, 2, event[-1]).expand(event)
        self.by_channel, self.maximum, self.sample = True, 1.0, None


WINDOWS = Facts("x", (6, 2), Kind.REAL, Known((6, 2)), channels_last=True)


@pytest.mark.parametrize("network", ["dense", "convolutional-1d"])
@pytest.mark.parametrize("likelihood", [GaussianPart(), BernoulliPart()], ids=lambda part: part.name)
def test_a_decoder_that_has_learned_nothing_gives_the_mean_of_the_data(network, likelihood):
    """Whatever the latents, where the weights that take them are zero; by the head's units or by its start."""
    facts = WINDOWS
    if likelihood.name == "bernoulli":
        facts = Facts("x", (6, 2), Kind.BINARY, Known((6, 2), 0.1, 0.9), channels_last=True)
    head = likelihood.build(facts)
    made = decoder(read(NetworkPart, network), facts, 3, head)
    for name, weights in (made.network if network == "dense" else made.network[0]).named_parameters():
        if network != "dense" or not name.endswith("bias"):  # dense ones start by their last bias
            weights.data.zero_()
    z = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(made(z).mean, facts.moments.mean.expand(2, 4, 6, 2))


@pytest.mark.parametrize("network", ["dense", "convolutional-1d"])
@pytest.mark.parametrize("context", [0, 3])
def test_an_encoder_of_windows_tells_a_gap_from_the_mean_and_takes_the_condition(network, context):
    facts = Facts("x", (6, 2), Kind.REAL, Known((6, 2)), channels_last=True, context=context)
    made = encoder(read(NetworkPart, network), facts, GaussianPart().build(facts), 5)
    with torch.no_grad():
        numbers = torch.Generator().manual_seed(0)
        for weights in made.parameters():
            weights.copy_(torch.randn(weights.shape, generator=numbers))
        x, c = facts.moments.mean.expand(4, 6, 2).clone(), torch.randn(4, context, generator=numbers)
        known = made(x, c) if context else made(x)
        assert known.shape == (4, 5)
        x[:, 2, 1] = torch.nan
        hidden = made(x, c) if context else made(x)
        assert hidden.isfinite().all()
        assert not torch.allclose(hidden, known)
        if context:
            assert not torch.allclose(made(x, -c), hidden)


def test_a_likelihood_of_columns_is_one_of_the_columns_of_the_data():
    schema = Schema((Column("x", ColumnKind.REAL), Column("y", ColumnKind.CATEGORICAL, levels=("p", "q", "r"))))
    facts = Facts("rows", (2,), Kind.REAL, None, schema=schema)
    part = ColumnsPart(components=3).settled(facts)
    head = part.build(facts)
    assert (head.schema, head.components) == (schema, 3)
    assert part.tables == head.tables == ColumnsPart(components=3).build(facts).tables
    assert part.settled(facts) == part
    plain = Facts("rows", (2,), Kind.REAL, None)
    assert ColumnsPart().settled(plain) == ColumnsPart()
