"""Autoencoders: what they state, what they refuse, and penalties against second implementations."""

import copy
import doctest

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev, vmap

from vael.data import Batch, GaussianNoise, Kind, Masking, SaltAndPepper, Source, Splits, statistics, unit_interval
from vael.errors import ShapeError, StateError, SupportError
from vael.evaluation import evaluate
from vael.models import (
    AbsoluteActivation,
    ActivationDivergence,
    Autoencoder,
    BernoulliHead,
    Contraction,
    CrossEntropyHead,
    Decoder,
    GaussianMixture,
    LogisticContraction,
    SquaredErrorHead,
    unrolled,
)
from vael.models.autoencoders.penalties import Coded
from vael.models.autoencoders.stacked import layers_of
from vael.networks import Dense, TopK
from vael.objectives import ELBO, Reconstruction
from vael.probability import PerExample, Stream
from vael.recipes import autoencoder, contractive, k_sparse, sparse, stacked

EVENT, EXAMPLES = (1, 4, 4), 9
REQUIRES = Reconstruction().requires


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(dtype=torch.float64, examples=EXAMPLES):
    return Batch(x=torch.rand(examples, *EVENT, generator=generator(5), dtype=dtype), index=torch.arange(examples))


def terms(model, given, seed=0, **how):
    return model(given, generator=PerExample(seed, given.index), requires=REQUIRES, **how)


def test_the_terms_are_minus_the_squared_error_summed_over_cells():
    model, given = autoencoder(EVENT, latent=3, hidden=(8,)).double(), batch()
    stated = terms(model, given)
    expected = -(given.x - model.reconstruct(given)).square().flatten(1).sum(1)
    torch.testing.assert_close(stated.log_likelihood, expected[None])
    assert not any(map(stated.states, ("log_prior", "log_posterior", "divergence")))
    assert stated.penalties == {}
    torch.testing.assert_close(stated.latent[0][0], model.encode(given))
    torch.testing.assert_close(model.decode(stated.latent).mean[0], model.reconstruct(given))


def test_the_example_in_the_documentation_runs():
    found = doctest.DocTestRunner(verbose=False)
    for example in doctest.DocTestFinder(recurse=False).find(autoencoder, "autoencoder", globs={}):
        found.run(example)
    assert found.tries > 3
    assert found.failures == 0


def test_the_squared_error_is_in_the_units_of_the_data():
    class Moments:
        mean, std = torch.full(EVENT, 100.0), torch.full(EVENT, 50.0)

    law = SquaredErrorHead(Moments())(torch.ones(1, 2, *EVENT))
    torch.testing.assert_close(law.mean, torch.full((1, 2, *EVENT), 150.0))
    torch.testing.assert_close(law.log_prob(torch.full((2, *EVENT), 140.0)), torch.full((1, 2, *EVENT), -100.0))


def test_cross_entropy_is_a_loss_as_well():
    model, given = autoencoder(EVENT, CrossEntropyHead(), latent=3, hidden=(8,)).double(), batch()
    p = model.reconstruct(given)
    expected = (given.x * p.log() + (1 - given.x) * (1 - p).log()).flatten(1).sum(1)
    torch.testing.assert_close(terms(model, given).log_likelihood, expected[None])


def test_grey_values_in_the_unit_interval_suit_the_cross_entropy():
    grey = Source("grey", torch.tensor([[0], [51], [255]], dtype=torch.uint8), Kind.INTEGER, "f", levels=256)
    CrossEntropyHead().check(unit_interval(Splits(grey, grey, None)).train)
    with pytest.raises(SupportError, match=r"lie in \[0, 255\]"):
        CrossEntropyHead().check(grey)


def test_cells_that_were_not_seen_count_for_nothing():
    model, given = autoencoder(EVENT, latent=3, hidden=(8,)).double(), batch()
    observed = torch.rand(given.x.shape, generator=generator(1)) < 0.7
    holes = Batch(x=given.x.where(observed, torch.nan), observed=observed, index=given.index)
    error = (given.x - model.reconstruct(holes)).square().where(observed, 0.0).flatten(1).sum(1)
    torch.testing.assert_close(terms(model, holes).log_likelihood, -error[None])


@pytest.mark.parametrize(
    "model",
    [
        lambda: autoencoder(EVENT, latent=3, hidden=(6,)),
        lambda: autoencoder(EVENT, BernoulliHead(), latent=3, hidden=(6,), corruption=Masking(0.4)),
        lambda: autoencoder(EVENT, latent=3, hidden=(6,), corruption=GaussianNoise(0.3)),
        lambda: autoencoder(EVENT, latent=3, hidden=(6,), corruption=SaltAndPepper(0.3)),
        lambda: autoencoder(
            EVENT, latent=3, hidden=(6,), penalties={"l1": AbsoluteActivation(), "jacobian": Contraction()}
        ),
        lambda: autoencoder(EVENT, latent=3, hidden=(6,), penalties={"jacobian": Contraction(probes=2)}),
        lambda: contractive(EVENT, latent=4),
        lambda: sparse(EVENT, latent=4),
        lambda: k_sparse(EVENT, 2, latent=5),
        lambda: unrolled(stacked(EVENT, features=(6, 3))),
    ],
    ids=[
        "plain",
        "masking",
        "gaussian",
        "salt",
        "penalties",
        "probes",
        "contractive",
        "sparse",
        "k-sparse",
        "unrolled",
    ],
)
def test_gradients_are_those_of_finite_differences(model):
    built, given = model().double(), batch(examples=3)
    named = {name: p.detach() for name, p in built.named_parameters()}

    def climbed(*weights):
        how = {"generator": PerExample(0, given.index), "requires": REQUIRES}
        stated = functional_call(built, dict(zip(named, weights, strict=True)), (given,), how)
        return Reconstruction()(stated).surrogate.sum()

    assert torch.autograd.gradcheck(climbed, [w.clone().requires_grad_() for w in named.values()], fast_mode=True)


# corruption


def test_the_error_of_denoising_is_against_the_clean_example_and_belongs_to_it():
    corruption = Masking(0.5)
    model, given = autoencoder(EVENT, latent=3, hidden=(8,), corruption=corruption).double(), batch()
    damaged = corruption(given.x, PerExample(0, given.index))[0]
    expected = -(given.x - model.reconstruct(Batch(x=damaged))).square().flatten(1).sum(1)
    torch.testing.assert_close(terms(model, given).log_likelihood[0], expected)
    alone = [
        terms(model, Batch(x=given.x[i : i + 1], index=given.index[i : i + 1])).log_likelihood[0]
        for i in range(EXAMPLES)
    ]
    torch.testing.assert_close(torch.cat(alone), expected)
    assert not torch.equal(terms(model, given, seed=1).log_likelihood[0], expected)


def test_encode_and_reconstruct_see_what_they_are_given():
    model, given = autoencoder(EVENT, latent=3, hidden=(8,), corruption=Masking(1.0)), batch(torch.float32)
    assert not torch.equal(model.encode(given)[0], model.encode(given)[1])
    assert torch.equal(model.reconstruct(given), model.reconstruct(given))


def test_a_condition_reaches_whatever_is_decoded():
    """A decoder z W + c V that is given c beside z: its errors, its reconstruction and its draws are moved by c V."""
    numbers = generator(3)
    w, v, e = (torch.randn(size, generator=numbers, dtype=torch.float64) for size in ((3, 5), (2, 5), (5, 3)))
    encoder, network = (torch.nn.Linear(*size, bias=False).double() for size in ((5, 3), (5, 5)))
    with torch.no_grad():
        encoder.weight.copy_(e.T)
        network.weight.copy_(torch.cat((w, v)).T)
    model = Autoencoder(encoder, Decoder(network, SquaredErrorHead()), density=GaussianMixture(2, 3))
    x, c = (torch.randn(4, size, generator=numbers, dtype=torch.float64) for size in (5, 2))
    given, z = Batch(x=x, context=c, index=torch.arange(4)), torch.randn(1, 4, 3, generator=numbers).double()
    torch.testing.assert_close(model.decode((z,), c).mean[0], z[0] @ w + c @ v)
    torch.testing.assert_close(model.reconstruct(given), x @ e @ w + c @ v)
    torch.testing.assert_close(terms(model, given).log_likelihood[0], -((x - x @ e @ w - c @ v) ** 2).sum(1))
    one, other = (model.sample(4, generator=generator(1), context=given) for given in (c, torch.zeros_like(c)))
    torch.testing.assert_close(one - other, c @ v)


def test_several_damaged_copies_are_several_samples():
    model, given = (
        autoencoder(EVENT, latent=3, corruption=GaussianNoise(0.5), penalties={"l1": AbsoluteActivation()}),
        batch(torch.float32),
    )
    stated = terms(model, given, samples=4)
    assert stated.log_likelihood.shape == (4, EXAMPLES)
    assert stated.log_likelihood.std(0).min() > 0
    torch.testing.assert_close(stated.penalties["l1"], stated.latent[0].abs().sum(2).mean(0))
    still = terms(autoencoder(EVENT, latent=3), given, samples=2).log_likelihood
    torch.testing.assert_close(still[0], still[1])


# penalties


def encoded(encoder, given, weight=None):
    return Coded(encoder, given.x, encoder(given.x), PerExample(0, given.index), weight)


def squared_jacobian(encoder, x):
    """Row by row, by torch.func.jacrev."""
    return vmap(jacrev(lambda one: encoder(one[None])[0]))(x).flatten(1).square().sum(1)


def test_contraction_is_the_squared_norm_of_the_jacobian():
    given, encoder = batch(), nn.Sequential(Dense(EVENT, (5,), (7,), nn.Tanh), nn.Sigmoid()).double()
    torch.testing.assert_close(Contraction()(encoded(encoder, given)), squared_jacobian(encoder, given.x))


def test_contraction_of_one_logistic_layer_is_known_in_closed_form():
    model, given = contractive(EVENT, latent=6).double(), batch()
    closed = terms(model, given).penalties["contraction"]
    torch.testing.assert_close(closed, squared_jacobian(model.encoder, given.x))
    torch.testing.assert_close(closed, Contraction()(encoded(model.encoder, given)))


def test_contraction_from_probes_is_unbiased():
    """Mean of 2000 probes within 5 standard errors, false-alarm rate 6e-7 for each of nine examples."""
    given, encoder = batch(), nn.Sequential(Dense(EVENT, (5,), (7,), nn.Tanh), nn.Sigmoid()).double()
    exact, penalty = squared_jacobian(encoder, given.x), Contraction(probes=1)
    noise = Stream(generator(3))
    draws = torch.stack([penalty(Coded(encoder, given.x, encoder(given.x), noise)) for _ in range(2000)])
    error = draws.std(0) / 2000**0.5
    assert bool(((draws.mean(0) - exact).abs() < 5 * error).all())
    assert bool((error < 0.05 * exact).all())


def test_contraction_of_a_linear_map_is_the_norm_of_its_matrix():
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    expected = encoder[1].weight.detach().square().sum().expand(EXAMPLES)
    torch.testing.assert_close(Contraction()(encoded(encoder, batch())).detach(), expected)


def test_the_divergence_of_activations_is_that_of_bernoulli_laws():
    encoder, given = nn.Sequential(Dense(EVENT, (5,), ()), nn.Sigmoid()).double(), batch()
    weight = torch.tensor([1.0] * 6 + [0.0] * 3)
    mean = encoder(given.x)[:6].mean(0)
    laws = [torch.distributions.Bernoulli(p) for p in (torch.full_like(mean, 0.1), mean)]
    expected = torch.distributions.kl_divergence(*laws).sum().expand(EXAMPLES)
    torch.testing.assert_close(ActivationDivergence(0.1)(encoded(encoder, given, weight)), expected)
    settled = Coded(encoder, given.x, torch.full((EXAMPLES, 5), 0.1).double(), PerExample(0, given.index))
    torch.testing.assert_close(ActivationDivergence(0.1)(settled), torch.zeros(EXAMPLES).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_exactly_k_numbers_of_a_code_stay_and_they_are_the_largest(k):
    code = torch.randn(50, 8, generator=generator())
    kept = TopK(k)(code)
    assert torch.equal((kept != 0).sum(1), torch.full((50,), k))
    torch.testing.assert_close(kept.sort(1).values.sum(1), code.sort(1).values[:, -k:].sum(1))
    assert torch.equal(TopK(k)(torch.ones(3, 8)).sum(1), torch.full((3,), float(k)))  # ties
    assert bool(((k_sparse(EVENT, k, latent=8).encode(batch(torch.float32)) != 0).sum(1) == k).all())


# stacks


def test_an_unrolled_stack_is_its_layers_inside_each_other_and_has_weights_of_its_own():
    stack, given = stacked(EVENT, features=(12, 7, 3)), batch(torch.float32)
    deep = unrolled(stack)
    code = given.x
    for layer in stack:
        code = layer.encode(Batch(x=code))
    torch.testing.assert_close(deep.encode(given), code)
    for layer in reversed(stack):
        code = layer.decode((code[None],)).mean[0]
    torch.testing.assert_close(deep.reconstruct(given), code)
    before = copy.deepcopy(stack[0].state_dict())
    with torch.no_grad():
        for p in deep.parameters():
            p.add_(1.0)
    assert all(torch.equal(before[name], w) for name, w in stack[0].state_dict().items())


def test_the_layers_of_an_unrolled_stack_are_those_that_it_was_made_of():
    """They share its weights, and one inside the other they are the whole; what was not unrolled has none."""
    deep = unrolled(stacked(EVENT, features=(5, 4, 3))).double()
    layers, x = layers_of(deep), batch().x
    assert [{id(w) for w in part.parameters()} <= {id(w) for w in deep.parameters()} for part in layers] == [True] * 3
    code = x
    for layer in layers:
        code = layer.encoder(code)
    torch.testing.assert_close(code, deep.encoder(x))
    back = code
    for layer in reversed(layers):
        back = layer.decoder.network(back)
    torch.testing.assert_close(back, deep.decoder.network(code))
    assert layers[0].decoder.head is deep.decoder.head
    assert [type(layer.decoder.head) for layer in layers[1:]] == [SquaredErrorHead] * 2
    with pytest.raises(TypeError, match="was not unrolled"):
        layers_of(Autoencoder(torch.nn.Linear(5, 3), Decoder(torch.nn.Linear(3, 5), SquaredErrorHead())))


def test_the_units_of_the_data_reach_neither_the_codes_nor_the_training_of_a_stack():
    """In millimetres or in metres, moved or not: the first layer sees numbers of mean 0 and spread 1."""
    x = batch(torch.float32).x
    codes = []
    for factor, shift in ((1.0, 0.0), (250.0, -40.0)):
        own = Source("own", factor * x + shift, Kind.REAL, "")
        with torch.random.fork_rng():
            torch.manual_seed(5)
            layers = stacked(EVENT, features=(12, 3), statistics=statistics(own))
        codes.append(layers[0].encode(Batch(x=own.x)))
    torch.testing.assert_close(codes[0], codes[1], rtol=1e-4, atol=1e-4)


# refusals


def test_there_is_no_prior_to_sample_from_and_no_divergence_to_climb():
    model, given = autoencoder(EVENT, latent=3), batch(torch.float32)
    with pytest.raises(StateError, match="no prior over its codes"):
        model.sample(3, generator=generator())
    with pytest.raises(StateError, match="neither prior nor posterior"):
        model(given, generator=generator(), requires=ELBO().requires)
    with pytest.raises(StateError, match="neither prior nor posterior"):
        model(given, generator=generator(), posterior=())
    with pytest.raises(StateError, match="Autoencoder, has not"):
        evaluate(model, Source("grey", given.x, Kind.REAL, "f"))


def test_what_makes_no_sense_is_refused():
    given = batch(torch.float32)
    with pytest.raises(ShapeError, match="k = 9"):
        k_sparse(EVENT, 9, latent=8)
    with pytest.raises(ShapeError, match="k = 9"):
        TopK(9)(torch.zeros(2, 8))
    with pytest.raises(ShapeError, match="k = 0"):
        TopK(0)
    with pytest.raises(ShapeError, match="0 probes"):
        Contraction(probes=0)
    with pytest.raises(SupportError, match="between 0 and 1"):
        ActivationDivergence(1.0)
    with pytest.raises(SupportError, match=r"torch\.nn\.Sigmoid"):
        terms(autoencoder(EVENT, latent=3, penalties={"s": ActivationDivergence()}), given)
    with pytest.raises(ShapeError, match="one linear layer"):
        terms(autoencoder(EVENT, latent=3, penalties={"c": LogisticContraction()}), given)
    with pytest.raises(ShapeError, match="expected one vector"):
        Autoencoder(nn.Identity(), Decoder(nn.Identity(), SquaredErrorHead())).encode(given)
    with pytest.raises(ShapeError, match="at least one"):
        unrolled(())
    with pytest.raises(ShapeError, match="CrossEntropyHead"):
        unrolled((autoencoder(EVENT, latent=3), autoencoder((3,), CrossEntropyHead(), latent=2)))
    missing = Source("holes", torch.tensor([[1.0], [torch.nan]]), Kind.REAL, "f")
    with pytest.raises(SupportError, match="NaN"):
        SquaredErrorHead().check(missing)
