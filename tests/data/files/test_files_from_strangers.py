"""Data from a stranger: what a file says of its own size is not believed, nothing in it is run, and every end is a
refusal in words.
"""

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vael import claims
from vael.data import load, read_table
from vael.data.blocks import array_blocks
from vael.data.files.arrays import array_in, read_npz
from vael.data.files.idx import read_idx
from vael.data.files.images import Images, read_image
from vael.errors import FormatError, VaelError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")  # of PIL, for what is damaged


def npy(header, content=b""):
    """An array file with any header."""
    text = header.encode("latin1").ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


CLAIMS = {
    "many": ("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }", bytes(400)),
    "turned": ("{'descr': '<f4', 'fortran_order': True, 'shape': (1000000, 1000000), }", bytes(400)),
    "wraps": ("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", bytes(400)),
    "below zero": ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 10), }", bytes(400)),
    "objects": ("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", bytes(400)),
    "of nothing": ("{'descr': '|S0', 'fortran_order': False, 'shape': (1000000000000,), }", bytes(400)),
    "inside": ("{'descr': [('a', '|O'), ('b', '<f4')], 'fortran_order': False, 'shape': (2,), }", bytes(400)),
    "no header": ("{'descr': ", bytes(400)),
    "deep": ("(" * 100, bytes(400)),
    "code": ("{'descr': __import__('os').getcwd(), 'fortran_order': False, 'shape': (2,), }", bytes(400)),
    "types": ("{'descr': 7, 'fortran_order': 'x', 'shape': 'x', }", bytes(400)),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_headers_of_arrays_are_not_believed(name, tmp_path):
    content = npy(*CLAIMS[name])
    (tmp_path / "x.npy").write_bytes(content)
    for read in (array_in, load, lambda path: list(array_blocks(path))):
        with pytest.raises(FormatError, match=r"x\.npy"):
            read(tmp_path / "x.npy")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(FormatError, match=r"x\.npz"):
        read_npz(tmp_path / "x.npz")


def test_an_archive_of_arrays_does_not_unpack_to_more_than_there_is(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        stream = io.BytesIO()
        np.save(stream, np.zeros((1 << 16, 16)))
        archive.writestr("x.npy", stream.getvalue())
        archive.writestr("readme.txt", "nothing")
    assert read_npz(tmp_path / "x.npz").train.x.shape == (1 << 16, 16)
    monkeypatch.setattr(claims, "memory", lambda: 1 << 20)
    with pytest.raises(FormatError, match="memory"):
        read_npz(tmp_path / "x.npz")


def test_an_idx_file_is_read_no_further_than_it_says(tmp_path, monkeypatch):
    header = struct.pack(">BBBBII", 0, 0, 8, 2, 4, 4)
    (tmp_path / "a.idx").write_bytes(header + bytes(16))
    assert read_idx(tmp_path / "a.idx").shape == (4, 4)
    (tmp_path / "bomb.idx.gz").write_bytes(gzip.compress(header + bytes(1 << 26)))
    with pytest.raises(FormatError, match="more than 16 bytes"):
        read_idx(tmp_path / "bomb.idx.gz")
    huge = struct.pack(">BBBBIII", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)
    for name in ("huge.idx", "huge.idx.gz"):
        (tmp_path / name).write_bytes(gzip.compress(huge) if name.endswith("gz") else huge)
        with pytest.raises(FormatError, match="memory"):
            read_idx(tmp_path / name)
    (tmp_path / "axes.idx").write_bytes(bytes((0, 0, 8, 200)) + struct.pack(">I", 1) * 200 + b"\0")
    with pytest.raises(FormatError):
        read_idx(tmp_path / "axes.idx")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, None])
@pytest.mark.parametrize("text", [b"a,b\n" + b"1,2\n" * (1 << 21), b"x" * (1 << 23)])
def test_a_table_does_not_unpack_without_end(pack, text, tmp_path, monkeypatch):
    """Lines without end, and one line without end."""
    monkeypatch.setattr("vael.tables.as_text.compressed.FREE", 1 << 20)
    monkeypatch.setattr("vael.tables.as_text.compressed.RATIO", 20)
    path = tmp_path / (
        "t.csv.zip"
        if pack is None
        else f"t.csv.{ {gzip.compress: 'gz', bz2.compress: 'bz2', lzma.compress: 'xz'}[pack] }"
    )
    if pack is None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("t.csv", text)
    else:
        path.write_bytes(pack(text))
    with pytest.raises(FormatError, match="unpacks to more"):
        read_table(path)


def test_a_packed_table_of_repetitions_is_read(tmp_path):
    """What is honest is not refused: a table of few different rows."""
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n3,4\n" * 20000))
    assert len(read_table(tmp_path / "t.csv.gz").x) == 40000


def test_a_parquet_file_cannot_ask_for_memory(tmp_path, monkeypatch):
    pq.write_table(pa.table({"a": pa.array(np.zeros(1 << 16)), "b": ["x"] * (1 << 16)}), tmp_path / "t.parquet")
    assert len(read_table(tmp_path / "t.parquet").x) == 1 << 16
    monkeypatch.setattr(claims, "memory", lambda: 1 << 16)
    with pytest.raises(FormatError, match="memory"):
        read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    "ending",
    [".parquet", ".npy", ".npz", ".png", ".gif", ".tif", ".bmp", ".jpg", ".csv.gz", ".csv.xz", ".csv.zip", ".idx"],
)
def test_damage_anywhere_is_refused_in_words(ending, tmp_path):
    """Bytes changed, cut off and put in: every end is a refusal, or what can still be read."""
    rng = np.random.default_rng(0)
    path = tmp_path / f"x{ending}"
    frame = pa.table(
        {
            "a": rng.normal(size=200),
            "b": [f"text {number % 7}" for number in range(200)],
            "c": pa.array(rng.integers(0, 9, 200)),
        }
    )
    csv = b"a,b\n" + b"".join(b"%d,%d\n" % tuple(rng.integers(0, 99, 2)) for _ in range(200))
    if ending == ".parquet":
        pq.write_table(frame, path)
    elif ending == ".npy":
        np.save(path, rng.integers(0, 200, (50, 8), np.uint8))
    elif ending == ".npz":
        np.savez_compressed(path, x=rng.integers(0, 200, (50, 8), np.uint8), y=np.arange(50))
    elif ending == ".idx":
        path.write_bytes(struct.pack(">BBBBII", 0, 0, 8, 2, 50, 4) + rng.bytes(200))
    elif ending.startswith(".csv"):
        if ending.endswith("zip"):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("x.csv", csv)
        else:
            path.write_bytes({"gz": gzip.compress, "xz": lzma.compress}[ending[5:]](csv))
    else:
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    refused = 0
    for _ in range(60):
        raw = bytearray(whole)
        for _ in range(rng.integers(1, 8)):
            place = int(
                rng.integers(len(raw)) if rng.random() < 0.5 else len(raw) - 1 - rng.integers(min(len(raw), 300))
            )
            raw[place] = rng.integers(256)
        path.write_bytes(raw[: rng.integers(len(raw))] if rng.random() < 0.2 else raw)
        try:
            read_image(path, Images()) if ending in (".png", ".gif", ".tif", ".bmp", ".jpg") else load(path)
        except VaelError:
            refused += 1
    assert refused > 5


def test_pictures_of_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    """A small file may say that it is an image of any size."""
    for side in (12_000, 100_000):  # of the first PIL itself only warns
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        chunks = b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1 << 16))), (b"IEND", b""))
        )
        (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
        with pytest.raises(FormatError, match="too many pixels"):
            load(tmp_path / "x.png")


def test_a_picture_that_would_run_a_program_is_not_opened(tmp_path, monkeypatch):
    """PIL looks at the content, not at the name, and gives PostScript to a program."""
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *rest, **more: pytest.fail("a program is run"))
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(FormatError, match="not a whole image"):
        load(tmp_path / "x.png")
