"""The figures of a split are those of its examples, written out here in plain numbers; and what makes them doubtful."""

import math
from dataclasses import replace
from statistics import mean, median, stdev

import pytest
import torch

from vael.data import Kind, Source
from vael.evaluation import Estimation, Proposals
from vael.evaluation.estimation import ProposalPlan
from vael.evaluation.likelihood import Judged
from vael.evaluation.record import summed_up
from vael.models import BernoulliHead, CrossEntropyHead
from vael.networks import seeded
from vael.recipes import dense

LIKELY, DISTORTION, DIVERGENCE = (-3.0, -5.0, -4.5, -9.0), (2.0, 4.0, 3.5, 7.0), (1.5, 1.25, 2.0, 3.0)
EFFECTIVE, K_HAT = (50.0, 20.0, 80.0, 12.0), (0.1, 0.7, 0.75, math.nan)
MEANS, APART = ((0.0, 1.0), (2.0, 1.0), (4.0, 1.0), (6.0, 1.0)), ((1.0, 0.0), (1.5, 0.5), (2.0, 0.0), (0.5, 0.5))
SOURCE = Source("bits", torch.zeros(4, 6), Kind.BINARY, "f", notes=("noted",), conditions=("class",))


def judged(**changed):
    columns = (LIKELY, DISTORTION, DIVERGENCE, EFFECTIVE, K_HAT, MEANS, APART, (1.0, 0.0, 0.0, 0.0))
    return replace(Judged(*(torch.tensor(column).double() for column in columns)), **changed)


def plan(samples=200, proposals=Proposals.ADAPTIVE, *, can_fit=True, closed=True):
    return ProposalPlan(
        Estimation(split="validation", importance_samples=samples, seed=7, proposals=proposals), 100, can_fit, closed
    )


def model(head=None, context=0):
    with seeded(0):
        found = dense((6,), head or BernoulliHead(), latent=2, hidden=(3,))
    found.context = context
    return found


def summed(given=None, how=None, source=SOURCE, of=None, discrete=True):
    return summed_up(of or model(), source, how or plan(), given or judged(), discrete=discrete)


def test_every_figure_is_the_mean_of_its_examples():
    found, rows = summed(), [-a - b for a, b in zip(DISTORTION, DIVERGENCE, strict=True)]
    assert (found.data, found.split, found.examples, found.importance_samples, found.seed) == (
        "bits",
        "validation",
        4,
        200,
        7,
    )
    plain = {
        "elbo": mean(rows),
        "distortion": mean(DISTORTION),
        "divergence": mean(DIVERGENCE),
        "log_likelihood": mean(LIKELY),
        "standard_error": stdev(LIKELY) / 2,
        "bits_per_dim": -mean(LIKELY) / 6 / math.log(2),
        "effective_sample_size": mean(EFFECTIVE),
        "worst_effective_sample_size": 12.0,
        "k_hat": median(K_HAT[:3]),
        "k_hat_above_limit": 0.5,  # one above the limit, not the one at it, and one that is unknown
        "fitted_share": 0.25,
        "seconds": 0.0,
    }
    for name, value in plain.items():
        assert getattr(found, name) == pytest.approx(value), name
    assert found.elbo_per_example.tolist() == rows
    assert found.log_likelihood_per_example.tolist() == list(LIKELY)
    assert found.k_hat_per_example.tolist() == pytest.approx(K_HAT, nan_ok=True)
    assert found.divergence_per_latent.tolist() == [1.25, 0.25]
    assert (found.active_units, found.latent_features, found.is_bound) == (1, 2, True)
    assert (found.notes, found.conditioned_on, found.steps, found.classification) == (("noted",), (), None, None)


def test_what_is_not_known_is_not_said():
    assert summed(discrete=False).bits_per_dim is None
    found = summed(judged(k_hat=None, divergence_per_latent=None))
    assert (found.k_hat, found.k_hat_above_limit, found.k_hat_per_example, found.divergence_per_latent) == (None,) * 4
    objective = summed(of=model(CrossEntropyHead()))
    assert (objective.is_bound, objective.log_likelihood, objective.standard_error, objective.warnings) == (
        False,
        None,
        None,
        (),
    )
    assert objective.notes == (
        "noted",
        "CrossEntropyHead is no likelihood of these data: the objective is given, log p(x) is not",
    )


def test_a_condition_is_told_of_a_model_that_has_one():
    found = summed(of=model(context=2))
    assert found.conditioned_on == ("class",)
    assert found.estimator.startswith("log p(x | c): ")
    assert summed().estimator.startswith("log p(x): ")


def test_the_estimator_is_told_in_words():
    own = summed(how=plan(proposals=Proposals.ENCODER)).estimator
    assert own == (
        "log p(x): importance-weighted, K = 200 draws from q(z | x); distortion: mean over the same draws; "
        "divergence: in closed form"
    )
    assert "divergence: estimated from 200 draws per example" in (
        summed(how=plan(proposals=Proposals.ENCODER, closed=False)).estimator
    )
    fitted = summed(how=plan(proposals=Proposals.FITTED, closed=False)).estimator
    assert "K = 200 draws from a Gaussian fitted to the example (Laplace's approximation" in fitted
    assert "distortion: mean over 100 draws from q(z | x)" in fitted
    assert "divergence: estimated from 100 draws per example" in fitted
    assert "(25% of the examples)" in summed().estimator
    wide = judged(mean=torch.zeros(4, 257).double(), divergence_per_latent=None)
    assert (
        "independent latents, by the bound of the example" in summed(wide, plan(proposals=Proposals.FITTED)).estimator
    )
    classes = judged(class_bound=torch.zeros(4, 2), class_log_probability=torch.zeros(4, 2))
    assert "classes summed out exactly" in summed(classes).estimator


GOOD = {"k_hat": torch.full((4,), 0.7).double(), "effective_samples": torch.full((4,), 10.0).double()}


@pytest.mark.parametrize(
    ("changed", "samples", "said"),
    [
        ({}, 100, ()),
        ({}, 99, ("K = 99 draws are few",)),
        ({"effective_samples": torch.full((4,), 9.99).double()}, 100, ("worth 10.0 equal ones",)),
        ({"effective_samples": torch.full((4,), 9.99).double()}, 99, ("K = 99 draws are few",)),
        ({"log_likelihood": torch.tensor([-1.0, -math.inf, math.nan, -2.0]).double()}, 100, ("not finite for 2 of 4",)),
        ({"k_hat": torch.tensor([0.71, 0.7, 0.7, 0.7]).double()}, 100, ("k-hat is above 0.7 for 25%",)),
    ],
)
def test_what_makes_a_number_doubtful_is_warned_of_and_nothing_else(changed, samples, said):
    found = summed(judged(**(GOOD | changed)), plan(samples)).warnings
    assert len(found) == len(said)
    assert all(one in text for one, text in zip(said, found, strict=True))


def empty(examples):
    return Source("bits", torch.zeros(examples, 6), Kind.BINARY, "f")


def alike(k_hat):
    """Judged examples that differ in k-hat alone."""
    nothing = torch.zeros(len(k_hat)).double()
    return Judged(nothing, nothing, nothing, nothing + 50, k_hat, torch.zeros(len(k_hat), 2), None, nothing)


def test_one_example_in_ten_may_have_a_heavy_tail():
    """At the share itself nothing is said, and above it something is; an example alone has no standard error."""
    for bad, warned in ((1, False), (2, True)):
        k_hat = torch.tensor([0.9] * bad + [0.1] * (10 - bad)).double()
        assert bool(summed(alike(k_hat), source=empty(10)).warnings) is warned
    assert summed(alike(torch.zeros(1).double()), source=empty(1)).warnings == (
        "a single example has no standard error; evaluate on more",
    )


def test_another_proposal_is_named_only_where_one_is_left_to_try():
    heavy = judged(**(GOOD | {"k_hat": torch.full((4,), 0.9).double(), "fitted": torch.zeros(4).double()}))
    fitted = replace(heavy, fitted=torch.ones(4).double())
    for given, can_fit, named in ((heavy, True, True), (heavy, False, False), (fitted, True, False)):
        (warning,) = summed(given, plan(can_fit=can_fit)).warnings
        assert ("--proposal adaptive" in warning) is named
