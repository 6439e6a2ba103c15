"""How long a command will take, said as soon as its first rows show it, and how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vael.cli.telling import CountingLine, tell
from vael.cli.wording import duration
from vael.counting import counted

if TYPE_CHECKING:
    from vael.specs import Piece

ROWS, WINDOWS, SERIES, POINTS = ("row", "rows"), ("window", "windows"), ("series", "series"), ("point", "points")
KNOWN = 2.0  # seconds of work from which the rest can be told
LONG = 10.0  # seconds that nobody needs to be told of beforehand


@dataclass
class ReadPieces:
    """How long reading took, and of how many rows."""

    seconds: float = 0.0
    rows: int = 0

    def ahead(self, done: int) -> float:
        """Seconds that went into rows of which nothing is done yet."""
        return self.seconds * max(0.0, 1 - done / self.rows) if self.rows else 0.0


class Expecting:
    """Examples as they are done: says once, on standard error, about how long all will take, where that is long, and
    counts them on a terminal, unless another line stands there; `silent` says nothing. `nouns` are one and more of what
    is done, and `line` counts them.

    `total` is asked once, and only then; it may be about right. None: it is not known, or told with what is done.
    """

    def __init__(
        self,
        what: str,
        total: Callable[[], int | None] = lambda: None,
        *,
        silent: bool = False,
        nouns: tuple[str, str] = ("example", "examples"),
        line: CountingLine | None = None,
        counts: bool = True,
    ) -> None:
        self.what, self.total, self.nouns, self.counts = what, total, nouns, counts and not silent
        self.line, self.begun, self.rows = line or CountingLine(what.lower(), nouns=nouns), time.monotonic(), 0
        self.told, self.all = silent, 0
        self.read = ReadPieces()

    def __enter__(self) -> Expecting:
        self.line.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.line.__exit__(*error)

    def reading(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Pieces of data as they are read. What reading takes is shared out among the rows of a piece: a large one is
        there as a whole before the first of its rows is done.
        """
        begun = time.monotonic()
        for piece in pieces:
            self.read.seconds += time.monotonic() - begun
            self.read.rows += len(piece.source)
            yield piece
            begun = time.monotonic()

    def add(self, rows: int) -> None:
        """So many more rows are done."""
        self.rows += rows
        self.tell(self.rows, None)

    def tell(self, done: int, total: int | None) -> None:
        """So many of all are done; with none the first is begun, and what came before it is not in the time."""
        if not done:
            self.begun = time.monotonic()
        seconds = time.monotonic() - self.begun - self.read.ahead(done)
        if not self.told and done and seconds >= KNOWN:
            self.told, self.all = True, total or self.total() or 0
            expected = seconds * self.all / done
            if self.all > done and expected >= LONG:
                tell(
                    f"{self.what} {counted(self.all, *self.nouns)} will take about {duration(expected)}.",
                    file=sys.stderr,
                )
        if self.counts and self.all >= done:
            self.line.tell(done, self.all)
