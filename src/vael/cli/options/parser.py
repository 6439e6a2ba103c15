"""Reading the command line into a record of options, with the nearest name suggested for a wrong one."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Generic, NoReturn, TypeVar

from vael.cli.telling import page_width, paragraph
from vael.errors import VaelError
from vael.nearest import nearest
from vael.options.declaring import GENERAL, Declared, Option, made, options_of

R = TypeVar("R")
MAIN, REST = "main options", "options"
MANY = 8  # options, from which on those that matter first have a section of their own
ALWAYS = (
    (("-q", "--quiet"), "print only warnings, errors and what was asked for"),
    (("--debug",), "show where an error came from"),
)


class UsageError(VaelError):
    """A command line that cannot be understood."""


class HelpPage(argparse.HelpFormatter):
    """Help that uses the width of the terminal up to 110 characters; each line of a text is a paragraph."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=page_width())

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(map(paragraph, text.split("\n")))

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser, Generic[R]):
    """argparse that gives a record, raises `UsageError` instead of leaving, takes no abbreviations, and says which
    option may have been meant.
    """

    def __init__(self, command: str, summary: str, record: type[R]) -> None:
        self.record, self.names = record, ["--help"]
        found = list(options_of(record))
        words = [one.option.takes if one.required else f"[{one.option.takes}]" for one in found if one.option.placed]
        usage = getattr(record, "usage", "") or " ".join((f"vael {command}", *map(str, words), "[options]"))
        notes = getattr(record, "notes", "") or None
        how: dict[str, Any] = {"usage": usage, "description": summary, "epilog": notes, "formatter_class": HelpPage}
        super().__init__(f"vael {command}", allow_abbrev=False, add_help=False, **how)
        sections: dict[str, argparse._ArgumentGroup] = {}
        for one in ordered(found):
            title = one.option.title
            sections.setdefault(title, self.add_argument_group(title) if title not in sections else sections[title])
            self.declare(sections[title], one)
        general = sections.get(GENERAL) or self.add_argument_group(GENERAL)
        for names, about in ALWAYS:
            self.names += names
            general.add_argument(*names, action="store_true", default=argparse.SUPPRESS, help=about)
        general.add_argument("-h", "--help", action="store_true", default=argparse.SUPPRESS, help="show this page")

    def declare(self, section: argparse._ArgumentGroup, one: Declared) -> None:
        """Add an option; what was not given is left out of what argparse finds, so that defaults stand in one place."""
        how = one.option
        names = () if how.placed else one.names
        self.names += [name for name in names if name.startswith("--")]
        given: dict[str, Any] = {"default": argparse.SUPPRESS, "help": one.about.replace("%", "%%")}
        if how.takes is None:
            given |= {"action": argparse.BooleanOptionalAction if one.default is None else "store_const"}
            given |= {} if one.default is None else {"const": not one.default}
            self.names += [f"--no-{names[0][2:]}"] if one.default is None else []
        else:
            given |= {"metavar": how.takes, "type": how.read}
            given |= {"action": "append"} if how.repeated else {}
            given |= {"nargs": "?"} if how.value_optional or (how.placed and not one.required) else {}
            given |= {"const": True} if how.value_optional else {}
        given |= {} if how.placed else {"dest": one.name}
        section.add_argument(*(sorted(names, key=len) or (one.name,)), **given)

    def error(self, message: str) -> NoReturn:
        """Errors: `UsageError`, always, in place of the end of the process."""
        raise UsageError(f"{message}; `{self.prog} --help` lists what there is")

    def read(self, arguments: list[str]) -> R:
        """The options given. Errors: `UsageError`."""
        found, unknown = self.parse_known_intermixed_args(arguments)  # DATA may follow an option
        if unknown:
            name = unknown[0].split("=")[0]
            kind = "option" if name.startswith("-") else "argument"
            self.error(f"unknown {kind} {name}{meant(name, self.names)}")
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in found.__dict__.items()}
        return made(self.record, values)


# what other programs call an option: a word that shares no letters with its name here
ELSEWHERE = {
    "out": ("output", "run"),
    "output": ("run",),
    "output-dir": ("run", "output"),
    "out-dir": ("run", "output"),
    "logdir": ("run",),
    "log-dir": ("run",),
    "name": ("run",),
    "o": ("run",),
    "gpu": ("device",),
    "cuda": ("device",),
    "kl-weight": ("beta",),
    "kld-weight": ("beta",),
    "z-dim": ("latent",),
    "z": ("latent",),
    "dim": ("latent",),
    "learning-rate": ("lr",),
    "workers": ("threads",),
    "num-workers": ("threads",),
    "jobs": ("threads",),
    "k": ("importance-samples", "samples"),
    "checkpoint": ("resume",),
    "n": ("count",),
    "num-samples": ("count", "samples"),
    "verbose": ("debug",),
    "fp16": ("precision",),
    "bf16": ("precision",),
    "amp": ("precision",),
}
NEAR = 0.6  # share of letters in common: of the dashes before a name nobody meant anything


def meant(name: str, names: Iterable[str]) -> str:
    """`; did you mean --NAME?` for an option that there is not, by its letters or by what others call it; else
    nothing.
    """
    known = {one.lstrip("-"): one for one in names}
    word = name.lstrip("-")
    other = next((one for one in ELSEWHERE.get(word.lower(), ()) if one in known), None)
    found = other or nearest(word, known, NEAR)
    return "" if found is None else f"; did you mean {known[found]}?"


def ordered(found: list[Declared]) -> list[Declared]:
    """Options under the titles that they stand under: arguments, those that matter first, the rest, what is general."""
    many = sum(not one.option.placed and one.option.title != GENERAL for one in found) > MANY

    def titled(one: Declared) -> Declared:
        how: Option = one.option
        title = "arguments" if how.placed else MAIN if how.main and many else how.title or REST
        return replace(one, option=replace(how, title=title))

    last = {"arguments": 0, MAIN: 1, GENERAL: 3}
    return sorted(map(titled, found), key=lambda one: last.get(one.option.title, 2))
