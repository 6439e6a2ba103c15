"""The one place that reads files which may come from somebody else: whatever is wrong with one ends in one
`FormatError`, soon and in bounds.

Nothing is waited for (a pipe, a device), nothing grows beyond a limit, and JSON is strict: no name twice, no depth that
ends the process.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from vael.errors import FormatError
from vael.files import descriptor_to_read

JSON_BYTES = 32 << 20  # of a spec, a schema, a list of rows
LINES_BYTES = 256 << 20  # of metrics
DEPTH = 64  # of lists and records in each other
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFBLK: "a disk",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFIFO: "a pipe",
}


def physical_memory() -> int:
    """Bytes of memory that the machine has; where it does not say, more than any."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 62


@contextmanager
def opened(path: Path, most: int) -> Iterator[tuple[BinaryIO, int]]:
    """A file of at most `most` bytes and how many it has.

    Errors: `FormatError` for what is missing, no file, too large, or cannot be read.
    """
    try:
        with open(descriptor_to_read(path), "rb") as file:
            found = os.fstat(file.fileno())
            kind = stat.S_IFMT(found.st_mode)
            if kind != stat.S_IFREG:
                raise FormatError(
                    f"{path} is {KINDS.get(kind, 'no file')}, but a file was expected; put the file there that vael "
                    "wrote"
                )
            if found.st_size > most:
                raise FormatError(
                    f"{path} has {found.st_size:,} bytes, more than the {most:,} that can be right; restore it from a "
                    "copy"
                )
            yield file, found.st_size
    except FileNotFoundError as error:
        raise FormatError(
            f"{path.name}: no such file in {path.parent}; check the name, or restore it from a copy"
        ) from error
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{path} cannot be read ({_reason(error)}); check what it is, or restore it from a copy"
        ) from error


def check_file(path: Path) -> None:
    """Errors: `FormatError` for a path where nothing is, or what is no file: what a person gave, or what data lay at
    once. A pipe would be waited for without end, and what came through it could not be read again.
    """
    if path.is_dir():
        raise FormatError(f"{path} is a folder, but a file was expected; give the file itself")
    if not path.exists():
        raise FormatError(f"{path}: there is no such file; check its name and folder, or bring it back to where it was")
    kind = stat.S_IFMT(path.stat().st_mode)
    if kind != stat.S_IFREG:
        raise FormatError(
            f"{path} is {KINDS.get(kind, 'no file')}, but a file was expected, as data are read more than once; write "
            "what comes from there to a file, and give that"
        )


def text_name(path: Path) -> Path:
    """A path whose name is text, so that run.json, tables and pages can hold it. Errors: `FormatError` for names in
    another encoding than UTF-8, as older disks and archives have them.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise FormatError(
            f"{os.fsencode(path).decode('utf-8', 'backslashreplace')}: the name is no text in UTF-8, as names that are "
            "kept must be; rename the file or folder"
        ) from error
    return path


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """The content of a file of at most `most` bytes (None: as many as the machine has memory). Errors: as `opened`."""
    with opened(path, physical_memory() if most is None else most) as (file, size):
        return file.read(size)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return "it is a link that leads to itself"
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def present(path: Path) -> bool:
    """Whether there is something of that name, be it a link that leads nowhere: what is there is read, and refused
    if it is no file.
    """
    try:
        return os.path.lexists(path)
    except ValueError:
        return False


def read_text(path: Path, most: int = JSON_BYTES) -> str:
    """The text of a file in UTF-8, without the mark that some editors put at its begin. Errors: `FormatError`."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path} is no text in UTF-8 ({error.reason} at byte {error.start:,}); restore it from a copy"
        ) from error


def read_json(path: Path, most: int = JSON_BYTES) -> Any:
    """What a file of JSON holds. Errors: `FormatError`."""
    return parsed(read_text(path, most), str(path))


def parsed(text: str, what: str) -> Any:
    """What JSON holds; `what` names it in messages.

    Errors: `FormatError` for no JSON, a name twice in one record, and what is nested too deep.
    """
    try:
        return strict(text)
    except RecursionError as error:
        raise FormatError(f"{what} is nested deeper than anything that vael writes; restore it from a copy") from error
    except ValueError as error:
        raise FormatError(
            f"{what} is not JSON as vael writes it ({str(error)[:300]}); restore it from a copy"
        ) from error


def strict(text: str | bytes) -> Any:
    """What JSON in UTF-8 holds: no name twice in one record, no half of a letter, and no depth that ends the process.

    Errors: `ValueError`, and `RecursionError` for what is nested too deep.
    """
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    found = json.loads(text, object_pairs_hook=_once)
    _check(found, DEPTH)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:80]!r} stands there twice")
    return found


def _check(found: object, depth: int) -> None:
    """Errors: `RecursionError` for what is nested too deep, `ValueError` for half a letter."""
    if not depth:
        raise RecursionError
    if isinstance(found, str):
        found.encode()
    elif isinstance(found, dict):
        for name, value in found.items():
            name.encode()
            _check(value, depth - 1)
    elif isinstance(found, list):
        for value in found:
            if isinstance(value, (str, dict, list)):
                _check(value, depth - 1)
