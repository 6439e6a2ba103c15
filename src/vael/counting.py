"""Counts with their nouns: one row, two rows, never "1 rows"."""

from __future__ import annotations

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
