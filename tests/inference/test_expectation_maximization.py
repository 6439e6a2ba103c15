"""EM: scikit-learn's iterations, a bound that never falls, the lecture's H + I, rescues, refusals, and a run that
can be resumed.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.cluster import KMeans as TheirKMeans
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture as TheirMixture

from oracles import Enumerable, generator
from vael.data import Batch, Kind, Source, Splits
from vael.errors import ShapeError, StateError, SupportError
from vael.inference import (
    AsGiven,
    BestOf,
    Cause,
    ExpectationMaximization,
    KMeans,
    KMeansPlusPlus,
    RandomExamples,
    World,
)
from vael.inference.expectation_maximization import examples
from vael.lectures import decompose, half_steps
from vael.models import Components, Diagonal, Full, GaussianMixture, Spherical, Tied
from vael.probability import Stream
from vael.training import Callback, Settings, run

KINDS = {"spherical": Spherical(), "diag": Diagonal(), "tied": Tied(), "full": Full()}
EACH = pytest.mark.parametrize("name", KINDS)
IRIS = torch.from_numpy(load_iris().data)


def splits(x, kind=Kind.REAL) -> Splits:
    source = Source("points", x, kind, "points")
    return Splits(source, source, None)


def blobs(seed, n=120, features=2):
    """Three clouds of unlike shapes."""
    g = generator(seed)
    parts = [
        torch.randn(n // 3, features, generator=g) @ torch.randn(features, features, generator=g)
        + 3 * torch.randn(features, generator=g)
    ]
    parts += [torch.randn(n // 3, features, generator=g) + 4 * torch.randn(features, generator=g) for _ in "ab"]
    return torch.cat(parts).double()


def fitted(x, kind, components=3, epochs=30, batch=None, **how):
    model = GaussianMixture(components, x.shape[1], kind)
    em = ExpectationMaximization(model, **{"floor": 0.0, "tolerance": 0.0, **how})
    fit = run(em, splits(x), Settings(epochs=epochs, batch=batch or len(x), seed=1))
    return em, model, fit


def climbed(fit):
    """Mean log p(x) before each M-step."""
    return [row.elbo for row in fit.history if row.split == "train"]


def started(x, kind, components=3, start=None, seed=0, floor=0.0):
    model = GaussianMixture(components, x.shape[1], kind)
    ExpectationMaximization(model, start=start, seed=seed, floor=floor).init(splits(x).train, World())
    return model


def theirs(name, model, iterations, reg_covar=0.0):
    """scikit-learn's mixture from the θ that a model stands at."""
    c = model.components.covariance.numpy()
    return TheirMixture(
        len(model.components.weight),
        covariance_type=name,
        reg_covar=reg_covar,
        tol=0.0,
        max_iter=iterations,
        weights_init=model.components.weight.numpy().copy(),
        means_init=model.components.mean.numpy().copy(),
        precisions_init=1 / c if name in ("spherical", "diag") else np.linalg.inv(c),
    )


@EACH
@pytest.mark.parametrize("iterations", [1, 25])
@pytest.mark.filterwarnings("ignore:Best performing")
def test_iterations_are_those_of_scikit_learn(name, iterations):
    """The same start, no regularisation on either side; parameters, log-likelihood, responsibilities and the bound."""
    model = started(IRIS, KINDS[name], seed=3)
    other = theirs(name, model, iterations).fit(IRIS.numpy())
    fit = run(
        ExpectationMaximization(model, start=AsGiven(), floor=0.0, tolerance=0.0),
        splits(IRIS),
        Settings(epochs=iterations, batch=150),
    )
    for mine, their in zip(
        (model.components.weight, model.components.mean, model.components.covariance),
        (other.weights_, other.means_, other.covariances_),
        strict=True,
    ):
        np.testing.assert_allclose(mine.numpy(), their, atol=1e-6)
    np.testing.assert_allclose(model.log_prob(IRIS).numpy(), other.score_samples(IRIS.numpy()), atol=1e-6)
    np.testing.assert_allclose(model.encode(Batch(x=IRIS)).numpy(), other.predict_proba(IRIS.numpy()), atol=1e-6)
    assert climbed(fit)[-1] == pytest.approx(other.lower_bound_, abs=1e-9)


@EACH
@pytest.mark.filterwarnings("ignore:Best performing")
def test_a_floor_is_their_regularisation(name):
    model = started(IRIS, KINDS[name], seed=3)
    other = theirs(name, model, 10, reg_covar=0.05).fit(IRIS.numpy())
    # each row of the run is a step of its own, so that the last θ is compared and not the one with the highest bound
    em = ExpectationMaximization(model, start=AsGiven(), floor=0.05, tolerance=0.0)
    state, batch = em.init(splits(IRIS).train, World()), Batch(x=IRIS)
    for _ in range(10):
        step(em, state, batch)
    np.testing.assert_allclose(model.components.covariance.numpy(), other.covariances_, atol=1e-6)


def step(em, state, batch, seed=0):
    from vael.inference import Moment

    return em.step(state, batch, Moment(0.0, 1.0, Stream(generator(seed)), len(batch)))


@EACH
def test_a_component_without_weight_says_nothing(name):
    """log p(x), its share of reconstruction and its divergence are those of the mixture without it."""
    x = blobs(0)
    two, three = (GaussianMixture(count, 2, KINDS[name]) for count in (2, 3))
    em = ExpectationMaximization(two, seed=1)
    state = em.init(splits(x).train, World())
    known = two.components
    more = [torch.cat((part, 0 * part[:1])) for part in (known.weight, known.mean)]
    whole = known.covariance if name == "tied" else torch.cat((known.covariance, known.covariance[:1]))
    three.assign(Components(*more, whole))
    batch = Batch(x=x, weight=torch.linspace(0, 2, len(x)).double())
    found = [
        mixture.bound(beginning, batch, Stream(generator())).totals
        for mixture, beginning in ((em, state), (ExpectationMaximization(three), state))
    ]
    torch.testing.assert_close(found[1], found[0])
    log_p, reconstruction, divergence, count = found[0]
    torch.testing.assert_close(log_p, (batch.weight * two.log_prob(x)).sum())
    torch.testing.assert_close(-reconstruction - divergence, log_p)
    torch.testing.assert_close(count, batch.weight.sum())


@EACH
def test_the_bound_never_falls(name):
    """Full batch, no floor, 1e-10 relative, 6 data sets; each rescue starts the law anew."""
    for seed in range(6):
        em, _, fit = fitted(blobs(seed), KINDS[name], components=4, seed=seed, epochs=20)
        values, anew = climbed(fit), {rescue.iteration for rescue in em.rescued}
        for i, (before, after) in enumerate(itertools.pairwise(values), 1):
            assert i in anew or after >= before - 1e-10 * abs(before), (
                f"data {seed}, iteration {i}: {before} -> {after}"
            )


@EACH
def test_small_batches_make_the_same_iterations(name):
    x = blobs(0)
    _, whole, fit = fitted(x, KINDS[name], epochs=8)
    _, parts, other = fitted(x, KINDS[name], epochs=8, batch=50)  # 120 = 50 + 50 + 20, the last batch padded
    np.testing.assert_allclose(climbed(other), climbed(fit), rtol=1e-12)
    torch.testing.assert_close(parts.components.covariance, whole.components.covariance, rtol=1e-9, atol=1e-12)


@EACH
def test_the_loop_makes_the_half_steps(name):
    """`half_steps` is the definition; log p(X) at its E-steps is what the run records."""
    x = blobs(3)
    model = started(x, KINDS[name])
    defined = [float(i.after_e.log_prob.mean()) for i in half_steps(model, x, 8)]
    _, _, fit = fitted(x, KINDS[name], epochs=8)
    np.testing.assert_allclose(climbed(fit), defined, rtol=1e-12)


# the decomposition


def identities(found, scale=1e-10):
    torch.testing.assert_close(found.elbo + found.divergence, found.log_prob, rtol=scale, atol=scale)
    torch.testing.assert_close(found.expected_joint + found.cross_entropy, found.log_prob, rtol=scale, atol=scale)
    torch.testing.assert_close(found.expected_joint + found.entropy, found.elbo, rtol=scale, atol=scale)
    torch.testing.assert_close(found.cross_entropy - found.entropy, found.divergence, rtol=scale, atol=scale)


@EACH
def test_every_half_step_obeys_the_lecture(name):
    """log p = ELBO + KL = H + I; an E-step closes the gap, an M-step raises H; Gibbs; log p rises by at least as
    much as H.
    """
    steps = half_steps(started(blobs(1), KINDS[name]), blobs(1), 10)
    for one in steps:
        identities(one.after_e)
        identities(one.after_m)
        assert one.after_e.divergence.abs().max() < 1e-10
        assert (
            one.after_m.cross_entropy - one.after_e.cross_entropy
        ).min() >= -1e-10  # I(θ_{t+1} | θ_t) >= I(θ_t | θ_t), example by example
        torch.testing.assert_close(one.after_e.cross_entropy, one.after_e.entropy)
        rise_of_h = one.after_m.expected_joint.sum() - one.after_e.expected_joint.sum()
        assert rise_of_h >= -1e-9
        assert one.after_m.log_prob.sum() - one.after_e.log_prob.sum() >= rise_of_h - 1e-9
    for one, following in itertools.pairwise(steps):
        torch.testing.assert_close(following.after_e.log_prob, one.after_m.log_prob)


def test_the_decomposition_holds_for_any_discrete_latent_and_any_q():
    """Against the enumerated Bernoulli mixture, for random q, for q that rules states out, and for the exact
    posterior.
    """
    oracle = Enumerable.of_size(4, 5)
    x = oracle.sample(30)
    joint = oracle.joint(x)
    q = torch.rand(30, 4, generator=generator(5), dtype=torch.float64)
    hard = torch.nn.functional.one_hot(joint.argmax(1), 4).double()
    for chosen in (q / q.sum(1, keepdim=True), hard, joint.softmax(1)):
        found = decompose(joint, chosen)
        identities(found)
        torch.testing.assert_close(found.log_prob, oracle.log_prob(x))
        assert found.divergence.min() >= -1e-12
        np.testing.assert_allclose(
            found.divergence.numpy(), stats.entropy(chosen.numpy(), joint.softmax(1).numpy(), axis=1), atol=1e-10
        )
        np.testing.assert_allclose(found.entropy.numpy(), stats.entropy(chosen.numpy(), axis=1), atol=1e-10)


def test_a_state_that_q_rules_out_may_be_impossible():
    found = decompose(torch.tensor([[math.log(0.5), -math.inf]]), torch.tensor([[1.0, 0.0]]))
    identities(found, 1e-6)
    assert found.divergence == 0


def test_a_decomposition_of_nonsense_is_refused():
    with pytest.raises(SupportError, match="probabilities"):
        decompose(torch.zeros(1, 2), torch.tensor([[0.5, 0.6]]))
    unchecked = getattr(decompose, "__wrapped__", decompose)  # without the checks of shapes that tests add
    with pytest.raises(ShapeError, match="equal shapes"):
        unchecked(torch.zeros(1, 2), torch.ones(1, 3) / 3)


# known answers


def test_one_component_is_the_maximum_likelihood_gaussian():
    _, model, _ = fitted(IRIS, Full(), components=1, epochs=2)
    np.testing.assert_allclose(model.components.covariance[0].numpy(), np.cov(IRIS.numpy().T, bias=True), rtol=1e-12)
    exact = (
        stats.multivariate_normal(IRIS.numpy().mean(0), np.cov(IRIS.numpy().T, bias=True)).logpdf(IRIS.numpy()).mean()
    )
    assert float(model.log_prob(IRIS).mean()) == pytest.approx(exact, rel=1e-12)


def test_one_iteration_by_hand():
    """Points -1, 0, 3 with τ = (½, ½), μ = (0, 3), σ² = 1: r from the ratio e^{3x - 4.5}, then weighted means."""
    x = torch.tensor([[-1.0], [0.0], [3.0]], dtype=torch.float64)
    model = GaussianMixture(2, 1, Spherical())
    model.assign(
        Components(torch.tensor([0.5, 0.5]).double(), torch.tensor([[0.0], [3.0]]).double(), torch.ones(2).double())
    )
    half_steps(model, x, 1)
    r = [1 / (1 + math.exp(3 * u - 4.5)) for u in (-1, 0, 3)]
    mean = (-r[0] + 3 * r[2]) / sum(r)
    spread = sum(w * (u - mean) ** 2 for w, u in zip(r, (-1, 0, 3), strict=True)) / sum(r)
    assert float(model.components.weight[0]) == pytest.approx(sum(r) / 3)
    assert float(model.components.mean[0]) == pytest.approx(mean)
    assert float(model.components.covariance[0]) == pytest.approx(spread)


def test_the_two_components_of_the_lecture_are_found():
    """θ = (τ, μ₁, μ₂, Σ₁, Σ₂) from 4,000 draws: within 5 asymptotic standard errors, which are below 0.1 for every
    number.
    """
    truth = GaussianMixture(2, 2).assign(
        Components(
            torch.tensor([0.3, 0.7]).double(),
            torch.tensor([[-2.0, 0.0], [2.0, 1.0]]).double(),
            torch.tensor([[[1.0, 0.6], [0.6, 1.0]], [[0.5, -0.2], [-0.2, 1.5]]]).double(),
        )
    )
    x = truth.sample(4000, generator=generator(4))
    _, model, fit = fitted(x, Full(), components=2, epochs=200, tolerance=1e-9)
    order = model.components.mean[:, 0].argsort()
    torch.testing.assert_close(model.components.weight[order], truth.components.weight, rtol=0, atol=0.05)
    torch.testing.assert_close(model.components.mean[order], truth.components.mean, rtol=0, atol=0.2)
    torch.testing.assert_close(model.components.covariance[order], truth.components.covariance, rtol=0, atol=0.35)
    assert model.log_prob(x).mean() > truth.log_prob(x).mean()  # the maximum beats the truth on its own data
    assert fit.stopped.startswith("log p(x) changes by less than 1e-09")


# starts


def test_k_means_plus_plus_draws_by_squared_distance():
    """Points 0, 1, 3, 7: pairs of seeds have probability 1/4 d² / Σ d²; chi-square over 4,000 draws, false-alarm
    rate 1e-6.
    """
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=torch.float64)
    places = {value: i for i, value in enumerate(x.flatten().tolist())}
    found, noise = np.zeros((4, 4)), Stream(generator(8))
    for _ in range(4000):
        first, second = KMeansPlusPlus().means(x, 2, noise).flatten().tolist()
        found[places[first], places[second]] += 1
    d = (x - x.T).square().numpy()
    expected = 4000 * d / d.sum(1, keepdims=True) / 4
    off = ~np.eye(4, dtype=bool)
    assert found.trace() == 0
    assert stats.chisquare(found[off], expected[off]).pvalue > 1e-6


def test_seeds_where_examples_coincide():
    same = torch.ones(5, 2, dtype=torch.float64)
    assert torch.equal(KMeansPlusPlus().means(same, 3, Stream(generator())), same[:3])


def test_random_examples_are_distinct_and_all_equally_likely():
    x, noise = torch.arange(6.0).double()[:, None], Stream(generator(8))
    drawn = torch.stack([RandomExamples().means(x, 3, noise).flatten() for _ in range(3000)])
    assert all(len(set(row)) == 3 for row in drawn.tolist())
    assert stats.chisquare(torch.bincount(drawn.flatten().long()).numpy()).pvalue > 1e-6


def test_k_means_is_that_of_scikit_learn():
    x = blobs(2)
    seeds = KMeansPlusPlus().means(x, 3, Stream(generator(1)))
    other = TheirKMeans(3, init=seeds.numpy(), n_init=1, tol=0, algorithm="lloyd").fit(x.numpy())
    np.testing.assert_allclose(KMeans().means(x, 3, Stream(generator(1))).numpy(), other.cluster_centers_, atol=1e-9)


def test_the_best_of_several_starts_is_no_worse_than_each():
    x = blobs(5)
    scores = []
    for tries in (1, 8):
        model = started(x, Full(), components=5, start=BestOf(RandomExamples(), tries=tries, iterations=3), seed=2)
        scores.append(float(model.log_prob(x).mean()))
    assert scores[1] >= scores[0]


@EACH
@pytest.mark.parametrize(
    "start", [KMeansPlusPlus(), RandomExamples(), KMeans(), BestOf(tries=2)], ids=lambda s: type(s).__name__
)
def test_starts_are_proper_and_depend_on_the_seed_alone(name, start, random_state_untouched):
    x = blobs(0) * torch.tensor([1.0, 1e4], dtype=torch.float64)  # no unit counts for more than another
    models = [started(x, KINDS[name], components=4, start=start, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(models[0].components.mean, models[1].components.mean)
    assert not torch.equal(models[0].components.mean, models[2].components.mean)
    assert models[0].log_prob(x).isfinite().all()
    assert float(models[0].components.weight.sum()) == pytest.approx(1)


def test_a_start_on_part_of_the_data_looks_at_distinct_examples():
    source = Source("numbers", torch.arange(100.0)[:, None], Kind.REAL, "numbers")
    some = examples(source, 30, seed=1)
    assert some.unique().numel() == len(some) == 30
    assert torch.equal(some, examples(source, 30, seed=1))
    assert torch.equal(examples(source, 100, seed=1), source.x)


# what goes wrong


def test_a_component_that_collapses_is_placed_anew_and_recorded():
    """20 equal examples: a component of its own would have a density without bound there."""
    x = torch.cat([torch.randn(200, 2, generator=generator()).double(), torch.full((20, 2), 3.0, dtype=torch.float64)])
    em, model, fit = fitted(x, Full(), start=KMeans(), epochs=40)
    assert em.rescued
    assert {rescue.cause for rescue in em.rescued} == {Cause.SINGULAR}
    values = climbed(fit)
    falls = {i for i, (a, b) in enumerate(itertools.pairwise(values), 1) if b < a - 1e-10 * abs(a)}
    assert falls
    assert falls <= {rescue.iteration for rescue in em.rescued}
    assert model.log_prob(x).isfinite().all()
    assert (
        fit.best_step > em.rescued[-1].iteration
    )  # what was about to collapse had the highest bound, and was not kept
    assert fit.best_elbo < max(values)


def test_a_spike_has_as_high_a_likelihood_as_one_likes():
    """One component on one of n points, variance v in d dimensions: log p(X) rises by d/2 log(1/v) as v falls; no
    maximum exists.
    """
    x = blobs(0)
    values = []
    for variance in (1e-50, 1e-100):
        covariance = torch.stack((variance * torch.eye(2).double(), torch.cov(x.T)))
        model = GaussianMixture(2, 2).assign(
            Components(torch.tensor([0.01, 0.99]).double(), torch.stack((x[0], x.mean(0))), covariance)
        )
        values.append(float(model.log_prob(x).sum()))
    assert values[1] - values[0] == pytest.approx(50 * math.log(10), rel=1e-6)


def test_an_empty_component_is_placed_anew():
    x = blobs(0)
    far = Components(
        torch.tensor([0.5, 0.5]).double(),
        torch.tensor([[0.0, 0.0], [1e4, 1e4]]).double(),
        torch.eye(2).double().repeat(2, 1, 1),
    )
    em = ExpectationMaximization(GaussianMixture(2, 2).assign(far), start=AsGiven(), floor=0.0, tolerance=0.0)
    run(em, splits(x), Settings(epochs=3, batch=len(x)))
    assert [(r.iteration, r.component, r.cause) for r in em.rescued] == [(1, 1, Cause.EMPTY)]
    assert float(em.model.components.weight.min()) > 0.01
    em = ExpectationMaximization(GaussianMixture(2, 2), floor=0.0, tolerance=1e9)
    state = em.init(splits(x).train, World())
    step(em, state, Batch(x=x))
    em.model.assign(far)
    step(em, state, Batch(x=x))
    assert em.rescued
    assert not em.converged(state)  # nothing can be compared with the bound of before
    step(em, state, Batch(x=x))
    step(em, state, Batch(x=x))
    assert em.converged(state)


def test_a_rescued_component_gets_a_share_of_one_in_all_and_the_covariance_of_all_data():
    """Of K components, 1/K before the weights are made to sum to 1 again; it stands on an example."""
    x = blobs(0)
    weight = torch.tensor([0.7, 0.2, 0.1]).double()
    far = torch.tensor([[0.0, 0.0], [2.0, 2.0], [1e4, 1e4]]).double()
    em = ExpectationMaximization(
        GaussianMixture(3, 2).assign(Components(weight, far, torch.eye(2).double().repeat(3, 1, 1))),
        start=AsGiven(),
        floor=0.0,
    )
    state = em.init(splits(x).train, World())
    counts = em._expect(x, torch.ones(len(x)).double())[1].sum(0)
    step(em, state, Batch(x=x))
    share = counts / len(x)
    assert [(r.iteration, r.component, r.cause) for r in em.rescued] == [(1, 2, Cause.EMPTY)]
    share[2] = 1 / 3
    torch.testing.assert_close(em.model.components.weight, share / share.sum(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(em.model.components.covariance[2], torch.cov(x.mT, correction=0), rtol=1e-9, atol=1e-12)
    assert (em.model.components.mean[2] == x).all(1).any()


def test_components_that_keep_collapsing_end_the_run():
    """Ten equal examples are an endless temptation: the first few rescues are borne, more than ten for each
    component are not.
    """
    x = torch.cat([torch.randn(40, 1, generator=generator()).double(), torch.full((10, 1), 3.0, dtype=torch.float64)])
    em, _, _ = fitted(x, Full(), components=2, start=KMeans(), epochs=60)
    assert em.rescued
    state = em.init(splits(x).train, World())
    em.check(state)
    state.rescues.fill_(21)
    with pytest.raises(StateError, match="use fewer components"):
        em.check(state)


def test_a_shared_covariance_that_collapses_is_refused():
    """Four values, and a mean on each of them."""
    x = torch.arange(4.0).double()[:, None]
    model = GaussianMixture(4, 1, Tied()).assign(
        Components(torch.full((4,), 0.25).double(), x, torch.full((1, 1), 0.01).double())
    )
    with pytest.raises(StateError, match="means alone"):
        run(ExpectationMaximization(model, start=AsGiven(), floor=0.0), splits(x), Settings(epochs=5, batch=4))


BAD = torch.randn(20, 2, generator=generator()).double()


@pytest.mark.parametrize(
    ("x", "kind", "error", "says"),
    [
        (torch.where(BAD > 1.5, math.nan, BAD), Full(), SupportError, "NaN"),
        (torch.where(BAD > 1.5, math.inf, BAD), Full(), SupportError, "not finite"),
        (BAD[:2], Full(), StateError, "2 examples for 3 components"),
        (torch.zeros(20, 3).double(), Full(), ShapeError, "vectors of 2"),
        (BAD * torch.tensor([1.0, 0.0]), Full(), SupportError, r"columns \[1\] never vary"),
        (BAD * torch.tensor([1.0, 0.0]), Diagonal(), SupportError, r"columns \[1\] never vary"),
        (BAD * torch.tensor([1.0, 0.0]), Tied(), SupportError, r"columns \[1\] never vary"),
        (BAD * 0 + 0.1, Spherical(), SupportError, "never vary"),
        (BAD[:, :1] * torch.tensor([1.0, -2.0]), Full(), SupportError, "linearly"),
    ],
)
def test_data_without_a_maximum_are_refused(x, kind, error, says):
    em = ExpectationMaximization(GaussianMixture(3, 2, kind), floor=0.0)
    with pytest.raises(error, match=says):
        run(em, splits(x), Settings(epochs=1, batch=20))


def test_a_floor_makes_sense_of_a_constant_column():
    x = BAD * torch.tensor([1.0, 0.0])
    em = ExpectationMaximization(GaussianMixture(2, 2), floor=1e-3)
    run(em, splits(x), Settings(epochs=5, batch=20))
    assert em.model.log_prob(x).isfinite().all()


def test_other_nonsense_is_refused():
    with pytest.raises(StateError, match="floor -1"):
        ExpectationMaximization(GaussianMixture(2, 2), floor=-1.0)
    with pytest.raises(StateError, match="one process"):
        ExpectationMaximization(GaussianMixture(2, 2)).init(splits(BAD).train, World(size=2))
    source = Source("codes", torch.ones(9, 2, dtype=torch.uint8), Kind.INTEGER, "codes", levels=256)
    with pytest.raises(SupportError, match="integer"):
        ExpectationMaximization(GaussianMixture(2, 2)).init(source, World())
    with pytest.raises(StateError, match="examples for 3"):
        KMeans()(GaussianMixture(3, 2), BAD[:2], torch.eye(2)[None].double(), Stream(generator()))


def test_a_run_that_was_interrupted_ends_in_the_same_bits(tmp_path):
    """In the middle of an epoch: statistics, seats and the record of rescues are in the checkpoint."""
    x = torch.cat([torch.randn(200, 2, generator=generator()).double(), torch.full((20, 2), 3.0, dtype=torch.float64)])

    class Stop(Callback):
        def __init__(self, epoch):
            self.epoch = epoch

        def row(self, row):
            if row.epoch == self.epoch and row.split == "train":
                raise KeyboardInterrupt

    def go(folder, resume=False, callbacks=()):
        em = ExpectationMaximization(GaussianMixture(3, 2), start=KMeans(), floor=0.0, tolerance=0.0)
        settings = Settings(epochs=20, batch=64, checkpoint_every=1e-9)
        return em, run(em, splits(x), settings, folder=folder, resume=resume, callbacks=callbacks)

    em, fit = go(tmp_path / "whole")
    assert em.rescued
    with pytest.raises(KeyboardInterrupt):
        go(
            tmp_path / "cut", callbacks=(Stop(em.rescued[0].iteration),)
        )  # before the last batch of the epoch that ends in a rescue
    other, resumed = go(tmp_path / "cut", resume=True)
    assert em.rescued == other.rescued
    assert resumed.steps == fit.steps
    for name, weight in em.model.state_dict().items():
        assert torch.equal(weight, other.model.state_dict()[name]), name
