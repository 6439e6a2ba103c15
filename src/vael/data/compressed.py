"""Tables of text that lie compressed on the disk: .gz, .bz2, .xz, and .zip with one file in it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from vael.errors import FormatError

OPENERS: dict[str, Callable[[Path], object]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
ENDINGS = (*OPENERS, ".zip")
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile)


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
    """The bytes of a file, decompressed as they are read. Errors: `FormatError` for a damaged file, or a .zip with more or less than one."""
    ending = path.suffix.lower()
    try:
        if ending == ".zip":
            names = members(path)
            if len(names) != 1:
                raise FormatError(f"{path} is a .zip with {len(names)} files that can be read, but one table was expected; give that file itself")
            with zipfile.ZipFile(path) as archive, archive.open(names[0]) as file:
                yield cast(BinaryIO, file)
        else:
            with cast(BinaryIO, OPENERS.get(ending, _open)(path)) as file:
                yield file
    except DAMAGE as error:
        raise FormatError(f"{path} is damaged or cut off ({error or type(error).__name__}); write or fetch it again") from error
    except OSError as error:
        if ending in ENDINGS and error.errno is None:  # bz2 says so
            raise FormatError(f"{path} is damaged or cut off ({error}); write or fetch it again") from error
        raise


def _open(path: Path) -> object:
    return open(path, "rb")
