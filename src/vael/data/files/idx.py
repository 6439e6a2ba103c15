"""The IDX format of the MNIST family: two zero bytes, a type code, the number of axes, their lengths, then the
cells, all big-endian.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from vael.claims import refuse_claim
from vael.errors import FormatError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_AXES = 32


def is_idx(path: Path) -> bool:
    """Whether the file's name says that it is IDX, compressed or not."""
    name = path.name.removesuffix(".gz")
    return name.endswith(("-ubyte", ".idx")) or any(
        name.endswith(f".idx{axes}") or f"idx{axes}-" in name for axes in range(1, 6)
    )


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file, plain or gzip.

    Errors: `FormatError` for a wrong magic number, or too few or too many bytes.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            return _array(file, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(
            f"{path} is not a whole gzip file ({error}); it is truncated or damaged: fetch it again"
        ) from error


def _array(file: io.BufferedIOBase, path: Path) -> np.ndarray:
    """What a file holds, of which no more is read than its header says, and that only if it can be had."""
    begin = file.read(4)
    if len(begin) < 4 or begin[0] or begin[1] or begin[2] not in TYPES or not begin[3]:
        raise FormatError(
            f"{path} begins with the bytes {begin.hex(' ') or 'of an empty file'}, but an IDX file begins with 00 00, "
            "a type (08 for bytes) and "
            "the number of axes; fetch the file again, or check that it is IDX at all"
        )
    kind, axes = np.dtype(TYPES[begin[2]]), begin[3]
    lengths = file.read(4 * axes)
    shape = tuple(length for (length,) in struct.iter_unpack(">I", lengths[: len(lengths) // 4 * 4]))
    expected = math.prod(shape) * kind.itemsize
    if len(shape) == axes:
        refuse_claim(expected, path, "what it holds")
    cells = file.read(expected + 1) if len(shape) == axes else b""
    if len(cells) != expected or len(shape) != axes or axes > MOST_AXES:
        held = f"more than {expected:,}" if len(cells) > expected else f"{len(cells):,}"
        raise FormatError(
            f"{path} holds {held} bytes of cells, but its header promises {expected:,} (shape {shape}); it is "
            "truncated or damaged: fetch it again"
        )
    return np.frombuffer(cells, kind).reshape(shape).astype(kind.newbyteorder("="))
