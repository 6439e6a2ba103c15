"""Kinds of data: what is particular to images, tables and sequences, each in one place."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from vael.data import Splits
from vael.domains.core import OWN, Described, Domain
from vael.domains.described import DataSpec, Reading
from vael.domains.image import ImageDomain
from vael.domains.reading import Piece
from vael.domains.recommendation import Recommendation
from vael.domains.sequence import SequenceDomain
from vael.domains.table import TableDomain
from vael.errors import StateError
from vael.parts import trusted

DOMAINS: tuple[Domain, ...] = (SequenceDomain(), TableDomain(), ImageDomain())


def known() -> Iterator[Domain]:
    """All kinds of data: a person's own first, in the modules that are trusted or imported already.

    Errors: `StateError` for a trusted module that cannot be imported.
    """
    for module in trusted():
        try:
            importlib.import_module(module)
        except Exception as error:
            raise StateError(
                f"the module {module!r}, which is trusted, cannot be imported: {error}; mend it, or put its folder on "
                "PYTHONPATH (--trust)"
            ) from error
    yield from (kind() for kind in OWN.values())
    yield from DOMAINS


def of(data: Described) -> Domain:
    """The kind of some data. Errors: `StateError` for one that is not of this package, nor of a trusted module."""
    found = next((domain for domain in known() if domain.holds(data)), None)
    if found is None:
        module = data.domain.partition(":")[0]
        raise StateError(
            f"the data are of the kind {data.domain!r}, which is not of this package: its module {module!r} would be "
            f"imported and run; if you know its code and trust it, say so (--trust {module})"
        )
    return found


def reading(how: Reading) -> Domain:
    """The kind of data that are to be read so."""
    return next(domain for domain in known() if domain.reads(how))


def recommend(splits: Splits) -> Recommendation:
    """Likelihood, network and sizes that follow the training data; looks at the training split only.

    Errors: `SupportError` where the likelihood cannot take the data (`Head.check`).
    """
    return of(splits.train).recommend(splits.train)


__all__ = [
    "DOMAINS",
    "DataSpec",
    "Described",
    "Domain",
    "Piece",
    "Reading",
    "Recommendation",
    "of",
    "reading",
    "recommend",
]
