"""K draws of an example take one pass of the encoder, and decoders see no more latents at once than memory is for."""

import torch
from torch import nn

from oracles import generator
from vael.data import Batch, Kind, Source
from vael.evaluation.evaluate import evaluate_encoder
from vael.inference import GradientAscent
from vael.inference.bound import Bound
from vael.models import BernoulliHead
from vael.objectives import ImportanceWeighted
from vael.probability import Stream
from vael.recipes import dense


class Counting:
    """How many rows a network was given, call by call."""

    def __init__(self, network: nn.Module) -> None:
        self.rows: list[int] = []
        network.register_forward_pre_hook(lambda layer, given: self.rows.append(len(given[0])))


def counted(examples):
    x = (torch.rand(examples, 1, 28, 28, generator=generator()) < 0.2).to(torch.uint8)
    model = dense((1, 28, 28), BernoulliHead(), latent=4, hidden=(8,))
    encoded, decoded = Counting(model.posterior.network), Counting(model.likelihood.network)
    return model, Source("dots", x, Kind.BINARY, "dots"), encoded, decoded


def test_five_thousand_draws_in_evaluation():
    """Each example is encoded once, besides one that sizes are learned from and what parts of the divergence take;
    every draw is decoded once, at most 4,000 at a time, whatever K is; with little memory fewer at a time, and the same
    number.
    """
    model, source, encoded, decoded = counted(6)
    found = evaluate_encoder(model, source, importance_samples=5000)
    assert sum(encoded.rows) <= 2 * len(source) + 2
    assert sum(decoded.rows) - 6 * 5000 <= 2
    assert max(decoded.rows) <= 4000
    decoded.rows.clear()
    little = evaluate_encoder(model, source, importance_samples=5000, memory=1 << 20)
    assert max(decoded.rows) <= (1 << 20) / (784 * 4)
    torch.testing.assert_close(little.log_likelihood_per_example, found.log_likelihood_per_example)


def test_fifty_draws_in_training():
    """A step of the importance-weighted bound encodes each example once and decodes each draw once."""
    model, source, encoded, decoded = counted(3)
    batch = Batch(x=source.x.float())
    climbed, _ = Bound(model, ImportanceWeighted(), 50)(batch, 1.0, Stream(generator()))
    climbed.backward()
    assert encoded.rows == [3]
    assert decoded.rows == [150]
    assert GradientAscent(model, ImportanceWeighted(), samples=50).samples == 50
