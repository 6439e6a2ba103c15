import numpy as np
import pytest
import torch
from PIL import Image

from vael.data import Kind, Source
from vael.errors import ShapeError, SupportError
from vael.report import Display, display_of, grid_image, save_grid
from vael.report.grid import shown_channels, to_bytes


def source(x, kind, levels=None):
    return Source("some", x, kind, "00" * 32, levels=levels)


def test_bytes_are_linear_rounded_and_never_wrap():
    x = torch.tensor([-300.0, -1.0, 0.0, 127.5, 255.0, 256.0, 600.0, float("nan"), float("inf"), -float("inf")]).view(
        1, 1, 1, -1
    )
    assert to_bytes(x, Display(0.0, 255.0))[0, 0, :, 0].tolist() == [0, 0, 0, 128, 255, 255, 255, 0, 255, 0]


def test_all_256_levels_come_back_unchanged():
    x = torch.arange(256.0).view(1, 1, 16, 16)
    assert to_bytes(x, display_of(source(x, Kind.INTEGER, 256)))[0, ..., 0].flatten().tolist() == list(range(256))


@pytest.mark.parametrize(
    ("x", "kind", "levels", "expected"),
    [
        (torch.zeros(3, 1, 2, 2), Kind.BINARY, None, (0.0, 1.0)),
        (torch.zeros(3, 1, 2, 2), Kind.INTEGER, 17, (0.0, 16.0)),
        (torch.tensor([-2.0, 3.0, float("nan")]).view(3, 1, 1, 1), Kind.REAL, None, (-2.0, 3.0)),
        (torch.full((3, 1, 1, 1), 4.0), Kind.REAL, None, (4.0, 5.0)),
    ],
)
def test_display_follows_the_data(x, kind, levels, expected):
    display = display_of(source(x, kind, levels))
    assert (display.low, display.high) == expected


def test_black_must_be_below_white():
    with pytest.raises(SupportError, match="low < high"):
        Display(1.0, 1.0)


def test_grid_places_images_row_by_row_with_transparent_gaps():
    x = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]).view(5, 1, 1, 1).expand(5, 1, 4, 4)
    picture = np.asarray(grid_image(x, Display(), columns=3, gap=2, largest=8))
    assert picture.shape == (2 * 8 + 2, 3 * 8 + 2 * 2, 4)
    assert [picture[top, left, 0] for top, left in ((0, 0), (0, 10), (7, 27), (10, 0), (17, 17))] == [
        0,
        64,
        128,
        191,
        255,
    ]
    assert picture[0, 8, 3] == 0  # a gap
    assert picture[17, 27, 3] == 0  # the empty place


def test_large_images_are_reduced_and_keep_their_mean():
    x = torch.rand(1, 3, 256, 192, generator=torch.Generator().manual_seed(0))
    picture = np.asarray(grid_image(x, Display()))
    assert picture.shape == (80, 60, 4)
    assert picture[..., 0].mean() / 255 == pytest.approx(float(x[:, 0].mean()), abs=0.01)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (5, "L")])
def test_saved_grids_are_grey_or_rgb_on_white(tmp_path, channels, mode):
    path = save_grid(tmp_path / "grid.png", torch.zeros(3, channels, 8, 8), Display(), columns=2)
    with Image.open(path) as picture:
        assert picture.mode == mode
        assert picture.size == (114, 114)
        assert picture.getpixel((113, 113)) in (255, (255, 255, 255))
        assert picture.getpixel((0, 0)) in (0, (0, 0, 0))
    assert [one.name for one in tmp_path.iterdir()] == ["grid.png"]


def test_colour_order_is_kept():
    x = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)
    assert to_bytes(x, Display())[0, 0, 0].tolist() == [255, 128, 0]


def test_captions_say_what_other_channel_counts_show():
    assert shown_channels(1) == shown_channels(3) == ""
    assert "5 channels" in shown_channels(5)
    assert "mean" in shown_channels(5)


def test_no_grid_of_what_is_no_image():
    with pytest.raises(ShapeError, match="height, width"):
        grid_image(torch.zeros(2, 1, 0, 8), Display())
    with pytest.raises(ShapeError, match="height, width"):
        grid_image(torch.zeros(0, 1, 8, 8), Display())
