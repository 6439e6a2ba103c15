"""Formats of files that are written: one class for each, with what it holds. No command asks how a file ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NoReturn, TypeVar

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


class Format(ABC):
    """Abstract: how a result is written, and which endings say so."""

    pictured: ClassVar[bool] = False  # whether it holds images and nothing else
    moves: ClassVar[bool] = False  # whether it shows one image after another

    def __init__(self, *endings: str) -> None:
        self.endings = endings

    @abstractmethod
    def write(self, path: Path, result: Result) -> None:
        """Write the result as a file that is whole or not there."""

    def many(self, rows: N, picture: N, film: N) -> N:
        """How many are made where nobody says: as rows, in a picture, in a film."""
        return film if self.moves else picture if self.pictured else rows


class ArrayFormat(Format):
    """An array of numbers, in the shape that they have."""

    def write(self, path: Path, result: Result) -> None:
        result.array(path)


class TableFormat(Format):
    """Columns with names, as text or typed."""

    def write(self, path: Path, result: Result) -> None:
        result.table(path)


class PictureFormat(Format):
    """A picture."""

    pictured = True

    def write(self, path: Path, result: Result) -> None:
        result.picture(path)


class AnimationFormat(Format):
    """A film that plays for ever."""

    pictured = moves = True

    def write(self, path: Path, result: Result) -> None:
        from vael.applications.traversal import write_gif

        write_gif(path, result.frames(True))


class PageFormat(Format):
    """A film to step through, as a page."""

    pictured = moves = True

    def write(self, path: Path, result: Result) -> None:
        from vael.applications.traversal import write_html

        write_html(path, result.frames(False), result.title)


PICTURE, ARRAY = PictureFormat(".png"), ArrayFormat(".npy")
FILMS = (AnimationFormat(".gif"), PageFormat(".html"))
COLUMNS = TableFormat(".csv", ".parquet")
LAID_OUT = TableFormat(".csv", ".tsv", ".txt", ".data", ".parquet")  # in the layout of a table that was read
PAGE = PageFormat(".html", ".htm")
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
