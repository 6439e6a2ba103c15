"""Tiles of pictures, of which those at an edge are partly outside: what is outside is not coded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Bool

from vael.compression.laws import CodingLaw, Parts, Question, Questions, Tables, asked_of
from vael.compression.level import Level, Symbols
from vael.compression.reading import PixelsInTurn
from vael.compression.safe import SafeLevel
from vael.data.pictures.patching import Patching
from vael.data.pictures.tiles import visible
from vael.errors import FormatError

OUTSIDE = -1  # what stands for a cell outside of its picture


class Known(CodingLaw):
    """What is known already: no question is asked."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols

    def questions(self) -> Questions:
        open_questions: list[Question] = []
        while open_questions:
            yield open_questions.pop()
        return self.symbols

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        return iter(())


class Visible(CodingLaw):
    """A law of independent cells, or of pixels whose channels follow each other, asked for those that are `seen`; the
    others are 0.
    """

    def __init__(self, law: CodingLaw, seen: Bool[np.ndarray, "examples pixels"], channels: int) -> None:
        self.law, self.seen, self.channels = law, seen, channels

    def _asked(self, rows: int) -> np.ndarray:
        """Which of the symbols of a question are asked for: one for each pixel, or for each cell."""
        return (self.seen if rows == self.seen.size else np.tile(self.seen, (1, self.channels))).ravel()

    def questions(self) -> Questions:
        return (yield from asked_of(self.law, self._asked))

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        for answer in self.law.answers(np.where(symbols == OUTSIDE, 0, symbols)):
            mask = self._asked(len(answer))
            if mask.any():
                yield answer[mask]


class TiledLevel(Level):
    """A level for whole examples, used for tiles: cells outside of a picture are -1, and take no bits.

    Which part of a tile is visible is its kind, a number beside its latents: taken from the tile without bits, and
    put on the stack under the share of tiles of that kind.

    Errors: `FormatError` for no kinds.
    """

    name: ClassVar[str] = SafeLevel.name

    def __init__(self, inner: SafeLevel, sizes: Sequence[tuple[int, int]]) -> None:
        if not sizes:
            raise FormatError("there are no tiles to be coded; give a folder of pictures")
        self.inner, self.batch, self.cells, self.levels = inner, inner.batch, inner.cells, inner.levels
        self.kinds = sorted(set(sizes))
        shares = np.array([sizes.count(kind) for kind in self.kinds], np.float64)
        self.shares = np.round(shares / shares.sum() * 2**20 + 1)
        _, height, width = inner.event
        self.masks = visible(self.kinds, Patching(height=height, width=width)).reshape(len(self.kinds), -1)
        self.latents = (1 + sum(inner.latents),)

    @property
    def settings(self) -> Mapping[str, int]:
        return self.inner.settings

    @property
    def build(self) -> Mapping[str, str]:
        return self.inner.build

    def posterior(self, level: int, below: Symbols) -> CodingLaw:
        return self._beside(Known(self._kind(below)[:, None]), self.inner.posterior(level, self._filled(below)))

    def prior(self, examples: int) -> CodingLaw:
        shares = np.broadcast_to(self.shares, (examples, 1, len(self.shares)))
        return self._beside(Tables(shares), self.inner.prior(examples))

    def likelihood(self, level: int, above: Symbols) -> CodingLaw:
        seen, law = self.masks[above[:, 0]], self.inner.likelihood(level, above[:, 1:])
        inside = law.within(seen) if isinstance(law, PixelsInTurn) else Visible(law, seen, self.inner.event[0])
        return Marked(inside, seen, self.inner.event[0])

    def ideal(self, x: Symbols, latents: tuple[Symbols, ...]) -> np.ndarray:
        seen = self.masks[self._kind(x)].reshape(len(x), *self.inner.event[1:])
        kinds = np.log(self.shares / self.shares.sum())[self._kind(x)]
        return self.inner.ideal_of(self._filled(x), (latents[0][:, 1:],), seen) - kinds

    def _beside(self, kind: CodingLaw, latents: CodingLaw) -> CodingLaw:
        """The kind of a tile, then its latents."""
        return Parts(lambda before: (kind, latents)[len(before)], [1, sum(self.inner.latents)])

    def _kind(self, x: Symbols) -> np.ndarray:
        inside = (x != OUTSIDE)[:, : self.masks.shape[1]]
        return (inside[:, None] == self.masks).all(-1).argmax(1).astype(np.int32)

    def _filled(self, x: Symbols) -> Symbols:
        """What is outside repeats what is visible, as `vael.data.pictures.tiles.tiled` has it."""
        channels, height, width = self.inner.event
        cells = x.reshape(len(x), channels, height, width).copy()
        for tile, kind in zip(cells, self._kind(x), strict=True):
            down, across = self.kinds[kind]
            tile[:, :, across:] = tile[:, :, across - 1 : across]
            tile[:, down:] = tile[:, down - 1 : down]
        return cells.reshape(len(x), -1)


class Marked(CodingLaw):
    """Cells of which those that are not `seen` come out as -1."""

    def __init__(self, law: CodingLaw, seen: Bool[np.ndarray, "examples pixels"], channels: int) -> None:
        self.law, self.outside = law, ~np.tile(seen, (1, channels))

    def questions(self) -> Questions:
        found = yield from self.law.questions()
        return np.where(self.outside, OUTSIDE, found).astype(np.int32)

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        return self.law.answers(symbols)
