"""Parquet files, of which nothing is believed: damaged ones are refused, and every cell is validated before it is
used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from vael.claims import parsing, refuse_claim
from vael.stored import check_file
from vael.tables.as_text.naming import check_names
from vael.tables.inference import is_text


def parquet_file(path: Path) -> pa.parquet.ParquetFile:
    """A Parquet file that is whole. Errors: `FormatError` for another or none, `ShapeError` for a name twice."""
    check_file(path)
    with parsing(path, "is no whole Parquet file"):
        file = pa.parquet.ParquetFile(path, buffer_size=1 << 16)
    check_names(path, file.schema_arrow.names)
    return file


def whole_parquet(path: Path) -> pa.Table:
    """All rows of a Parquet file, every cell validated.

    Errors: `FormatError` for a damaged file, and for more rows than there is memory for.
    """
    file = parquet_file(path)
    refuse_claim(int(file.metadata.num_rows * sum(map(least_bytes, file.schema_arrow.types))), path, "its rows")
    with parsing(path, "is no whole Parquet file"):
        table = file.read()
        table.validate(full=True)
    return table


def least_bytes(kind: pa.DataType) -> float:
    """Bytes that a cell of a column takes at least."""
    try:
        return kind.bit_width / 8
    except ValueError:
        return 4.0 if is_text(kind) or pa.types.is_binary(kind) else 1 / 8


def validated(batches: Iterator[pa.RecordBatch], path: Path) -> Iterator[pa.RecordBatch]:
    """Batches of a file, every cell of them looked at before it is used. Errors: `FormatError` for a damaged file."""
    while True:
        with parsing(path, "is no whole Parquet file"):
            batch = next(batches, None)
            if batch is not None:
                batch.validate(full=True)
        if batch is None:
            return
        yield batch
