"""Reading the command line, with the nearest name suggested for a wrong one."""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import NoReturn

from vael.cli.places import Files, Places, Read, Write, given_path, just
from vael.errors import VaelError


class UsageError(VaelError):
    """A command line that cannot be understood."""


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'name'?` for the known name nearest to `word`, or nothing."""
    found = get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


class HelpPage(argparse.RawDescriptionHelpFormatter):
    """Help that uses the width of the terminal up to 110 characters."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=min(shutil.get_terminal_size().columns, 110) - 2)


class Parser(argparse.ArgumentParser):
    """argparse that raises `UsageError` instead of leaving, takes no abbreviations, and says which option may have
    been meant.
    """

    def __init__(self, command: str, summary: str, epilog: str | None = None) -> None:
        super().__init__(
            f"vael {command}", description=summary, epilog=epilog, allow_abbrev=False, formatter_class=HelpPage
        )
        self.names: list[str] = ["--help"]
        self.section: argparse._ActionsContainer = self
        self.inputs: dict[str, str] = {}  # options that name what is read, and what that is called
        self.outputs: dict[str, Files] = {}  # options that name what is written, and what is written for them
        self.folders: set[str] = set()  # those of them that may name a folder

    def heading(self, title: str) -> None:
        """The options that follow stand under this title."""
        self.section = self.add_argument_group(title)

    def option(self, *names: str, **how: object) -> argparse.Action:
        """`add_argument` that leaves what was not given out of the result, so that defaults stand in one place only."""
        self.names += [name for name in names if name.startswith("--")]
        return self.section.add_argument(*names, **{"default": argparse.SUPPRESS, **how})  # type: ignore[arg-type]

    def reads(self, *names: str, called: str = "the data themselves", **how: object) -> None:
        """An option that names a file or folder which is read; no result may be written over it."""
        self.inputs[self.option(*names, **how).dest] = called

    def writes(self, *names: str, files: Files | None = None, folder: bool = False, **how: object) -> None:
        """An option that names a file (or a `folder`) which is written; `files` are all that are written for it,
        also where it was not given.
        """
        dest = self.option(*names, **how).dest
        self.outputs[dest] = files or just(dest)
        self.folders |= {dest} if folder else set()

    def places(self, given: argparse.Namespace) -> Places:
        """What a command line reads and writes."""
        options = vars(given)
        reads = [(given_path(options, name), called) for name, called in self.inputs.items()]
        return Places(
            tuple(Read(path, called) for path, called in reads if path is not None),
            tuple(Write(path, name in self.folders) for name, found in self.outputs.items() for path in found(options)),
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; `{self.prog} --help` lists what there is")

    def read(self, arguments: list[str]) -> argparse.Namespace:
        """The options given. Errors: `UsageError`."""
        given, unknown = self.parse_known_intermixed_args(arguments)  # DATA may follow an option
        if unknown:
            name = unknown[0].split("=")[0]
            kind = "option" if name.startswith("-") else "argument"
            self.error(f"unknown {kind} {name}{nearest(name, self.names)}")
        return given


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


def share_or_test(text: str) -> int | float | str:
    """A share or a count, or the word test."""
    return text if text == "test" else number(float, 0, above=True)(text)


def sizes(text: str) -> tuple[int, ...]:
    """Whole numbers above 0 separated by commas."""
    read = number(int, 1)
    try:
        return tuple(int(read(part)) for part in text.split(","))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"expected sizes of at least 1 separated by commas, such as 400,400; got {text!r}"
        ) from error


def side_or_sides(text: str) -> int | tuple[int, int]:
    """A side, or height and width with an x between them."""
    read = number(int, 1)
    try:
        sides = [int(read(part)) for part in text.lower().replace("×", "x").split("x")]
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"expected a side such as 32, or height and width such as 48x64; got {text!r}"
        ) from error
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f"expected one or two sides, such as 32 or 48x64; got {text!r}")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def one_of(*names: str) -> Callable[[str], str]:
    """A reader of one of several names."""

    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(names)}; got {text!r}{nearest(text, names)}")
        return text

    return read
