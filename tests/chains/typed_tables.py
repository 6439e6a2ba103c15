"""Tables of typed columns as programs write them to Parquet, drawn by Hypothesis as a few choices and one seed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

Draws = np.random.Generator
START = datetime(2019, 3, 1, 7)


def whole(low: int, high: int, kind: pa.DataType) -> Callable[[Draws, int], list[object]]:
    return lambda draw, rows: [int(v) for v in draw.integers(low, high, rows)]


def moments(draw: Draws, rows: int) -> list[object]:
    return [START + timedelta(days=int(day), seconds=int(second)) for day, second in draw.integers(0, 4000, (rows, 2))]


def chosen(*values: object) -> Callable[[Draws, int], list[object]]:
    return lambda draw, rows: [values[place] for place in draw.integers(0, len(values), rows)]


def normal(draw: Draws, rows: int) -> list[object]:
    return [float(v) for v in draw.normal(3, 2, rows)]


WORDS = chosen("red", "green", "NA", "")
TYPES: dict[str, tuple[pa.DataType, Callable[[Draws, int], list[object]]]] = {
    **{
        str(kind): (kind, whole(0, 100, kind))
        for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32())
    },
    "uint64": (pa.uint64(), whole(0, 2**63, pa.uint64())),
    "large int64": (pa.int64(), whole(-(2**62), 2**62, pa.int64())),
    "float16": (pa.float16(), lambda draw, rows: [np.float16(v) for v in draw.normal(0, 1, rows)]),
    "float32": (pa.float32(), normal),
    "float64": (pa.float64(), normal),
    "float64 with NaN": (
        pa.float64(),
        lambda draw, rows: [float(v) if draw.random() < 0.8 else float("nan") for v in draw.normal(0, 1, rows)],
    ),
    "float64 with infinity": (
        pa.float64(),
        lambda draw, rows: [float(v) if draw.random() < 0.95 else float("inf") for v in draw.normal(0, 1, rows)],
    ),
    "decimal": (
        pa.decimal128(12, 2),
        lambda draw, rows: [Decimal(int(v)) / 100 for v in draw.integers(-(10**6), 10**6, rows)],
    ),
    "wide decimal": (
        pa.decimal256(50, 10),
        lambda draw, rows: [Decimal(int(v)) for v in draw.integers(0, 10**6, rows)],
    ),
    "bool": (pa.bool_(), chosen(True, False)),
    "string": (pa.string(), WORDS),
    "large_string": (pa.large_string(), WORDS),
    "string_view": (pa.string_view(), WORDS),
    "numbers as string": (pa.string(), lambda draw, rows: [f"{v:.2f}" for v in draw.normal(3, 2, rows)]),
    "days as string": (pa.string(), lambda draw, rows: [f"{v:%d.%m.%Y}" for v in moments(draw, rows)]),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), WORDS),
    "date32": (pa.date32(), lambda draw, rows: [v.date() for v in moments(draw, rows)]),
    "date64": (pa.date64(), lambda draw, rows: [v.date() for v in moments(draw, rows)]),
    **{f"timestamp {unit}": (pa.timestamp(unit), moments) for unit in ("s", "ms", "us", "ns")},
    "timestamp zone": (pa.timestamp("us", "Europe/Zurich"), moments),
    "timestamp offset": (pa.timestamp("ns", "+05:30"), moments),
    "stand-in days": (
        pa.date32(),
        lambda draw, rows: [date(9999, 12, 31) if draw.random() < 0.2 else v.date() for v in moments(draw, rows)],
    ),
    "time32": (pa.time32("s"), lambda draw, rows: [time(int(h), int(m)) for h, m in draw.integers(0, 24, (rows, 2))]),
    "time64": (
        pa.time64("us"),
        lambda draw, rows: [time(int(h), int(m), int(m), 5) for h, m in draw.integers(0, 24, (rows, 2))],
    ),
    "duration": (
        pa.duration("s"),
        lambda draw, rows: [timedelta(seconds=int(v)) for v in draw.integers(0, 10**6, rows)],
    ),
    "null": (pa.null(), chosen(None)),
    "binary": (pa.binary(), chosen(b"a", b"\xff")),
    "list": (pa.list_(pa.int64()), chosen([1], [1, 2], [])),
    "struct": (pa.struct([("x", pa.int64())]), chosen({"x": 1}, {"x": 2})),
    "identifiers": (pa.int64(), lambda draw, rows: [int(v) for v in draw.permutation(rows)]),
    "constant": (pa.float64(), chosen(4.5)),
}
NAMES = ("a", "b", "c", "größe", "$x$", "score", "__index_level_0__", "row", "x.y", "a b")


@dataclass(frozen=True)
class Typed:
    """What one column is."""

    name: str
    kind: str
    share: float = 0.0  # of nulls


@dataclass(frozen=True)
class TypedTable:
    """A table that is written as Parquet."""

    columns: tuple[Typed, ...]
    rows: int
    seed: int
    group: int = 1000  # rows of a row group

    def arrow(self) -> pa.Table:
        draw, found = np.random.default_rng(self.seed), {}
        for asked in self.columns:
            kind, cells = TYPES[asked.kind]
            gone = draw.random(self.rows) < asked.share
            cells = [None if lost else cell for cell, lost in zip(cells(draw, self.rows), gone, strict=True)]
            plain = (
                pa.array(cells, kind.value_type).cast(kind) if pa.types.is_dictionary(kind) else pa.array(cells, kind)
            )
            found[asked.name] = plain
        return pa.table(found)

    def write(self, folder: Path) -> Path:
        pq.write_table(self.arrow(), folder / "table.parquet", row_group_size=self.group)
        return folder / "table.parquet"


columns = st.builds(Typed, st.sampled_from(NAMES), st.sampled_from(sorted(TYPES)), st.sampled_from((0.0, 0.05, 0.3)))
typed_tables = st.builds(
    TypedTable,
    st.lists(columns, min_size=1, max_size=5, unique_by=lambda one: one.name).map(tuple),
    st.one_of(st.sampled_from((1, 3, 12, 60, 80)), st.integers(20, 90)),
    st.integers(0, 10**6),
    st.sampled_from((7, 1000)),
)
