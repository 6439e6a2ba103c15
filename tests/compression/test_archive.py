"""Files: exact, or refused by name. Nothing decodes to wrong data, whatever happens to a file."""

import json
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vael import models, recipes
from vael.compression import (
    Contents,
    Layout,
    SafeLevel,
    compress,
    decompress,
    fingerprint,
    from_array,
    from_cells,
    from_folder,
    safe_names,
)
from vael.compression import archive as archive_module
from vael.compression.container import FRONT, LONG, SHORT, checksum, pack, unpack
from vael.compression.contents import to_cells, to_original
from vael.compression.safe import make_level
from vael.data import Kind, Source
from vael.data.facts import UnknownMoments
from vael.errors import FormatError, ShapeError

EVENT, LEVELS = (1, 4, 4), 6
MEANS = 1.0 + torch.arange(16) * 7 % 4  # of each cell: what the model knows, and zlib does not


def build(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        known = UnknownMoments(MEANS.view(EVENT), torch.full(EVENT, 0.4))
        return recipes.dense(
            EVENT, models.DiscretizedLogisticHead(LEVELS), latent=2, hidden=(8,), statistics=known
        ).eval()


MODEL = build()
MARK = fingerprint(MODEL, "toy")
NOISE = np.random.default_rng(0)
X = (MEANS.numpy() + 0.4 * NOISE.standard_normal((100, 16))).round().clip(0, 5).reshape(100, 4, 4).astype(np.uint8)


def level(model=MODEL):
    return SafeLevel(model, EVENT, LEVELS, batch=8)


def again(header):
    return make_level(header.level, MODEL, EVENT, header.levels, header.settings)


def opened(content, mark=MARK, level_of=again):
    return decompress(content, "x.vael", mark, level_of)


@pytest.fixture(scope="module")
def whole():
    return compress(level(), from_array(X, "x", EVENT), MARK, block=40)


def test_a_file_comes_back(whole):
    told = []
    done = decompress(whole.content, "x.vael", MARK, again, progress=lambda done, of: told.append((done, of)))
    assert np.array_equal(done.array, X)
    assert done.array.dtype == X.dtype
    assert done.notes == ()
    assert told[-1] == (100, 100)
    assert (whole.blocks, whole.raw) == (3, ())
    assert whole.net_bits_per_dim == pytest.approx(whole.elbo_bits_per_dim, rel=0.02)
    assert whole.gross_bits_per_dim == 8 * len(whole.content) / X.size


def test_the_same_data_give_the_same_file(whole):
    assert compress(level(), from_array(X, "x", EVENT), MARK, block=40).content == whole.content


def damaged(content, rng):
    """One of: a bit or byte changed, bytes cut out, put in, swapped, doubled, the end cut off, zeros over a stretch."""
    raw, size = bytearray(content), len(content)
    a, b = sorted(int(place) for place in rng.integers(0, size, 2))
    kind = rng.integers(8)
    if kind == 0:
        raw[a] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        raw[a] = (raw[a] + int(rng.integers(1, 256))) % 256
    elif kind == 2:
        del raw[a : a + int(rng.integers(1, 9))]
    elif kind == 3:
        raw[a:a] = rng.bytes(int(rng.integers(1, 9)))
    elif kind == 4:
        raw[a : a + 8], raw[b : b + 8] = raw[b : b + 8], raw[a : a + 8]
    elif kind == 5:
        raw[a:a] = raw[a:b]
    elif kind == 6:
        del raw[a:]
    else:
        raw[a:b] = bytes(b - a)
    return bytes(raw)


def test_ten_thousand_corruptions_are_all_found(whole):
    rng, undetected, named, same = np.random.default_rng(0), 0, 0, 0
    for _ in range(10_000):
        content = damaged(whole.content, rng)
        if content == whole.content:
            same += 1
            continue
        try:
            unpack(content, "x.vael")
            undetected += 1
        except FormatError as error:
            named += "x.vael" in str(error)
    assert (undetected, named) == (0, 10_000 - same)
    assert same < 200


def test_every_single_bit_counts(whole):
    for place in range(0, len(whole.content), 3):
        content = bytearray(whole.content)
        content[place] ^= 1 << (place % 8)
        with pytest.raises(FormatError):
            opened(bytes(content))


def test_what_is_wrong_is_named(whole):
    content = whole.content
    start = FRONT.size + FRONT.unpack_from(content)[2] + SHORT
    for change, words in [
        (content[:-1], "cut short"),
        (content[: FRONT.size - 2], "cut short"),
        (content[:20], "cut short"),
        (b"", "cut short"),
        (content + b"\0", "1 byte after its end"),
        (b"PK" + content[2:], "not a file that `vael compress` wrote"),
        (content[:8] + struct.pack("<H", 7) + content[10:], "format version 7"),
        (content[: start - 20] + b"\0" + content[start - 19 :], "header"),
        (
            content[: start + 2] + bytes([content[start + 2] ^ 1]) + content[start + 3 :],
            r"block 1 of 3 \(examples 1 to 40\)",
        ),
        (content[:-LONG] + bytes(LONG), "checksum of the whole file"),
    ]:
        with pytest.raises(FormatError, match=words):
            opened(change)


def rewritten(whole, change=None, payloads=None, **fields):
    """A file whose checksums all fit, with other facts in its header."""
    header, found, _ = unpack(whole.content, "x")
    facts = {**json.loads(header.model_dump_json()), **fields}
    if change:
        change(facts)
    return pack(type(header).model_validate(facts), payloads or found)


def test_another_model_or_coder_or_level_is_refused_by_name(whole):
    with pytest.raises(FormatError, match="another model"):
        opened(whole.content, mark=fingerprint(build(1), "toy"))
    with pytest.raises(FormatError, match=r"constriction 0\.1"):
        opened(rewritten(whole, constriction="0.1"))
    with pytest.raises(FormatError, match="no level of compression is called 'none'"):
        opened(rewritten(whole, level="none"))
    with pytest.raises(FormatError, match="does not take the settings"):
        opened(rewritten(whole, settings={"batch": 8, "colour": 1}))
    with pytest.raises(FormatError, match="cells of 6 levels"):
        opened(rewritten(whole, cells=15))


def test_a_header_that_this_program_would_not_write_is_refused(whole):
    def more(facts):
        facts["blocks"][0]["examples"] = 41

    for fields in ({"surprise": 1}, {"cells": 0}, {"levels": "many"}):
        header, payloads, _ = unpack(whole.content, "x")
        told = zlib.compress(json.dumps({**json.loads(header.model_dump_json()), **fields}).encode())
        front = FRONT.pack(whole.content[:8], 1, len(told)) + told
        body = front + bytes.fromhex(checksum(front)) + b"".join(payloads)
        with pytest.raises(FormatError, match="does not parse"):
            opened(body + bytes.fromhex(checksum(body)) * 2)
    with pytest.raises(ValueError, match="add up"):
        rewritten(whole, change=more)


def test_fingerprints_tell_models_apart():
    other = build()
    assert fingerprint(other, "toy") == MARK
    assert fingerprint(other, "else") != MARK
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-6
    assert fingerprint(other, "toy") != MARK


class Elsewhere(SafeLevel):
    """The same level on a machine whose sums come out another way."""

    slip = 0.0

    @property
    def build(self):
        return {**super().build, "processor": "another"}

    def likelihood(self, level, above):
        law = super().likelihood(level, above)
        law.mass.loc = law.mass.loc + self.slip
        return law


def test_another_build_is_used_when_it_decodes_and_refused_by_name_when_not(whole):
    def there(header):
        return Elsewhere(MODEL, EVENT, header.levels, **header.settings)

    done = opened(whole.content, level_of=there)
    assert np.array_equal(done.array, X)
    assert "processor was" in done.notes[0]
    Elsewhere.slip = 0.3
    try:
        with pytest.raises(
            FormatError, match=r"block 1 of 3: what is decoded is not what was encoded.*processor was.*portable"
        ):
            opened(whole.content, level_of=there)
    finally:
        Elsewhere.slip = 0.0
    with pytest.raises(FormatError, match="please report"):
        opened(whole.content, level_of=lambda header: SafeLevel(build(1), EVENT, LEVELS, batch=8))


def test_a_block_that_does_not_fit_goes_raw():
    x = X.copy()
    x[50, 0, 0] = 200
    done = compress(level(), from_array(x, "x", EVENT), MARK, block=40)
    assert len(done.raw) == 1
    assert "not among the 6 values" in done.raw[0]
    assert np.array_equal(opened(done.content).array, x)


def test_a_block_that_cannot_be_verified_goes_raw(monkeypatch):
    monkeypatch.setattr(archive_module, "decode", lambda level, words, kept, groups: np.zeros((40, 16), np.int32))
    done = compress(level(), from_array(X[:40], "x", EVENT), MARK)
    assert done.raw == ("decoded, they were not what was encoded",)
    monkeypatch.undo()
    assert np.array_equal(opened(done.content).array, X[:40])
    assert done.net_bits_per_dim is None


def test_a_block_that_is_no_smaller_goes_raw():
    x = np.full((30, 4, 4), 5, np.uint8)  # costly for the model, nothing for zlib
    done = compress(level(), from_array(x, "x", EVENT), MARK)
    assert done.raw == ("coded, they were no smaller than deflated",)
    assert np.array_equal(opened(done.content).array, x)


def test_a_model_that_gives_no_numbers_codes_nothing():
    broken = build()
    with torch.no_grad():
        broken.likelihood.network.last.bias.fill_(torch.nan)
    done = compress(level(broken), from_array(X, "x", EVENT), MARK)
    assert "not finite" in done.raw[0]
    assert np.array_equal(opened(done.content).array, X)


@pytest.mark.parametrize("dtype", ["u1", "?", "<i2", ">i4", "<u8", "<f4", ">f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back_with_type_and_shape(dtype, order):
    x = (X[:, None] % 2).astype(dtype, order=order)
    done = opened(compress(level(), from_array(x, "x", EVENT), MARK).content)
    assert (done.array.dtype, done.array.shape) == (x.dtype, x.shape)
    assert done.array.tobytes() == x.tobytes()


def test_awkward_floats_come_back_too():
    x = X.astype(np.float64)
    x[0, 0, :4] = (-0.0, np.nan, np.inf, 0.5)
    done = compress(level(), from_array(x, "x", EVENT), MARK, block=50)
    assert len(done.raw) == 1
    assert opened(done.content).array.tobytes() == x.tobytes()


def test_channels_last_and_black_and_white_are_undone():
    x = NOISE.integers(0, 2, (5, 4, 6, 3)).astype(np.uint8) * 255
    contents = from_array(x, "x", (3, 4, 6), 255)
    cells = to_cells(x, contents.layout, 2)
    assert cells.shape == (5, 72)
    assert np.array_equal(cells.reshape(5, 3, 4, 6), x.transpose(0, 3, 1, 2) // 255)
    assert to_original(cells, (4, 6, 3), contents.layout).tobytes() == x.tobytes()
    with pytest.raises(FormatError, match="whole"):
        to_cells(x // 255, contents.layout, 2)


def test_arrays_that_do_not_suit_the_model_are_refused():
    with pytest.raises(ShapeError, match="trained on"):
        from_array(np.zeros((3, 5, 5)), "x", EVENT)
    with pytest.raises(FormatError, match="numbers were expected"):
        from_array(np.array([["a"]]), "x", EVENT)
    with pytest.raises(ShapeError, match="at least 1"):
        compress(level(), replace(from_array(X, "x", EVENT), array=X[:0]), MARK)


def photographs(folder):
    rng = np.random.default_rng(0)
    (folder / "cats").mkdir(parents=True)
    for name in ("one.png", "cats/two.png", "cats/three.bmp"):
        Image.fromarray(rng.integers(0, 6, (4, 4)).astype(np.uint8)).save(folder / name)
    return folder


def test_a_folder_of_images_keeps_pixels_and_names(tmp_path):
    folder = photographs(tmp_path / "in")
    done = opened(compress(level(), from_folder(folder, EVENT), MARK).content)
    assert set(done.layout.names) == {"one.png", "cats/two.png", "cats/three.bmp.png"}
    for name, cells in zip(done.layout.names, done.array, strict=True):
        assert np.array_equal(cells[0], np.asarray(Image.open(folder / name.replace(".bmp.png", ".bmp"))))
    assert "1 image comes back as PNG" in done.layout.note
    with pytest.raises(ShapeError, match="trained on"):
        from_folder(folder, (1, 5, 5))
    Image.new("L", (7, 5)).save(folder / "other.png")
    with pytest.raises(ShapeError, match=r"images of 4×4, 5×7, but the run was trained on \(1, 4, 4\).*--patches"):
        from_folder(folder, EVENT)  # no option of `vael compress` makes them smaller
    (folder / "other.png").unlink()
    Image.new("L", (4, 4)).save(folder / "cats" / "three.bmp.png")
    with pytest.raises(FormatError, match="both come back"):
        from_folder(folder, EVENT)


@pytest.mark.parametrize("name", ["/etc/passwd", "../up.png", "a/../../b.png", "c:\\x.png", ""])
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(FormatError, match="not to be trusted"):
        safe_names(Layout(kind="images", dtype="|u1", shape=(1, 1, 4, 4), names=(name,)), "x.vael")


def test_cells_of_a_source_say_what_is_not_kept():
    source = Source("s", torch.zeros(3, 1, 4, 4, dtype=torch.uint8), Kind.INTEGER, "", 400, notes=("drawn",))
    contents = from_cells(source, np.full((3, 1, 4, 4), 300))
    assert isinstance(contents, Contents)
    assert contents.array.dtype == np.uint16
    assert "labels" in contents.layout.note
    assert "drawn" in contents.layout.note


@pytest.mark.parametrize("dtype", ["\0", "b1", "float", "<f4,<f4", "(2,)<i4", "O", "V1", "<m8[s]", "i4"])
def test_cells_have_the_one_spelling_of_their_type_that_is_written(dtype: str) -> None:
    """NumPy takes "\\0" for true and false and "float" for float64: a header that says so was made by no compressor."""
    with pytest.raises((ValueError, TypeError)):
        Layout(kind="array", dtype=dtype, shape=(3, 4))
    assert Layout(kind="array", dtype="|b1", shape=(3, 4)).example_bytes == 4
