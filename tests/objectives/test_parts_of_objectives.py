"""Objectives by name: each builds what its leaves say, takes the samples that it takes, and says so; what no objective
can be with is refused.
"""

import math

import pytest

from vael.errors import StateError
from vael.objectives import (
    ELBO,
    Beta,
    Capacity,
    CombinationImportanceWeighted,
    CovarianceMatching,
    DoublyReparameterized,
    FreeBits,
    ImportanceWeighted,
    LabelledELBO,
    MeanDiscrepancy,
    MultiplyImportanceWeighted,
    MultiSampleScoreFunction,
    PartiallyImportanceWeighted,
    Reconstruction,
    Renyi,
    SampledELBO,
    ScoreFunction,
    StickingTheLanding,
    TotalCorrelation,
)
from vael.objectives.parts import ObjectivePart
from vael.parts import members

# of each kind: samples and the fewest; leaves, the objective that they make, and how a person is told of it
TABLE = {
    "elbo": (
        (1, 1),
        [
            ({}, ELBO(Beta(1.0, 0.0)), "evidence lower bound, divergence in closed form, 1 sample"),
            (
                {"beta": 4.0, "warmup": 0.1},
                ELBO(Beta(4.0, 0.1)),
                "evidence lower bound, divergence in closed form, 1 sample, weight 4 on the divergence, "
                "warmed up over the first 10%",
            ),
            (
                {"terms": "reconstruction", "warmup": 0.1},
                ELBO(Beta(0.0, 0.0)),
                "the reconstruction alone, 1 sample: no bound is climbed",
            ),
            (
                {"terms": "divergence", "warmup": 0.1},
                ELBO(Beta(math.inf, 0.0)),
                "the divergence alone, 1 sample: no bound is climbed",
            ),
        ],
    ),
    "sampled-elbo": (
        (1, 1),
        [
            (
                {"beta": 0.5},
                SampledELBO(Beta(0.5)),
                "evidence lower bound, all terms sampled, 1 sample, weight 0.5 on the divergence",
            )
        ],
    ),
    "importance-weighted": ((5, 1), [({}, ImportanceWeighted(), "importance-weighted bound, 1 sample")]),
    "multiply-importance-weighted": (
        (64, 1),
        [
            ({}, MultiplyImportanceWeighted(8), "mean of 8 importance-weighted bounds, 1 sample in all"),
            ({"groups": 3}, MultiplyImportanceWeighted(3), "mean of 3 importance-weighted bounds, 1 sample in all"),
        ],
    ),
    "combination-importance-weighted": (
        (5, 1),
        [
            (
                {"share": 0.3},
                CombinationImportanceWeighted(0.3),
                "70% importance-weighted bound, the rest the evidence lower bound, 1 sample",
            ),
        ],
    ),
    "partially-importance-weighted": (
        (64, 1),
        [
            (
                {"groups": 2},
                PartiallyImportanceWeighted(2),
                "importance-weighted bound for the decoder, in 2 groups for the encoder, 1 sample",
            )
        ],
    ),
    "renyi": ((5, 1), [({"alpha": 0.2}, Renyi(0.2), "Rényi's bound of order 0.2, 1 sample")]),
    "doubly-reparameterized": (
        (5, 1),
        [({}, DoublyReparameterized(), "importance-weighted bound with doubly reparameterised gradients, 1 sample")],
    ),
    "sticking-the-landing": (
        (1, 1),
        [({}, StickingTheLanding(), "evidence lower bound, gradient without the score of the posterior, 1 sample")],
    ),
    "capacity": (
        (1, 1),
        [
            (
                {"nats": 7.0, "weight": 3.0, "warmup": 0.25},
                Capacity(7.0, 3.0, 0.25),
                "evidence lower bound, 1 sample, divergence held near 7 nats with weight 3",
            )
        ],
    ),
    "free-bits": (
        (1, 1),
        [({"nats": 0.75}, FreeBits(0.75), "evidence lower bound, 1 sample, 0.75 nats free in each level")],
    ),
    "mean-discrepancy": (
        (1, 1),
        [
            (
                {"weight": 9.0},
                MeanDiscrepancy(9.0, 0.0),
                "reconstruction less 9 × squared mean discrepancy of the latents, 1 sample, no divergence of single "
                "examples",
            ),
            (
                {"beta": 0.5},
                MeanDiscrepancy(1000.0, 0.5),
                "reconstruction less 1000 × squared mean discrepancy of the latents, 1 sample, weight 0.5 on the "
                "divergence",
            ),
        ],
    ),
    "covariance-matching": (
        (1, 1),
        [
            (
                {"off_diagonal": 2.0, "diagonal": 3.0},
                CovarianceMatching(2.0, 3.0, True),
                "evidence lower bound, 1 sample, covariance of the latents drawn to the identity with weights 2 and 3",
            ),
            (
                {"spread": False},
                CovarianceMatching(10.0, 10.0, False),
                "evidence lower bound, 1 sample, covariance of the posterior means drawn to the identity with weights "
                "10 and 10",
            ),
        ],
    ),
    "semi-supervised": (
        (1, 1),
        [
            (
                {"alpha": 0.3, "warmup": 0.2, "share": 0.5},
                LabelledELBO(0.6, Beta(1.0, 0.2)),
                "evidence lower bound, classes summed out exactly, 1 sample, warmed up over the first 20%; besides, "
                "0.3 × log q(y | x) of known classes is climbed",
            )
        ],
    ),
    "total-correlation": (
        (1, 1),
        [
            (
                {"beta": 5.0, "information": 2.0, "dimensions": 3.0, "examples": 60},
                TotalCorrelation(5.0, 2.0, 3.0, 60),
                "evidence lower bound, 1 sample, weight 5 on the total correlation",
            )
        ],
    ),
    "score-function": ((4, 2), [({}, ScoreFunction(), "sampled bound, score-function gradient, 1 sample")]),
    "multi-sample-score-function": (
        (5, 2),
        [({}, MultiSampleScoreFunction(), "importance-weighted bound, score-function gradient, 1 sample")],
    ),
    "reconstruction": (
        (1, 1),
        [
            ({}, Reconstruction({}), "least cost of an error"),
            (
                {"weights": {"sparsity": 0.5, "contraction": 2.0}},
                Reconstruction({"sparsity": 0.5, "contraction": 2.0}),
                "least cost of an error and sparsity × 0.5, contraction × 2",
            ),
        ],
    ),
}
KINDS = [kind for kind in members(ObjectivePart) if ":" not in kind]
GROUPED = ("multiply-importance-weighted", "partially-importance-weighted")
NOT_ALONG_PATHS = ("score-function", "multi-sample-score-function")
GRADIENT_INSIDE = ("partially-importance-weighted", "doubly-reparameterized")


def test_the_table_has_every_objective():
    assert sorted(TABLE) == sorted(KINDS)


@pytest.mark.parametrize("kind", TABLE)
def test_it_builds_what_its_leaves_say_and_is_told_as_that(kind):
    """Where the likelihood makes no bound of it, nothing in the words calls it one."""
    part = members(ObjectivePart)[kind]
    (samples, fewest), rows = TABLE[kind]
    assert (part.samples, part.least_samples) == (samples, fewest)
    for leaves, objective, said in rows:
        known = part(**leaves)
        assert known.build() == objective
        assert known.said("bound", "1 sample") == said
        assert ("bound" in known.said("objective", "1 sample")) is (leaves.get("terms", "both") != "both")
        assert known.bounds is objective.is_bound
    assert (part.pathwise, part.compiles) == (kind not in NOT_ALONG_PATHS, kind not in GRADIENT_INSIDE)
    assert part().multiple == (8 if kind in GROUPED else 1)
    assert part.samples % part().multiple == 0
    if kind in GROUPED:
        assert part(groups=3).multiple == 3


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "semi-supervised"])
def test_an_objective_of_which_nothing_is_said_is_that_of_its_part(kind):
    """So a person who climbs it from Python climbs what the command does. What the semi-supervised one weighs follows
    from the data.
    """
    built = members(ObjectivePart)[kind]().build()
    assert type(built)() == built


def test_only_the_total_correlation_takes_the_number_of_examples():
    for kind in KINDS:
        part = members(ObjectivePart)[kind]()
        assert (part.settled(17) == part) is (kind != "total-correlation")
    assert members(ObjectivePart)["total-correlation"]().settled(17).build() == TotalCorrelation(examples=17)


ANY = (-0.1, math.nan, math.inf)


@pytest.mark.parametrize(
    ("make", "wrong", "right"),
    [
        (lambda value: Beta(1.0, value), (*ANY, 1.0), (0.0, 0.999)),
        (lambda value: Beta(value, 0.5), ANY, (0.0, 1e6)),
        (lambda value: Beta(value, 0.0), ANY[:2], (0.0, math.inf)),
        (lambda value: Capacity(value, 1.0, 0.0), ANY, (0.0, 1e6)),
        (lambda value: Capacity(1.0, value, 0.0), ANY, (0.0, 1e6)),
        (lambda value: Capacity(1.0, 1.0, value), (*ANY, 1.0), (0.0, 0.999)),
        (FreeBits, ANY, (0.0, 1e6)),
        (CombinationImportanceWeighted, (*ANY, 1.001), (0.0, 1.0)),
        (Renyi, ANY, (0.0, 1.0, 1e6)),
        (lambda value: MeanDiscrepancy(value, 1.0), ANY, (0.0, 1e6)),
        (lambda value: MeanDiscrepancy(1.0, value), ANY, (0.0, 1e6)),
        (lambda value: CovarianceMatching(value, 1.0), ANY, (0.0, 1e6)),
        (lambda value: CovarianceMatching(1.0, value), ANY, (0.0, 1e6)),
    ],
)
def test_a_number_that_no_objective_can_be_with_is_refused(make, wrong, right):
    """One that is wrong beside others that are right; those at the edge are taken."""
    for value in wrong:
        with pytest.raises(StateError, match="expected"):
            make(value)
    for value in right:
        make(value)


@pytest.mark.parametrize("kind", ["capacity", "free-bits"])
def test_nats_of_a_part_are_as_many_as_an_example_can_have(kind):
    part = members(ObjectivePart)[kind]
    assert part(nats=1e6).build().nats == 1e6
    for wrong in (-1e-9, 1.001e6):
        with pytest.raises(ValueError, match="nats"):
            part(nats=wrong)


@pytest.mark.parametrize("terms", ["reconstruction", "divergence"])
def test_one_term_alone_has_no_weight_against_the_other(terms):
    part = members(ObjectivePart)["elbo"]
    assert part(terms=terms, beta=1.0).build().beta.final in (0.0, math.inf)
    with pytest.raises(ValueError, match=f"only the {terms} is to be climbed"):
        part(terms=terms, beta=2.0)
