"""From a word of the command line to the value of an option; what does not fit raises `argparse.ArgumentTypeError`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from vael.nearest import hint


def number(
    kind: type, least: int | float, *, above: bool = False, most: int | float = math.inf
) -> Callable[[str], int | float]:
    """A reader of numbers of at least (or `above`) `least` and at most `most`."""
    name = "a whole number" if kind is int else "a number"
    limit = f"{'above' if above else 'of at least'} {least:g}" + (f" and at most {most:g}" if most < math.inf else "")

    def read(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (value > least if above else value >= least) or value > most or value == math.inf:
            raise argparse.ArgumentTypeError(f"expected {name} {limit}, got {text!r}")
        return value

    return read


whole, natural, positive = number(int, 1), number(int, 0), number(float, 0, above=True)


def share_or_test(text: str) -> int | float | str:
    """A share or a count, or the word test."""
    return text if text == "test" else positive(text)


def several(
    read: Callable[[str], int | float], expected: str, separator: str = ","
) -> Callable[[str], tuple[int | float, ...]]:
    """A reader of several numbers with a separator between them; `expected` says what they are, with an example."""

    def values(text: str) -> tuple[int | float, ...]:
        try:
            return tuple(read(part) for part in text.lower().replace("×", "x").split(separator))
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"expected {expected}; got {text!r}") from error

    return values


sizes = several(whole, "sizes of at least 1 separated by commas, such as 400,400")
weights = several(positive, "weights above 0 separated by commas, such as 0.25,1,4")
temperatures = several(number(float, 0), "numbers of at least 0 separated by commas, such as 0.7 or 0.7,1,1")
_sides = several(whole, "a side such as 32, or height and width such as 48x64", "x")


def side_or_sides(text: str) -> int | tuple[int, int]:
    """A side, or height and width with an x between them."""
    sides = [int(side) for side in _sides(text)]
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f"expected one or two sides, such as 32 or 48x64; got {text!r}")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def one_of(*names: str) -> Callable[[str], str]:
    """A reader of one of several names."""

    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(names)}; got {text!r}{hint(text, names)}")
        return text

    return read
