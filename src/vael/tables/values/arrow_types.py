"""The Arrow types that columns came in: named in a schema, and numbers, moments and levels given back in them."""

from __future__ import annotations

import re
from decimal import Decimal, localcontext

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64

from vael.tables import columnwise as pc

DAY = 86_400  # seconds
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of a second
FIRST_DAY, LAST_DAY = -719_162, 2_932_896  # of the calendar: 0001-01-01 and 9999-12-31, days since 1970-01-01
NAMED = re.compile(
    r"timestamp\[(s|ms|us|ns), tz=(.+)\]|(decimal\d+)\((\d+), (-?\d+)\)|dictionary<values=(.+), indices=(\w+), "
    r"ordered=([01])>"
)


def type_named(name: str) -> pa.DataType | None:
    """The type that `str` of it gives as `name`; None for nothing, and for what no column of a table has."""
    found = NAMED.fullmatch(name)
    if found is None:
        try:
            return pa.type_for_alias(name) if name else None
        except ValueError:
            return None
    unit, zone, decimal, digits, scale, values, indices, ordered = found.groups()
    if unit:
        return pa.timestamp(unit, tz=zone)
    if decimal:
        return getattr(pa, decimal)(int(digits), int(scale)) if hasattr(pa, decimal) else None
    inner, index = type_named(values), type_named(indices)
    return None if inner is None or index is None else pa.dictionary(index, inner, ordered=ordered == "1")


def is_text(kind: pa.DataType) -> bool:
    """Whether cells are text, whole or as levels."""
    return "string" in str(kind)


def is_moment(kind: pa.DataType) -> bool:
    """Whether cells are dates, moments or times of day."""
    return pa.types.is_temporal(kind) and not pa.types.is_duration(kind) and not pa.types.is_interval(kind)


def is_number(kind: pa.DataType) -> bool:
    """Whether cells are numbers, durations among them: they are counted in their unit."""
    types = pa.types
    return types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_duration(kind)


def numbers_of(column: pa.ChunkedArray) -> Float64[np.ndarray, " rows"]:
    """Cells as float64, NaN where null. Errors: `pyarrow.ArrowException` for what is no number."""
    plain = pc.cast(column, pa.int64()) if pa.types.is_duration(column.type) else column
    return np.array(pc.cast(plain, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def days_of(column: pa.ChunkedArray) -> Float64[np.ndarray, " rows"]:
    """Days since 1970-01-01 of typed dates, moments (in UTC) and times of day, NaN where null; no unit overflows on the
    way.

    Errors: `pyarrow.ArrowException` for other types.
    """
    kind = column.type
    if not is_moment(kind):
        raise pa.ArrowInvalid(f"cells of type {kind} are neither dates nor moments")
    whole = pc.cast(column, pa.int32()) if pa.types.is_date32(kind) or pa.types.is_time32(kind) else column
    ticks = np.asarray(pc.fill_null(pc.cast(whole, pa.int64()), 0).to_numpy())
    rate = ticks_of(kind)
    days = np.floor_divide(ticks, rate) + np.remainder(ticks, rate) / rate
    return np.where(np.asarray(pc.is_null(column).to_numpy()), np.nan, days)


def ticks_of(kind: pa.DataType) -> int:
    """Units of a type in a day."""
    if pa.types.is_date32(kind):
        return 1
    return DAY * (1000 if pa.types.is_date64(kind) else UNITS[kind.unit])


def nanoseconds(days: Float64[np.ndarray, " rows"], step: float) -> tuple[np.ndarray, np.ndarray]:
    """Whole days, and nanoseconds of the day to the nearest multiple of `step` seconds, kept apart so that no digit
    is lost; within the calendar.
    """
    day = np.floor(days)
    size = max(1, round(step * 1e9))
    parts = np.round((days - day) * (DAY * 1e9 / size)).astype(np.int64) * size
    day, parts = day.astype(np.int64) + parts // (DAY * 10**9), parts % (DAY * 10**9)
    last = DAY * 10**9 - min(size, DAY * 10**9)
    parts = np.where(day > LAST_DAY, last if size > 1000 else DAY * 10**9 - 1000, np.where(day < FIRST_DAY, 0, parts))
    return np.clip(day, FIRST_DAY, LAST_DAY), parts


def moments_in(
    kind: pa.DataType, days: Float64[np.ndarray, " rows"], gone: Bool[np.ndarray, " rows"], step: float
) -> pa.Array:
    """Days since 1970-01-01 as dates, moments or times of day of a type, to the nearest multiple of `step` seconds;
    null where `gone`.
    """
    day, parts = nanoseconds(np.where(gone, 0.0, days), step)
    rate = ticks_of(kind)
    if pa.types.is_date(kind):
        return _as(day * rate, kind, gone, pa.int32() if rate == 1 else pa.int64())
    within = parts // (DAY * 10**9 // rate)
    if pa.types.is_time(kind):
        return _as(within, kind, gone, pa.int32() if pa.types.is_time32(kind) else pa.int64())
    widest = 2**63 // rate - 1  # days that 64 bits of nanoseconds hold
    return _as(np.clip(day, -widest, widest) * rate + within, kind, gone, pa.int64())


def _as(ticks: np.ndarray, kind: pa.DataType, gone: np.ndarray, plain: pa.DataType) -> pa.Array:
    return pa.array(ticks.astype(np.int64), pa.int64(), mask=gone).cast(plain).cast(kind)


def numbers_in(
    kind: pa.DataType,
    values: Float64[np.ndarray, " rows"],
    gone: Bool[np.ndarray, " rows"],
    below: Float64[np.ndarray, " rows"] | None = None,
) -> pa.Array:
    """Numbers in a type of numbers, kept within what it can hold; null where `gone`. `below` is added to numbers that
    have more digits than float64: of whole ones and of decimals.
    """
    known = np.where(gone, 0.0, values)
    if pa.types.is_boolean(kind):
        return pa.array(known >= 0.5, kind, mask=gone)
    if pa.types.is_floating(kind):
        return pa.array(known.astype(kind.to_pandas_dtype()), kind, mask=gone)
    if pa.types.is_decimal(kind):
        most = 10.0 ** (kind.precision - kind.scale) - 10.0**-kind.scale
        made = pa.array(np.clip(known, -most, most), pa.float64(), mask=gone).cast(kind)
        return made if below is None else _with_digits(made, np.where(np.abs(known) < most, below, 0.0))
    whole = kind.to_pandas_dtype() if pa.types.is_integer(kind) else np.int64
    ends = np.iinfo(whole)
    above = known >= float(ends.max)  # which float64 may have rounded up to one that there is not
    found = np.where(above, 0.0, np.clip(np.round(known), float(ends.min), None)).astype(whole)
    found[above] = ends.max
    if below is not None and np.abs(known).max(initial=0.0) > 2.0**53:
        inside = np.abs(known) < min(float(ends.max) * (1 - 1e-9), -float(ends.min) * (1 - 1e-9) or np.inf)
        more = np.where(inside & (np.abs(known) > 2.0**53), np.round(below), 0.0).astype(np.int64)
        found = np.where(more < 0, found - (-more).astype(whole), found + more.astype(whole))
    made = pa.array(found, mask=gone)
    return made if made.type == kind else made.cast(kind)


def _with_digits(made: pa.Array, below: Float64[np.ndarray, " rows"]) -> pa.Array:
    """Decimals with what float64 could not hold of them added, where that is at least their last digit."""
    scale = made.type.scale
    rows = np.flatnonzero(np.abs(below) * 10.0**scale >= 0.5)
    if not len(rows):
        return made
    cells = made.to_pylist()
    with localcontext(prec=made.type.precision):
        for row in rows:
            cells[row] += Decimal(round(below[row] * 10.0**scale)).scaleb(-scale)
    return pa.array(cells, made.type)


def levels_in(kind: pa.DataType, texts: pa.Array, levels: tuple[str, ...]) -> pa.Array:
    """Levels by their texts, null where null, in a type; a dictionary has them in the order of `levels`."""
    if not pa.types.is_dictionary(kind):
        return pc.cast(texts, kind)
    code = pc.cast(pc.index_in(texts, pa.array(levels, pa.string()), skip_nulls=True), kind.index_type)
    return pa.DictionaryArray.from_arrays(
        code, pc.cast(pa.array(levels, pa.string()), kind.value_type), ordered=kind.ordered
    )


def among(old: pa.ChunkedArray, new: pa.Array, gaps: Bool[np.ndarray, " rows"]) -> pa.ChunkedArray | pa.Array:
    """`new` in the gaps of `old`, both of one type; a dictionary keeps its order, with what it lacked behind."""
    if not pa.types.is_dictionary(old.type):
        return pc.cast(
            pc.if_else(pa.array(gaps), new, old.combine_chunks()), old.type
        )  # decimals come out as wider ones
    known = old.unify_dictionaries().chunk(0).dictionary if old.num_chunks else new.dictionary
    cells = pc.if_else(
        pa.array(gaps), pc.cast(new, new.type.value_type), pc.cast(old, old.type.value_type).combine_chunks()
    )
    more = pc.unique(cells.filter(pc.and_(pc.is_valid(cells), pc.invert(pc.is_in(cells, known)))))
    every = pa.concat_arrays([known, more]) if len(more) else known
    code = pc.cast(pc.index_in(cells, every, skip_nulls=True), old.type.index_type)
    return pa.DictionaryArray.from_arrays(code, every, ordered=old.type.ordered)
