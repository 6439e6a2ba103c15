"""Pixels of a picture come out as the file means them, whatever its format, orientation and depth, or the file is
refused by its name.
"""

import numpy as np
import pytest
from PIL import Image

from vael.data.files.depth import channel_bits
from vael.data.files.images import Images, read_folder
from vael.data.matching import Trained, matching
from vael.data.source import Kind
from vael.errors import FormatError, SupportError

ORIENTATION = 274
TURNED = {  # how an upright picture is stored under each mark of its orientation (Exif 2.3, tag 0x0112)
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x, -1),
}
GREY = (np.mgrid[:24, :10][0] * 7 + np.mgrid[:24, :10][1]).astype(np.uint8)
COLOUR = np.stack((GREY, GREY[::-1], 255 - GREY), -1)
FORMATS = {
    "tif": {},
    "lzw.tif": {"compression": "tiff_lzw"},
    "packed.tif": {"compression": "packbits"},
    "strips.tif": {"strip_size": 64},
    "png": {},
    "webp": {"lossless": True},
}


def read(folder):
    part = read_folder(folder, Images()).train
    return part.x[0].transpose(1, 2, 0).squeeze()


def several(folder, name, write):
    for number in range(3):
        write(folder / f"{number}.{name}")
    return folder


@pytest.mark.parametrize("upright", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("mark", TURNED)
def test_every_picture_comes_out_upright(tmp_path, mark, name, upright):
    if name == "webp" and upright.ndim == 2:
        pytest.skip("WebP has no grey pictures")
    exif = Image.Exif()
    exif[ORIENTATION] = mark
    stored = Image.fromarray(np.ascontiguousarray(TURNED[mark](upright)))
    several(tmp_path, name, lambda path: stored.save(path, exif=exif, **FORMATS[name]))
    np.testing.assert_array_equal(read(tmp_path), upright)


def ppm(path, values, largest):
    wide = values.astype(">u2" if largest > 255 else np.uint8)
    path.write_bytes(b"P6\n%d %d\n%d\n" % (values.shape[1], values.shape[0], largest) + wide.tobytes())


def jpeg2000(path):
    """A file whose marker says 12 bits a component."""
    Image.fromarray(COLOUR).save(path)
    whole = bytearray(path.read_bytes())
    start = whole.find(b"\xff\x4f\xff\x51")
    for component in range(3):
        whole[start + 42 + 3 * component] = 11
    path.write_bytes(whole)


DEEP = {
    "ppm": lambda path: ppm(path, COLOUR.astype(int) * 200, 65535),
    "ascii.ppm": lambda path: path.write_text("P3\n2 2\n1023\n" + " ".join(map(str, range(0, 1020, 85)))),
    "grey.png": lambda path: Image.fromarray(GREY.astype(np.uint16) * 200).save(path),
    "tif": lambda path: Image.fromarray(GREY.astype(np.float32)).save(path),
    "jp2": jpeg2000,
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_eight_bits_are_refused_and_never_cut_off(tmp_path, name):
    with pytest.raises(FormatError, match="more than 8 bits"):
        read(several(tmp_path, name, DEEP[name]))


def test_the_depth_of_avif_stands_in_its_property(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.avif")
    head = (tmp_path / "a.avif").read_bytes()
    with Image.open(tmp_path / "a.avif") as image:
        assert channel_bits(image, head) == 8
        assert channel_bits(image, head.replace(b"pixi\0\0\0\0\3\10\10\10", b"pixi\0\0\0\0\3\12\12\12")) == 10


@pytest.mark.parametrize("name", ["avif", "jp2", "jpg", "bmp", "gif", "ppm"])
def test_eight_bits_are_taken(tmp_path, name):
    several(tmp_path, name, Image.fromarray(COLOUR).save)
    assert read(tmp_path).shape == COLOUR.shape


def test_a_smaller_scale_is_stretched_and_said_to_be(tmp_path):
    several(tmp_path, "ppm", lambda path: ppm(path, COLOUR // 3, 100))
    found = read_folder(tmp_path, Images())
    assert found.notes == ("3 images whose largest value is 100, stretched to 255",)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_a_transparent_value_is_refused_where_a_pixel_has_it(tmp_path, mode):
    stored = Image.fromarray(GREY).convert(mode)
    some = int(np.asarray(stored).max())
    several(tmp_path, "png", lambda path: stored.save(path, transparency=some))
    with pytest.raises(FormatError, match="transparent"):
        read(tmp_path)


def test_a_transparent_value_that_no_pixel_has_changes_nothing(tmp_path):
    several(tmp_path, "png", lambda path: Image.fromarray(GREY).save(path, transparency=255))
    np.testing.assert_array_equal(read(tmp_path), GREY)


@pytest.mark.parametrize("trained", [Trained((1, 4, 4), Kind.INTEGER, 256), Trained((1, 4, 4), Kind.REAL)])
def test_true_and_false_are_no_grey_values(tmp_path, trained):
    np.save(tmp_path / "mask.npy", np.eye(4, dtype=bool)[None].repeat(5, 0))
    with pytest.raises(SupportError, match="True and False"):
        matching(str(tmp_path / "mask.npy"), trained)
    assert matching(str(tmp_path / "mask.npy"), Trained((1, 4, 4), Kind.BINARY)).x.max() == 1
