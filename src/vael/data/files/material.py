"""What a reader of files hands over, before cells are looked at and splits are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vael.data.keys import Keys
from vael.tables.schema import Schema


@dataclass(frozen=True)
class MaterialPart:
    """Examples as they were stored, `[examples, *event]` (perhaps memory-mapped), and a whole number each as label
    if there are any.
    """

    x: np.ndarray
    label: np.ndarray | None = None
    rows: np.ndarray | None = None  # which rows of a memory-mapped `x` these are; None is all, in order
    keys: Keys | None = None  # what names the examples; None where it is their order alone

    def __len__(self) -> int:
        return len(self.x if self.rows is None else self.rows)


@dataclass(frozen=True)
class Material:
    """All parts of a data set that the files hold; where only `train` is given, the others are set aside from it."""

    name: str
    train: MaterialPart
    validation: MaterialPart | None = None
    test: MaterialPart | None = None
    label_names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    origin: str = ""
    citation: str = ""
    schema: Schema | None = None  # of a table whose columns are of several kinds
    rules: Schema | None = (
        None  # of a table of plain numbers: the types and decimals of its columns, which no model needs
    )
    channels_first: bool = False  # whether four axes are known to be examples, channels, height and width

    def changed(self, change: Callable[[MaterialPart, int], MaterialPart]) -> Material:
        """The same with every part that exists put through `change(part, number)`: 0 for training, 1 for
        validation, 2 for test.
        """
        validation = None if self.validation is None else change(self.validation, 1)
        test = None if self.test is None else change(self.test, 2)
        return replace(self, train=change(self.train, 0), validation=validation, test=test)

    @property
    def parts(self) -> tuple[MaterialPart, ...]:
        """Those that exist."""
        return tuple(part for part in (self.train, self.validation, self.test) if part is not None)
