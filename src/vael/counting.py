"""Counts with their nouns: one row, two rows, never "1 rows"; and how many of all are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from typing import TypeVar

Progress = Callable[[int, int], None]  # told how many of how many are done; of 0 when the first is begun
Part = TypeVar("Part", bound=Sized)

IRREGULAR = {"axis": "axes", "epoch": "epochs", "index": "indices"}


def plural(noun: str) -> str:
    """More than one of what a noun names: the last of its words takes the ending."""
    head, _, last = noun.rpartition(" ")
    ending = (
        last[:-1] + "ies"
        if last.endswith("y") and last[-2:-1] not in "aeiou"
        else last + ("es" if last.endswith(("s", "x", "ch", "sh")) else "s")
    )
    return f"{head} {IRREGULAR.get(last, ending)}".strip()


def counted(count: int, noun: str, many: str | None = None) -> str:
    """A count and what is counted, in the number that fits: `counted(1, "row")` is 1 row, `counted(1200, "row")` is
    1,200 rows.

    >>> counted(1, "row"), counted(0, "row"), counted(1200, "training example"), counted(2, "copy")
    ('1 row', '0 rows', '1,200 training examples', '2 copies')
    """
    return f"{count:,} {noun if count == 1 else many or plural(noun)}"


def reported(parts: Sequence[Part], progress: Progress | None) -> Iterator[Part]:
    """Parts of some whole in order; `progress` is told before the first, and as each is done, how many of all are.

    >>> for part in reported([range(2), range(3)], print): pass
    0 5
    2 5
    5 5
    """
    done, total = 0, sum(map(len, parts))
    for part in parts:
        if progress is not None:
            progress(done, total)
        yield part
        done += len(part)
    if progress is not None:
        progress(done, total)
