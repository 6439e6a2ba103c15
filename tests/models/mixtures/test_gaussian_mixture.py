"""The Gaussian mixture: its densities are SciPy's, its terms are exact, its samples follow its density, nonsense is
refused.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from oracles import generator
from vael.data import Batch, Kind, Source
from vael.errors import ShapeError, SupportError
from vael.evaluation import evaluate
from vael.models import Components, Diagonal, Full, GaussianMixture, Spherical, Tied
from vael.objectives import ELBO, ImportanceWeighted, SampledELBO
from vael.probability import draw

KINDS = [Spherical(), Diagonal(), Tied(), Full()]
EACH = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)


def mixture(kind, components=3, features=2, seed=0):
    """Random θ; matrices from a factor, so that they are positive-definite."""
    g = generator(seed)
    shape = kind.shape(components, features)
    if isinstance(kind, (Tied, Full)):
        factor = torch.randn(*shape, generator=g, dtype=torch.float64)
        covariance = factor @ factor.mT + 0.3 * torch.eye(features, dtype=torch.float64)
    else:
        covariance = 0.3 + torch.rand(*shape, generator=g, dtype=torch.float64)
    weight = torch.rand(components, generator=g, dtype=torch.float64) + 0.2
    mean = 3 * torch.randn(components, features, generator=g, dtype=torch.float64)
    return GaussianMixture(components, features, kind).assign(Components(weight / weight.sum(), mean, covariance))


def matrices(model):
    """Σ_k of every component as NumPy sees it."""
    components, features = model.components.mean.shape
    given = model.components.covariance.numpy()
    if isinstance(model.kind, Spherical):
        return [s * np.eye(features) for s in given]
    if isinstance(model.kind, Diagonal):
        return [np.diag(v) for v in given]
    return [given] * components if isinstance(model.kind, Tied) else list(given)


def points(features=2, count=50):
    return 4 * torch.randn(count, features, generator=generator(9), dtype=torch.float64)


@EACH
def test_densities_are_those_of_scipy(kind):
    model, x = mixture(kind), points()
    laws = [
        stats.multivariate_normal(m, c) for m, c in zip(model.components.mean.numpy(), matrices(model), strict=True)
    ]
    joint = np.stack(
        [math.log(w) + law.logpdf(x.numpy()) for w, law in zip(model.components.weight.tolist(), laws, strict=True)],
        axis=1,
    )
    np.testing.assert_allclose(model.log_joint(x).numpy(), joint, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(model.log_prob(x).numpy(), np.logaddexp.reduce(joint, axis=1), rtol=1e-11)
    z = torch.eye(3, dtype=torch.float64)[:, None].expand(3, len(x), 3)
    decoded = model.decode((z,)).log_prob(x).T.numpy()
    np.testing.assert_allclose(decoded, joint - np.log(model.components.weight.numpy()), rtol=1e-11, atol=1e-11)


@EACH
def test_bounds_at_the_exact_posterior_are_log_p(kind):
    """Without noise, whatever the objective; under another posterior the closed bound lies below by KL(q || p(z|x))."""
    model, x = mixture(kind), points()
    batch, exact = Batch(x=x), model.log_prob(points())
    for objective in (ELBO(), SampledELBO(), ImportanceWeighted()):
        terms = model.terms(batch, samples=2, generator=generator())
        torch.testing.assert_close(objective(terms).bound, exact, rtol=1e-12, atol=1e-12)
    flat = torch.distributions.OneHotCategorical(probs=torch.full((len(x), 3), 1 / 3, dtype=torch.float64))
    bound = ELBO()(model.terms(batch, generator=generator(), posterior=(flat,))).bound
    posterior = model.posterior(x)
    torch.testing.assert_close(exact - bound, torch.distributions.kl_divergence(flat, posterior), rtol=1e-9, atol=1e-9)


@EACH
def test_terms_at_a_latent_are_the_joint_there(kind):
    model, x = mixture(kind), points()
    z = draw(model.prior(), 4 * len(x), generator(1)).unflatten(0, (4, len(x)))
    terms = model.terms(Batch(x=x), generator=generator(), latent=(z,))
    code = z.argmax(-1)
    joint = torch.stack([model.log_joint(x)[torch.arange(len(x)), c] for c in code])
    torch.testing.assert_close(terms.log_likelihood + terms.log_prior[0], joint, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(terms.log_likelihood, model.decode((z,)).log_prob(x), rtol=1e-11, atol=1e-11)


@EACH
def test_the_evaluation_knows_log_p_exactly_from_any_number_of_draws(kind):
    """Under the exact posterior all importance weights of an example are p(x)."""
    model, x = mixture(kind), points()
    found = evaluate(model, Source("points", x, Kind.REAL, "points"), importance_samples=3)
    assert found.log_likelihood == pytest.approx(float(model.log_prob(x).mean()), rel=1e-12)
    assert found.effective_sample_size == pytest.approx(3)


@EACH
def test_samples_follow_the_density(kind):
    """Along one direction the mixture is a one-dimensional mixture: Kolmogorov-Smirnov, false-alarm rate 1e-6 each."""
    model = mixture(kind)
    x = model.sample(20_000, generator=generator(3)).numpy()
    for direction in (np.array([1.0, 0.0]), np.array([0.6, -0.8])):
        places, sizes = (
            model.components.mean.numpy() @ direction,
            [math.sqrt(direction @ c @ direction) for c in matrices(model)],
        )
        weight = model.components.weight.numpy()

        def cumulative(u, weight=weight, places=places, sizes=sizes):
            return sum(w * stats.norm.cdf(u, m, s) for w, m, s in zip(weight, places, sizes, strict=True))

        assert stats.kstest(x @ direction, cumulative).pvalue > 1e-6


def test_encoding_and_reconstruction_are_what_bayes_says():
    """Two components of equal width: r is a logistic function of x, and the reconstruction E[x' | x] is the mix of
    means.
    """
    model = GaussianMixture(2, 1, Spherical())
    parts = Components(
        torch.tensor([0.3, 0.7]).double(), torch.tensor([[-1.0], [2.0]]).double(), torch.tensor([1.0, 1.0]).double()
    )
    x = torch.linspace(-4, 4, 9, dtype=torch.float64)[:, None]
    r = model.assign(parts).encode(Batch(x=x))
    second = torch.sigmoid(math.log(0.7 / 0.3) + ((x + 1).square() - (x - 2).square()) / 2)[:, 0]
    torch.testing.assert_close(r[:, 1], second)
    torch.testing.assert_close(model.reconstruct(Batch(x=x))[:, 0], -(1 - second) + 2 * second)


@EACH
def test_the_m_step_is_the_maximum(kind):
    """Any small move away from it lowers E_r[log p(x, z|θ)], for 20 random directions."""
    model, x = mixture(kind), points(count=200)
    r = model.encode(Batch(x=x))
    best = model.maximizer(model.statistics(x, r))
    at_best = (r * model.assign(best).log_joint(x)).sum()
    for seed in range(20):
        g = generator(100 + seed)

        def moved(t, g=g):
            return t + 1e-3 * t.abs().mean() * torch.randn(t.shape, generator=g, dtype=t.dtype)

        covariance = moved(best.covariance)
        covariance = (covariance + covariance.mT) / 2 if isinstance(kind, (Tied, Full)) else covariance
        weight = moved(best.weight)
        model.assign(Components(weight / weight.sum(), moved(best.mean), covariance))
        assert (r * model.log_joint(x)).sum() < at_best


@EACH
def test_statistics_of_batches_add_up(kind):
    model, x = mixture(kind), points(count=60)
    r = model.encode(Batch(x=x))
    whole, parts = model.statistics(x, r), [model.statistics(x[rows], r[rows]) for rows in torch.arange(60).split(25)]
    for name in ("count", "first", "second"):
        torch.testing.assert_close(sum(getattr(p, name) for p in parts), getattr(whole, name), rtol=1e-12, atol=1e-12)


def test_free_parameters_are_those_that_scikit_learn_counts():
    from sklearn.mixture import GaussianMixture as Other

    x = points(features=3, count=60).numpy()
    for kind, name in zip(KINDS, ("spherical", "diag", "tied", "full"), strict=True):
        assert GaussianMixture(4, 3, kind).free_parameters == Other(4, covariance_type=name).fit(x)._n_parameters()


def full(weight=(0.5, 0.5), mean=((0.0, 0.0), (1.0, 1.0)), covariance=None):
    covariance = torch.eye(2).repeat(2, 1, 1) if covariance is None else torch.tensor(covariance)
    return Components(torch.tensor(weight).double(), torch.tensor(mean).double(), covariance.double())


@pytest.mark.parametrize(
    ("parts", "error", "says"),
    [
        (full(weight=(0.5, 0.6)), SupportError, "sum to 1.1"),
        (full(weight=(-0.5, 1.5)), SupportError, "none below 0"),
        (full(weight=(0.5, 0.3, 0.2), mean=((0.0, 0.0),) * 3), ShapeError, "weight of shape"),
        (full(mean=((0.0,), (1.0,))), ShapeError, "mean of shape"),
        (full(mean=((0.0, math.nan), (1.0, 1.0))), SupportError, "not finite"),
        (full(covariance=[[[1.0, 2.0], [2.0, 1.0]]] * 2), SupportError, "smallest eigenvalue is -1"),
        (full(covariance=[[[4.0, 4.0], [4.0, 4.0]]] * 2), SupportError, "positive-definite"),
        (full(covariance=[[[1.0, 0.5], [0.0, 1.0]]] * 2), SupportError, "mirror"),
        (full(covariance=[[1.0, 1.0]] * 2), ShapeError, "covariance of shape"),
    ],
)
def test_parameters_that_are_none_are_refused(parts, error, says):
    with pytest.raises(error, match=says):
        GaussianMixture(2, 2).assign(parts)


def test_variances_that_are_none_are_refused():
    for kind, shape in ((Spherical(), (2,)), (Diagonal(), (2, 2))):
        with pytest.raises(SupportError, match="variance is 0"):
            GaussianMixture(2, 2, kind).assign(Components(full().weight, full().mean, torch.zeros(shape).double()))


def test_data_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="2 numbers"):
        GaussianMixture(2, 2).log_prob(torch.zeros(4, 3).double())
    with pytest.raises(SupportError, match="missing"):
        GaussianMixture(2, 2).encode(Batch(x=torch.zeros(1, 2).double(), observed=torch.tensor([[True, False]])))
    with pytest.raises(ShapeError, match="at least one"):
        GaussianMixture(0, 2)
