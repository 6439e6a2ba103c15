"""VampPrior: the mixture of its posteriors written out, and what it cannot be for."""

import copy
import math

import pytest
import torch

import vael
from vael.data import Kind
from vael.data.facts import Facts
from vael.errors import StateError, SupportError
from vael.models import CorrelatedGaussianPosterior, GaussianPosterior
from vael.models.priors.vamp import VampPart
from vael.networks import Dense
from vael.tables.schema import Column, ColumnKind, Schema


class Known:
    mean, std = torch.tensor([100.0, -3.0, 7.0]), torch.tensor([50.0, 0.1, 0.0])


FACTS = Facts("x", (3,), Kind.REAL, Known())


@pytest.mark.parametrize(
    "posterior",
    [
        GaussianPosterior(Dense((3,), (4,), (5,))),
        CorrelatedGaussianPosterior(Dense((3,), (5,), (5,)), 2),
    ],
    ids=lambda one: type(one).__name__,
)
def test_it_is_the_mean_of_posteriors(posterior):
    prior = VampPart(components=4).build(2, FACTS, posterior)
    z = torch.randn(6, 5, 2, generator=torch.Generator().manual_seed(0))
    each = torch.stack([posterior(u[None], None).log_prob(z) for u in prior.pseudo_inputs])
    torch.testing.assert_close(prior(None).log_prob(z), each.logsumexp(0) - math.log(4))


def test_pseudo_inputs_start_like_the_data():
    """Means within 5 standard errors, deviations within 5 of theirs: false-alarm rate 3e-6."""
    prior = VampPart(components=4000).build(2, FACTS, GaussianPosterior(Dense((3,), (4,))))
    u, std = prior.pseudo_inputs, Known.std
    assert ((u.mean(0) - Known.mean).abs() <= 5 * std / 4000**0.5).all()
    assert ((u.std(0) - std).abs() <= 5 * std / 8000**0.5).all()
    assert (u[:, 2] == 7).all()


def test_the_encoder_feels_the_prior_and_is_kept_once():
    posterior = GaussianPosterior(Dense((3,), (4,)))
    prior = VampPart(components=4).build(2, FACTS, posterior)
    prior(None).log_prob(torch.zeros(2)).backward()
    assert all(w.grad is not None for w in [*posterior.parameters(), *prior.parameters()])
    assert list(prior.state_dict()) == ["standard", "mean", "std"]


def test_a_copy_of_a_model_has_its_own_posterior_in_its_prior():
    run = vael.train(
        "digits", binarize="threshold", prior="vamp", latent=2, hidden=(4,), epochs=1, batch=1024, callbacks=()
    )
    copied = copy.deepcopy(run.model)
    assert copied.prior.shared[0] is copied.posterior
    assert run.model.prior.shared[0] is run.model.posterior


def test_what_it_cannot_encode_is_refused():
    with pytest.raises(StateError, match="conditioned on 2 numbers; choose the prior mixture"):
        VampPart().build(2, Facts("x", (3,), Kind.REAL, None, context=2), GaussianPosterior(Dense((5,), (4,))))
    schema = Schema((Column("tree", ColumnKind.CATEGORICAL, levels=("ash", "oak")),))
    with pytest.raises(SupportError, match="column 'tree' has levels"):
        VampPart().build(2, Facts("x", (1,), Kind.MIXED, None, schema=schema), GaussianPosterior(Dense((1,), (4,))))
