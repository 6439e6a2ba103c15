"""Formats of files that are written: one record for each, with what it holds. No command asks how a file ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from vael import files
from vael.errors import SupportError

if TYPE_CHECKING:
    from PIL.Image import Image


N = TypeVar("N")


def no_images(_: object) -> NoReturn:
    """Errors: `SupportError`: what was made cannot be looked at."""
    raise SupportError("these examples are no images, so there is no picture and no film of them")


@dataclass(frozen=True)
class Result:
    """What a command made, written in each form that a file can have; only the one that was asked for is made."""

    array: Callable[[Path], object]  # numbers without names
    table: Callable[[Path], object]  # columns with names
    picture: Callable[[Path], object] = no_images
    frames: Callable[[bool], Sequence[Image]] = no_images  # True: there and back, for a film that goes on for ever
    title: str = ""


@dataclass(frozen=True)
class Format:
    """How a result is written, and which endings say so."""

    endings: tuple[str, ...]
    write: Callable[[Path, Result], object]  # as a file that is whole or not there
    pictured: bool = False  # whether it holds images and nothing else
    moves: bool = False  # whether it shows one image after another

    def many(self, rows: N, picture: N, film: N) -> N:
        """How many are made where nobody says: as rows, in a picture, in a film."""
        return film if self.moves else picture if self.pictured else rows


def _play(path: Path, result: Result) -> None:
    from vael.applications.traversal import write_gif

    write_gif(path, result.frames(True))


def _step_through(path: Path, result: Result) -> None:
    from vael.applications.traversal import write_html

    write_html(path, result.frames(False), result.title)


PICTURE = Format((".png",), lambda path, result: result.picture(path), pictured=True)
ARRAY = Format((".npy",), lambda path, result: result.array(path))
FILMS = (Format((".gif",), _play, True, True), Format((".html",), _step_through, True, True))
COLUMNS = Format((".csv", ".parquet"), lambda path, result: result.table(path))
LAID_OUT = replace(COLUMNS, endings=(".csv", ".tsv", ".txt", ".data", ".parquet"))  # as a table that was read is
PAGE = replace(FILMS[1], endings=(".html", ".htm"))
ROWS = (COLUMNS, ARRAY)
STILLS = (PICTURE, *ROWS)


def format_of(path: Path, formats: Sequence[Format]) -> Format:
    """The format of a file among those that are possible. Errors: `FormatError`, which lists them."""
    found = {ending: one for one in formats for ending in one.endings}
    return found[files.known_ending(path, found)]


@dataclass(frozen=True)
class Target:
    """The file that a result goes to, and how it is written there."""

    path: Path
    form: Format

    def write(self, result: Result) -> Path:
        """Write the result, and give the file."""
        self.form.write(self.path, result)
        return self.path
