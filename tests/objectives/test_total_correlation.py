"""The divergence in three parts: they sum to it, the aggregate is right on average over batches, and against a closed
form.
"""

import itertools
import math

import pytest
import torch
from torch.distributions import MultivariateNormal, OneHotCategorical

import vael
from vael.errors import StateError
from vael.models import Terms
from vael.objectives import TotalCorrelation
from vael.probability import diagonal_gaussian, draw, standard_gaussian

P = standard_gaussian(torch.zeros(2).double(), torch.ones(2).double())


def stated(q, z):
    nothing = z.new_zeros(z.shape[:2])
    return Terms(nothing, P.log_prob(z)[None], q.log_prob(z)[None], latent=(z,), posterior=(q,))


def correlated(batch, generator):
    a = torch.randn(batch, 2, 2, generator=generator).double()
    tril = a.tril(-1) + torch.diag_embed(a.diagonal(dim1=1, dim2=2).exp())
    return MultivariateNormal(torch.randn(batch, 2, generator=generator).double(), scale_tril=tril)


def independent(batch, generator):
    numbers = torch.randn(2, batch, 2, generator=generator).double()
    return diagonal_gaussian(numbers[0], numbers[1].exp())


@pytest.mark.parametrize("make", [independent, correlated])
@pytest.mark.parametrize("examples", [None, 7, 1000])
def test_the_parts_sum_to_the_sampled_divergence(make, examples):
    generator = torch.Generator().manual_seed(0)
    q = make(6, generator)
    z = draw(q, 3, generator)
    found = TotalCorrelation(examples=examples).parts(stated(q, z))
    total = found.information + found.total_correlation + found.dimensions
    torch.testing.assert_close(total, q.log_prob(z) - P.log_prob(z), rtol=0, atol=1e-12)


def rows(q, index):
    return diagonal_gaussian(q.mean[index], q.stddev[index])


def test_over_all_batches_the_mean_of_the_aggregate_is_the_aggregate():
    """By enumeration: six examples, every batch of three with the one whose latents are looked at."""
    generator = torch.Generator().manual_seed(1)
    q = independent(6, generator)
    z = draw(q, 1, generator)
    estimates = []
    for others in itertools.combinations(range(1, 6), 2):
        index = torch.tensor([0, *others])
        part = stated(rows(q, index), z[:, index])
        log_q = part.log_posterior[0] - TotalCorrelation(examples=6).parts(part).information
        estimates.append(log_q[0, 0].exp())
    exact = q.log_prob(z[:, :1, None]).exp().mean()
    torch.testing.assert_close(torch.stack(estimates).mean(), exact, rtol=1e-12, atol=0)


def test_total_correlation_of_a_gaussian_aggregate():
    """q(z|x) = N(x, s² I), x ~ N(0, Σ): q(z) = N(0, Σ + s² I), whose total correlation is -½ log(1 - ρ²).

    2,000 examples, within 5 standard errors of the mean over examples: false-alarm rate 6e-7.
    """
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2000, 2, generator=generator).double() @ torch.tensor([[1.0, 0.8], [0.0, 0.6]]).double()
    q = diagonal_gaussian(x, torch.full_like(x, 0.6))
    z = draw(q, 1, generator)
    tc = TotalCorrelation().parts(stated(q, z)).total_correlation[0]
    rho = 0.8 / (1 + 0.36)
    assert abs(tc.mean().item() + 0.5 * math.log(1 - rho**2)) <= 5 * tc.std().item() / math.sqrt(2000)


def test_an_example_alone_is_its_own_aggregate():
    q = independent(1, torch.Generator().manual_seed(3))
    z = draw(q, 4, torch.Generator().manual_seed(4))
    found = TotalCorrelation(examples=100).parts(stated(q, z))
    assert found.information.abs().max().item() < 1e-12
    assert found.total_correlation.abs().max().item() < 1e-12


def test_posteriors_without_known_marginals_or_of_another_level_are_refused():
    z = torch.zeros(1, 3, 2).double()
    other = OneHotCategorical(logits=torch.zeros(3, 2).double(), validate_args=False)
    with pytest.raises(StateError, match="marginals of each latent, which are not known of OneHotCategorical"):
        TotalCorrelation().parts(stated(other, z))
    below = diagonal_gaussian(torch.zeros(4, 3, 2).double(), torch.ones(4, 3, 2).double())
    with pytest.raises(StateError, match="depends on the draw of another level"):
        TotalCorrelation().parts(stated(below, z.expand(4, 3, 2)))


def test_a_run_knows_how_many_examples_there_are():
    how = {"binarize": "threshold", "latent": 2, "hidden": (4,), "epochs": 1, "batch": 512, "compile": False}
    run = vael.train("digits", objective="total-correlation", beta=4, callbacks=(), **how)
    algorithm = run.spec.algorithm.build(run.model, run.splits().train)
    assert (algorithm.objective.beta, algorithm.objective.examples) == (4, run.spec.data.train.examples)
    assert run.spec.algorithm.bounds
