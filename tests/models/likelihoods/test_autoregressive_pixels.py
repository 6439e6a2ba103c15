"""Pixels in turn: a distribution over all images, the same in one pass and pixel by pixel, drawn from as it says, and
coded without loss in as many bits as it promises.
"""

import itertools
import math

import numpy as np
import pytest
import torch

import vael
from vael.cli.judging import told_means
from vael.compression.reading import law_of_cells
from vael.compression.stack import Stack
from vael.data import Kind, Source
from vael.errors import ShapeError, SupportError
from vael.models.likelihoods.autoregressive import AutoregressiveBernoulliHead, AutoregressiveHead
from vael.networks import seeded
from vael.probability import Stream, draw


def head_of(levels, components, channels, **sizes):
    """Of whole numbers; of zeros and ones where there are no components."""
    sizes = {"reach": 2, "width": 8, "layers": 1, **sizes}
    with seeded(1):
        if components:
            made = AutoregressiveHead(levels, components, channels, **sizes)
        else:
            made = AutoregressiveBernoulliHead(channels, features=2, **sizes)
        torch.nn.init.normal_(made.network.last.weight, 0, 0.5)
    return made.double().requires_grad_(False)


def law_of(head, batch, size, seed=0, samples=1):
    noise, numbers = torch.Generator().manual_seed(seed), head.channels_per_cell * head.channels
    return head(torch.randn(samples, batch, numbers, *size, generator=noise, dtype=torch.float64))


@pytest.mark.parametrize(
    ("channels", "size", "levels", "components"),
    [(1, (2, 3), 3, 2), (2, (1, 3), 3, 2), (3, (1, 2), 3, 2), (1, (3, 3), 2, 0), (2, (2, 2), 2, 0)],
)
def test_the_probabilities_of_all_images_sum_to_one(channels, size, levels, components):
    head = head_of(levels, components, channels)
    law, cells = law_of(head, 1, size), channels * math.prod(size)
    every = torch.tensor(list(itertools.product(range(levels), repeat=cells))).double().view(-1, channels, *size)
    many = head(law.laws.given[None].expand(1, len(every), -1, -1, -1))
    assert abs(float(many.log_prob(every).sum((0, 2, 3)).exp().sum()) - 1) < 1e-10


BOTH = pytest.mark.parametrize(("levels", "components", "channels"), [(256, 3, 3), (2, 0, 1), (2, 0, 2)])


@BOTH
def test_pixel_by_pixel_it_is_the_same_distribution(levels, components, channels):
    law = law_of(head_of(levels, components, channels, reach=3), 4, (5, 6))
    x = draw(law, 1, Stream(torch.Generator().manual_seed(0)))[0, 0]
    canvas, whole = law.laws.blank(), law.log_prob(x)[0]
    for row, column in itertools.product(range(5), range(6)):
        pixel = x[:, :, row, column]
        one = law.laws.at(canvas, row, column).log_prob(pixel)
        assert torch.allclose(one, whole[:, row, column], rtol=0, atol=1e-10)
        law.laws.put(canvas, row, column, pixel)


@BOTH
def test_several_latents_of_an_image_are_judged_as_each_alone(levels, components, channels):
    head = head_of(levels, components, channels)
    law = law_of(head, 4, (3, 2), samples=5)
    x = draw(law_of(head, 4, (3, 2)), 1, Stream(torch.Generator().manual_seed(0)))[0]
    whole = law.log_prob(x)
    for raw, found in zip(law.laws.raw, whole, strict=True):
        assert torch.allclose(head(raw[None]).log_prob(x)[0], found, rtol=0, atol=1e-12)
    assert torch.equal(law.log_prob(x[0]), whole)


@pytest.mark.parametrize(("levels", "components", "limit"), [(3, 2, 45), (2, 0, 31)])
def test_draws_follow_the_distribution(levels, components, limit):
    """20,000 draws of 2 pixels: χ² with 8 degrees of freedom is above 45, with 3 above 31, once in 1 to 3 million
    runs.
    """
    head, number, all_images = head_of(levels, components, 1), 20_000, levels**2
    noise = torch.Generator().manual_seed(5)
    raw = torch.randn(1, 1, head.channels_per_cell, 1, 2, generator=noise, dtype=torch.float64)
    drawn = draw(head(raw.expand(1, number, -1, -1, -1)), 1, Stream(torch.Generator().manual_seed(6)))[0, 0].flatten(1)
    every = torch.tensor(list(itertools.product(range(levels), repeat=2))).double()
    law = head(raw.expand(1, all_images, -1, -1, -1))
    expected = number * law.log_prob(every.view(all_images, 1, 1, 2)).sum((0, 2, 3)).exp()
    places = (drawn @ torch.tensor([float(levels), 1.0], dtype=torch.float64)).long()
    seen = places.bincount(minlength=all_images)
    assert float(((seen - expected).square() / expected).sum()) < limit


@pytest.mark.parametrize(("levels", "components"), [(256, 2), (2, 0)])
def test_draws_are_as_many_as_are_asked_for(levels, components):
    """`[samples, *batch, *event]`, independent of each other: of four draws of each image no two are equal."""
    drawn = draw(law_of(head_of(levels, components, 3), 5, (4, 3)), 4, Stream(torch.Generator().manual_seed(1)))
    assert drawn.shape == (4, 1, 5, 3, 4, 3)
    assert len(drawn.flatten(0, 2).flatten(1).unique(dim=0)) == 20


@pytest.mark.parametrize(("levels", "components"), [(4, 2), (2, 0)])
def test_several_draws_are_judged_as_each_alone(levels, components):
    law = law_of(head_of(levels, components, 1), 3, (2, 3))
    x = draw(law, 4, Stream(torch.Generator().manual_seed(3))).unflatten(0, (2, 2))
    found = law.log_prob(x)
    assert found.shape == (2, 2, 1, 3, 2, 3)
    for one, other in itertools.product(range(2), range(2)):
        assert torch.equal(found[one, other], law.log_prob(x[one, other]))


@pytest.mark.parametrize(("levels", "components", "channels"), [(256, 2, 3), (2, 0, 1), (2, 0, 2)])
def test_images_are_coded_in_as_many_bits_as_they_are_improbable(levels, components, channels):
    """Apart from the grid of parameters and a word of the coder: 0.5 % and 64 bits."""
    law = law_of(head_of(levels, components, channels), 5, (6, 5))
    x = draw(law, 1, Stream(torch.Generator().manual_seed(0)))[0, 0]
    symbols = x[:4].flatten(1).numpy().astype(np.int32)
    stack, coding = Stack(400), law_of_cells(law, levels, 4)
    before, ideal = stack.bits, -float(law.log_prob(x)[0, :4].sum()) / math.log(2)
    coding.push(stack, symbols)
    assert abs(stack.bits - before - ideal) < 0.005 * ideal + 64
    assert np.array_equal(law_of_cells(law, levels, 4).pop(stack), symbols)
    assert stack.bits == before


@pytest.mark.parametrize(("levels", "components"), [(16, 2), (2, 0)])
def test_the_mean_is_the_course_of_the_means(levels, components):
    law = law_of(head_of(levels, components, 3), 2, (3, 2))
    mean, canvas = law.mean, law.laws.blank()
    assert mean.shape == (1, 2, 3, 3, 2)
    for row, column in itertools.product(range(3), range(2)):
        assert torch.allclose(law.laws.at(canvas, row, column).mean, mean[0, :, :, row, column])
        law.laws.put(canvas, row, column, mean[0, :, :, row, column])


@pytest.mark.parametrize(
    ("components", "x", "kind", "levels", "error"),
    [
        (2, torch.zeros(2, 3, 4, 4), Kind.REAL, None, SupportError),
        (2, torch.full((2, 3, 4, 4), 300), Kind.INTEGER, 512, SupportError),
        (2, torch.zeros(2, 1, 4, 4, dtype=torch.uint8), Kind.INTEGER, 256, ShapeError),
        (2, torch.zeros(2, 12, dtype=torch.uint8), Kind.INTEGER, 256, ShapeError),
        (0, torch.zeros(2, 3, 4, 4, dtype=torch.uint8), Kind.INTEGER, 256, SupportError),
        (0, torch.zeros(2, 1, 4, 4, dtype=torch.uint8), Kind.BINARY, 2, ShapeError),
        (0, torch.zeros(2, 12, dtype=torch.uint8), Kind.BINARY, 2, ShapeError),
    ],
)
def test_other_data_are_refused(components, x, kind, levels, error):
    head = head_of(256, components, 3)
    with pytest.raises(error):
        head.check(Source("other", x, kind, "", levels))
    with pytest.raises(ShapeError, match="likelihood"):
        head(torch.zeros(1, 2, 96))


def test_without_neighbours_it_is_the_bernoulli_of_the_latents():
    """Where the network says nothing, the start is that of the data's means."""
    head = head_of(2, 0, 1)
    torch.nn.init.zeros_(head.network.last.weight)
    mean = torch.rand(1, 3, 4, generator=torch.Generator().manual_seed(0)).double() * 0.9 + 0.05
    law = head(head.start(mean, mean)[None, None])
    x = draw(law, 1, Stream(torch.Generator().manual_seed(0)))[0]
    one = torch.distributions.Bernoulli(mean).log_prob(x[0, 0])
    assert torch.allclose(law.log_prob(x)[0, 0], one[0], rtol=0, atol=1e-12)


def test_a_report_says_that_means_of_pixels_in_turn_are_a_course_of_means(tmp_path):
    """In the facts, beside the likelihood; of independent pixels nothing is said."""
    x = (np.random.default_rng(0).random((40, 1, 4, 4)) < 0.3).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    how = {"epochs": 1, "callbacks": (), "hidden": (4,), "latent": 2, "compile": False}
    for name, said in (("autoregressive-bernoulli", True), ("bernoulli", False)):
        run = vael.train(tmp_path / "x.npy", likelihood=name, run=tmp_path / name, **how)
        assert any("given the means of those before it" in text for _, text in told_means(run)) is said
