"""Fetching the original files of a named data set, believed only if their checksum is right."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from vael import files
from vael.data.catalog.named import File, Named
from vael.errors import FormatError

SECONDS = 30  # without a byte
BLOCK = 2**20

Progress = Callable[[str, int], None]


def fetch(item: Named, root: Path, progress: Progress | None = None) -> Path:
    """The folder `root/<name>` with all files of a data set; those that are there already and right are not fetched
    again.

    `progress` is told each file's name and how many bytes of it have come. Errors: `FormatError` where a file cannot be
    had or is not the one that was expected; nothing half-written stays.
    """
    folder = root / item.name
    for file in item.files:
        target = folder / file.name
        if not (target.is_file() and digest(target, file.checksum) == file.checksum):
            _fetch_file(file, target, item.name, progress or _silent)
    return folder


def digest(path: Path, like: str) -> str:
    """Checksum of a file, of the same kind and in the same form as `like` (`sha256:...`)."""
    kind = like.partition(":")[0]
    with open(path, "rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _silent(name: str, count: int) -> None:
    """Progress that is not shown."""


def _fetch_file(file: File, target: Path, name: str, progress: Progress) -> None:
    if not file.url:
        raise FormatError(
            f"{name} cannot be fetched: no address of {file.name} is known; put it into {target.parent}, or into "
            f"VAEL_DATA/{name}"
        )
    files.make_folder(target.parent)
    with files.written(target) as out:
        found = _copy(file, out, target.parent, progress)
        if found != file.checksum:
            raise FormatError(
                f"{file.url} gave a file with {found}, but {file.checksum} was expected; nothing was kept: try again "
                "later, or put the original "
                f"file into {target.parent}"
            )


def _copy(file: File, out: BinaryIO, folder: Path, progress: Progress) -> str:
    """Fetch a file into `out`; its checksum, in the form of the one that is expected."""
    count, kind = 0, file.checksum.partition(":")[0]
    seen = hashlib.new(kind)
    try:
        with urllib.request.urlopen(file.url, timeout=SECONDS) as answer:
            while block := answer.read(BLOCK):
                count += len(block)
                seen.update(block)
                out.write(block)
                progress(file.name, count)
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise FormatError(
            f"{file.url} could not be fetched ({error}); check the connection, or put the original file {file.name} "
            "into "
            f"{folder} or into a folder of that name under VAEL_DATA"
        ) from error
    return f"{kind}:{seen.hexdigest()}"
