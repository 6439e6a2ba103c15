"""A stack of bits that symbols are pushed on and popped from: constriction's ANS coder over a bottom of known bits."""

from __future__ import annotations

import hashlib
from typing import Any

import constriction
import numpy as np

from vael.errors import FormatError

WORD = 32  # bits
LIBRARY: Any = constriction  # its inner modules are attributes, of which no type checker knows
MARK = b"vael bits-back"


def bottom(words: int) -> np.ndarray:
    """So many words of fixed, evenly spread bits that every coder knows (SHAKE-256)."""
    return np.frombuffer(hashlib.shake_256(MARK).digest(4 * words), "<u4").astype(np.uint32)


class Stack:
    """Asymmetric numeral systems (Duda 2009): last in, first out, so what was popped under a law is pushed back under
    it exactly.

    It starts on `words` known words; popping before anything was pushed takes from those. Only what differs from them
    is stored.
    """

    def __init__(self, words: int, stored: np.ndarray | None = None, kept: int | None = None) -> None:
        self.known = bottom(words)
        above = np.empty(0, np.uint32) if stored is None else stored
        start = np.concatenate([self.known[: words if kept is None else kept], above])
        self.coder = (
            LIBRARY.stream.stack.AnsCoder(start, seal=stored is None) if len(start) else LIBRARY.stream.stack.AnsCoder()
        )

    @property
    def bits(self) -> int:
        """How much lies on the stack."""
        return self.coder.num_valid_bits()

    def push(self, symbols: np.ndarray, model: object, *parameters: np.ndarray) -> None:
        """Push symbols so that the first is popped first."""
        self.coder.encode_reverse(
            np.ascontiguousarray(symbols, np.int32), model, *map(np.ascontiguousarray, parameters)
        )

    def pop(self, model: object, *parameters: np.ndarray) -> np.ndarray:
        """As many symbols as there are parameters."""
        return self.coder.decode(
            model, *map(np.ascontiguousarray, parameters)
        )  # of another layout constriction would read other numbers

    def stored(self) -> tuple[np.ndarray, int]:
        """The words that differ from the known ones, and how many of these lie untouched below."""
        words = self.coder.get_compressed()
        common = min(len(words), len(self.known))
        differs = np.flatnonzero(words[:common] != self.known[:common])
        kept = int(differs[0]) if len(differs) else common
        return words[kept:], kept

    def finished(self) -> None:
        """Errors: `FormatError` unless the stack holds the known words again, and nothing else."""
        fresh = type(self)(len(self.known))
        if not np.array_equal(self.coder.get_compressed(), fresh.coder.get_compressed()):
            raise FormatError(
                "the bits that the coder started from did not come back: these are not the bits or the model that they "
                "were coded with"
            )
