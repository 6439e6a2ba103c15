"""The IDX format of the MNIST family: two zero bytes, a type code, the number of axes, their lengths, then the cells, all big-endian."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from vael.errors import FormatError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_BYTES = 2**34  # that a compressed file may grow to


def is_idx(path: Path) -> bool:
    """Whether the file's name says that it is IDX, compressed or not."""
    name = path.name.removesuffix(".gz")
    return name.endswith(("-ubyte", ".idx")) or any(name.endswith(f".idx{axes}") or f"idx{axes}-" in name for axes in range(1, 6))


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file, plain or gzip. Errors: `FormatError` for a wrong magic number, or too few or too many bytes."""
    raw = _content(path)
    if len(raw) < 4 or raw[0] or raw[1] or raw[2] not in TYPES or not raw[3]:
        raise FormatError(
            f"{path} begins with the bytes {raw[:4].hex(' ') or 'of an empty file'}, but an IDX file begins with 00 00, a type (08 for bytes) and "
            "the number of axes; fetch the file again, or check that it is IDX at all"
        )
    kind, axes = np.dtype(TYPES[raw[2]]), raw[3]
    shape = tuple(length for (length,) in struct.iter_unpack(">I", raw[4 : 4 + 4 * min(axes, (len(raw) - 4) // 4)]))
    expected = 4 + 4 * axes + math.prod(shape) * kind.itemsize
    if len(shape) != axes or len(raw) != expected:
        raise FormatError(
            f"{path} holds {len(raw):,} bytes, but its header promises {expected:,} (shape {shape}); it is truncated or damaged: fetch it again"
        )
    return np.frombuffer(raw, kind, offset=4 + 4 * axes).reshape(shape).astype(kind.newbyteorder("="))


def _content(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            raw = file.read(MOST_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(f"{path} is not a whole gzip file ({error}); it is truncated or damaged: fetch it again") from error
    if len(raw) > MOST_BYTES:
        raise FormatError(f"{path} unpacks to more than {MOST_BYTES:,} bytes, which no known IDX file does; unpack it yourself if it can be trusted")
    return raw
