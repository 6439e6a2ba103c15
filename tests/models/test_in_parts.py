"""Samples decoded in parts: the gradient of all at once, in the memory of one part, encoded once."""

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

from vael.data import Batch
from vael.models import BernoulliHead, GaussianHead, in_parts
from vael.objectives import (
    ELBO,
    DoublyReparameterized,
    ImportanceWeighted,
    MultiplyImportanceWeighted,
    PartiallyImportanceWeighted,
)
from vael.recipes import convolutional, dense

ROWS, EVENT, SAMPLES = 5, (1, 6, 6), 16
OBJECTIVES = {
    "elbo": ELBO(),
    "iwae": ImportanceWeighted(),
    "miwae": MultiplyImportanceWeighted(4),
    "piwae": PartiallyImportanceWeighted(4),
    "dreg": DoublyReparameterized(),
}


def built(recipe=dense, head=None):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        more = {"hidden": (8, 7)} if recipe is dense else {"channels": (4, 6)}
        return recipe(EVENT, head or BernoulliHead(), latent=3, **more).double()


def batch(gaps=False):
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(ROWS, *EVENT, generator=generator).round().double()
    return Batch(x, observed=torch.rand(ROWS, *EVENT, generator=generator) < 0.7 if gaps else None)


def gradients(model, objective, given, weights=None):
    """Of the surrogate in all weights, `weights` put in for the forward pass alone where there are some."""
    named = dict(model.named_parameters()) if weights is None else weights
    noise, how = torch.Generator().manual_seed(2), {"samples": SAMPLES, "requires": objective.requires}
    terms = functional_call(model, named, (given,), {"generator": noise, **how})
    value = objective(terms)
    return value.bound.detach(), torch.autograd.grad(value.surrogate.sum(), list(named.values()), allow_unused=True)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("room", [1, 3 * ROWS * 36, 7 * ROWS * 36])
def test_the_gradient_is_that_of_all_samples_at_once(name, gaps, room, monkeypatch):
    """To 1e-9, relative, in float64, for parts of one, three and seven samples of sixteen."""
    model, given = built(), batch(gaps)
    bound, whole = gradients(model, OBJECTIVES[name], given)
    monkeypatch.setattr(in_parts, "ROOM", room)
    again, parts = gradients(model, OBJECTIVES[name], given)
    torch.testing.assert_close(again, bound, rtol=1e-12, atol=1e-12)
    for one, other in zip(parts, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("head", [BernoulliHead(), GaussianHead()], ids=lambda head: type(head).__name__)
def test_convolutions_and_scales_are_decoded_in_parts_too(head, monkeypatch):
    model, given = built(convolutional, head), batch()
    _, whole = gradients(model, ImportanceWeighted(), given)
    monkeypatch.setattr(in_parts, "ROOM", 1)
    for one, other in zip(gradients(model, ImportanceWeighted(), given)[1], whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_weights_that_are_put_in_for_the_forward_pass_are_those_of_the_backward_pass(monkeypatch):
    """With other weights in the model the backward pass would decode something else."""
    model, given = built(), batch()
    others = {name: (1.5 * weights).detach().requires_grad_() for name, weights in model.named_parameters()}
    _, whole = gradients(model, ImportanceWeighted(), given, others)
    monkeypatch.setattr(in_parts, "ROOM", 1)
    for one, other in zip(gradients(model, ImportanceWeighted(), given, others)[1], whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


class Counted(nn.Module):
    """How often something is called, and for how many rows."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.rows = inner, []

    def forward(self, x):
        self.rows.append(len(x))
        return self.inner(x)


def test_it_is_encoded_once_and_what_is_kept_does_not_grow_with_the_samples(monkeypatch):
    """Sixteen samples of five rows, in parts of two: the encoder runs once, the decoder twice for each part, and all
    that is kept of its images is one number for each sample and row.
    """
    model, given = built(), batch()
    encoder, decoder = Counted(model.posterior.network), Counted(model.likelihood.network)
    model.posterior.network, model.likelihood.network = encoder, decoder
    kept = []
    monkeypatch.setattr(in_parts, "ROOM", 2 * ROWS * 36)
    with saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor):
        gradients(model, ImportanceWeighted(), given)
    assert encoder.rows == [ROWS]
    assert decoder.rows == [2 * ROWS] * 2 * (SAMPLES // 2)
    in_one_part = 2 * ROWS * 36
    largest_weights = max(weights.numel() for weights in model.parameters())
    assert max(kept) <= max(in_one_part, largest_weights, SAMPLES * ROWS * 3)


def test_without_a_gradient_nothing_is_decoded_twice(monkeypatch):
    model, given = built(), batch()
    model.likelihood.network = Counted(model.likelihood.network)
    monkeypatch.setattr(in_parts, "ROOM", 1)
    with torch.no_grad():
        model.terms(given, samples=SAMPLES, generator=torch.Generator().manual_seed(0))
    assert model.likelihood.network.rows == [SAMPLES * ROWS]
