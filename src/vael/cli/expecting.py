"""How long a command will take, said as soon as its first rows show it, and how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from vael.cli.telling import CountingLine, tell
from vael.cli.wording import duration
from vael.counting import counted

KNOWN = 2.0  # seconds of work from which the rest can be told
LONG = 10.0  # seconds that nobody needs to be told of beforehand


class Expecting:
    """Rows as they are done: says once, on standard error, about how long all will take, where that is long, and counts
    them on a terminal; `silent` says nothing.

    `total` is asked once, and only then; it may be about right. None: it is not known.
    """

    def __init__(self, what: str, total: Callable[[], int | None], *, silent: bool = False) -> None:
        self.what, self.total, self.silent = what, total, silent
        self.line, self.begun, self.rows = CountingLine(what.lower()), time.monotonic(), 0
        self.told, self.all = silent, 0

    def __enter__(self) -> Expecting:
        self.line.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.line.__exit__(*error)

    def add(self, rows: int) -> None:
        """So many more rows are done."""
        self.rows += rows
        self.tell(self.rows, None)

    def tell(self, done: int, total: int | None) -> None:
        """So many of all are done."""
        seconds = time.monotonic() - self.begun
        if not self.told and done and seconds >= KNOWN:
            self.told, self.all = True, total or self.total() or 0
            expected = seconds * self.all / done
            if self.all > done and expected >= LONG:
                rows = counted(self.all, "row")
                tell(f"{self.what} {rows} will take about {duration(expected)}.", file=sys.stderr)
        if not self.silent and self.all >= done:
            self.line.tell(done, self.all)
