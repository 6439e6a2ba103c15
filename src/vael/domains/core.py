"""What a kind of data must say to be one: everything that is particular to it stands in one class."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol, runtime_checkable

from vael.data import Source
from vael.data.windowing import Windowing
from vael.domains.recommendation import Recommendation
from vael.report.record import View
from vael.tables.schema import Schema


@runtime_checkable
class Described(Protocol):
    """What a domain knows its data by: a source has it, and what run.json says of data."""

    @property
    def event(self) -> tuple[int, ...]:
        """Shape of one example."""

    @property
    def schema(self) -> Schema | None:
        """What the columns are, of a table that has it."""

    @property
    def windowing(self) -> Windowing | None:
        """How series were cut, of sequences."""


class Domain(View):
    """Abstract: one kind of data. Its names, words, baseline and figures are those of a `View`."""

    @abstractmethod
    def holds(self, data: Described) -> bool:
        """Whether such data are of this kind."""

    @abstractmethod
    def recommend(self, source: Source) -> Recommendation:
        """Likelihood, network and sizes that follow training data, and why.

        Errors: `SupportError` where the likelihood cannot take the data (`Head.check`).
        """
