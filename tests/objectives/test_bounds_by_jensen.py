"""Jensen's inequality, log E[X] ≥ E[log X], as the library has it: two bounds of the same terms, and what lies
between them.
"""

import math

import pytest
import torch

from oracles import Conjugate, LinearGaussian
from vael.data import Batch
from vael.models import Terms
from vael.objectives import ImportanceWeighted, SampledELBO
from vael.probability import diagonal_gaussian


def terms_of(vae, batch, samples):
    with torch.no_grad():
        return vae.terms(batch, samples=samples, generator=torch.Generator().manual_seed(0))


def test_it_holds_for_the_weights_of_every_example():
    """For any finite set of weights: log of their mean is never below the mean of their logs, equal only where they
    are equal.
    """
    exact = LinearGaussian.of_size(4, 2, orthogonal=True)
    x = exact.sample(50)
    wrong = exact.vae(lambda x: diagonal_gaussian(exact.posterior(x).mean + 0.2, exact.posterior(x).variance.sqrt()))
    terms = terms_of(wrong, Batch(x=x), 7)
    gap = ImportanceWeighted()(terms).bound - SampledELBO()(terms).bound
    assert float(gap.min()) > 0
    equal = terms_of(exact.vae(), Batch(x=x), 7)  # q is the posterior: every weight is p(x)
    assert torch.allclose(ImportanceWeighted()(equal).bound, SampledELBO()(equal).bound, atol=1e-12)
    assert torch.allclose(SampledELBO()(equal).bound, exact.log_prob(x), atol=1e-12)


def test_the_gap_is_the_divergence_from_the_posterior():
    """With many weights log E[w] is log p(x), E[log w] the ELBO: their difference is KL(q || p(z|x)). 6 standard
    errors: a false alarm in 1e8.
    """
    case, samples = Conjugate(), 200_000
    terms = terms_of(case.vae(), case.batch(), samples)
    log_mean, mean_log = float(ImportanceWeighted()(terms).bound), float(SampledELBO()(terms).bound)
    error = math.sqrt(case.chi_square / samples)
    assert log_mean == pytest.approx(case.log_prob, abs=6 * error)
    assert log_mean - mean_log == pytest.approx(case.log_prob - case.elbo, abs=12 * error)
    assert log_mean > mean_log


def test_ten_to_the_minus_fifty():
    assert math.log(1e-50) == pytest.approx(-115.13, abs=5e-3)
    assert float(torch.tensor(1e-50)) == 0.0  # in single precision it is gone; its logarithm is not


@pytest.mark.parametrize(
    ("low", "high", "gap"), [(1.0, 9.0, math.log(5) - math.log(3)), (4.0, 6.0, math.log(5) - math.log(24) / 2)]
)
def test_two_values_of_equal_odds(low, high, gap):
    """The worked pairs of the page, as two weights of one example: log 5 against log 3, a gap of 0.5108; with 4 and
    6 a 25th of it.
    """
    weights = torch.tensor([[low], [high]], dtype=torch.float64).log()
    terms = Terms(
        log_likelihood=weights, log_prior=torch.zeros(1, 2, 1).double(), log_posterior=torch.zeros(1, 2, 1).double()
    )
    assert float(ImportanceWeighted()(terms).bound) == pytest.approx(math.log(5), abs=1e-12)
    assert float(ImportanceWeighted()(terms).bound - SampledELBO()(terms).bound) == pytest.approx(gap, abs=1e-12)
