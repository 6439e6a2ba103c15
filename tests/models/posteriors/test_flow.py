"""A flow posterior that can be the exact one: every importance weight is then p(x)."""

import torch

from oracles import LinearGaussian, generator
from vael.data import Batch, Kind, Source
from vael.evaluation import evaluate
from vael.inference import drawn_and_weighed
from vael.models import VAE, StandardNormal
from vael.models.flows.parts import InverseAutoregressivePart
from vael.models.posteriors.flow import FlowPosterior
from vael.objectives import ELBO, StickingTheLanding
from vael.probability import bounded, draw


def exact(oracle):
    """z_1 = s u_1 and z_2 = s u_2 + w u_1 with u ~ N(μ(x), diag σ²), with mean and covariance of p(z | x)."""
    layers = InverseAutoregressivePart(layers=1, hidden=()).build(2).double()
    network = torch.nn.Linear(len(oracle.bias), 4).double()
    s = bounded(torch.zeros((), dtype=torch.float64), -3.0, 3.0).exp()
    covariance, origin = oracle.posterior(oracle.bias).covariance_matrix, torch.zeros_like(oracle.bias)
    at = oracle.posterior(torch.cat((origin[None], torch.eye(len(oracle.bias), dtype=torch.float64)))).mean
    first = covariance[0, 0].sqrt() / s
    slant = covariance[0, 1] / (s * first.square())
    second = (covariance[1, 1] - (slant * first).square()).sqrt() / s
    back = torch.stack(
        (torch.stack((1 / s, 0 * s)), torch.stack((-slant / s**2, 1 / s)))
    )  # from means of z to means of u
    with torch.no_grad():
        network.weight[:2], network.bias[:2] = back @ (at[1:] - at[0]).T, back @ at[0]
        network.weight[2:] = 0
        network.bias[2:] = inverse_bounded(torch.stack((first, second)).log())
        only = layers[0].network.layers[0]
        only.bias.zero_()
        only.weight.copy_(torch.tensor([[0, 0], [0, 0], [slant, 0], [0, 0]], dtype=torch.float64))
    return FlowPosterior(network, layers, 2)


def inverse_bounded(target):
    """Raw numbers that are bounded to these, by halving."""
    low, high = torch.full_like(target, -30.0), torch.full_like(target, 30.0)
    for _ in range(100):
        middle = (low + high) / 2
        below = bounded(middle, -7.0, 3.0) < target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low


def model():
    oracle = LinearGaussian.of_size(5, 2, seed=3)
    return oracle, VAE(StandardNormal(2).double(), oracle.decoder(), exact(oracle))


def test_its_weights_are_all_p_of_x_and_its_bound_is_log_p():
    """No draw is off, so nothing is left to chance."""
    oracle, vae = model()
    x = oracle.sample(6)
    with torch.no_grad():
        q = vae.infer(Batch(x=x))
        found = drawn_and_weighed(vae, Batch(x=x), q, 50, generator()).log_weight
    torch.testing.assert_close(found, oracle.log_prob(x).expand(50, -1), rtol=0, atol=1e-9)
    torch.testing.assert_close(q.mean, oracle.posterior(x).mean, rtol=0, atol=1e-9)  # linear, so exact from pairs
    judged = evaluate(vae, Source("x", x, Kind.REAL, ""), importance_samples=120)
    assert abs(judged.log_likelihood - float(oracle.log_prob(x).mean())) < 1e-6
    assert abs(judged.elbo - float(oracle.log_prob(x).mean())) < 1e-6


def test_at_the_exact_posterior_the_gradient_along_paths_is_zero_and_the_usual_one_is_not():
    """Sticking the landing holds the density of a flow too: every draw's gradient of the encoder is 0."""
    oracle, vae = model()
    batch, weights = Batch(x=oracle.sample(6)), list(vae.posterior.parameters())

    def gradient(objective):
        terms = vae.terms(batch, samples=2, generator=generator(), requires=objective.requires)
        found = torch.autograd.grad(objective(terms).surrogate.sum(), weights, allow_unused=True)
        return max(float(one.abs().max()) for one in found if one is not None)

    assert gradient(StickingTheLanding()) < 1e-8
    assert gradient(ELBO()) > 0.1


def test_another_draw_than_its_last_goes_back_to_the_same_density():
    oracle, vae = model()
    x = oracle.sample(3)
    q = vae.infer(Batch(x=x))
    z, later = draw(q, 4, generator()), draw(q, 4, generator(1))
    torch.testing.assert_close(q.log_prob(z), oracle.posterior(x).log_prob(z), rtol=0, atol=1e-9)
    assert torch.equal(q.log_prob(later), q.drawn.log_prob)
