"""Pixels in turn: a distribution over all images, the same in one pass and pixel by pixel, drawn from as it says, and
coded without loss in as many bits as it promises.
"""

import itertools
import math

import numpy as np
import pytest
import torch

from vael.compression.reading import law_of_cells
from vael.compression.stack import Stack
from vael.data import Kind, Source
from vael.errors import ShapeError, SupportError
from vael.models.likelihoods.autoregressive import GIVEN, AutoregressiveHead
from vael.networks import seeded
from vael.probability import Stream, draw


def head_of(levels, components, channels, **sizes):
    with seeded(1):
        made = AutoregressiveHead(levels, components, channels, **{"reach": 2, "width": 8, "layers": 1, **sizes})
        torch.nn.init.normal_(made.network.last.weight, 0, 0.5)
    return made.double().requires_grad_(False)


def law_of(head, batch, size, seed=0):
    noise = torch.Generator().manual_seed(seed)
    return head(torch.randn(1, batch, GIVEN * head.channels, *size, generator=noise, dtype=torch.float64))


@pytest.mark.parametrize(("channels", "size", "levels"), [(1, (2, 3), 3), (2, (1, 3), 3), (3, (1, 2), 3)])
def test_the_probabilities_of_all_images_sum_to_one(channels, size, levels):
    law = law_of(head_of(levels, 2, channels), 1, size)
    cells = channels * math.prod(size)
    every = torch.tensor(list(itertools.product(range(levels), repeat=cells))).double().view(-1, channels, *size)
    many = head_of(levels, 2, channels)(law.laws.given[None].expand(1, len(every), -1, -1, -1))
    assert abs(float(many.log_prob(every).sum((0, 2, 3)).exp().sum()) - 1) < 1e-10


def test_pixel_by_pixel_it_is_the_same_distribution():
    law = law_of(head_of(256, 3, 3, reach=3), 4, (5, 6))
    x = draw(law, 1, Stream(torch.Generator().manual_seed(0)))[0, 0]
    canvas, whole = law.laws.blank(), law.log_prob(x)[0]
    for row, column in itertools.product(range(5), range(6)):
        pixel = x[:, :, row, column]
        one = law.laws.at(canvas, row, column).log_prob(pixel)
        assert torch.allclose(one, whole[:, row, column], rtol=0, atol=1e-10)
        law.laws.put(canvas, row, column, pixel)


def test_draws_follow_the_distribution():
    """20,000 draws of 2 pixels of 3 levels: χ² with 8 degrees of freedom is above 45 once in 3 million runs."""
    head, number = head_of(3, 2, 1), 20_000
    raw = torch.randn(1, 1, GIVEN, 1, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    drawn = draw(head(raw.expand(1, number, -1, -1, -1)), 1, Stream(torch.Generator().manual_seed(6)))[0, 0].flatten(1)
    every = torch.tensor(list(itertools.product(range(3), repeat=2))).double()
    expected = number * head(raw.expand(1, 9, -1, -1, -1)).log_prob(every.view(9, 1, 1, 2)).sum((0, 2, 3)).exp()
    seen = (drawn @ torch.tensor([3.0, 1.0], dtype=torch.float64)).long().bincount(minlength=9)
    assert float(((seen - expected).square() / expected).sum()) < 45


def test_draws_are_as_many_as_are_asked_for():
    """`[samples, *batch, *event]`, independent of each other: of four draws of each image no two are equal."""
    drawn = draw(law_of(head_of(256, 2, 3), 5, (4, 3)), 4, Stream(torch.Generator().manual_seed(1)))
    assert drawn.shape == (4, 1, 5, 3, 4, 3)
    assert len(drawn.flatten(0, 2).flatten(1).unique(dim=0)) == 20


def test_several_draws_are_judged_as_each_alone():
    law = law_of(head_of(4, 2, 1), 3, (2, 3))
    x = draw(law, 4, Stream(torch.Generator().manual_seed(3))).unflatten(0, (2, 2))
    found = law.log_prob(x)
    assert found.shape == (2, 2, 1, 3, 2, 3)
    for one, other in itertools.product(range(2), range(2)):
        assert torch.equal(found[one, other], law.log_prob(x[one, other]))


def test_images_are_coded_in_as_many_bits_as_they_are_improbable():
    """Apart from the grid of parameters and a word of the coder: 0.5 % and 64 bits."""
    law = law_of(head_of(256, 2, 3), 5, (6, 5))
    x = draw(law, 1, Stream(torch.Generator().manual_seed(0)))[0, 0]
    symbols = x[:4].flatten(1).numpy().astype(np.int32)
    stack, coding = Stack(400), law_of_cells(law, 256, 4)
    before, ideal = stack.bits, -float(law.log_prob(x)[0, :4].sum()) / math.log(2)
    coding.push(stack, symbols)
    assert abs(stack.bits - before - ideal) < 0.005 * ideal + 64
    assert np.array_equal(law_of_cells(law, 256, 4).pop(stack), symbols)
    assert stack.bits == before


def test_the_mean_is_the_course_of_the_means():
    law = law_of(head_of(16, 2, 3), 2, (3, 2))
    mean, canvas = law.mean, law.laws.blank()
    assert mean.shape == (1, 2, 3, 3, 2)
    for row, column in itertools.product(range(3), range(2)):
        assert torch.allclose(law.laws.at(canvas, row, column).mean, mean[0, :, :, row, column])
        law.laws.put(canvas, row, column, mean[0, :, :, row, column])


@pytest.mark.parametrize(
    ("x", "kind", "levels", "error"),
    [
        (torch.zeros(2, 3, 4, 4), Kind.REAL, None, SupportError),
        (torch.full((2, 3, 4, 4), 300), Kind.INTEGER, 512, SupportError),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), Kind.INTEGER, 256, ShapeError),
        (torch.zeros(2, 12, dtype=torch.uint8), Kind.INTEGER, 256, ShapeError),
    ],
)
def test_other_data_are_refused(x, kind, levels, error):
    with pytest.raises(error):
        head_of(256, 2, 3).check(Source("other", x, kind, "", levels))
    with pytest.raises(ShapeError, match="likelihood"):
        head_of(256, 2, 3)(torch.zeros(1, 2, 96))
