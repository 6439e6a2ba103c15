"""A decoder with full covariance: the law it should be for any numbers, and what it buys where cells depend on each
other given z.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from scipy import stats

from vael.data import Batch, Kind, Source, Splits
from vael.errors import ShapeError, SupportError
from vael.evaluation import evaluate
from vael.inference import AdamW, GradientAscent
from vael.models import GaussianHead, JointGaussianHead, PredictedScale
from vael.probability import JointGaussian, box, draw, integrate
from vael.recipes import dense
from vael.training import Settings, run

EVENT = (2, 1, 2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def raw_for(head, event=EVENT, size=1.0, dtype=torch.float64, samples=2, batch=3):
    return size * torch.randn(
        samples, batch, head.channels_per_cell * event[0], *event[1:], generator=generator(), dtype=torch.float64
    ).to(dtype)


def moments(event=EVENT):
    return SimpleNamespace(
        mean=5 * torch.rand(event, generator=generator(1)), std=0.5 + torch.rand(event, generator=generator(2))
    )


def test_the_law_of_an_example_against_scipy():
    head = JointGaussianHead(EVENT, moments()).double()
    law = head(raw_for(head))
    assert isinstance(law, JointGaussian)
    assert (law.batch_shape, law.event_shape) == ((2, 3), EVENT)
    x = draw(law, 1, generator(3))[0]
    assert x.shape == law.mean.shape == law.variance.shape == (2, 3, *EVENT)
    for s in range(2):
        for b in range(3):
            oracle = stats.multivariate_normal(law.loc[s, b].numpy(), law.covariance[s, b].numpy())
            assert float(law.log_prob(x)[s, b]) == pytest.approx(oracle.logpdf(x[s, b].flatten().numpy()), abs=1e-8)
    assert law.log_prob(x[0]).shape == (2, 3)
    assert torch.allclose(law.variance.flatten(2), law.covariance.diagonal(dim1=-2, dim2=-1))


def test_it_is_normalised():
    head = JointGaussianHead((2,)).double()
    law = head(raw_for(head, (2,), samples=1, batch=1))
    reach = 8 * law.variance[0, 0].sqrt()
    grid = box((law.loc[0, 0] - reach).tolist(), (law.loc[0, 0] + reach).tolist(), 600)
    mass = integrate(lambda x: law.log_prob(x[:, None, None]).flatten(1).exp(), grid)
    assert float(mass) == pytest.approx(1, abs=1e-6)


def test_the_sampler_matches_the_law():
    """Mean squared Mahalanobis distance is d and every second moment is right; 6 standard errors, a false alarm in
    10⁸ runs for each.
    """
    head = JointGaussianHead((3,)).double()
    law, count = head(raw_for(head, (3,), samples=1, batch=1)), 20_000
    x = draw(law, count, generator(4))
    assert float(law.squared_mahalanobis(x).mean()) == pytest.approx(3, abs=6 * math.sqrt(6 / count))
    white = torch.linalg.solve_triangular(law.scale_tril[0, 0], (x[:, 0, 0] - law.loc[0, 0]).mT, upper=False)
    assert torch.allclose(white @ white.mT / count, torch.eye(3).double(), atol=6 * math.sqrt(2 / count))
    assert torch.allclose(white.mean(1), torch.zeros(3).double(), atol=6 / math.sqrt(count))


def test_without_correlation_it_is_the_diagonal_gaussian():
    """The numbers below the diagonal at zero: equal to `GaussianHead` with a predicted σ for each cell."""
    joint, cellwise = (
        JointGaussianHead((3,), moments((3,))).double(),
        GaussianHead(moments((3,)), PredictedScale()).double(),
    )
    raw = raw_for(joint, (3,))
    raw[:, :, 6:] = 0
    x = torch.randn(3, 3, generator=generator(5), dtype=torch.float64)
    assert torch.allclose(joint(raw).log_prob(x), cellwise(raw[:, :, :6]).log_prob(x).sum(-1), atol=1e-10)


def test_gradients():
    head = JointGaussianHead((2,)).double()
    x = torch.randn(1, 2, generator=generator(6), dtype=torch.float64)
    raw = raw_for(head, (2,), samples=1, batch=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda r: head(r).log_prob(x), (raw,))
    noise = generator(7).get_state()

    def sampled(r):
        source = torch.Generator()
        source.set_state(noise)
        return draw(head(r), 2, source)

    assert torch.autograd.gradcheck(sampled, (raw,))


@pytest.mark.parametrize("size", [0.0, 1.0, 30.0])
def test_raw_numbers_of_any_size_give_finite_densities_and_gradients(size):
    head = JointGaussianHead(EVENT)
    raw = raw_for(head, size=size, dtype=torch.float32).requires_grad_()
    x = draw(head(raw), 1, generator(8))[0].detach()
    density = head(raw).log_prob(x)
    density.sum().backward()
    assert density.isfinite().all()
    assert raw.grad.isfinite().all()
    assert (head(raw).scale_tril.diagonal(dim1=-2, dim2=-1) > 0).all()


def test_float32_is_close_to_float64():
    head = JointGaussianHead(EVENT)
    raw, x = raw_for(head), torch.randn(3, *EVENT, generator=generator(9), dtype=torch.float64)
    exact = head.double()(raw).log_prob(x)
    single = head.float()(raw.float()).log_prob(x.float())
    assert torch.allclose(single.double(), exact, rtol=2e-5, atol=1e-4)


def test_a_mask_is_refused():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = dense((3,), JointGaussianHead((3,)), latent=1, hidden=(4,))
    x = torch.zeros(5, 3)
    assert model(Batch(x=x), generator=generator()).log_likelihood.shape == (1, 5)
    with pytest.raises(ShapeError, match="joins"):
        model(Batch(x=x, observed=torch.ones(5, 3, dtype=torch.bool)), generator=generator())


def test_refused():
    with pytest.raises(ShapeError, match="1 to 512"):
        JointGaussianHead((1, 28, 28))
    with pytest.raises(ShapeError, match="examples of shape"):
        JointGaussianHead((3,)).check(Source("table", torch.zeros(2, 4), Kind.REAL, "t"))
    with pytest.raises(SupportError, match="binary"):
        JointGaussianHead((4,)).check(Source("bits", torch.zeros(2, 4, dtype=torch.uint8), Kind.BINARY, "t"))
    with pytest.raises(ShapeError, match="expected"):
        JointGaussian(torch.zeros(3), torch.eye(2), (3,))


def test_it_finds_a_correlation_that_no_cellwise_decoder_can():
    """x of two cells with correlation 0.9 and a decoder without help from z: 0.83 nats an example lie in the
    correlation.
    """
    covariance = torch.tensor([[1.0, 0.9], [0.9, 1.0]])
    x = torch.randn(1000, 2, generator=generator(10)) @ torch.linalg.cholesky(covariance).mT
    source = Source("pair", x, Kind.REAL, "pair")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = dense((2,), JointGaussianHead((2,)), latent=1, hidden=(8,))
    fit = run(
        GradientAscent(model, optimizer=AdamW(0.02)),
        Splits(source, source, None),
        Settings(epochs=20, batch=100, compiled=False),
    )
    best = float(torch.distributions.MultivariateNormal(x.mean(0), torch.cov(x.T, correction=0)).log_prob(x).mean())
    found = evaluate(fit.model, source, importance_samples=10)
    assert best - 0.15 < found.elbo < best + 0.05
