"""The rows of data that a trained model is used on, in their order, a block at a time where the file allows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vael.data import Kind, Source
from vael.data.blocks import Like, array_blocks
from vael.specs.request import examples_of
from vael.specs.spec import DataSpec, RunSpec


def rows_of(spec: RunSpec, data: str) -> Iterator[Source]:
    """All examples of a file as sources of consecutive rows; of data with a test split of their own, that one.

    Errors: `ShapeError`, `SupportError` or `FormatError` for data that the model of the run cannot take.
    """
    path = Path(data)
    plain = spec.data.binarize is None and not spec.data.dequantize
    if not (plain and path.is_file() and path.suffix.lower() == ".npy"):
        yield examples_of(spec, data)
        return
    like, first = like_of(spec.data, path.name), 0
    for block in array_blocks(path):
        yield like.source(block, first)
        first += len(block)


def like_of(data: DataSpec, name: str) -> Like:
    """What data must be to be taken by the model of a run."""
    return Like(name, data.event, Kind(data.kind), data.levels, data.columns)
