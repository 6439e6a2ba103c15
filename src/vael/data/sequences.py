"""Sequences as data: series cut into windows `[time, channels]`.

What a window holds is in one split only: whole series are set
aside where there are at least ten, else the end of each series, so that no row stands in windows of two splits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from vael.counting import counted
from vael.data.cells import fingerprint
from vael.data.conditioning.conditions import rows_in
from vael.data.files.material import Material, MaterialPart
from vael.data.keys import Keys
from vael.data.series import MANY, Sequences, Series, read_sequences
from vael.data.source import Kind, Source, Splits
from vael.data.splitting import SHARE, Sizes, split
from vael.data.windowing import Windowing
from vael.errors import StateError, SupportError

BEGIN, END = "begin", "end"


def load_sequences(
    data: str | Path,
    how: Windowing,
    *,
    seed: int = 0,
    validation: float | int | None = None,
    test: float | int | None = None,
    beside: Path | None = None,
) -> Splits:
    """Windows `[time, channels]` of training, validation and test.

    Of at least ten series (examples of an array, values of the id) whole ones are set aside, by a permutation that is a
    function of `seed`; of fewer the end of each: test the last of it, validation what is before. `validation` and
    `test` are shares, or counts of series or of steps. `beside` is an array with a row for each row of the data (each
    example of an array), the same for all rows of a series. Errors: `FormatError` for files that cannot be read,
    `ShapeError` for arrays of other axes and columns that there are not, `SupportError` for columns that are no
    numbers and times that are missing or there twice, `StateError` for series that are too short.
    """
    found = read_sequences(data, how)
    if beside is not None:
        rows_in(beside).refuse_series(found)
    if not any(np.unique(one.x[~np.isnan(one.x)]).size > 1 for one in found.series):
        refuse_constant(found)
    parts = parted(found, seed, validation, test)
    said = "the splits are those of the data" if has_splits(found) else "whole series are set aside"
    if len(found.series) < MANY and not has_splits(found):
        said = "the end of each series is set aside: the last of it for the test, what is before for validation"
    steps = f"windows of {found.window} steps, in training a new one every {found.stride}; {said}"
    gaps = any(bool(np.isnan(one.x).any()) for one in found.series) if found.kind is not Kind.INTEGER else False
    found = replace(found, notes=(*found.notes, steps))
    cut = [windows(found, part, found.stride if place == 0 else found.window) for place, part in enumerate(parts)]
    gaps = gaps or any(one.gaps for one in cut)
    train, held_out, test_windows = (replace(one, gaps=gaps) for one in cut)
    return Splits(train, held_out, test_windows, str(data))


def refuse_constant(found: Sequences) -> None:
    """Errors: `SupportError` where every element that was seen is the same, in all series."""
    seen = np.unique(np.concatenate([one.x[~np.isnan(one.x)] for one in found.series]))
    if len(seen) < 2:
        raise SupportError(
            f"{found.name}: every element that was seen is {seen[0]:g}, so there is nothing to learn; give "
            "measurements that change"
        )


def parted(
    found: Sequences, seed: int, validation: float | int | None, test: float | int | None
) -> tuple[tuple[Series, ...], ...]:
    """The series of training, validation and test. Errors: as `load_sequences`."""
    many = len(found.series) >= MANY or has_splits(found)
    return by_series(found, Sizes(validation, test), seed) if many else by_time(found, validation, test)


def by_series(found: Sequences, sizes: Sizes, seed: int) -> tuple[tuple[Series, ...], ...]:
    """Whole series for training, validation and test; splits that the data have stay as they are."""

    def own(number: int) -> MaterialPart | None:
        places = np.array([place for place, one in enumerate(found.series) if one.of_split == number], np.int64)
        return MaterialPart(places[:, None]) if len(places) else None

    train = own(0) or MaterialPart(np.zeros((0, 1), np.int64))
    parts = split(Material(found.name, train, own(1), own(2)), sizes, seed)
    chosen = (parts.train, parts.validation, parts.test)
    return tuple(tuple(found.series[place] for place in part.x[:, 0]) if part is not None else () for part in chosen)


def has_splits(found: Sequences) -> bool:
    """Whether the data have splits of their own."""
    return any(one.of_split for one in found.series)


def by_time(
    found: Sequences, validation: float | int | None, test: float | int | None
) -> tuple[tuple[Series, ...], ...]:
    """The beginning of each series for training, the end for the test, what is between for validation; series that
    are too short for that train only.

    Errors: `StateError` where all are too short.
    """
    parts: list[tuple[Series, Series, Series]] = []
    train: list[Series] = []
    for one in found.series:
        held, tested = (steps(asked, len(one), found.window) for asked in (validation, test))
        end = len(one) - tested
        if end - held >= found.window:
            parts.append((one.part(0, end - held), one.part(end - held, end), one.part(end, len(one))))
        else:
            train.append(one)
    if not parts:
        longest = max(len(one) for one in found.series)
        raise StateError(
            f"{found.name}: the longest of {counted(len(found.series), 'series', 'series')} has {longest:,} steps, "
            f"of which training, validation and test need at least one window of {found.window} each; give longer "
            "series, ten or more of them, smaller shares, or a shorter window (--window)"
        )
    return (*train, *(one[0] for one in parts)), tuple(one[1] for one in parts), tuple(one[2] for one in parts)


def steps(asked: float | int | None, length: int, window: int) -> int:
    """How many of so many steps are set aside: what makes whole windows, at least one."""
    share = SHARE if asked is None else asked
    wanted = int(share) if share >= 1 else round(share * length)
    return window * max(1, -(-wanted // window))


def windows(found: Sequences, series: Sequence[Series], stride: int, *, whole: bool = False) -> Source:
    """Windows of some series, one every `stride` steps; with `whole` every step is in one, the last one of a series
    then ends where the series does.

    A series that is shorter than a window is filled up with elements that were not seen.
    """
    length, pieces = found.window, list(_cut(found, series, stride, whole))
    kept = np.stack([one.x if len(one) == length else _filled_up(one.x, length) for one in pieces])
    short = [one for one in series if len(one) < length]
    note = f"{counted(len(short), 'series', 'series')} shorter than a window: what is missing counts as not seen"
    number = np.float32 if kept.dtype.kind == "f" else np.int32
    x = torch.from_numpy(np.ascontiguousarray(kept, dtype=number))
    return Source(
        found.name,
        x,
        found.kind,
        fingerprint(x.numpy()),
        found.levels,
        notes=(*found.notes, *((note,) if short else ())),
        columns=found.columns,
        gaps=bool(x.isnan().any()) if x.is_floating_point() else False,
        keys=_keys(pieces, found),
        windowing=found.windowing,
        label=None if pieces[0].label is None else torch.tensor([one.label for one in pieces]),
        label_names=found.label_names,
    )


def starts(steps: int, window: int, stride: int, whole: bool) -> list[int]:
    """Where the windows of a series begin."""
    found = list(range(0, max(1, steps - window + 1), stride))
    return [*found, steps - window] if whole and found[-1] + window < steps else found


def _cut(found: Sequences, series: Sequence[Series], stride: int, whole: bool) -> Iterator[Series]:
    for one in series:
        for begin in starts(len(one), found.window, stride, whole):
            yield one.part(begin, min(begin + found.window, len(one)))


def _filled_up(x: np.ndarray, window: int) -> np.ndarray:
    return np.concatenate([x.astype(np.float64), np.full((window - len(x), x.shape[1]), np.nan)])


def _keys(pieces: Sequence[Series], found: Sequences) -> Keys:
    beside = {}
    if found.windowing.id:
        beside[found.windowing.id] = pa.array([one.name for one in pieces], pa.string())
    for place, name in enumerate(found.windowing.apart):
        beside[name] = pa.array([one.beside[place] for one in pieces], pa.string())
    if found.windowing.time:
        for name, place in ((BEGIN, 0), (END, -1)):
            texts = [str(one.times[place if place == 0 else len(one.times) - 1]) for one in pieces if one.times]
            beside[name] = pa.array(texts, pa.string())
    return Keys(np.array([one.rows[0] for one in pieces], np.int64), beside)
