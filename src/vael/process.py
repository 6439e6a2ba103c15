"""What belongs to the whole process or thread of the caller: changed for a while, and put back as it was.

Several threads may be at it at once: what they share is changed by the first that needs it and put back by the last.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache

import torch

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
KEPT = {M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: 1 << 30, M_TOP_PAD: 64 << 20}  # bytes, while a model is trained
USUAL = {
    M_MMAP_THRESHOLD: 32 << 20,
    M_TRIM_THRESHOLD: 64 << 20,
    M_TOP_PAD: 128 << 10,
}  # where glibc's own adaptation ends
HARD = 2  # omp_pause_hard


class Shared:
    """Something of the whole process that the first of several users changes (`begin`) and the last one puts back
    (`end`).
    """

    def __init__(self, begin: Callable[[], None], end: Callable[[], None]) -> None:
        self.begin, self.end, self.users, self.lock = begin, end, 0, threading.Lock()

    @contextmanager
    def used(self) -> Iterator[None]:
        """A block in which it is changed."""
        with self.lock:
            if not self.users:
                self.begin()
            self.users += 1
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if not self.users:
                    self.end()


def flushes() -> bool:
    """Whether denormal numbers are taken for zero in this thread."""
    least = sys.float_info.min
    return least * 0.5 == 0.0


@contextmanager
def flushing() -> Iterator[None]:
    """Denormal numbers are zero in this thread, and in the threads that share its tensor operations, until the block
    ends.

    A quarter of Adam's first moments decay into denormals on data with rarely seen cells, which x86 adds nearly ten
    times slower. Threads take this over from the one that starts them and keep it, so those of OpenMP are ended before
    and after.
    """
    if flushes():
        yield
        return
    _end_workers()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        _end_workers()


def _end_workers() -> None:
    """End the threads that OpenMP keeps for this thread; it starts new ones when it needs some."""
    with suppress(OSError, AttributeError, TypeError):  # a runtime older than OpenMP 5 has no such function
        ctypes.CDLL(None).omp_pause_resource_all(HARD)


def _allocate(thresholds: dict[int, int]) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            for which, size in thresholds.items():
                libc.mallopt(which, size)
            libc.malloc_trim(0)


KEEPING = Shared(lambda: _allocate(KEPT), lambda: _allocate(USUAL))


@contextmanager
def tuned() -> Iterator[None]:
    """Set up for training: `flushing`, and freed memory is kept for the next step; afterwards it is given back to the
    system.

    glibc maps and unmaps every block over 128 KiB at first, so that each gradient pays for fresh pages.
    """
    with KEEPING.used(), flushing():
        yield


class _Threads:
    """How many threads share an operation: one number for the process, from which each thread takes its own when it
    first needs it.
    """

    def __init__(self) -> None:
        self.users, self.usual, self.lock = 0, 1, threading.Lock()

    @contextmanager
    def set_to(self, number: int) -> Iterator[None]:
        """A block with so many threads; the number from before is put back when the last of several blocks ends."""
        with self.lock:
            self.usual = self.usual if self.users else torch.get_num_threads()
            self.users += 1
            torch.set_num_threads(number)
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                torch.set_num_threads(self.usual)


THREADS = _Threads()


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Operations on tensors share `number` threads until the block ends; None leaves it as it is."""
    if number is None:
        yield
        return
    with THREADS.set_to(number):
        yield


class _Ignored:
    """One entry at the front of the warning filters, and where the same entry stood before."""

    def __init__(self, category: type[Warning], message: str) -> None:
        self.category, self.message, self.place = category, message, -1

    def begin(self) -> None:
        before = list(warnings.filters)
        warnings.filterwarnings("ignore", self.message, self.category)
        self.entry = warnings.filters[0]
        self.place = before.index(self.entry) if self.entry in before else -1

    def end(self) -> None:
        entries = warnings.filters
        if isinstance(entries, list) and self.entry in entries:  # else another has put other filters in their place
            entries.remove(self.entry)
            if self.place >= 0:
                entries.insert(self.place, self.entry)


@cache
def _ignored(category: type[Warning], message: str) -> Shared:
    entry = _Ignored(category, message)
    return Shared(entry.begin, entry.end)


def ignoring(category: type[Warning] = Warning, message: str = "") -> AbstractContextManager[None]:
    """A block in which warnings of a category whose text begins with `message` are not shown (`catch_warnings` is
    not for several threads).
    """
    return _ignored(category, message).used()


class _Level:
    """The level of a logger, raised."""

    def __init__(self, name: str, level: int) -> None:
        self.logger, self.level = logging.getLogger(name), level

    def begin(self) -> None:
        self.former = self.logger.level
        self.logger.setLevel(self.level)

    def end(self) -> None:
        self.logger.setLevel(self.former)


@cache
def _raised(name: str, least: int) -> Shared:
    level = _Level(name, least)
    return Shared(level.begin, level.end)


def errors_only(name: str) -> AbstractContextManager[None]:
    """A block in which the logger of that name reports errors only."""
    return _raised(name, logging.ERROR).used()


def unheard(name: str) -> AbstractContextManager[None]:
    """A block in which the logger of that name, and those below it, report nothing."""
    return _raised(name, logging.CRITICAL + 1).used()
