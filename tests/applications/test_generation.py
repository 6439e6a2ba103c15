"""Generation against what is known exactly: temperature, classes, interpolation, attributes, inpainting, optimised
latents.
"""

from dataclasses import replace

import pytest
import torch

from oracles import SLOPE, LinearGaussian, R, W, exact_of_levels, linear_levels, variance_of_levels
from vael.applications import latents
from vael.applications.generation import beside
from vael.applications.inpainting import Region, inpaint
from vael.applications.latents import (
    aggregate_gaussian,
    attribute_direction,
    drawn,
    of_class,
    optimized,
    optimized_reconstructions,
    prior_latents,
    with_attribute,
)
from vael.applications.traversal import linear_path, spherical_path
from vael.data import Batch, Kind, Source
from vael.errors import ShapeError, StateError
from vael.inference import refined
from vael.probability import diagonal_gaussian


@pytest.fixture
def oracle():
    return LinearGaussian.of_size(6, 3, orthogonal=True)


def source_of(x, label=None, names=()):
    return Source(name="rows", x=x, kind=Kind.REAL, fingerprint="", label=label, label_names=names)


# temperature


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 1.7])
def test_the_variance_of_the_prior_is_multiplied_by_the_square_of_the_temperature(oracle, temperature):
    """z ~ N(0, t² I), so the mean of p(x | z) has covariance t² W Wᵀ: 40,000 draws, five standard errors for each
    of 21 entries (1e-5).
    """
    count = 40_000
    z = prior_latents(oracle.vae(), count, temperature=temperature, seed=3)
    means = z @ oracle.weight.T
    expected = temperature**2 * oracle.weight @ oracle.weight.T
    error = ((expected.diag()[:, None] * expected.diag() + expected.square()) / count).sqrt()
    assert ((means.mT @ means / count - expected).abs() <= 5 * error + 1e-12).all()


def test_temperature_scales_the_same_draws(oracle):
    one, half = (prior_latents(oracle.vae(), 7, temperature=t, seed=5) for t in (1.0, 0.5))
    torch.testing.assert_close(half, one / 2)
    assert not torch.equal(one, prior_latents(oracle.vae(), 7, seed=6))


@pytest.mark.parametrize("temperature", [-1.0, float("inf"), float("nan")])
def test_a_temperature_that_is_none_is_refused(oracle, temperature):
    with pytest.raises(StateError, match="temperature"):
        prior_latents(oracle.vae(), 3, temperature=temperature)


def test_draws_at_latents_have_the_law_of_the_likelihood(oracle):
    """Mean and deviation of 60,000 cells about W z + b: five standard errors (1e-6)."""
    z = torch.ones(10_000, 3, dtype=torch.float64)
    off = (drawn(oracle.vae(), z, seed=1) - (z @ oracle.weight.T + oracle.bias)) / oracle.sigma
    assert abs(float(off.mean())) < 5 / 60_000**0.5
    assert abs(float(off.var()) - 1) < 5 * (2 / 60_000) ** 0.5
    assert torch.equal(drawn(oracle.vae(), z[:5], seed=1), drawn(oracle.vae(), z[:5], seed=1))


# classes


@pytest.mark.parametrize("orthogonal", [True, False])
def test_the_gaussian_of_a_class_has_the_moments_of_its_aggregate_posterior(orthogonal):
    """Against the law of total variance written out: V = σ² M⁻¹, and codes linear in x."""
    oracle = LinearGaussian.of_size(6, 3, orthogonal=orthogonal)
    x = oracle.sample(50)
    label = torch.arange(50) % 2
    chosen = of_class(source_of(x, label), "1")
    found = aggregate_gaussian(oracle.vae(), chosen)
    exact = oracle.posterior(x[label == 1])
    means = exact.mean
    torch.testing.assert_close(found.mean, means.mean(0))
    torch.testing.assert_close(found.covariance, torch.cov(means.mT, correction=0) + exact.covariance_matrix[0])
    assert found.examples == 25


def test_draws_of_a_class_have_its_moments(oracle):
    """20,000 draws at temperature 0.5: five standard errors of each mean and variance (1e-5)."""
    law = aggregate_gaussian(oracle.vae(), source_of(oracle.sample(30) + 2))
    z = law.sample(20_000, temperature=0.5, seed=2)
    variance = law.covariance.diag() / 4
    assert ((z.mean(0) - law.mean).abs() < 5 * (variance / 20_000).sqrt()).all()
    assert ((z.var(0) - variance).abs() < 5 * variance * (2 / 20_000) ** 0.5).all()


def test_one_example_is_a_class(oracle):
    law = aggregate_gaussian(oracle.vae(), source_of(oracle.sample(1)))
    assert law.sample(3).isfinite().all()


def test_classes_go_by_name_or_number_and_unknown_ones_are_refused(oracle):
    source = source_of(oracle.sample(6), torch.tensor([0, 1, 1, 0, -1, 1]), ("cat", "dog"))
    assert torch.equal(of_class(source, "dog").batch(torch.arange(3)).x, source.x[[1, 2, 5]])
    assert len(of_class(source, "0")) == 2
    with pytest.raises(StateError, match="cat, dog"):
        of_class(source, "horse")
    with pytest.raises(StateError, match="no labels"):
        of_class(source_of(oracle.sample(6)), "0")


# interpolation


@pytest.mark.parametrize("path", [linear_path, spherical_path])
def test_an_interpolation_begins_and_ends_at_its_latents(path):
    ends = torch.randn(2, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    frames = path(ends, 8)
    assert len(frames) == 9
    torch.testing.assert_close(frames[[0, -1]], ends)


def test_a_spherical_interpolation_keeps_the_norm_and_turns_evenly():
    ends = torch.randn(2, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ends = 3 * ends / ends.norm(dim=1, keepdim=True)
    frames = spherical_path(ends, 8)
    torch.testing.assert_close(frames.norm(dim=1), torch.full((9,), 3.0, dtype=torch.float64))
    turns = (frames[1:] * frames[:-1]).sum(1) / 9
    torch.testing.assert_close(turns, turns[:1].expand(8))
    assert linear_path(ends, 8).norm(dim=1).min() < 2.9


# attributes


def test_an_attribute_is_the_difference_of_means_and_comes_off_again():
    codes = torch.randn(40, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    has = torch.arange(40) % 3 == 0
    direction = attribute_direction(codes, has)
    torch.testing.assert_close(codes[~has].mean(0) + direction, codes[has].mean(0))
    frames = with_attribute(codes[0], direction, [-1.0, 0.0, 1.0])
    torch.testing.assert_close(frames[1], codes[0])
    torch.testing.assert_close(frames[2] - frames[0], 2 * direction)


def test_an_attribute_that_all_have_is_refused():
    with pytest.raises(StateError, match="4 of 4"):
        attribute_direction(torch.zeros(4, 2), torch.ones(4, dtype=torch.bool))
    with pytest.raises(ShapeError, match="one mark"):
        attribute_direction(torch.zeros(4, 2), torch.ones(3, dtype=torch.bool))


# inpainting


def conditional(oracle, x, seen):
    """E[x_m | x_o] and its covariance, by the formula for joint Gaussians."""
    covariance, mean = oracle.marginal.covariance_matrix, oracle.bias
    gain = covariance[~seen][:, seen] @ torch.linalg.inv(covariance[seen][:, seen])
    return mean[~seen] + (x[:, seen] - mean[seen]) @ gain.mT, covariance[~seen][:, ~seen] - gain @ covariance[seen][
        :, ~seen
    ]


@pytest.mark.parametrize("orthogonal", [True, False])
def test_inpainting_is_the_exact_conditional_mean(orthogonal):
    """The proposal is the exact posterior given the seen cells and the draws come in opposite pairs, so the mean
    has no noise.
    """
    oracle = LinearGaussian.of_size(7, 3, orthogonal=orthogonal)
    x, seen = oracle.sample(5), torch.tensor([True, False, True, True, False, True, False])
    blind = oracle.vae(
        lambda given: diagonal_gaussian(
            torch.zeros(len(given), 3, dtype=torch.float64), torch.ones((), dtype=torch.float64)
        )
    )
    hidden = torch.where(seen, x, torch.nan)
    found = inpaint(blind, Batch(x=hidden, observed=seen.expand(5, 7)), draws=0)
    expected, _ = conditional(oracle, x, seen)
    torch.testing.assert_close(found.mean[:, ~seen], expected, rtol=1e-7, atol=1e-7)
    assert torch.equal(found.mean[:, seen], x[:, seen])
    torch.testing.assert_close(found.effective_samples, torch.full((5,), 128.0, dtype=torch.float64))


def test_draws_of_a_hidden_region_have_the_conditional_law():
    """2,000 draws from 2,000 latents: six standard errors of means and variances, doubled for two stages of drawing
    (1e-6).
    """
    oracle = LinearGaussian.of_size(5, 2)
    x, seen = oracle.sample(1), torch.tensor([True, True, False, True, False])
    found = inpaint(oracle.vae(), Batch(x=x, observed=seen[None]), draws=2000, candidates=2000, seed=1)
    mean, covariance = conditional(oracle, x, seen)
    off = found.draws[:, 0, ~seen] - mean
    assert (off.mean(0).abs() < 6 * (2 * covariance.diag() / 2000).sqrt()).all()
    assert ((off.var(0) / covariance.diag() - 1).abs() < 6 * (4 / 2000) ** 0.5).all()
    assert torch.equal(found.draws[:, 0, seen], x[:, seen].expand(2000, -1))


def test_inpainting_is_deterministic_and_refuses_what_it_cannot_do(oracle):
    batch = Batch(x=oracle.sample(3), observed=torch.arange(6).lt(4).expand(3, 6))
    first, second = (inpaint(oracle.vae(), batch, draws=2, seed=4) for _ in range(2))
    assert torch.equal(first.draws, second.draws)
    with pytest.raises(StateError, match="observed"):
        inpaint(oracle.vae(), replace(batch, observed=None))


def test_a_region_hides_its_cells_and_must_lie_within():
    seen = Region(1, 3, 0, 2).outside(torch.zeros(2, 1, 4, 5))
    assert int((~seen).sum()) == 8
    assert not seen[:, :, 1:3, 0:2].any()
    for region in (Region(2, 2, 0, 1), Region(0, 5, 0, 1), Region(0, 1, 3, 6)):
        with pytest.raises(ShapeError, match="region"):
            region.outside(torch.zeros(2, 1, 4, 5))


# latents made better one by one


def far(oracle):
    """A VAE whose encoder is wrong."""
    return oracle.vae(lambda x: diagonal_gaussian(0.3 * x[:, :3], torch.full((), 1.5, dtype=torch.float64)))


def test_the_mode_of_each_example_is_exact(oracle):
    x = oracle.sample(4)
    torch.testing.assert_close(refined(far(oracle)).encode(Batch(x=x)), oracle.posterior(x).mean, rtol=1e-6, atol=1e-8)


def test_optimised_posteriors_reach_the_exact_one(oracle):
    """The mean does not depend on the variates here, which come in opposite pairs; the scales do, so the bound is
    0.05 nats short at most.
    """
    x = oracle.sample(6)
    found = optimized(far(oracle), Batch(x=x), steps=400, samples=16)
    torch.testing.assert_close(found.posterior.mean, oracle.posterior(x).mean, rtol=0, atol=1e-3)
    assert (found.bound > found.bound_of_encoder + 0.1).all()
    terms = far(oracle).terms(
        Batch(x=x), samples=20_000, generator=torch.Generator().manual_seed(0), posterior=(found.posterior,)
    )
    assert ((oracle.log_prob(x) - (terms.log_likelihood.mean(0) - terms.divergence[0].mean(0))).abs() < 0.05).all()


def test_the_optimised_code_of_two_linear_levels_is_the_exact_posterior_mean():
    """From posteriors off by 1.5 deviations to the mean of x as the exact posterior of all levels has it, to 1e-3."""
    x = 1.5 * torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    source = Source("made", x, Kind.REAL, "m" * 64)
    found = optimized_reconstructions(linear_levels(1.5), source, steps=400)
    variance = variance_of_levels()
    expected = (x @ W)[:, None] * W * variance / (R**2 + variance * W @ W)
    torch.testing.assert_close(found.mean, expected, rtol=0, atol=1e-3)
    assert (found.gained > 0.1).all()
    exact = exact_of_levels(x)
    assert (optimized(linear_levels(1.5), Batch(x=x), steps=400, samples=16).bound < exact + 0.05).all()


@pytest.mark.parametrize(("steps", "rate"), [(1, 100.0), (3, 30.0), (20, 0.1)])
def test_no_example_gets_worse(oracle, steps, rate):
    """Even where the steps are far too long: the encoder's own posterior is kept."""
    for model in (oracle.vae(), LinearGaussian.of_size(6, 3).vae()):
        found = optimized(model, Batch(x=oracle.sample(9)), steps=steps, rate=rate)
        assert (found.bound >= found.bound_of_encoder).all()


def test_the_rate_of_the_climb_falls_along_half_a_cosine(oracle, monkeypatch):
    """From the whole rate to 1 - cos(π/4) of its half in four steps."""
    asked, whole = [], latents._climbed
    monkeypatch.setattr(latents, "_climbed", lambda *given: asked.append(given[3]) or whole(*given))
    optimized(oracle.vae(), Batch(x=oracle.sample(2)), steps=4, rate=0.2)
    assert asked[0] == pytest.approx([0.2, 0.1 * (1 + 0.5**0.5), 0.1, 0.1 * (1 - 0.5**0.5)])


def test_sizes_that_make_no_sense_are_refused(oracle):
    with pytest.raises(StateError, match="steps=0"):
        optimized(oracle.vae(), Batch(x=oracle.sample(1)), steps=0)


def test_images_stand_above_those_of_the_second_set():
    """Four of each in rows of three: three above three, then one and two blanks above the same; blanks are as dark
    as the darkest.
    """
    first, second = (torch.arange(4.0) + start for start in (2.0, 12.0))
    found = beside(first.view(4, 1, 1, 1), second.view(4, 1, 1, 1), columns=3).flatten().tolist()
    assert found == [2, 3, 4, 12, 13, 14, 5, 2, 2, 15, 2, 2]
    assert len(beside(first.view(4, 1, 1, 1), second.view(4, 1, 1, 1))) == 20


def test_one_draw_of_each_example_gives_the_moments_of_two_linear_levels():
    """With the exact posterior q(z) of the model's own x is p(z): 20,000 rows, six standard errors (1e-8)."""
    count = 20_000
    z = prior_latents(linear_levels().double(), count, seed=2)
    x = z[:, 1:] * W + R * torch.randn(count, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = torch.tensor([[1.0, SLOPE], [SLOPE, variance_of_levels()]], dtype=torch.float64)
    wide = 6 * (2 / count) ** 0.5 * float(expected.max())
    torch.testing.assert_close(z.T.cov(), expected, rtol=0, atol=wide)
    found = aggregate_gaussian(linear_levels(), Source("made", x, Kind.REAL, "m" * 64))
    torch.testing.assert_close(found.covariance, expected, rtol=0, atol=wide)
    torch.testing.assert_close(found.mean, torch.zeros(2, dtype=torch.float64), rtol=0, atol=wide)
