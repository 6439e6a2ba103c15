"""A Bayesian mixture given its training data, against SciPy's multivariate t, and its prior by name."""

import numpy as np
import pytest
import torch
from scipy import stats

from vael.data.facts import Facts
from vael.data.source import Kind
from vael.errors import ShapeError, StateError
from vael.models.mixtures.bayesian_mixture import BayesianGaussianMixture, MixturePrior
from vael.models.mixtures.mixture_parts import BayesianMixturePart


def fitted(components=3, features=2):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, features, generator=generator, dtype=torch.float64)
    shares = torch.rand(30, components, generator=generator, dtype=torch.float64)
    prior = MixturePrior(torch.tensor([0.5, -0.5]).double(), torch.eye(features).double() * 2, 4.0, 0.7, 1.5)
    model = BayesianGaussianMixture(components, prior)
    model.update(x, shares / shares.sum(1, keepdim=True))
    return model, x


def test_the_predictive_density_is_a_mixture_of_students_t():
    """Bishop 2006, eqs. 10.81 and 10.82, component by component."""
    model, x = fitted()
    total = np.zeros(len(x))
    for k in range(3):
        free = float(model.degrees[k]) + 1 - 2
        precision = float(model.precision[k])
        shape = model.inverse_scale[k].numpy() * (1 + precision) / (free * precision)
        law = stats.multivariate_t(model.mean[k].numpy(), shape, df=free)
        total += float(model.concentration[k] / model.concentration.sum()) * law.pdf(x.numpy())
    np.testing.assert_allclose(model.log_prob(x), np.log(total), rtol=1e-9)


class Moments:
    mean, std = torch.tensor([2.0, -1.0, 7.0]), torch.tensor([0.5, 3.0, 0.0])


def facts(columns=3):
    return Facts("rows", (columns,), Kind.REAL, Moments())


def test_its_prior_stands_at_the_moments_of_the_data():
    """E[Λ] is the precision of the data, a column that never varies counting as one of variance 1; ν0 is as vague as a
    mean precision allows.
    """
    part = BayesianMixturePart(components=2, concentration=0.3, precision=0.2).settled(facts())
    hyper = part.build(facts()).hyper
    assert torch.equal(hyper.mean, Moments.mean.double())
    expected = hyper.degrees * torch.linalg.inv(hyper.inverse_scale)
    torch.testing.assert_close(expected, torch.tensor([4.0, 1 / 9, 1.0]).double().diag())
    assert (hyper.degrees, hyper.concentration, hyper.precision) == (3.0, 0.3, 0.2)
    own = BayesianMixturePart(mean=(0.0, 0.0, 0.0), variance=(1.0, 2.0, 3.0))
    assert own.settled(facts()) == own


def test_a_prior_without_numbers_or_with_too_few_is_refused():
    with pytest.raises(StateError, match="has no mean and variance"):
        BayesianMixturePart().build(facts())
    for wrong in ({"mean": (0.0, 0.0)}, {"variance": (1.0,)}):
        part = BayesianMixturePart(**{"mean": (0.0,) * 3, "variance": (1.0,) * 3, **wrong})
        with pytest.raises(ShapeError, match="for 3 columns"):
            part.build(facts())
