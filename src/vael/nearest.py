"""Which name was meant by one that there is not."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

ALIKE = 0.5  # share of letters that two names have in common, in their order, from which one may have been meant
# one slip in a word of four letters leaves as much; names of leaves are so many that two often share half of their
# letters without meaning the same
SLIP = 0.75


def nearest(word: str, known: Iterable[str], least: float = ALIKE) -> str | None:
    """The known name most like a word, whatever the case of their letters; None where none is alike enough."""
    names = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), names, n=1, cutoff=least)
    return names[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], least: float = ALIKE) -> str:
    """A question for the nearest name, with a blank behind it; nothing where none is near."""
    found = nearest(word, known, least)
    return "" if found is None else f"did you mean {found}? "


def hint(word: str, known: Iterable[str]) -> str:
    """`; did you mean NAME?` for the nearest name, or nothing."""
    found = nearest(word, known)
    return "" if found is None else f"; did you mean {found}?"
