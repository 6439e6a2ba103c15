"""Probes find what was put into the codes, and nothing where nothing is; strokes are measured right."""

import math
from dataclasses import replace

import pytest
import torch

from vael.data import Kind, Source, load
from vael.data.transforms import DynamicBinarization
from vael.errors import ShapeError, StateError
from vael.evaluation import representation
from vael.evaluation.representation import attribute_probe, class_probe, codes_of, linear_classifier, strokes
from vael.models import BernoulliHead, DiscretizedLogisticHead
from vael.recipes import dense


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_class_probe_finds_separated_classes_and_nothing_in_noise():
    """In noise the accuracy of 2000 guesses lies within 5 standard errors of one half: false-alarm rate 6e-7."""
    label = torch.arange(4000) % 2
    codes = noise(4000, 3)
    found = class_probe(codes[:2000], label[:2000], codes[2000:], label[2000:])
    assert abs(found.accuracy - 0.5) < 5 * 0.5 / math.sqrt(2000)
    codes[:, 1] += 6 * label
    found = class_probe(codes[:2000], label[:2000], codes[2000:], label[2000:])
    assert found.accuracy > 0.99
    assert found.baseline == 0.5
    assert found.classes == (0, 1)


def test_an_attribute_probe_finds_the_direction_and_the_slope():
    direction = torch.tensor([0.6, 0.0, -0.8])
    codes = noise(3000, 3)
    value = 2.5 * codes @ direction + 7 + 0.5 * noise(3000, seed=1)
    found = attribute_probe("made", codes[:2000], value[:2000], codes[2000:], value[2000:])
    torch.testing.assert_close(found.direction, direction, rtol=0, atol=0.03)
    assert found.slope == pytest.approx(2.5, abs=0.06)
    assert found.r_squared == pytest.approx(2.5**2 / (2.5**2 + 0.25), abs=0.02)
    nothing = attribute_probe("noise", codes[:2000], noise(2000, seed=5), codes[2000:], noise(1000, seed=6))
    assert nothing.r_squared < 0.02


def test_strokes_of_a_slanted_bar_are_those_it_was_drawn_with():
    image = torch.zeros(2, 1, 21, 21)
    for row in range(21):
        image[0, 0, row, 10] = 1
        image[1, 0, row, round(10 + 0.5 * (10 - row))] = 1  # half a cell to the right for each cell upwards
    found = strokes(image)
    assert found.slant.tolist() == pytest.approx([0.0, 0.5], abs=0.01)
    assert found.height.tolist() == pytest.approx([math.sqrt((21**2 - 1) / 12)] * 2, rel=1e-5)
    assert float(found.width[0]) == pytest.approx(0.0, abs=1e-4)
    assert float(found.width[1]) == pytest.approx(0.5 * float(found.height[1]), rel=0.01)
    torch.testing.assert_close(found.ink, torch.full((2,), 1 / 21))


def test_codes_are_posterior_means_in_order():
    digits = load("digits").test
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = dense(digits.event, DiscretizedLogisticHead(17), latent=3, hidden=(8,))
    torch.testing.assert_close(codes_of(model, digits)[7:9], model.encode(digits.batch(torch.tensor([7, 8]))))


def test_codes_depend_on_the_example_and_the_seed_and_not_on_how_many_are_encoded_together(monkeypatch):
    """Grey pictures made black and white by chance."""
    x = torch.randint(0, 256, (9, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    grey = Source("grey", x, Kind.BINARY, "", transform=DynamicBinarization(255))
    model = dense((1, 4, 4), BernoulliHead(), latent=2, hidden=(4,))
    whole, other = (codes_of(model, grey, seed) for seed in (3, 4))
    monkeypatch.setattr(representation, "AT_ONCE", 2)
    torch.testing.assert_close(codes_of(model, grey, 3), whole)
    assert not torch.allclose(other, whole)


def test_a_linear_classifier_is_the_probe_of_the_codes_whose_class_is_known():
    digits = load("digits")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = dense(digits.train.event, DiscretizedLogisticHead(17), latent=4, hidden=(8,))
    parts = [source.subset(torch.arange(rows)) for source, rows in ((digits.train, 300), (digits.test, 90))]
    known = [torch.arange(rows) % each != 0 for rows, each in ((300, 3), (90, 5))]
    some = [replace(a, label=a.label.where(b, -1)) for a, b in zip(parts, known, strict=True)]
    codes = [codes_of(model, a)[b] for a, b in zip(parts, known, strict=True)]
    expected = class_probe(codes[0], parts[0].label[known[0]], codes[1], parts[1].label[known[1]])
    assert linear_classifier(model, *some) == expected
    assert expected.accuracy > 2 * expected.baseline
    for place, label in ((0, None), (1, None), (0, torch.full((300,), -1))):
        wrong = [replace(one, label=label) if n == place else one for n, one in enumerate(parts)]
        with pytest.raises(StateError, match=r"no example of digits.* has a label"):
            linear_classifier(model, *wrong)


def test_what_cannot_be_probed_is_refused():
    codes = noise(10, 2)
    with pytest.raises(StateError, match="at least two classes"):
        class_probe(codes, torch.zeros(10).long(), codes, torch.zeros(10).long())
    with pytest.raises(StateError, match="same for all"):
        attribute_probe("flat", codes, torch.ones(10), codes, torch.ones(10))
    with pytest.raises(ShapeError, match="one value for each code"):
        attribute_probe("short", codes, torch.arange(9.0), codes, torch.arange(10.0))
    with pytest.raises(StateError, match="1 of 2 images have no ink"):
        strokes(torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)]))
