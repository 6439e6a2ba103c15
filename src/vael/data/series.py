"""Series of arrays `[examples, time, channels]` and of tables with a column of times, read in the order of time.

Rows of a table are sorted by time within their series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64, Shaped

from vael.counting import counted
from vael.data.cells import MOST_LEVELS, checked_numbers, levels_of
from vael.data.files.arrays import read_npy, read_npz
from vael.data.source import Kind
from vael.data.tabular import is_table_file
from vael.data.windowing import Windowing
from vael.errors import FormatError, ShapeError, StateError, SupportError
from vael.nearest import hint, nearest
from vael.tables import columnwise as pc
from vael.tables.given import as_table, in_memory
from vael.tables.inference import Signs, decimal_mark, infer_schema, no_date, told, why_left_out
from vael.tables.missing import marks_of, missing_among
from vael.tables.reading import Given, Table, exact, given_rows, named, read_table
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema
from vael.tables.schema_file import as_record, from_record
from vael.tables.values.day_order import day_order

LONGEST, SHORTEST = 64, 4  # windows that are chosen where none was asked for
FEWEST = 40  # windows that a series is at least cut into, where none was asked for
OVERLAP = 8  # windows of training in which a row stands, where no stride was asked for
MANY = 10  # series from which on whole ones are set aside
CALENDAR = ((28, 31), (89, 92), (181, 184), (365, 366))  # days of months, quarters, halves and whole years
SEVERAL = 4  # units of the last place of a step that is told from its rounding
NEVER = "never varies, so that its likelihood would say nothing"
ARRAYS = {".npy": read_npy, ".npz": read_npz}
NUMBERS = frozenset({ColumnKind.REAL, ColumnKind.POSITIVE, ColumnKind.COUNT})


@dataclass(frozen=True)
class Series:
    """What was seen of one thing, in the order of time."""

    name: str
    x: Shaped[np.ndarray, "time channels"]  # NaN where nothing was seen; whole numbers as they are
    rows: Int64[np.ndarray, " time"]  # in the data, from 1; of an array that of its example
    times: pa.Array | None = None  # of a table, as they came
    clock: Float64[np.ndarray, " time"] | None = None  # of a table, as numbers; dates in days
    beside: tuple[str | None, ...] = ()  # what columns say of the whole series, as it came; None where it is missing
    label: int | None = None  # of an array that has labels
    of_split: int = 0  # of data with splits of their own: 0 training, 1 validation, 2 test

    def __len__(self) -> int:
        return len(self.x)

    def part(self, begin: int, end: int) -> Series:
        """The steps from `begin` to `end`."""
        times = None if self.times is None else self.times.slice(begin, end - begin)
        clock = None if self.clock is None else self.clock[begin:end]
        return replace(self, x=self.x[begin:end], rows=self.rows[begin:end], times=times, clock=clock)


@dataclass(frozen=True)
class Sequences:
    """All series of some data, and what is known of them."""

    name: str
    series: tuple[Series, ...]
    windowing: Windowing  # with nothing left to choose
    columns: tuple[str, ...]  # names of the channels
    kind: Kind
    levels: int | None = None
    notes: tuple[str, ...] = ()
    table: Table | None = None  # the rows as they came, in their own order
    label_names: tuple[str, ...] = ()

    @property
    def from_table(self) -> bool:
        """Whether they came as rows, not as an array."""
        return self.table is not None

    @property
    def tested(self) -> Sequences:
        """The test split of data that have their own, else all series."""
        return replace(self, series=tuple(one for one in self.series if one.of_split == 2) or self.series)

    @property
    def window(self) -> int:
        """Steps of a window."""
        return self.windowing.window or 0

    @property
    def stride(self) -> int:
        """Steps between windows of training."""
        return self.windowing.stride or 0

    @property
    def gaps(self) -> int:
        """How many elements say nothing, limits of a table not among them."""
        if self.table is not None:
            return int(self.table.gaps.sum())
        return sum(int(np.isnan(one.x).sum()) for one in self.series)


def read_sequences(data: object, how: Windowing) -> Sequences:
    """All series of a file, or of rows in memory, by time. Errors: as `load_sequences`."""
    if in_memory(data):
        return read_series(as_table(data), how)
    path = Path(str(data))
    if not path.is_file():
        raise FormatError(
            f"{data} is no file of sequences; give an array [examples, time, channels] (.npy, or .npz with labels y), "
            "or a .csv or .parquet table with a column of times (--sequence TIME)"
        )
    if is_table_file(path):
        return read_series(path, how)
    if path.suffix.lower() not in ARRAYS:
        raise FormatError(
            f"{path} ends in {path.suffix or 'nothing'}, but sequences are read from .npy, .npz, .csv (.tsv, .txt) and "
            ".parquet; save them as one of these"
        )
    return read_arrays(path, how)


def read_arrays(path: Path, how: Windowing) -> Sequences:
    """Each example of an array as a series, with its label where they have some; those of splits that stand in one
    `.npz` are counted on from one to the next: training, validation, test.
    """
    material = ARRAYS[path.suffix.lower()](path)
    for part in material.parts:
        checked_numbers(part.x, str(path))
        if part.x.ndim != 3 or 0 in part.x.shape or part.x.shape[1] < 2:
            raise ShapeError(
                f"{path} has shape {part.x.shape}, but [examples, time, channels] with at least two steps was "
                "expected; one long series is x[None] (add --window), a single channel x[..., None]"
            )
    shapes = sorted({part.x.shape[1:] for part in material.parts})
    if len(shapes) > 1:
        raise ShapeError(
            f"{path} has splits of examples of the shapes {' and '.join(map(str, shapes))}; give all the same"
        )
    x = material.train.x if len(material.parts) == 1 else np.concatenate([part.x for part in material.parts])
    if how.time or how.id:
        raise StateError(
            f"{path} is an array, which has no columns {' and '.join(filter(None, (how.time, how.id)))}; its second "
            "axis is the time: name no column (--sequence without a name, after the data)"
        )
    if how.apart:
        raise StateError(
            f"{path} is an array of series, which has no columns, so {', '.join(how.apart)} cannot be the condition"
            f"{hint(how.apart[0], ('label',))}; give label, where it has labels, or an .npy array with a row for each "
            "example (--condition-on FILE.npy)"
        )
    window = how.window or x.shape[1]
    if window > x.shape[1]:
        raise StateError(f"{path} has {x.shape[1]} steps, fewer than a window of {window}; give fewer (--window)")
    settled = how.model_copy(update={"window": window, "stride": how.stride or window})
    kind, levels, notes, x = _kind(x, str(path))
    rows = np.arange(1, len(x) + 1)
    known = [part.label for part in material.parts if part.label is not None]
    labels = np.concatenate(known).tolist() if len(known) == len(material.parts) else [None] * len(x)
    parts = (material.train, material.validation, material.test)
    splits = np.repeat([0, 1, 2], [0 if part is None else len(part) for part in parts]).tolist()
    series = tuple(
        Series(str(row), one, np.full(len(one), row), label=label, of_split=split)
        for row, one, label, split in zip(rows, x, labels, splits, strict=True)
    )
    columns = tuple(f"channel {place}" for place in range(1, x.shape[2] + 1))
    return Sequences(path.stem, series, settled, columns, kind, levels, notes, label_names=material.label_names)


def stored_in(path: Path) -> Shaped[np.ndarray, "examples time channels"]:
    """The series of an array as they are stored, of those with splits of their own the test split."""
    material = ARRAYS[path.suffix.lower()](path)
    parts = material.parts if material.test is None else (material.test,)
    return np.concatenate([part.x for part in parts])


def _kind(x: np.ndarray, what: str) -> tuple[Kind, int | None, tuple[str, ...], np.ndarray]:
    """Kind and levels of elements of which some may be NaN; whole numbers below 0 are taken as real ones."""
    seen = x[~np.isnan(x)] if x.dtype.kind == "f" else x
    if not seen.size:
        raise SupportError(f"{what} has no element that was seen; give numbers")
    low, high = float(seen.min()), float(seen.max())
    if not np.isfinite([low, high]).all() or max(-low, high) > np.finfo(np.float32).max:
        raise SupportError(f"{what} holds numbers from {low:g} to {high:g}; expected finite numbers below 3e38")
    if set(np.unique(seen[:: max(1, seen.size // 1000)])) <= {0, 1} and bool(((seen == 0) | (seen == 1)).all()):
        return Kind.BINARY, None, (), x
    if x.dtype.kind == "f":
        return Kind.REAL, None, (), x
    if low < 0 or high >= MOST_LEVELS:
        said = f"whole numbers from {low:.0f} to {high:.0f} are taken as real ones: log p(x) is that of a density"
        return Kind.REAL, None, (said,), x.astype(np.float64)
    return Kind.INTEGER, levels_of(np.zeros((1, 1), np.int32), int(high)), (), x


def read_series(data: Path | pa.Table, how: Windowing) -> Sequences:
    """The rows of a table as series."""
    given, path = given_rows(data), named(data)
    if not how.time:
        raise StateError(
            f"{path} is a table, of which a column is the time; name it (--sequence COLUMN): there are "
            f"{', '.join(given.table.column_names[:20])}"
        )
    if how.time == how.id:
        raise StateError(
            f"{path}: {how.id!r} was named both as the time and as the series that a row belongs to; name two columns, "
            "or one only where all rows are one series (--id)"
        )
    how = how.model_copy(update={"apart": told_apart(how, given.table.column_names, path)})
    for name in filter(None, (how.time, how.id)):
        refuse_missing(name, given.table.column_names, path)
    for name in how.apart:
        refuse_missing(name, given.table.column_names, path, " to condition on")
    schema, left = (
        (schema_of(given, how, path), ())
        if how.columns is None
        else (
            from_record(how.columns, "run.json"),
            (),
        )
    )
    notes = _left_out(given, how, schema) if how.columns is None else left
    table = read_table(data, schema)
    series = tuple(_series(table, how, path))
    settled = _settled(how, [len(one) for one in series], path)
    settled = settled.model_copy(update={"columns": as_record(schema)})
    names = schema.names[1:]
    kind, _, _, _ = _kind(np.concatenate([one.x for one in series]), path)
    times = exact(table)[:, 0].numpy()
    said = tuple(irregular(times, table, how, schema.columns[0]))
    return Sequences(
        data.stem if isinstance(data, Path) else named(data), series, settled, names, kind, None, (*notes, *said), table
    )


def told_apart(how: Windowing, names: Sequence[str], where: str) -> tuple[str, ...]:
    """The columns that say something of whole series, where several may have been named with commas between.

    Errors: `StateError` for the time or the id as one, and where all rows are one series.
    """
    parts = [[one] if one in names else one.split(",") for one in how.apart]
    found = tuple(dict.fromkeys(name.strip() for part in parts for name in part if name.strip()))
    taken = next((name for name in found if name in (how.time, how.id)), None)
    if taken is not None:
        raise StateError(
            f"{where}: {taken!r} is the {'time' if taken == how.time else 'name of a series'}, so series that come "
            "later have other values of it, and it can be no condition; name another column (--condition-on)"
        )
    if found and not how.id:
        raise StateError(
            f"{where}: all rows are one series, which has one value of {', '.join(found)}, so there is nothing to "
            "condition on (--condition-on); name the column that tells series apart (--id)"
        )
    return found


def refuse_missing(name: str, names: Sequence[str], where: str, why: str = "") -> None:
    """Errors: `ShapeError` for a column that there is not, with the nearest name."""
    if name in names:
        return
    near = nearest(name, names)
    meant = f"did you mean {near!r}? " if near else ""
    raise ShapeError(f"{where} has no column {name!r}{why}; {meant}there are {', '.join(names[:20])}")


def schema_of(given: Given, how: Windowing, where: str) -> Schema:
    """The time, then every channel, as numbers.

    Errors: `SupportError` for a time that is neither date nor number, and for columns that are no numbers, by name.
    """
    comma = given.layout is not None and given.layout.mark == ";"
    signs = Signs(decimal_mark(given.table, comma), day_order(given.table, no_date))
    time = told(how.time, given.table.column(how.time), where, signs)
    if time is None or time.column.kind not in NUMBERS | {ColumnKind.DATE}:
        cell = given.table.column(how.time)[0].as_py()
        raise SupportError(
            f"{where}: the time {how.time!r} is neither a date nor a number (the first is {cell!r}); write dates as "
            "2024-01-31, or name another column (--sequence)"
        )
    names = [name for name in given.table.column_names if name not in (how.time, how.id, *how.apart)]
    if not names:
        raise SupportError(f"{where} has no column beside the time; add the numbers that were measured")
    schema, found = infer_schema(given.table.select(names), where, comma=comma, typed=given.typed)
    varying = [one.column for one in found if _varies(given, one.column)]
    wrong = [one.name for one in varying if not _is_number(one)]
    wrong += [name for name in schema.left_out if _left(given, name).startswith("text")]
    if wrong:
        raise SupportError(
            f"{where}: {', '.join(map(repr, wrong))} {'holds' if len(wrong) == 1 else 'hold'} no numbers, as the "
            "channels of a sequence have to; name the column that says which series a row belongs to (--id), those "
            "that the model is to be conditioned on (--condition-on), and take the others out"
        )
    if not varying:
        raise SupportError(
            f"{where}: no column beside {how.time!r} ever varies ({', '.join(one.column.name for one in found[:5])}), "
            "so there is nothing to learn; give measurements that change"
        )
    first = replace(time.column, kind=ColumnKind.REAL) if time.column.kind in NUMBERS else time.column
    types = given.types
    columns = tuple(
        replace(one, type="" if types is None else str(types.field(one.name).type))
        for one in (first, *map(_channel, varying))
    )
    return Schema(columns)


def _varies(given: Given, column: Column) -> bool:
    if column.kind in LEVELS:
        return _left(given, column.name) != NEVER
    return column.minimum is None or column.minimum != column.maximum


def _is_number(column: Column) -> bool:
    return column.kind in NUMBERS or (column.kind is ColumnKind.BOOLEAN and column.levels == ("0", "1"))


def _channel(column: Column) -> Column:
    """A column as a channel: any number."""
    if column.kind is ColumnKind.BOOLEAN:
        column = replace(column, minimum=0.0, maximum=1.0, decimals=0)
    return replace(column, kind=ColumnKind.REAL, levels=(), origin=0.0, spikes=(), usual=())


def _left(given: Given, name: str) -> str:
    if pc.count_distinct(given.table.column(name).drop_null()).as_py() == 1:
        return NEVER
    return why_left_out(given.table.column(name), name)


def _left_out(given: Given, how: Windowing, schema: Schema) -> tuple[str, ...]:
    gone = [name for name in given.table.column_names if name not in (*schema.names, how.id, *how.apart)]
    return tuple(f"left out: {name} ({_left(given, name)})" for name in gone)


def _series(table: Table, how: Windowing, where: str) -> Iterator[Series]:
    """Series in the order in which they first come, each sorted by its times.

    Errors: `SupportError` for a row without a time or an id, and for a time that a series has twice.
    """
    values = exact(table).numpy()
    times, x = values[:, 0], values[:, 1:]
    _refuse_gaps(np.isnan(times), table.rows, how.time, where)
    cells = table.original.column(how.time).combine_chunks()
    cells = pa.concat_arrays(cells.chunks) if isinstance(cells, pa.ChunkedArray) else cells
    names = np.zeros(len(times), np.int64)
    called = [""]
    if how.id:
        ids = pc.cast(table.original.column(how.id), pa.string())
        _refuse_gaps(_unnamed(ids, table), table.rows, how.id, where)
        coded = ids.combine_chunks().dictionary_encode()
        coded = coded.unify_dictionaries().combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
        names, called = np.asarray(coded.indices, np.int64), coded.dictionary.to_pylist()
    beside = [constant_in(table, name, names, called, where) for name in how.apart]
    order = np.lexsort((times, names))
    twice = np.flatnonzero((np.diff(names[order]) == 0) & (np.diff(times[order]) == 0))
    if len(twice):
        one, other = table.rows[order[twice[0]]], table.rows[order[twice[0] + 1]]
        more = "" if len(twice) == 1 else f", the first of {counted(len(twice), 'pair')}"
        way = "take one of them out" if how.id else "name the column that tells series apart (--id), or take one out"
        raise SupportError(
            f"{where}: rows {one:,} and {other:,} have the same {how.time} ({cells[int(order[twice[0]])]}){more}; a "
            f"series has one row for each time: {way}; where the time stands in several columns (year and month), "
            "write them as one"
        )
    for number, name in enumerate(called):
        chosen = order[names[order] == number]
        own = tuple(one[number] for one in beside)
        yield Series(str(name), x[chosen], table.rows[chosen], cells.take(pa.array(chosen)), times[chosen], own)


def _unnamed(cells: pa.ChunkedArray, table: Table) -> Bool[np.ndarray, " rows"]:
    """Where a text names nothing: `NA` is Namibia, and `none` a treatment, unless numbers of the table have the word
    for what is missing.
    """
    typed = table.layout is None
    numbers = () if typed else (pc.cast(table.original.column(name), pa.string()) for name in table.schema.names)
    return missing_among(cells, typed, frozenset().union(*map(marks_of, numbers)))


def constant_in(
    table: Table, name: str, places: Int64[np.ndarray, " rows"], called: Sequence[str], where: str
) -> list[str | None]:
    """The value of a column in each series, as text; None where it is missing.

    Errors: `SupportError` for a series in which it changes.
    """
    column = pc.cast(table.original.column(name), pa.string())
    absent = _unnamed(column, table)
    texts = np.asarray(column.to_pylist(), dtype=object)
    texts[absent] = None
    found: list[str | None] = []
    for number, series in enumerate(called):
        here = texts[places == number]
        apart = next((row for row, value in enumerate(here) if value != here[0]), None)
        if apart is not None:
            raise SupportError(
                f"{where}: {name!r} is {here[0]!r} and {here[apart]!r} within the series {series!r}, but a condition "
                "of series has one value for each; name another column (--condition-on), or leave it a channel"
            )
        found.append(here[0])
    return found


def _refuse_gaps(missing: np.ndarray, rows: np.ndarray, name: str, where: str) -> None:
    if missing.any():
        first = ", ".join(f"{row:,}" for row in rows[missing][:5])
        raise SupportError(
            f"{where}: {counted(int(missing.sum()), 'row')} (row {first}) without {name!r}, so it is not known where "
            "they belong; fill it in, or take these rows out"
        )


def _settled(how: Windowing, lengths: Sequence[int], where: str) -> Windowing:
    """Window and stride by the lengths of the series, where they were not asked for.

    Errors: `StateError` for series that are too short.
    """
    many = len(lengths) >= MANY
    usual = int(np.median(lengths)) if many else max(lengths) // FEWEST
    chosen = LONGEST if usual >= LONGEST else max(SHORTEST, 2 ** int(np.log2(max(1, usual))))
    if how.window is None and max(lengths) < (SHORTEST if many else 2 * SHORTEST**2):
        raise StateError(
            f"{where}: series of at most {max(lengths):,} steps are too short to be cut into windows of {SHORTEST} "
            "steps; give more rows, or say how long windows are (--window)"
        )
    window = how.window or chosen
    return how.model_copy(update={"window": window, "stride": how.stride or max(1, window // OVERLAP)})


def usual_step(clock: Float64[np.ndarray, " time"]) -> float:
    """How far the times of a series usually are apart: the median; 1 of a single time."""
    return float(np.median(np.diff(clock))) if len(clock) > 1 else 1.0


def rounded(clock: Float64[np.ndarray, " time"], decimals: int | None) -> bool:
    """Whether the times of a series are equally far apart but for the decimals that they are rounded to, as months
    are that are written 1949, 1949.083, 1949.167 ...
    """
    apart, usual = np.diff(clock), usual_step(clock)
    return bool((np.abs(apart - usual) <= _rounded_by(usual, decimals)).all()) and len(apart) > 1


def _rounded_by(usual: float, decimals: int | None) -> float:
    """How far steps that are equally long can be from their median where times are rounded: by one in the last place,
    where a step is several of these. Whole numbers count, and are not rounded.
    """
    last = 10.0 ** -(decimals or 0)
    return 1.001 * last if decimals and usual >= SEVERAL * last * 0.999 else 0.0


def irregular(times: np.ndarray, table: Table, how: Windowing, column: Column) -> Iterator[str]:
    """What is to be said of steps that are not equally long."""
    names = pc.cast(table.original.column(how.id), pa.string()).to_numpy() if how.id else np.zeros(len(times))
    order = np.lexsort((times, names.astype(str)))
    gaps = np.diff(times[order])[names[order][1:] == names[order][:-1]]
    if not len(gaps):
        return
    usual = float(np.median(gaps))
    by_writing = 0.0 if column.kind is ColumnKind.DATE else _rounded_by(usual, column.decimals)
    apart = np.abs(gaps - usual) > max(1e-6 * max(usual, float(np.abs(times).max()) * 1e-9), by_writing)
    if column.kind is ColumnKind.DATE:
        for low, high in CALENDAR:
            if low <= usual <= high:
                apart &= (gaps < low) | (gaps > high)
    if apart.any():
        unit = " days" if column.kind is ColumnKind.DATE else ""
        yield (
            f"steps of {how.time} are not equally long: {int(apart.sum()):,} of {len(gaps):,} are not the usual "
            f"{usual:g}{unit} ({gaps.min():g} to {gaps.max():g}); the model takes each row for one step"
        )
