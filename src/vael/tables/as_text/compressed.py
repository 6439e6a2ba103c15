"""Tables of text that lie compressed on the disk: .gz, .bz2, .xz, and .zip with one file in it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from vael.errors import FormatError
from vael.stored import check_file

OPENERS: dict[str, Callable[[Path], object]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
ENDINGS = (*OPENERS, ".zip")
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile)
FREE, RATIO = (
    1 << 26,
    250,
)  # bytes that any file may unpack to, and times its size that a larger one may: text of tables stays below 50


def plain_name(path: Path) -> Path:
    """The name without the ending of the compression; of a .zip with the ending of the one file in it."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        return path
    plain = path.with_suffix("")
    if ending != ".zip" or plain.suffix or not path.is_file():
        return plain
    names = members(path)
    return plain.with_suffix(Path(names[0]).suffix) if len(names) == 1 else plain


def members(path: Path) -> list[str]:
    """The files in a .zip; none if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    except (zipfile.BadZipFile, OSError):
        return []


@contextmanager
def content(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed as they are read.

    Errors: `FormatError` for a missing or damaged file, a folder, or a .zip with more or less than one.
    """
    check_file(path)
    ending = path.suffix.lower()
    try:
        if ending == ".zip":
            names = members(path)
            if len(names) != 1:
                raise FormatError(
                    f"{path} is a .zip with {len(names)} files that can be read, but one table was expected; give that "
                    "file itself"
                )
            with zipfile.ZipFile(path) as archive, _member(archive, names[0], path) as file:
                yield cast(BinaryIO, _within(file, path))
        elif ending in OPENERS:
            with cast(io.BufferedIOBase, OPENERS[ending](path)) as file:
                yield cast(BinaryIO, _within(file, path))
        else:
            with open(path, "rb") as file:
                yield file
    except DAMAGE as error:
        raise FormatError(
            f"{path} is damaged or cut off ({error or type(error).__name__}); write or fetch it again"
        ) from error
    except OSError as error:
        if ending in ENDINGS and error.errno is None:  # bz2 says so
            raise FormatError(f"{path} is damaged or cut off ({error}); write or fetch it again") from error
        raise


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> io.BufferedIOBase:
    try:
        return cast(io.BufferedIOBase, archive.open(name))
    except (RuntimeError, NotImplementedError) as error:  # a password, or a way of packing that Python does not know
        raise FormatError(
            f"{path} cannot be unpacked here ({error}); unpack it yourself, and give the table in it"
        ) from error


class _Unpacked(io.RawIOBase):
    """The bytes of a packed file, as long as they are no more than such a file can honestly hold."""

    def __init__(self, file: io.BufferedIOBase, path: Path) -> None:
        self.file, self.path, self.count, self.most = file, path, 0, max(FREE, RATIO * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes (`io.RawIOBase`). Errors: `FormatError` for too many."""
        found = self.file.read(len(buffer))
        buffer[: len(found)] = found
        self.count += len(found)
        if self.count > self.most:
            raise FormatError(
                f"{self.path} unpacks to more than {self.most:,} bytes, {RATIO} times its size, as no table does; it "
                "may be made to harm: if it can "
                "be trusted, unpack it yourself"
            )
        return len(found)


def _within(file: io.BufferedIOBase, path: Path) -> io.BufferedReader:
    return io.BufferedReader(_Unpacked(file, path), 1 << 16)
