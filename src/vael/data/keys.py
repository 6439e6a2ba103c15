"""What names an example in the data that it is from: its row there, its file, its identifiers, its label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

ROW, FILE, LABEL = "row", "file", "label"


@dataclass(frozen=True)
class Keys:
    """The rows of some examples in their data, counted from 1, and what stands beside the modelled columns there."""

    rows: Int64[np.ndarray, " examples"]
    columns: Mapping[str, pa.Array] = field(
        default_factory=dict
    )  # file names, or the columns of a table that are no part of the model

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Int64[np.ndarray, " chosen"]) -> Keys:
        """Those of the examples at `index`."""
        places = pa.array(index)
        return Keys(self.rows[index], {name: column.take(places) for name, column in self.columns.items()})


def counted_keys(examples: int) -> Keys:
    """Of examples that have nothing but their order."""
    return Keys(np.arange(1, examples + 1))


def file_keys(names: Sequence[str]) -> Keys:
    """Of images, by their files."""
    return Keys(np.arange(1, len(names) + 1), {FILE: pa.array(names, pa.string())})


def table_keys(original: pa.Table, rows: Int64[np.ndarray, " rows"], modelled: Sequence[str]) -> Keys:
    """Of the rows of a table: the columns that are no part of the model, as they came, empty ones left out."""
    beside = [
        name
        for name in original.column_names
        if name not in modelled and original.column(name).null_count < original.num_rows
    ]
    return Keys(rows, {name: _whole(original.column(name)) for name in beside})


def _whole(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


def joined_keys(parts: Sequence[Keys | None]) -> Keys | None:
    """Those of several parts one after another, where all have the same columns; rows go on where the part before
    ended.
    """
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not known:
        return None
    names = known[0].columns.keys()
    if any(part.columns.keys() != names for part in known):
        return None
    return Keys(
        np.concatenate([part.rows for part in known]),
        {name: pa.concat_arrays([part.columns[name] for part in known]) for name in names},
    )


def with_keys(keys: Keys, label: Sequence[str] | None, results: Mapping[str, pa.Array]) -> pa.Table:
    """A table of results: the row, what names it, its label, then `results`; a name that two have gets " (data)"
    where it is the data's.
    """
    beside = dict(keys.columns) | ({LABEL: pa.array(label, pa.string())} if label is not None else {})
    taken, found = {ROW, *results}, {ROW: pa.array(keys.rows, pa.int64())}
    for name, column in beside.items():
        own = name
        while own in taken:
            own += " (data)"
        taken.add(own)
        found[own] = column
    return pa.table(found | dict(results))
