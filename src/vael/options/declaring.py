"""An option stands once: as a field of the frozen record that its command takes.

The field has the name, the type and the default; `option`, `argument`, `flag`, `switch` and `repeated` say beside them
what `--help` shows, how a word becomes the value, and whether it names a file that is read (`called`) or `written`. A
`section` is a record of options in a record of options, under a title of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

KEY = "option"
GENERAL = "general"  # the last section of every command
R = TypeVar("R")


@dataclass(frozen=True)
class Option:
    """How an option is written and read."""

    takes: str | None  # what stands for the value in the help; None for one without a value
    about: str
    read: Callable[[str], object] = str
    names: tuple[str, ...] = ()  # further ones
    placed: bool = False  # by its place among the words, not by its name
    repeated: bool = False
    value_optional: bool = False  # True without a value
    main: bool = False  # among the few that matter first
    title: str = ""  # of the section
    called: str = ""  # what the file that is read is called in messages
    written: bool = False  # whether it names what is written
    files: Callable[[Any], list[Path]] | None = None  # all that is written, of the whole record; else what was given
    folder: bool = False  # whether that may be a folder of results
    formats: tuple[Any, ...] = ()  # as `Format` has them, the usual one first; empty: any ending will do


@dataclass(frozen=True)
class OptionGroup:
    """Options under a title."""

    title: str
    record: type


@dataclass(frozen=True)
class Declared:
    """An option with the name and the default of its field."""

    name: str
    default: object
    required: bool
    option: Option

    @property
    def names(self) -> tuple[str, ...]:
        """The option as it may be written; its own name comes first."""
        long = "--" + self.name.strip("_").replace("_", "-")
        return (f"--no-{long[2:]}",) if self.default is True else (long, *self.option.names)

    @property
    def about(self) -> str:
        """What the help says: the default too, where it is a value."""
        said = self.default is not None and not isinstance(self.default, bool | tuple)
        return f"{self.option.about}; default {self.default}" if said else self.option.about


def option(takes: str, about: str, read: Callable[[str], object] = str, *names: str, **how: Any) -> Any:
    """An option with a value; None unless it is given, or `default` is."""
    return _field(Option(takes, about, read, names), how)


def argument(takes: str, about: str, read: Callable[[str], object] = str, **how: Any) -> Any:
    """What is named by its place; must be given unless it has a `default`."""
    return _field(Option(takes, about, read, placed=True), {"default": MISSING, **how})


def flag(about: str, *names: str, **how: Any) -> Any:
    """An option without a value: False unless it is given."""
    return _field(Option(None, about, names=names), {"default": False, **how})


def switch(about: str, **how: Any) -> Any:
    """`--name` and `--no-name`: None unless one of them is given."""
    return _field(Option(None, about), how)


def repeated(takes: str, about: str, **how: Any) -> Any:
    """An option that may be given several times: all its values."""
    return _field(Option(takes, about, repeated=True), {"default": (), **how})


def section(record: type[R], title: str) -> R:
    """Options of a record in a record."""
    return field(default_factory=record, metadata={KEY: OptionGroup(title, record)})


def _field(given: Option, how: dict[str, Any]) -> Any:
    default = how.pop("default", None)
    metadata = {KEY: replace(given, **how)}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


def options_of(record: type, title: str = "") -> Iterator[Declared]:
    """All options of a record, those of its sections among them."""
    for one in fields(record):
        found = one.metadata[KEY]
        if isinstance(found, OptionGroup):
            yield from options_of(found.record, found.title)
        else:
            titled = replace(found, title=found.title or title)
            yield Declared(one.name, _default(one), one.default is MISSING, titled)


def _default(one: Field[Any]) -> object:
    return None if one.default is MISSING else one.default


def made(record: type[R], found: dict[str, object]) -> R:
    """A record from the values that were given, by the names of their fields."""
    values: dict[str, object] = {}
    for one in fields(record):  # type: ignore[bad-argument-type]
        inner = one.metadata[KEY]
        if isinstance(inner, OptionGroup):
            values[one.name] = made(inner.record, found)
        elif one.name in found:
            values[one.name] = found[one.name]
    return record(**values)


def given(options: object) -> Iterator[tuple[Declared, object]]:
    """Options whose values are not their defaults, and these values."""
    for declared, value in valued(options):
        if value != declared.default:
            yield declared, value


def names_given(options: object) -> list[str]:
    """These options as they are written."""
    return [declared.names[0] for declared, _ in given(options)]


def valued(options: object) -> Iterator[tuple[Declared, object]]:
    """All options with their values."""
    for one in fields(options):  # type: ignore[bad-argument-type]
        found, value = one.metadata[KEY], getattr(options, one.name)
        if isinstance(found, OptionGroup):
            yield from valued(value)
        else:
            yield Declared(one.name, _default(one), one.default is MISSING, found), value
