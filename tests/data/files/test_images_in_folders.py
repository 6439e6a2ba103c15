"""Folders of images as people have them, arrays with words for labels, and what must not be read in silence."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from vael.data import Images, Kind, load
from vael.data.files.arrays import read_npz
from vael.data.files.images import read_folder, read_images, sizes
from vael.data.reading import read_path
from vael.errors import FormatError


def colour(examples=20, height=8, width=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (examples, height, width, 3), dtype=np.uint8)


def save(folder, cells, ending="png", **options):
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(cells):
        Image.fromarray(one).save(folder / f"{number:02}.{ending}", **options)
    return folder


@pytest.mark.parametrize("side", [1, 2])
def test_channels_of_tiny_images_are_not_taken_for_rows(tmp_path, side):
    cells = colour(height=side, width=side)
    splits = load(save(tmp_path / "tiny", cells))
    assert splits.train.event == (3, side, side)
    found = {tuple(x.flatten().tolist()) for x in splits.train.x}
    assert found <= {tuple(x.transpose(2, 0, 1).ravel().tolist()) for x in cells}


def test_endings_that_cameras_and_browsers_write_are_read(tmp_path):
    for ending in ("jfif", "jpe", "JPG"):
        Image.fromarray(colour(1)[0]).save(tmp_path / f"a.{ending}", "JPEG")
    assert len(read_folder(tmp_path, Images()).train) == 3


def test_pictures_in_a_format_that_is_not_read_are_named(tmp_path):
    save(tmp_path, colour(3))
    (tmp_path / "IMG_1.HEIC").write_bytes(b"picture")
    with pytest.raises(FormatError, match=r"1 image that cannot be decoded: IMG_1.HEIC \(a format that is not read\)"):
        read_folder(tmp_path, Images())
    assert any("IMG_1.HEIC" in note for note in read_folder(tmp_path, Images(skip_damaged=True)).notes)


def test_links_are_followed_but_not_in_circles(tmp_path):
    save(tmp_path / "elsewhere", colour(3))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cats").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data")
    found = read_folder(tmp_path / "data", Images())
    assert (len(found.train), found.label_names) == (3, ("cats",))
    (tmp_path / "data" / "gone.png").symlink_to(tmp_path / "nothing.png")
    with pytest.raises(FormatError, match=r"gone.png \(a link that leads nowhere\)"):
        read_folder(tmp_path / "data", Images())


def test_what_was_done_to_pixels_is_noted(tmp_path):
    first, *more = (Image.fromarray(one) for one in colour(3))
    first.save(tmp_path / "film.gif", save_all=True, append_images=more)
    Image.fromarray(colour(1)[0]).convert("CMYK").save(tmp_path / "print.jpg")
    notes = read_folder(tmp_path, Images()).notes
    assert notes == ("1 image in CMYK, converted to RGB", "1 image with several frames, of which the first is taken")
    assert read_images(tmp_path).notes == notes


def test_sixteen_bits_of_colour_are_not_cut_to_eight(tmp_path):
    cells = colour(1)[0].astype(">u2") * 257
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in cells))),
    ]
    body = b"".join(
        struct.pack(">I", len(raw)) + kind + raw + struct.pack(">I", zlib.crc32(kind + raw))
        for kind, raw in (*chunks, (b"IEND", b""))
    )
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert Image.open(tmp_path / "deep.png").mode == "RGB"  # which is why the mode alone does not tell
    with pytest.raises(FormatError, match="more than 8 bits a channel"):
        read_folder(tmp_path, Images())


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def no_animation(path):
    """A PNG that says that it is an animation of no frames."""
    Image.fromarray(colour(1)[0]).save(path)
    there = path.read_bytes()
    path.write_bytes(there[:33] + chunk(b"acTL", struct.pack(">II", 0, 0)) + there[33:])


def broken_camera(path):
    """A JPEG whose camera wrote what cannot be read."""
    Image.fromarray(colour(1)[0]).save(path, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(30))


@pytest.mark.parametrize("odd", [no_animation, broken_camera])
def test_what_decoders_say_to_programmers_is_not_shown(tmp_path, odd, recwarn):
    warnings.simplefilter("always")
    odd(tmp_path / "odd.png")
    with Image.open(tmp_path / "odd.png") as image:
        image.getexif()
        image.convert("RGBA")
    assert len(recwarn) > 0
    recwarn.clear()
    assert read_folder(tmp_path, Images()).train.x.shape == (1, 3, 8, 8)
    assert sizes(tmp_path) == {(8, 8): 1}
    assert not list(recwarn)


def test_what_decoders_log_is_not_shown(tmp_path, capsys):
    """A TIFF that says that its pixels have 65,535 numbers each: named as no whole image, and nothing beside."""
    Image.fromarray(colour(1)[0]).save(tmp_path / "odd.tif")
    there, one = (tmp_path / "odd.tif").read_bytes(), struct.pack("<HHIH", 277, 3, 1, 3)
    assert there.count(one) == 1
    (tmp_path / "odd.tif").write_bytes(there.replace(one, struct.pack("<HHIH", 277, 3, 1, 65535)))
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(tmp_path / "odd.tif")
    assert "More samples per pixel" in capsys.readouterr().err
    with pytest.raises(FormatError, match=r"odd.tif \(not a whole image\)"):
        read_folder(tmp_path, Images())
    assert not sizes(tmp_path)
    assert capsys.readouterr().err == ""


def test_other_names_of_splits_and_images_outside_of_them(tmp_path):
    for name, count in (("Training", 5), ("Testing", 3), ("extra", 2)):
        save(tmp_path / name, colour(count))
    found = read_folder(tmp_path, Images())
    assert (len(found.train), found.test and len(found.test)) == (5, 3)
    assert found.notes == ("passed over: 2 images outside of the sub-folders Testing, Training",)
    save(tmp_path / "train", colour(1))
    with pytest.raises(FormatError, match="two sub-folders for train, Training and train"):
        read_folder(tmp_path, Images())


def test_one_image_is_a_data_set_of_one(tmp_path):
    save(tmp_path, colour(1), ending="bmp")
    found = read_path(tmp_path / "00.bmp", Images(size=(4, 4)))
    assert found.train.x.shape == (1, 3, 4, 4)


# arrays


def test_words_for_labels_become_names(tmp_path):
    x, word = np.zeros((4, 3), np.uint8), np.array(["dog", "cat", "dog", "emu"])
    np.savez(tmp_path / "a.npz", x_train=x, y_train=word, x_test=x[:2], y_test=np.array(["emu", "dog"]))
    found = read_npz(tmp_path / "a.npz")
    assert found.label_names == ("cat", "dog", "emu")
    assert found.train.label is not None
    assert found.test is not None
    assert found.test.label is not None
    assert (found.train.label.tolist(), found.test.label.tolist()) == ([1, 0, 1, 2], [2, 1])


@pytest.mark.parametrize("value", [np.inf, np.nan, 0.5])
def test_labels_that_are_no_numbers_of_classes_are_refused(tmp_path, value):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)), y=np.array([0, value]))
    with pytest.raises(FormatError, match="whole numbers or words were expected"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_another_file_under_the_name_of_an_array_is_not_called_objects(tmp_path, ending):
    (tmp_path / f"a.{ending}").write_text("1,2,3\n")
    with pytest.raises(FormatError, match=rf"no \.{ending} file: it begins with b'1,"):
        load(tmp_path / f"a.{ending}")


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        (lambda x: (x / 255).astype(np.float32), "1/255"),
        (lambda x: (x / 255).astype(np.float16), "1/255"),
        (lambda x: x / 127.5 - 1, "1/127.5"),
        (lambda x: x.astype(float), "1"),
        (lambda x: (x - 130) / 70, None),
        (lambda x: x, None),
    ],
)
def test_a_density_of_grey_values_is_said_to_be_one(tmp_path, change, steps):
    np.save(tmp_path / "a.npy", change(colour(20)[..., 0]))
    notes = load(tmp_path / "a.npy").train.notes
    assert any(f"a multiple of {steps}, stored as a real number" in note for note in notes) if steps else not notes
    if steps == "1/255":
        assert load(tmp_path / "a.npy").train.kind is Kind.REAL
