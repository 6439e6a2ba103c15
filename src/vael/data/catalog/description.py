"""What there is to say of a data set: for `vael data`, run records and reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vael.data.catalog.finding import located
from vael.data.catalog.named import NAMED
from vael.data.source import Kind, Splits


@dataclass(frozen=True)
class Entry:
    """A data set with a name, and where it lies on this machine; None where it does not (the install has `digits`)."""

    name: str
    summary: str
    citation: str
    found: Path | None
    downloadable: bool


@dataclass(frozen=True)
class Description:
    """A loaded data set in words and numbers."""

    name: str
    event: tuple[int, ...]
    kind: Kind
    levels: int | None
    examples: tuple[tuple[str, int], ...]  # of each split that there is
    fingerprints: tuple[tuple[str, str], ...]
    transform: str
    label_names: tuple[str, ...]
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    origin: str
    citation: str


def catalogue() -> tuple[Entry, ...]:
    """All data sets that have a name."""
    return tuple(
        Entry(
            item.name,
            item.summary,
            item.citation,
            located(item),
            all(file.url for file in item.files) and bool(item.files),
        )
        for item in NAMED.values()
    )


def describe(splits: Splits) -> Description:
    """The facts of a loaded data set."""
    train = splits.train
    parts = [
        (name, part)
        for name, part in (("train", train), ("validation", splits.validation), ("test", splits.test))
        if part is not None
    ]
    return Description(
        train.name,
        train.event,
        train.kind,
        train.levels,
        tuple((name, len(part)) for name, part in parts),
        tuple((name, part.fingerprint) for name, part in parts),
        type(train.transform).__name__,
        train.label_names,
        train.columns,
        train.notes,
        splits.origin,
        splits.citation,
    )
