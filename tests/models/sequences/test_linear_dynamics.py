"""Linear latents against the joint Gaussian over all times: likelihood, posterior, filled gaps, forecasts."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from vael.data import Batch
from vael.inference import weighed
from vael.models import GaussianHead, linear_dynamics, posterior_levels
from vael.models.likelihoods.heads import LearnedScale
from vael.models.sequences.linear_dynamics import LinearAndMore
from vael.probability import PerExample, bounded

TIME, CHANNELS, LATENT = 7, 3, 4


def linear(seed=0):
    """A model at the start, where emission and evidence are linear, with random dynamics; evidence as the likelihood
    has it.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = GaussianHead(None, LearnedScale(CHANNELS, last=True))
        model = linear_dynamics((TIME, CHANNELS), head, latent=LATENT, hidden=8).double()
    with torch.no_grad():
        model.transition.turn.copy_(0.7 * torch.randn(LATENT, LATENT, generator=random))
        model.head.spread.log_scale.copy_(torch.tensor([-0.5, 0.2, -1.0]))
        model.summary.evidence.log_noise.copy_(model.head.spread.log_scale)
    return model


def joint(model, steps=TIME):
    """Covariances of all z and of all x, `[steps · features] * 2`, and the map between them."""
    a, q = model.transition.matrix.detach(), model.transition.scale.detach().square().diag()
    c = model.emission.loadings.detach()
    r = bounded(model.head.spread.log_scale.detach(), -6.0, 3.0).exp().square()
    variance = torch.eye(LATENT).double()
    z = torch.zeros(steps * LATENT, steps * LATENT, dtype=torch.float64)
    for t in range(steps):
        block = variance
        for s in range(t, steps):
            at = (slice(s * LATENT, (s + 1) * LATENT), slice(t * LATENT, (t + 1) * LATENT))
            z[at] = block
            z[at[1], at[0]] = block.mT
            block = a @ block
        variance = a @ variance @ a.mT + q
    maps = torch.block_diag(*[c] * steps)
    return z, maps @ z @ maps.mT + r.repeat(steps).diag(), maps


def windows(rows=6, gaps=True):
    x = torch.randn(rows, TIME, CHANNELS, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    gone = torch.rand(x.shape, generator=torch.Generator().manual_seed(7)) < 0.4 * gaps
    if gaps:
        gone[0] = True
        gone[1, 3:] = True
    return Batch(x=torch.where(gone, torch.nan, x), observed=~gone, index=torch.arange(rows))


def conditional(model, x, steps=TIME):
    """log p(x) of what was seen, and mean and covariance of all x without its noise given that."""
    z, covariance, maps = joint(model, steps)
    flat = torch.cat((x.flatten(), torch.full(((steps - len(x)) * CHANNELS,), torch.nan, dtype=x.dtype)))
    seen = (~flat.isnan()).nonzero()[:, 0]
    if not len(seen):
        return torch.zeros(()).double(), torch.zeros(len(flat)).double(), maps @ z @ maps.mT
    own = covariance[seen][:, seen]
    log = MultivariateNormal(torch.zeros(len(seen)).double(), own).log_prob(flat[seen])
    clean = maps @ z @ maps.mT
    gain = clean[:, seen] @ torch.linalg.inv(own)
    return log, gain @ flat[seen], clean - gain @ clean[seen]


@pytest.mark.parametrize("gaps", [False, True])
def test_every_draw_gives_the_likelihood_of_the_joint_gaussian(gaps):
    model, given = linear(), windows(gaps=gaps)
    known = torch.stack([conditional(model, x)[0] for x in given.x])
    terms = model(given, samples=3, generator=torch.Generator().manual_seed(0))
    bound = terms.log_likelihood + (terms.log_prior - terms.log_posterior).sum(0)
    torch.testing.assert_close(bound, known.expand(3, -1))
    z = posterior_levels(model, given, 4, PerExample(0, given.index))
    torch.testing.assert_close(weighed(model, given, z).log_weight, known.expand(4, -1))


def test_the_means_of_the_posterior_are_those_of_the_smoother():
    model, given = linear(), windows()
    known = torch.stack([conditional(model, x)[1] for x in given.x])
    torch.testing.assert_close(model.reconstruct(given).flatten(1), known)


def test_the_divergence_is_the_rest_of_the_bound():
    """Mean over 20,000 draws: KL in closed form against log q - log p, within five standard errors."""
    model, given = linear(), windows(2)
    terms = model(given, samples=20_000, generator=torch.Generator().manual_seed(0))
    apart = terms.divergence.sum(0) - (terms.log_posterior - terms.log_prior).sum(0)
    assert (apart.mean(1) if apart.shape[0] == 2 else apart.mean(0)).abs().max() < 5 * apart.std(0).max() / 20_000**0.5


def test_latents_stay_bounded_for_ever():
    model = linear(3)
    assert float(torch.linalg.matrix_norm(model.transition.matrix.detach(), ord=2)) <= 1 + 1e-9
    with torch.no_grad():
        x = model.sample(4, generator=torch.Generator().manual_seed(0), frames=1500)
    assert torch.isfinite(x).all()
    assert float(x[:, -500:].std()) < 10 * float(x[:, :500].std())


def test_weights_are_listed_once_and_travel_with_the_model():
    model, other = linear(0), linear(1)
    names = [name for name, _ in model.named_parameters()]
    assert sum("turn" in name for name in names) == sum("loadings" in name for name in names) == 1
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.reconstruct(windows()), model.reconstruct(windows()))


def test_an_emission_begins_linear_with_elements_of_unit_spread():
    """C has entries of variance 1/d, so that C z has the spread of z: 4,000 of them, within 5 standard errors."""
    more = torch.nn.Sequential(torch.nn.Linear(16, 250), torch.nn.Unflatten(1, (1, 250)))
    emission = LinearAndMore(16, more, 250)
    assert abs(float(emission.loadings.square().mean()) * 16 - 1) < 5 * (2 / 4_000) ** 0.5
    with torch.no_grad():
        for weight in more.parameters():
            weight.zero_()
        z = torch.randn(3, 16)
        torch.testing.assert_close(emission(z)[:, 0], z @ emission.loadings.mT)
