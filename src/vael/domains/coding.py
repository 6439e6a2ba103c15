"""How a kind of data is coded without loss: what of it is coded, with which level, and how it is given back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vael.compression import Contents, Decompressed, Header, Level
from vael.compression.container import Layout
from vael.data import Source
from vael.domains.described import DataSpec
from vael.models import Model
from vael.models.families import ModelPart
from vael.tables.reading import Frame

SetAside = Callable[[], tuple[str, Source]]  # the split that a run set aside, and its name


@dataclass(frozen=True)
class Coding(ABC):
    """Abstract: the data of a run as symbols that its model codes, and back."""

    known: DataSpec
    whole_numbers: ClassVar[bool] = False  # whether a model in whole numbers (the level portable) can code them

    @abstractmethod
    def refuse_densities(self, part: ModelPart) -> None:
        """Errors: `SupportError` for a model that gives densities, with which nothing is coded."""

    @property
    def told(self) -> str:
        """What a fingerprint says of the data beside their shape."""
        return ""

    @abstractmethod
    def symbols(self, model: Model) -> int:
        """How many values an element can have."""

    @abstractmethod
    def contents(self, model: Model, data: Path | str | Frame | None, aside: SetAside) -> Contents:
        """What is to be compressed, in the units of the model; None: the split that was set aside.

        Errors: `ShapeError`, `SupportError`, `FormatError` for what it cannot take.
        """

    @abstractmethod
    def level(self, name: str, model: Model, layout: Layout, settings: Mapping[str, int] | None = None) -> Level:
        """A level by its name, set as a file says or as it usually is.

        Errors: `SupportError` for a model of real numbers, `FormatError` for a name or settings that are not known.
        """

    @abstractmethod
    def holds(self, header: Header) -> bool:
        """Whether a file says that it holds such data."""

    @abstractmethod
    def endings(self, layout: Layout) -> tuple[str, ...]:
        """How the file may end that is given back; nothing for a folder."""

    @abstractmethod
    def give_back(self, done: Decompressed, file: Path, target: Path) -> Decompressed:
        """Write what a file held, whole or not at all, and say how.

        Errors: `StateError` for a folder that holds something.
        """
