"""The hierarchical model: one pass is the definition level by level; at the exact posterior the bound is log p(x)."""

import math

import pytest
import torch
from torch import nn
from torch.func import functional_call

from oracles import exact_of_levels as exact
from oracles import generator
from oracles import linear_levels as linear
from vael.data import Batch
from vael.errors import ShapeError, StateError
from vael.inference import Bound
from vael.models import BernoulliHead
from vael.models.hierarchical import HierarchicalVAE, exponential, softened
from vael.networks.ladder import ConvolutionLadder, DenseLadder
from vael.objectives import ELBO, FreeBits, ImportanceWeighted, SampledELBO
from vael.probability import as_noise


def data(rows=5):
    return 1.5 * torch.randn(rows, 3, generator=generator(1), dtype=torch.float64)


@pytest.mark.parametrize("objective", [SampledELBO(), ImportanceWeighted()], ids=repr)
def test_with_the_exact_posterior_every_draw_of_the_bound_is_log_p(objective):
    x = data()
    for seed in range(3):
        terms = linear().terms(Batch(x=x), samples=4, generator=generator(seed))
        torch.testing.assert_close(objective(terms).bound, exact(x), rtol=0, atol=1e-9)


def test_with_another_posterior_the_bound_is_below_by_its_divergence():
    """Means of the first level off by half a deviation of the prior: 20,000 draws of both bounds, 4 standard errors for
    5 examples each: false-alarm rate 6e-4.
    """
    x, draws = data(), 20_000
    terms = linear(0.5).terms(Batch(x=x), samples=draws, generator=generator())
    for each in (
        terms.log_likelihood + (terms.log_prior - terms.log_posterior).sum(0),
        terms.log_likelihood - terms.divergence.sum(0),
    ):
        gap = exact(x) - each.mean(0)
        assert (gap > 0.05).all()
    closed, sampled = ELBO()(terms).bound, SampledELBO()(terms).bound
    error = (terms.divergence.sum(0) - (terms.log_posterior - terms.log_prior).sum(0)).std(0) / math.sqrt(draws)
    assert ((closed - sampled).abs() <= 4 * error).all()


def dense():
    return HierarchicalVAE(
        nn.Identity(), DenseLadder((1, 6, 5), (1, 6, 5), (2, 3, 4), 8), BernoulliHead(), nn.Identity(), sees_gaps=False
    )


def convolutional():
    ladder = ConvolutionLadder((1, 6, 5), (1, 6, 5), (1, 2, 3, 6), 2, 4)
    return HierarchicalVAE(nn.Identity(), ladder, BernoulliHead(), nn.Identity(), sees_gaps=False)


def moved(model):
    """The model with weights far from where they start, so that every part matters."""
    numbers = generator(5)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.3 * torch.randn(weights.shape, generator=numbers))
    return model.double()


EACH = pytest.mark.parametrize("make", [dense, convolutional], ids=["dense", "convolutional"])


@EACH
def test_one_pass_is_the_definition_level_by_level(make):
    model = moved(make())
    batch = Batch(x=(torch.rand(4, 1, 6, 5, generator=generator()) < 0.4).double())
    terms = model.terms(batch, samples=3, generator=generator(1))
    assert len(terms.latent) == model.depth(batch.x.shape[1:]) == len(model.ladder.sizes)
    for level, z in enumerate(terms.latent):
        assert z.shape == (3, 4, model.ladder.sizes[level])
        above = terms.latent[:level]
        q, p = model.posterior_at(above, batch), model.prior_at(above)
        assert tuple(q.batch_shape) == ((3, 4) if level else (4,))
        assert tuple(p.batch_shape) == ((3, 4) if level else ())
        torch.testing.assert_close(terms.log_posterior[level], q.log_prob(z))
        torch.testing.assert_close(terms.log_prior[level], p.log_prob(z))
    found = model.decode(terms.latent).log_prob(batch.x).flatten(2).sum(2)
    torch.testing.assert_close(terms.log_likelihood, found)


@EACH
def test_given_latents_are_taken_and_examples_do_not_meet(make):
    model = moved(make())
    x = (torch.rand(5, 1, 6, 5, generator=generator()) < 0.4).double()
    terms = model.terms(Batch(x=x), samples=2, generator=generator(1))
    again = model.terms(Batch(x=x), samples=2, generator=generator(2), latent=terms.latent)
    torch.testing.assert_close(again.log_posterior, terms.log_posterior)
    alone = model.terms(
        Batch(x=x[3:4]), samples=2, generator=generator(2), latent=tuple(z[:, 3:4] for z in terms.latent)
    )
    torch.testing.assert_close(alone.log_likelihood[:, 0], terms.log_likelihood[:, 3])
    torch.testing.assert_close(alone.divergence[:, :, 0], terms.divergence[:, :, 3])


@EACH
def test_every_weight_has_a_gradient(make):
    model = moved(make())
    x = (torch.rand(4, 1, 6, 5, generator=generator()) < 0.4).double()
    bound = ELBO()(model.terms(Batch(x=x), generator=generator())).bound.sum()
    found = torch.autograd.grad(bound, list(model.parameters()))
    assert all(bool((g != 0).any()) for g in found)


def test_levels_start_near_what_stands_above_them():
    """At the start a level says little of x: less than a nat for each latent, however deep the ladder."""
    torch.manual_seed(0)
    ladder = DenseLadder((1, 8, 8), (1, 8, 8), (8,) * 12, 64)
    model = HierarchicalVAE(nn.Identity(), ladder, BernoulliHead(), nn.Identity(), sees_gaps=False)
    terms = model.terms(Batch(x=torch.rand(16, 1, 8, 8).round()), generator=generator())
    assert float(terms.divergence.detach().mean()) < 8 * 0.1
    assert float(terms.latent[-1].detach().std()) < 3


def test_what_cannot_be_is_refused_when_the_model_is_built_or_used():
    with pytest.raises(ShapeError, match=r"sides 4, 2 for images of 6 × 5: expected sides that never fall"):
        ConvolutionLadder((1, 6, 5), (1, 6, 5), (4, 2))
    with pytest.raises(ShapeError, match="at most 6"):
        ConvolutionLadder((1, 6, 5), (1, 6, 5), (4, 8))
    model, batch = dense(), Batch(x=torch.zeros(2, 1, 6, 5))
    with pytest.raises(StateError, match="a posterior for 1 levels was given"):
        model.terms(batch, generator=generator(), posterior=(model.posterior_at((), batch),))
    with pytest.raises(ShapeError, match="a condition of 2 numbers"):
        model.terms(Batch(x=torch.zeros(2, 1, 6, 5), context=torch.zeros(2, 2)), generator=generator())


def gradients(model, x, precision=torch.float32):
    bound = Bound(model, ELBO(), precision=precision)
    with torch.enable_grad():
        climbed, _ = bound(Batch(x=x), 1.0, as_noise(generator(4)))
        return torch.autograd.grad(climbed, list(model.parameters()))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
@EACH
def test_with_checkpointing_gradients_are_equal_bit_for_bit_and_blocks_run_twice(make, precision):
    model, runs = moved(make()).float(), []
    x = (torch.rand(4, 1, 6, 5, generator=generator()) < 0.4).float()
    model.ladder.rung(1).down.register_forward_pre_hook(lambda *_: runs.append(1))
    plain = gradients(model, x, precision)
    model.ladder.checkpointing = True
    again = gradients(model, x, precision)
    assert len(runs) == 1 + 2
    assert all(torch.equal(*both) for both in zip(plain, again, strict=True))


def test_checkpointing_takes_the_weights_of_the_forward_pass():
    """Those of `functional_call`, as in a compiled step, not the ones that the model has again afterwards."""
    model, x = moved(dense()), (torch.rand(4, 1, 6, 5, generator=generator()) < 0.4).double()
    names = [name for name, _ in model.named_parameters()]
    found = []
    for model.ladder.checkpointing in (False, True):
        leaves = [(1.1 * p).detach().requires_grad_() for p in model.parameters()]
        terms = functional_call(
            model, dict(zip(names, leaves, strict=True)), (Batch(x=x),), {"generator": generator(4)}
        )
        found.append(torch.autograd.grad(ELBO()(terms).bound.sum(), leaves))
    assert all(torch.equal(*both) for both in zip(*found, strict=True))


@EACH
def test_free_bits_hold_level_by_level(make):
    """A level below the free amount has no gradient from its divergence, another one has: by the definition."""
    model = moved(make())
    x = (torch.rand(4, 1, 6, 5, generator=generator()) < 0.4).double()
    terms = model.terms(Batch(x=x), generator=generator(1))
    each = terms.divergence[:, 0].mean(1)  # of each level, over the batch
    assert len(each) == len(model.ladder.sizes)
    free = float(each.detach().sort().values[:2].mean())  # between the least and the next
    value = FreeBits(free)(terms)
    expected = terms.log_likelihood[0] - sum(level if level > free else torch.tensor(free) for level in each)
    torch.testing.assert_close(value.surrogate, expected.to(value.surrogate))
    torch.testing.assert_close(value.bound, ELBO()(terms).bound)


def test_softened_deviations_are_one_at_zero_and_grow_slower():
    raw = torch.linspace(-30, 30, 601, dtype=torch.float64)
    for law in (exponential, softened):
        scale = law(raw, -5.0, 3.0)
        assert (scale.diff() > 0).all()
        assert math.exp(-5) <= float(scale.min())
        assert float(scale.max()) <= math.exp(3.001)
        assert float(law(torch.zeros(1).double(), -5.0, 3.0).log()) == pytest.approx(0, abs=0.06)
    plain = torch.log1p(2.0**raw) / math.log(2)
    inside = (raw > -2) & (raw < 4)
    assert (softened(raw, -5.0, 3.0)[inside] / plain[inside] - 1).abs().max() < 0.3
    at = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
    slopes = [torch.autograd.grad(law(at, -5.0, 3.0), at)[0] for law in (exponential, softened)]
    assert slopes[1] < 0.5 * slopes[0]
