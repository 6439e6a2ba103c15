"""Options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vael.cli.options.places import RUN_FOLDER
from vael.options.declaring import GENERAL, argument, flag, given, option, repeated
from vael.options.values import natural, one_of


@dataclass(frozen=True, kw_only=True)
class CommandOptions:
    """Abstract: what every command takes."""

    usage: ClassVar[str] = ""  # where the usual line does not say it
    notes: ClassVar[str] = ""  # below the options
    json: bool = flag("print one JSON object and nothing else", title=GENERAL)


@dataclass(frozen=True, kw_only=True)
class RunOptions(CommandOptions):
    """Abstract: what a command takes that reads a run."""

    run: Path = argument("RUN", "run folder", Path, called=RUN_FOLDER)
    trust: tuple[str, ...] = repeated("MODULE", "a module whose parts may be imported; repeatable", title=GENERAL)


@dataclass(frozen=True, kw_only=True)
class BesideOptions(CommandOptions):
    """Abstract: what a command takes that looks at data whose conditions may stand in an array beside them."""

    condition_on: str | None = option(
        "FILE",
        "of a model that was conditioned on an .npy array: one with a row for each row of DATA, or of what is drawn",
        called="the conditions themselves",
        title="conditional models",
    )

    @property
    def has_rows(self) -> bool:
        """Whether there is something that the array can be beside."""
        return any(one.name == "data" for one, _ in given(self))


@dataclass(frozen=True, kw_only=True)
class ResultOptions(RunOptions):
    """Abstract: what a command takes that writes a file made with a run; each says which."""

    output: Path | None = option("FILE", "the result", Path, "-o", written=True)


def result(about: str, files: Callable[[Any], list[Path]] | None = None, **how: Any) -> Any:
    """`-o FILE`."""
    return option("FILE", about, Path, "-o", written=True, files=files, main=True, **how)


def in_run(*names: str) -> Callable[[ResultOptions], list[Path]]:
    """The file given, or these in the folder of the run."""
    return lambda options: [options.run / name for name in names] if options.output is None else [options.output]


def own_data() -> Any:
    """DATA, or what the run set aside."""
    return argument(
        "DATA", "a name or a path; default the run's own test split", default=None, called="the data themselves"
    )


def seed(of: str, **how: Any) -> Any:
    """`--seed N`."""
    return option("N", f"seed of {of}", natural, default=0, **how)


def on_error() -> Any:
    """`--on-error stop|skip`."""
    return option("stop|skip", "what to do with a row that cannot be read; default stop", one_of("stop", "skip"))
