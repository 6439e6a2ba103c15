"""Kinds of data: what is particular to images, tables and sequences, each in one place."""

from __future__ import annotations

from vael.data import Splits
from vael.domains.core import Described, Domain
from vael.domains.image import ImageDomain
from vael.domains.recommendation import Recommendation
from vael.domains.sequence import SequenceDomain
from vael.domains.table import TableDomain

DOMAINS: tuple[Domain, ...] = (SequenceDomain(), TableDomain(), ImageDomain())


def of(data: Described) -> Domain:
    """The kind of some data."""
    return next(domain for domain in DOMAINS if domain.holds(data))


def recommend(splits: Splits) -> Recommendation:
    """Likelihood, network and sizes that follow the training data; looks at the training split only.

    Errors: `SupportError` where the likelihood cannot take the data (`Head.check`).
    """
    return of(splits.train).recommend(splits.train)


__all__ = ["DOMAINS", "Described", "Domain", "Recommendation", "of", "recommend"]
