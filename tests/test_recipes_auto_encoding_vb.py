"""Algorithm 1 of Kingma & Welling 2013: the recipe against the lecture's lines written out, with PyTorch's Adagrad
and the factor N/M.
"""

import torch
from torch.distributions import kl_divergence

from vael.data import Kind, Source, Splits
from vael.models import BernoulliHead
from vael.probability import Stream
from vael.recipes import auto_encoding_vb, lecture
from vael.training import Order


def source(examples, seed):
    x = (
        torch.rand(examples, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
        < torch.linspace(0.1, 0.9, 16).view(1, 4, 4)
    ).double()
    return Source("cells", x, Kind.BINARY, f"cells{seed}")


def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return lecture((1, 4, 4), BernoulliHead()).double()


def written_out(vae, train, epochs, rate, seed=0):
    """Repeat: X^M, ε, g = ∇ N/M Σ L̃(x_i; ε), Adagrad. The loop's own order and noise, so that both see the same."""
    order, generator = Order(len(train), 100, seed), torch.Generator()
    optimizer = torch.optim.Adagrad(
        vae.parameters(), lr=rate, eps=1e-10 * len(train)
    )  # N/M Σ is N times the mean, and ε in its units
    for step in range(epochs * order.steps_per_epoch):
        rows = order.share(step)
        noise = Stream(generator.manual_seed(order.noise_seed(step)))
        batch = train.batch(rows.index, noise)
        q = vae.posterior(batch.x)
        z = q.mean + q.stddev * noise.normal((1, *q.mean.shape), q.mean)
        log_likelihood = vae.likelihood(z).log_prob(batch.x).flatten(2).sum(2)[0]
        bound = log_likelihood - kl_divergence(q, vae.prior())
        optimizer.zero_grad()
        (-len(train) / len(rows.index) * bound.sum()).backward()
        optimizer.step()


def test_the_recipe_takes_the_steps_of_the_lecture():
    """In float64, to 1e-7 after 60 steps: the factor N/M of the lecture changes no step of Adagrad's, with ε in the
    same units.
    """
    data = Splits(source(2000, 0), source(200, 1), None)
    other = model()
    fit = auto_encoding_vb(model(), data, epochs=3, learning_rate=0.05)
    assert fit.steps == 60
    assert fit.best_step == 60  # else the weights that are handed over are earlier ones
    written_out(other, data.train, 3, 0.05)
    start = dict(model().named_parameters())
    for name, p in other.named_parameters():
        torch.testing.assert_close(fit.model.get_parameter(name), p, rtol=1e-6, atol=1e-7)
        assert not torch.equal(p, start[name])
    assert fit.history[-1].elbo > fit.history[0].elbo
