"""Names and colours of figures: nothing lies on a name, and what has different colours is seen to."""

from itertools import combinations

import numpy as np
import pytest
import torch

from vael.report.figures import name_classes, scatter
from vael.report.labels import box, covered, overlap, placed
from vael.report.style import CLASSES, PAPER, new_figure

FRAME = (0.0, 0.0, 600.0, 500.0)
PAGES = ("#ffffff", "#14181c")  # light and dark


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("names", [2, 10, 40])
def test_no_two_names_share_a_place_and_none_hides_more_points_than_where_it_belongs(names, seed):
    """Clusters of any closeness: at one place, in one heap, spread out; wide and narrow names."""
    generator = np.random.default_rng(seed)
    anchors = 300 + generator.normal(0, 1, (names, 2)) * [0.01, 20, 80][seed % 3]
    points = (anchors[:, None] + generator.normal(0, 25, (names, 30, 2))).reshape(-1, 2)
    sizes = np.stack((generator.uniform(8, 60, names), np.full(names, 12.0)), 1)
    centres = placed(anchors, sizes, points, FRAME)
    boxes = [box(centre, size) for centre, size in zip(centres, sizes.tolist(), strict=True) if centre is not None]
    assert not any(overlap(one, other) for one, other in combinations(boxes, 2))
    assert all(FRAME[0] <= one[0] and one[2] <= FRAME[2] and FRAME[1] <= one[1] and one[3] <= FRAME[3] for one in boxes)
    assert len(boxes) == names or names > 10
    first = boxes[0]
    assert covered(points, first) <= covered(points, box(anchors[0].tolist(), sizes[0].tolist()))


def test_a_name_without_neighbours_and_points_stays_where_it_belongs():
    anchor = np.array([[100.0, 100.0]])
    assert placed(anchor, np.array([[30.0, 10.0]]), np.zeros((0, 2)), FRAME) == [(100.0, 100.0)]


@pytest.mark.parametrize(
    ("apart", "classes", "left"), [(10.0, 3, 3), (0.3, 3, 3), (10.0, 12, 12), (0.0, 3, 0), (0.0, 12, 0)]
)
def test_every_class_that_has_a_place_of_its_own_is_named(apart, classes, left):
    """Classes at one place (a posterior that collapsed) have no place to name."""
    label = torch.arange(classes).repeat(30)
    noise = torch.linspace(-0.1, 0.1, 30)[:, None].expand(30, 2).repeat_interleave(classes, dim=0)
    points = apart * torch.stack((label.float(), label.float()), dim=1) + noise
    axes = new_figure(6.0, 5.0).subplots()
    scatter(axes, points, label, lambda one: f"automobile {one}")
    assert name_classes(axes, points, label, lambda one: f"automobile {one}") == left
    seen = [text.get_window_extent() for text in axes.texts if text.get_visible()]
    assert len(seen) == left
    for one, other in combinations(seen, 2):
        assert not overlap((one.x0, one.y0, one.x1, one.y1), (other.x0, other.y0, other.x1, other.y1))


LINEAR = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
EYES = {  # Machado, Oliveira & Fernandes (2009), severity 1
    "all cones": np.eye(3),
    "without M": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "without L": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}


def linear(colour):
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(light):
    x, y, z = (LINEAR @ np.clip(light, 0, 1)) / np.array([0.95047, 1.0, 1.08883])
    cube = [np.cbrt(one) if one > 0.008856 else 7.787 * one + 16 / 116 for one in (x, y, z)]
    return np.array([116 * cube[1] - 16, 500 * (cube[0] - cube[1]), 200 * (cube[1] - cube[2])])


@pytest.mark.parametrize(("eye", "least"), [("all cones", 40), ("without M", 20), ("without L", 20)])
def test_any_two_colours_of_classes_are_told_apart(eye, least):
    seen = [lab(EYES[eye] @ linear(colour)) for colour in CLASSES]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > least


def test_no_colour_of_a_class_is_a_grey_and_each_is_seen_on_light_and_dark_pages():
    for colour in CLASSES:
        assert np.hypot(*lab(linear(colour))[1:]) > 25
        assert all(np.linalg.norm(lab(linear(colour)) - lab(linear(page))) > 40 for page in (*PAGES, PAPER))
