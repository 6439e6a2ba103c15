"""Signals that ask a process to end: taken over for a while, and put back as they were."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Control-C; `kill` and a machine that shuts down; a terminal that is gone, which not every system tells.
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def ending_asks(handler: Callable[[int, FrameType | None], Any]) -> Iterator[Callable[[int], object]]:
    """Inside, a signal that would end the process calls `handler`; gives what puts the former one back for a number.

    What whoever started the process has ignored stays so (`nohup`, a shell's `&` in a script), as does what was not set
    from Python; and outside the main thread nothing changes, as Python allows no handler there.
    """
    former: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        kept = (None, signal.SIG_IGN)
        former = {kind: found for kind in ENDING if (found := signal.getsignal(kind)) not in kept}
    for kind in former:
        signal.signal(kind, handler)
    try:
        yield lambda number: signal.signal(number, former[number])
    finally:
        for kind, found in former.items():
            signal.signal(kind, found)
