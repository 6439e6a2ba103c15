"""Paths through the latent space end where they should, and films hold every frame."""

import base64
import io
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image

from vael.applications.traversal import (
    along,
    circle_path,
    decoded,
    linear_path,
    pictures,
    player,
    round_trip,
    spherical_path,
    write_gif,
    write_html,
)
from vael.errors import ShapeError, StateError
from vael.models import BernoulliHead
from vael.recipes import dense

POINTS = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("path", [linear_path, spherical_path])
def test_a_path_passes_through_its_points(path):
    found = path(POINTS, 7)
    assert found.shape == (3 * 7 + 1, 5)
    torch.testing.assert_close(found[::7], POINTS)


def test_a_round_trip_passes_every_station_of_every_example_and_closes():
    stations = torch.stack((POINTS, POINTS.flip(0) + 1), dim=1)  # [points, examples, features]
    found = round_trip(stations, 5)
    assert found.shape == (4 * 5, 2, 5)
    torch.testing.assert_close(found[::5], stations)
    torch.testing.assert_close(found[15:, 0], spherical_path(torch.stack((stations[-1, 0], stations[0, 0])), 5)[:-1])


def test_a_straight_path_has_even_steps_and_an_arc_even_angles():
    steps = linear_path(POINTS[:2], 6).diff(dim=0)
    torch.testing.assert_close(steps, steps[:1].expand(6, 5))
    units = torch.nn.functional.normalize(spherical_path(POINTS[:2], 6), dim=1)
    cosines = (units[1:] * units[:-1]).sum(1)
    torch.testing.assert_close(cosines, cosines[:1].expand(6))
    lengths = spherical_path(POINTS[:2], 6).norm(dim=1).diff()
    torch.testing.assert_close(lengths, lengths[:1].expand(6))


def test_an_arc_keeps_the_length_that_a_straight_path_loses():
    """Between two orthogonal latents of length r the middle is at r, and at r / √2 on the straight line."""
    ends = 3 * torch.eye(2, 6, dtype=torch.float64)
    assert float(spherical_path(ends, 2)[1].norm()) == pytest.approx(3)
    assert float(linear_path(ends, 2)[1].norm()) == pytest.approx(3 / math.sqrt(2))


@pytest.mark.parametrize("second", [[0.0, 0, 0], [2.0, 0, 0], [-1.0, 0, 0]])
def test_parallel_latents_are_joined_by_a_straight_line(second):
    ends = torch.tensor([[1.0, 0, 0], second])
    torch.testing.assert_close(spherical_path(ends, 4), linear_path(ends, 4))


def test_circle_and_direction():
    circle = circle_path(8, radius=2.0, features=3)
    torch.testing.assert_close(circle.norm(dim=1), torch.full((8,), 2.0))
    assert float(circle[:, 2].abs().max()) == 0
    line = along(POINTS[0], torch.tensor([0.0, 3.0, 0, 0, 0]).double(), 2.0, 5)
    torch.testing.assert_close(line[:, 1], POINTS[0, 1] + torch.linspace(-2, 2, 5).double())
    torch.testing.assert_close(line[2], POINTS[0])


@pytest.fixture(scope="module")
def film():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = dense((1, 6, 4), BernoulliHead(), latent=2, hidden=(8,))
    frames = decoded(model, circle_path(9))
    assert frames.shape == (9, 1, 6, 4)
    torch.testing.assert_close(frames[3], model.decode((circle_path(9)[3][None, None],)).mean[0, 0])
    return pictures(10 * frames - 4.5, enlarge=2)


def test_frames_are_enlarged_and_clipped():
    cells = torch.tensor([[[[-1.0, 0.5], [1.0, math.nan]]]])
    (picture,) = pictures(cells, enlarge=3)
    assert np.asarray(picture)[::3, ::3, 0].tolist() == [[0, 128], [255, 0]]
    assert picture.size == (6, 6)


def test_a_gif_has_every_frame(film, tmp_path):
    with Image.open(write_gif(tmp_path / "film.gif", film)) as found:
        assert found.is_animated
        assert found.n_frames == 9
        assert found.size == (8, 12)
        assert found.info["loop"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["film.gif"]


def test_a_page_holds_every_frame_and_loads_nothing(film, tmp_path):
    text = write_html(tmp_path / "film.html", film, "A <film>").read_text()
    assert "A &lt;film&gt;" in text
    assert not re.search(r"(src|href)=\"?https?:", text)
    frames = re.findall(r'"(iVBOR[^"]+)"', text)
    assert len(frames) == 9
    for code, picture in zip(frames, film, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))), np.asarray(picture))
    assert player(film, name="other").count('id="other"') == 1


def test_what_cannot_be_shown_is_refused(film, tmp_path):
    for path in (linear_path, spherical_path):
        with pytest.raises(StateError, match="two points"):
            path(POINTS[:1], 3)
    with pytest.raises(StateError, match="points somewhere"):
        along(POINTS[0], torch.zeros(5).double(), 1.0, 3)
    with pytest.raises(StateError, match="at least 2 frames"):
        circle_path(1)
    with pytest.raises(ShapeError, match="1 or 3 channels"):
        pictures(torch.zeros(2, 2, 3, 3))
    with pytest.raises(StateError, match="nothing to animate"):
        write_gif(tmp_path / "none.gif", [])
    for wrong in ("a b", 'x"onload='):
        with pytest.raises(StateError, match="letters and digits"):
            player(film, name=wrong)
    assert list(tmp_path.iterdir()) == []
