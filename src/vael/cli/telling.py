"""Lines for a person: wrapped at words to the width of the terminal, and none where none were asked for."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Protocol, runtime_checkable

from vael.counting import counted
from vael.visible import visible_lines

LEAST = 20  # columns that a line has at least
LOOKS = 0.2  # seconds between two looks at how far something is, on a terminal
UNREAD = (errno.EPIPE, errno.EIO)  # what writing gives when the reader of a pipe left, or the terminal is gone
_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
# what stands before the text of a line: all of its columns, the first of them, a name, a bullet
_HANGING = (re.compile(r" *[^ ].* {2,}"), re.compile(r" *[^ ]+(?: [^ ]+)* {2,}"), re.compile(r" *(?:- |[^ ]+: )?"))


@runtime_checkable
class OutputStream(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> object:
        """Take a text."""

    def flush(self) -> object:
        """Let it be seen."""

    def isatty(self) -> bool:
        """Whether a person reads along."""


@contextmanager
def quietly(wanted: bool) -> Iterator[None]:
    """Inside, `tell` says nothing if that is wanted; errors, warnings and what a command was asked for are said all
    the same.
    """
    token = _QUIET.set(wanted)
    try:
        yield
    finally:
        _QUIET.reset(token)


@contextmanager
def speakable() -> Iterator[None]:
    """Inside, whatever is said can be: a stream that the caller closed takes everything and shows nothing, and a letter
    that the encoding of a stream has not is written as its number.
    """
    with _speakable("stdout"), _speakable("stderr"):
        yield


@contextmanager
def _speakable(name: str) -> Iterator[None]:
    stream = getattr(sys, name)
    if stream is None:
        with open(os.devnull, "w") as nowhere:
            setattr(sys, name, nowhere)
            try:
                yield
            finally:
                setattr(sys, name, None)
    elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")
        try:
            yield
        finally:
            with suppress(OSError, ValueError):  # whoever read it is gone, or it was closed
                stream.reconfigure(errors="strict")
    else:
        yield


class Unheard:
    """A stream that goes on when nobody reads it any more: a pipe whose reader left, a terminal that is gone."""

    def __init__(self, stream: OutputStream) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)

    def write(self, text: str, /) -> object:
        """Take a text, heard or not."""
        return self._tried(lambda: self.stream.write(text))

    def flush(self) -> object:
        """Let it be seen where there is somebody."""
        return self._tried(self.stream.flush)

    def isatty(self) -> bool:
        """Whether a person reads along."""
        return self.stream.isatty()

    def _tried(self, act: Callable[[], object]) -> object:
        try:
            return act()
        except OSError as error:
            if error.errno not in UNREAD:
                raise
            # What stays in the buffer would fail once more when the process ends.
            number = getattr(self.stream, "fileno", None)
            with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), number() if number is not None else -1)
            return None


@contextmanager
def outlasting_readers(wanted: bool) -> Iterator[None]:
    """Inside, if that is wanted, what nobody reads is lost and nothing else is: what is made is worth more than lines
    about it.
    """
    former = sys.stdout, sys.stderr
    if wanted:
        sys.stdout, sys.stderr = Unheard(sys.stdout), Unheard(sys.stderr)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = former


def is_quiet() -> bool:
    """Whether only errors, warnings and answers are to be said."""
    return _QUIET.get()


def tell(text: str = "", file: OutputStream | None = None) -> None:
    """Say what was done."""
    if not is_quiet():
        answer(text, file)


def answer(text: str = "", file: OutputStream | None = None) -> None:
    """Say what was asked for, or what is wrong."""
    stream = file or sys.stdout
    # a file or a pipe has no width: its lines stay whole for the program that reads them
    width = max(LEAST, shutil.get_terminal_size().columns) if stream.isatty() else None
    whole = visible_lines(text).split("\n")
    lines = whole if width is None else [part for line in whole for part in wrapped(line, width)]
    print("\n".join(lines), file=stream, flush=True)


def said(as_json: bool, record: Mapping[str, object], *lines: str, say: Callable[[str], None] = tell) -> int:
    """Say what was done, as one JSON object or in lines for a person (by `answer`, where it is what was asked for);
    gives the exit status of a command.
    """
    if as_json:
        print(json.dumps(record))
    for line in () if as_json else lines:
        say(line)
    return 0


def wrapped(line: str, width: int) -> list[str]:
    """A line in pieces that fit, cut between words alone; what follows stands below the text, not below its name or
    bullet.
    """
    if len(line) <= width:
        return [line]
    found = (pattern.match(line) for pattern in _HANGING)
    indent = next((len(one.group()) for one in found if one is not None and one.end() <= width // 2), 2)
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )


def page_width() -> int:
    """How many characters a line of help has."""
    return min(shutil.get_terminal_size().columns, 110) - 2


def paragraph(text: str, before: str = "") -> str:
    """A text in lines of that many, all but the first of them as far from the edge as what stands `before` it."""
    after = " " * len(before)
    return textwrap.fill(text, page_width(), initial_indent=before, subsequent_indent=after, break_on_hyphens=False)


class CountingLine:
    """How many examples are done, on standard error: a line that takes itself away on a terminal; elsewhere one every
    so many seconds, or none.
    """

    def __init__(
        self, what: str, seconds: float = math.inf, *, nouns: tuple[str, str] = ("example", "examples")
    ) -> None:
        self.what, self.live, self.last, self.nouns = what, sys.stderr.isatty(), time.monotonic(), nouns
        self.seconds = LOOKS if self.live else seconds

    def __enter__(self) -> CountingLine:
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def tell(self, done: int, examples: int) -> None:
        """Say so, if it was not said just now."""
        now = time.monotonic()
        if is_quiet() or now - self.last < self.seconds:
            return
        self.last, line = now, f"{self.what}: {done:,} of {counted(examples, *self.nouns)}"
        print(f"\r{line}\033[K" if self.live else line, end="" if self.live else "\n", file=sys.stderr, flush=True)
