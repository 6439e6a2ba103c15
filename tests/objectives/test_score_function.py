"""The score-function objective: exact where latents can be enumerated, equal in the mean to a path where there is
one.
"""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Categorical

from oracles import Enumerable, Given, LinearGaussian, generator
from vael.data import Batch, Kind, Source, Splits
from vael.errors import StateError
from vael.inference import AdamW, GradientAscent
from vael.models import VAE, BernoulliHead, BernoulliPosterior, BernoulliPrior, Decoder
from vael.networks import Dense
from vael.objectives import SampledELBO, ScoreFunction, leave_one_out
from vael.probability import diagonal_gaussian
from vael.training import Settings, run


def test_leave_one_out_means():
    reward = torch.tensor([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]])
    torch.testing.assert_close(leave_one_out(reward), torch.tensor([[4.0, 40.0], [3.5, 35.0], [1.5, 15.0]]))
    assert torch.equal(leave_one_out(reward[:2]), reward[[1, 0]])
    assert torch.equal(leave_one_out(reward[:1]), torch.zeros(1, 2))


def free(oracle):
    """The enumerable model with a posterior of free logits, and decoder logits that learn."""
    logits = torch.tensor([0.5, -0.3, 0.0, 1.0], dtype=torch.float64, requires_grad=True)
    cells = oracle.cells.clone().requires_grad_()
    prior = Given(lambda _: Categorical(logits=oracle.logits, validate_args=False))
    posterior = Given(lambda x: Categorical(logits=logits.expand(len(x), -1), validate_args=False))
    return VAE(prior, Given(lambda z: BernoulliHead()(cells[z])), posterior), logits, cells


def test_the_gradient_on_enumerable_latents_is_the_exact_one_in_the_mean():
    """∇ Σ_z q(z) (log p(x, z) - log q(z)) by enumeration.

    20,000 pairs of draws, 4 + 40 numbers within 4.8 standard errors of 100 blocks: false-alarm rate 3e-4.
    """
    oracle, repeats = Enumerable.of_size(4, 10), 20_000
    x = oracle.sample(1)
    model, logits, cells = free(oracle)
    likelihood = torch.distributions.Bernoulli(logits=cells).log_prob(x).sum(1)
    q = logits.softmax(0)
    exact = torch.autograd.grad((q * (likelihood + oracle.logits.log_softmax(0) - q.log())).sum(), (logits, cells))
    rows = x.expand(repeats, -1)
    terms = model.terms(Batch(x=rows), samples=2, generator=generator(), requires=ScoreFunction.requires)
    surrogate = ScoreFunction()(terms).surrogate
    assert surrogate.shape == (repeats,)
    blocks = [
        torch.autograd.grad(part.mean(), (logits, cells), retain_graph=True) for part in surrogate.split(repeats // 100)
    ]
    for k, expected in enumerate(exact):
        found = torch.stack([block[k] for block in blocks])
        error = found.std(0) / math.sqrt(len(found))
        assert ((found.mean(0) - expected).abs() <= 4.8 * error + 1e-12).all()
        assert (expected.abs() > 5 * error).any()


def test_the_value_is_the_sampled_bound():
    oracle = Enumerable.of_size(4, 10)
    model, _, _ = free(oracle)
    terms = model.terms(Batch(x=oracle.sample(6)), samples=3, generator=generator())
    value, plain = ScoreFunction()(terms), SampledELBO()(terms)
    torch.testing.assert_close(value.bound, plain.bound)
    torch.testing.assert_close(value.surrogate, plain.bound)
    assert not value.bound.requires_grad


def test_where_a_path_exists_both_gradients_have_the_same_mean_and_the_path_less_variance():
    """μ and log σ of a Gaussian posterior, 200 blocks of 50 draws: 6 comparisons within 4.5 errors, false-alarm
    rate 7e-5.
    """
    oracle = LinearGaussian.of_size(5, 3, seed=4)
    x = oracle.sample(1).expand(10_000, -1)
    loc, raw = (
        torch.tensor([0.3, -0.2, 0.5]).double().requires_grad_(),
        torch.tensor([-0.3, 0.1, -0.8]).double().requires_grad_(),
    )
    model = oracle.vae(lambda x: diagonal_gaussian(loc.expand(len(x), -1), raw.exp().expand(len(x), -1)))

    def blocks(surrogate):
        return torch.stack(
            [torch.cat(torch.autograd.grad(part.mean(), (loc, raw), retain_graph=True)) for part in surrogate.split(50)]
        )

    terms = model.terms(Batch(x=x), samples=4, generator=generator(1))
    path = blocks(SampledELBO()(terms).surrogate)
    other = model.terms(Batch(x=x), samples=4, generator=generator(2))
    detached = model.terms(Batch(x=x), samples=4, generator=generator(2), latent=(other.latent[0].detach(),))
    score = blocks(ScoreFunction()(detached).surrogate)
    error = ((path.var(0) + score.var(0)) / len(path)).sqrt()
    assert ((path.mean(0) - score.mean(0)).abs() <= 4.5 * error).all()
    assert (score.var(0) > path.var(0)).all()
    with pytest.raises(StateError, match="count twice"):
        ScoreFunction()(terms)


def stripes(examples, seed):
    """Binary images of 16 cells with one of four bars, and one cell in twenty flipped."""
    which = torch.randint(0, 4, (examples,), generator=generator(seed))
    clean = nn.functional.one_hot(which, 4).repeat_interleave(4, 1)
    flip = torch.rand(examples, 16, generator=generator(seed + 1)) < 0.05
    return Source("bars", (clean.bool() ^ flip).float(), Kind.BINARY, f"bars{seed}")


def test_a_model_of_binary_latents_learns_through_the_usual_loop():
    """Four bars, one cell in twenty flipped: about log 1/4 + 16 · (-0.2) = -4.6 nats can be reached; no latents get
    no further than -9.0.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VAE(
            BernoulliPrior(4),
            Decoder(Dense((4,), (16,), (32,)), BernoulliHead()),
            BernoulliPosterior(Dense((16,), (4,), (32,))),
        )
    data = Splits(stripes(1000, 0), stripes(500, 10), None)
    fit = run(
        GradientAscent(model, ScoreFunction(), samples=8, optimizer=AdamW(3e-3)),
        data,
        Settings(epochs=25, batch=50, compiled=False, threads=1),
    )
    assert fit.history[0].elbo < -8
    assert -6.0 < fit.best_elbo < -4.4
    assert set(model.encode(data.validation.batch(torch.arange(5))).round().unique().tolist()) <= {0.0, 1.0}
