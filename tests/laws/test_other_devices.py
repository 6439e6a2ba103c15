"""What is computed stays on the device of its parameters: nothing is made on the processor beside them.

The device is PyTorch's `meta`, which every machine has: it computes no numbers, and refuses a tensor of another device.
"""

from dataclasses import replace

import pytest
import torch
from test_parts import IMAGE, TABLE, WHOLE, first_that_fits

from vael.models import GaussianPosterior, Terms
from vael.models.families import LikelihoodPart, PosteriorPart, PriorPart
from vael.models.semi_supervised import CLASSIFICATION
from vael.networks import Dense
from vael.networks.parts import NetworkPart
from vael.objectives import Weights
from vael.objectives.parts import ObjectivePart
from vael.parts import members
from vael.probability import Noise, diagonal_gaussian, draw

META = torch.device("meta")


class Anywhere(Noise):
    """Variates where they are asked for."""

    def normal(self, shape, like):
        return torch.zeros(tuple(shape), dtype=like.dtype, device=like.device)

    uniform = normal


def kinds(family, *but):
    return [kind for kind in members(family) if ":" not in kind and kind not in but]


def drawn_and_judged(law):
    """A law's answers are where its parameters are."""
    x = draw(law, 3, Anywhere())
    for found in (x, law.log_prob(x), law.mean):
        assert found.device == META


@pytest.mark.parametrize("kind", kinds(PosteriorPart))
def test_a_posterior(kind):
    part = members(PosteriorPart)[kind]()
    posterior = part.build(Dense((3,), (part.numbers(2),)), 2, sees_gaps=False).to(META)
    drawn_and_judged(posterior(torch.zeros(4, 3, device=META), None))


@pytest.mark.parametrize("kind", kinds(PriorPart))
def test_a_prior(kind):
    part = members(PriorPart)[kind]()
    data = replace(TABLE, context=2 if part.conditional else 0)
    posterior = GaussianPosterior(Dense((3,), (4,)))
    prior = part.build(2, data, posterior.to(META)).to(META)
    drawn_and_judged(prior(torch.zeros(4, 2, device=META) if part.conditional else None))


@pytest.mark.parametrize("kind", kinds(LikelihoodPart, "columns"))
def test_a_likelihood(kind):
    part = members(LikelihoodPart)[kind]()
    head, data = first_that_fits(lambda one: part.settled(one).build(one), IMAGE, WHOLE, TABLE)
    raw = torch.zeros(2, 4, head.channels_per_cell * data.event[0], *data.event[1:], device=META)
    drawn_and_judged(head.to(META)(raw))


@pytest.mark.parametrize("kind", kinds(NetworkPart))
def test_a_network(kind):
    part = members(NetworkPart)[kind]()

    def both(event):
        outputs = (2, *event[1:]) if len(event) == 3 else (2, *event)
        return part.encoder(event, 4).to(META), part.decoder(3, outputs, None).to(META)

    (encode, decode), event = first_that_fits(both, (1, 8, 8), (6, 2))
    assert encode(torch.zeros(5, *event, device=META)).device == META
    assert decode(torch.zeros(5, 3, device=META)).device == META


@pytest.mark.parametrize("padded", [False, True], ids=["whole batch", "batch filled up"])
@pytest.mark.parametrize("kind", kinds(ObjectivePart))
def test_an_objective(kind, padded):
    """What is logged and what is climbed, with weights of rows and without; a gradient goes through both."""
    part = members(ObjectivePart)[kind]()
    samples, batch = part.samples, 5

    def made(*shape):
        return torch.zeros(shape, device=META, requires_grad=True)

    latent = made(samples, batch, 2)
    stated = Terms(
        made(samples, batch) + latent.sum(2),
        made(1, samples, batch),
        made(1, samples, batch),
        made(1, samples, batch),
        {CLASSIFICATION: made(batch)},
        latent=(latent if part.pathwise else latent.detach(),),
        posterior=(diagonal_gaussian(made(batch, 2), made(batch, 2)),),
        prior=(diagonal_gaussian(made(2), made(2)),),
    )
    weights = Weights(torch.ones(batch, device=META)) if padded else Weights()
    value = part.build()(stated, weights, torch.ones((), device=META))
    value.surrogate.sum().backward()
    assert value.bound.device == value.surrogate.device == stated.log_likelihood.device == META
