"""What rows give away that no single column does: differences, ratios, formulas, equal cells, digits, days,
repeats, combinations of levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from vael.probability.factorization import least_squares
from vael.tables.constraints import decimals, whole_codes
from vael.tables.schema import LEVELS, ColumnKind, Schema

Cells = Sequence[np.ndarray]  # a float64 array for each column
NUMBERS, LEVELED, PRODUCTS = 16, 10, 8  # columns whose pairs are looked at
LOOKED_AT = 3000  # rows of each table by which contrasts are chosen
KEPT = 40  # contrasts that the classifier gets beside the columns
NOISE = 1.63  # √(2/n) times: what the distance of two samples of one law exceeds once in a hundred
FEWEST = 40  # rows of each table to learn contrasts from
PER_TERM = 10  # rows for each term of a formula, at least


@dataclass(frozen=True)
class Contrast:
    """A number made of a row; what it has to know of the tables it has from one half of the rows that are learned
    from.
    """

    name: str
    columns: tuple[int, ...]
    values: Callable[[Cells, int], np.ndarray]  # of rows, by what was learned from half 0 or 1


@dataclass(frozen=True)
class NumberColumns:
    """A column as a number: also where levels are numerals, as of a quantity of few values."""

    place: int
    name: str
    read: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Learned:
    """Rows that are learned from, each table in two halves."""

    first: tuple[Cells, Cells]
    second: tuple[Cells, Cells]


def halves(cells: Cells) -> tuple[Cells, Cells]:
    """Every other row."""
    return [one[0::2] for one in cells], [one[1::2] for one in cells]


def chosen_contrasts(schema: Schema, first: Cells, second: Cells) -> list[Contrast]:
    """The contrasts in which rows of two tables differ most, by rows that are learned from and never judged; none
    where they are few.
    """
    if min(len(first[0]), len(second[0])) < FEWEST:
        return []
    learned = Learned(halves(first), halves(second))
    few = [[one[:LOOKED_AT] for one in cells] for cells in (first, second)]
    floor = NOISE * np.sqrt(1 / len(few[0][0]) + 1 / len(few[1][0]))
    found = [
        (distance(*(crossed(one, cells) for cells in few)), place, one)
        for place, one in enumerate(contrasts(schema, learned))
    ]
    return [one for apart, _, one in sorted(found, key=lambda known: (-known[0], known[1]))[:KEPT] if apart > floor]


def crossed(contrast: Contrast, cells: Cells) -> np.ndarray:
    """The contrast of rows that are learned from: each half by what the other half taught, or every row would know
    itself.
    """
    rows = np.arange(len(cells[0])) % 2
    return np.where(rows == 0, contrast.values(cells, 1), contrast.values(cells, 0))


def distance(x: np.ndarray, y: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance of two samples; what is missing lies above all numbers."""
    both = np.nan_to_num(np.concatenate((x, y)), nan=np.inf, posinf=np.inf, neginf=-np.inf)
    values = np.unique(both)
    shares = [np.searchsorted(np.sort(part), values, "right") / len(part) for part in (both[: len(x)], both[len(x) :])]
    return float(np.abs(shares[0] - shares[1]).max())


def contrasts(schema: Schema, learned: Learned) -> Iterator[Contrast]:
    """Every contrast that is looked at: some hundreds at most."""
    seen = [np.concatenate(parts) for parts in zip(*learned.second, strict=True)]
    numbers = sorted(numbers_of(schema, seen), key=lambda one: -len(np.unique(one.read(seen[one.place]))))[:NUMBERS]
    leveled = [place for place, column in enumerate(schema.columns) if column.kind in LEVELS and column.codes > 1][
        :LEVELED
    ]
    yield Contrast(
        "the number of gaps",
        tuple(range(len(schema.columns))),
        lambda cells, half: np.sum([np.isnan(one) for one in cells], 0).astype(float),
    )
    yield repeats(schema, learned)
    for one in numbers:
        yield from digits(schema, one)
        yield common_values(one, learned)
    for a, b in combinations(numbers, 2):
        yield from pairs(a, b)
    yield from formulas(numbers, learned)
    for place in leveled:
        yield from (given_level(one, place, schema, learned) for one in numbers if one.place != place)
    for i, j in combinations(leveled, 2):
        yield from level_pairs(schema, i, j, learned)


def numbers_of(schema: Schema, seen: Cells) -> Iterator[NumberColumns]:
    """The columns that are numbers, dates included."""
    for place, column in enumerate(schema.columns):
        if column.kind not in LEVELS:
            yield NumberColumns(place, column.name, lambda cells: cells)
        elif (known := numerals(column.levels)) is not None and len(known) > 1:
            table = np.append(known, np.full(column.codes + 2 - len(known), np.nan))
            yield NumberColumns(
                place, column.name, lambda cells, table=table, column=column: table[whole_codes(column, cells)]
            )


def numerals(levels: Sequence[str]) -> np.ndarray | None:
    """Levels as numbers, None where one of them is none."""
    try:
        return np.array([float(level.strip().rstrip("%")) for level in levels])
    except ValueError:
        return None


# single columns


def digits(schema: Schema, one: NumberColumns) -> Iterator[Contrast]:
    """Last digits, trailing zeros, the lattice that float32 leaves; of dates the day of the week and of the month,
    and the time of day.
    """
    column, at = schema.columns[one.place], (one.place,)
    if column.kind is ColumnKind.DATE:
        yield Contrast(f"the weekday of `{one.name}`", at, lambda cells, half: np.floor(one.read(cells[one.place])) % 7)
        yield Contrast(f"the time of day of `{one.name}`", at, lambda cells, half: one.read(cells[one.place]) % 1)
        yield Contrast(
            f"the day of the month of `{one.name}`", at, lambda cells, half: day_of_month(one.read(cells[one.place]))
        )
        return
    scale = 10.0 ** (decimals(column) or 0)
    whole = decimals(column) is not None or column.kind in LEVELS

    def last(base: int) -> Callable[[Cells, int], np.ndarray]:
        def of(cells: Cells, half: int) -> np.ndarray:
            number = np.abs(one.read(cells[one.place])) * scale
            return (np.round(number) if whole else number) % base

        return of

    yield Contrast(
        f"what is behind the point of `{one.name}`",
        at,
        lambda cells, half: np.round(np.abs(one.read(cells[one.place])) % 1, 9),
    )
    for base in (8, 10, 100, 1000) if whole else (10, 100):
        yield Contrast(f"the last digits of `{one.name}`", at, last(base))


def day_of_month(days: np.ndarray) -> np.ndarray:
    """1 to 31, NaN where missing or absurd."""
    whole = np.where(np.isfinite(days) & (np.abs(days) < 1e8), np.floor(days), 0).astype("datetime64[D]")
    found = (whole - whole.astype("datetime64[M]")).astype(float) + 1
    return np.where(np.isfinite(days), found, np.nan)


def odds(keys: Callable[[Cells], np.ndarray], learned: Learned) -> Callable[[Cells, int], np.ndarray]:
    """How much commoner what a row has is in the first table than in the second: (count + ½) / (count + ½), as a
    logarithm.
    """
    tallies = [
        [np.unique(keys(table[half]), return_counts=True) for table in (learned.first, learned.second)]
        for half in (0, 1)
    ]

    def count(wanted: np.ndarray, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
        place = np.searchsorted(values, wanted).clip(max=len(values) - 1)
        return np.where(values[place] == wanted, counts[place], 0)

    def of(cells: Cells, half: int) -> np.ndarray:
        wanted = keys(cells)
        first, second = (count(wanted, *tally) for tally in tallies[half])
        return np.log((first + 0.5) / (second + 0.5))

    return of


def common_values(one: NumberColumns, learned: Learned) -> Contrast:
    """Single values that are commoner in one of the tables."""
    return Contrast(
        f"single values of `{one.name}`",
        (one.place,),
        odds(lambda cells: np.nan_to_num(cells[one.place], nan=np.inf) + 0.0, learned),
    )


def repeats(schema: Schema, learned: Learned) -> Contrast:
    """Whole rows that are commoner in one of the tables."""

    def keys(cells: Cells) -> np.ndarray:
        rows = np.nan_to_num(np.stack(cells, 1).astype(np.float32), nan=np.inf) + np.float32(0)
        return np.array([hash(row.tobytes()) for row in rows], dtype=np.int64)

    return Contrast("repeated rows", tuple(range(len(schema.columns))), odds(keys, learned))


# pairs


def pairs(a: NumberColumns, b: NumberColumns) -> Iterator[Contrast]:
    """Difference (order, equality), sum, ratio and product of two numbers."""
    at = (a.place, b.place)

    def of(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[Cells, int], np.ndarray]:
        def values(cells: Cells, half: int) -> np.ndarray:
            with np.errstate(all="ignore"):
                found = function(a.read(cells[a.place]), b.read(cells[b.place]))
            return np.round(np.where(np.isfinite(found), found, np.nan), 9)

        return values

    yield Contrast(f"`{a.name}` − `{b.name}`", at, of(np.subtract))
    yield Contrast(f"`{a.name}` + `{b.name}`", at, of(np.add))
    yield Contrast(f"`{a.name}` / `{b.name}`", at, of(np.divide))
    yield Contrast(f"`{a.name}` × `{b.name}`", at, of(np.multiply))


def level_pairs(schema: Schema, i: int, j: int, learned: Learned) -> Iterator[Contrast]:
    """Combinations of two levels that are commoner in one of the tables, and whether both are the same word."""
    a, b = schema.columns[i], schema.columns[j]

    def keys(cells: Cells) -> np.ndarray:
        return whole_codes(a, cells[i]) * (b.codes + 2) + whole_codes(b, cells[j])

    yield Contrast(f"`{a.name}` with `{b.name}`", (i, j), odds(keys, learned))
    if set(a.levels) & set(b.levels):
        words = np.array(
            [b.levels.index(level) if level in b.levels else -1 for level in a.levels]
            + [-2] * (a.codes + 2 - len(a.levels))
        )
        yield Contrast(
            f"`{a.name}` = `{b.name}`",
            (i, j),
            lambda cells, half: (words[whole_codes(a, cells[i])] == whole_codes(b, cells[j])).astype(float),
        )


def given_level(one: NumberColumns, place: int, schema: Schema, learned: Learned) -> Contrast:
    """A number less its median in real rows of the same level: what a level fixes, as a product its price."""
    column = schema.columns[place]
    tables = []
    for cells in learned.second:
        code, value = whole_codes(column, cells[place]), one.read(cells[one.place])
        kept = np.isfinite(value)
        groups = [value[kept & (code == level)] for level in range(column.codes + 2)]
        tables.append(np.array([np.median(group) if len(group) else np.nan for group in groups]))

    def of(cells: Cells, half: int) -> np.ndarray:
        return one.read(cells[one.place]) - tables[half][whole_codes(column, cells[place])]

    return Contrast(f"`{one.name}` given `{column.name}`", (one.place, place), of)


# formulas


def formulas(numbers: Sequence[NumberColumns], learned: Learned) -> Iterator[Contrast]:
    """What is left of each number, and of its logarithm, by the formula of least squares in the others: sums, and
    products with shares and taxes.
    """
    for terms, kind in ((plain_terms, "sum"), (log_terms, "product")):
        for one in numbers:
            others = [other for other in numbers if other is not one]
            if others and (found := left_over(one, others, terms, learned)) is not None:
                yield Contrast(
                    f"`{one.name}` less what a {kind} of other numbers gives",
                    tuple(other.place for other in numbers),
                    found,
                )


Terms = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], list[np.ndarray]]


def plain_terms(cells: Sequence[np.ndarray], known: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The numbers, and where there are few their products in pairs."""
    return [*cells, *(a * b for a, b in combinations(cells, 2))] if len(cells) < PRODUCTS else list(cells)


def log_terms(cells: Sequence[np.ndarray], known: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Logarithms of what is positive, and of 1 - x and 1 + x of what may be a share or a percentage; `known` are
    the real rows, that decide.
    """
    found = []
    for x, seen in zip(cells, known, strict=True):
        low, high = (np.nanmin(seen), np.nanmax(seen)) if np.isfinite(seen).any() else (-1.0, -1.0)
        unit = 1.0 if high < 1 else 100.0
        with np.errstate(all="ignore"):
            if low > 0:
                found.append(np.log(np.where(x > 0, x, np.nan)))
            if low >= 0 and high < unit:
                found += [
                    np.log1p(-np.where(x < unit, x, np.nan) / unit),
                    np.log1p(np.where(x > -unit, x, np.nan) / unit),
                ]
    return found


def left_over(
    one: NumberColumns, others: Sequence[NumberColumns], terms: Terms, learned: Learned
) -> Callable[[Cells, int], np.ndarray] | None:
    """Residuals of real rows that have all the numbers, by the coefficients that one half of them teaches; None
    where they are too few.
    """
    whole = [other.read(np.concatenate([cells[other.place] for cells in learned.second])) for other in others]

    def design(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        y = one.read(cells[one.place])
        if terms is log_terms:
            y = np.log(np.where(y > 0, y, np.nan))
        return np.stack([np.ones(len(y)), *terms([other.read(cells[other.place]) for other in others], whole)], 1), y

    taught = []
    for cells in learned.second:
        with np.errstate(all="ignore"):
            x, y = design(cells)
        kept = np.isfinite(x).all(1) & np.isfinite(y)
        if x.shape[1] < 2 or kept.sum() < PER_TERM * x.shape[1]:
            return None
        spread = np.abs(x[kept]).max(0).clip(min=1e-30)
        taught.append(least_squares(x[kept] / spread, y[kept]) / spread)

    def of(cells: Cells, half: int) -> Float[np.ndarray, " rows"]:
        with np.errstate(all="ignore"):
            x, y = design(cells)
            found = y - x @ taught[half]
        return np.where(np.isfinite(found), found, np.nan)

    return of
