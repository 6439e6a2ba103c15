"""Whether a classifier can tell one table from another: the two-sample test of Lopez-Paz & Oquab (2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vael.errors import ShapeError
from vael.evaluation.tabular.contrasts import Cells, Contrast, chosen_contrasts, crossed, distance
from vael.evaluation.tabular.ranking import RankedApart, ranked_apart
from vael.tables.constraints import columns_of
from vael.tables.schema import ColumnKind, Schema

NATIVE = 255  # levels that the trees split by subsets; columns with more are split by their codes
MOST = 20_000  # rows of each table
LEAF = 20  # rows in a leaf of a tree, fewer where there are few rows
MOST_COLUMNS = 100  # of a table whose columns are shuffled one by one
CLUE = 0.1  # by how much a contrast must tell more than every column, as a distance of shares, to be named


@dataclass(frozen=True)
class TwoSampleTest:
    """How well rows of the first table were told from rows of the second, on rows that the classifier had not seen.

    Where both tables follow one law, and their rows are independent, `found.auc` is 1/2 with standard deviation
    `found.null_error`: the scores of the rows held out are then exchangeable, whatever the classifier has learnt. 1
    means that every row gives itself away.
    """

    found: RankedApart
    trained: int  # rows of each table that the classifier learned from
    classifier: str
    telling: tuple[
        tuple[str, float], ...
    ]  # columns by how much the AUC falls when the column is shuffled, those that tell most first
    clue: str = ""  # what of several columns tells more than any one of them, as `a` − `b`

    def __str__(self) -> str:
        tested = f"{self.found.positives:,} + {self.found.negatives:,} rows held out"
        return (
            f"{self.classifier}: {self.found} on {tested}; 1/2 ± {self.found.null_error:.3f} where the laws are equal"
        )


@dataclass(frozen=True)
class _Judge:
    """A classifier, and what it is shown of a row: its columns and some contrasts of them."""

    model: object
    contrasts: tuple[Contrast, ...]

    def ranked(self, rows: np.ndarray) -> RankedApart:
        """How well it tells the first half of some rows from the second."""
        scores = self.model.decision_function(rows)  # type: ignore[attr-defined]
        return ranked_apart(scores[: len(rows) // 2], scores[len(rows) // 2 :])

    def shown(self, cells: Cells) -> np.ndarray:
        """Rows that were not learned from."""
        return np.stack([*cells, *(one.values(cells, 0) for one in self.contrasts)], axis=1)


def two_sample_test(
    schema: Schema,
    x: Float[Tensor, "rows columns"],
    y: Float[Tensor, "others columns"],
    *,
    seed: int = 0,
    telling: bool = True,
) -> TwoSampleTest:
    """Gradient-boosted trees learn to tell half of the rows of `x` from half of the rows of `y`, and are judged on the
    other halves.

    They see the columns and, beside them, up to 40 numbers in which the tables differ most among differences, ratios,
    formulas, equal cells, digits, days, repeats and combinations of levels (`contrasts`): trees cut one number at a
    time, and would not see that a total is no product. Both tables give equally many rows, drawn by `seed` (at most
    `MOST`); a missing cell is a value of its own. `telling` says whether columns are shuffled one by one to find out
    which of them tell (not in tables of more than 100 columns). Deterministic. Errors: `ShapeError` for fewer than 8
    rows in a table.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    size = min(len(x), len(y), MOST)
    if size < 8:
        raise ShapeError(f"tables of {len(x):,} and {len(y):,} rows; a two-sample test needs at least 8 in each")
    generator = np.random.default_rng(seed)
    parts = [drawn(schema, table, size, generator) for table in (x, y)]
    first, second = ([column[: size // 2] for column in part] for part in parts)
    contrasts = tuple(chosen_contrasts(schema, first, second))
    learn = np.concatenate(
        [np.stack([*part, *(crossed(one, part) for one in contrasts)], axis=1) for part in (first, second)]
    )
    learn[:, np.isnan(learn).all(0)] = 0  # a column of gaps alone has nowhere to be cut, which the trees do not take
    model = HistGradientBoostingClassifier(
        categorical_features=native(schema) + [False] * len(contrasts),
        max_iter=100,
        early_stopping=False,
        min_samples_leaf=min(LEAF, max(2, size // 8)),
        random_state=0,
    )
    judge = _Judge(model.fit(learn, np.repeat([1, 0], size // 2)), contrasts)
    cells = [np.concatenate((a[size // 2 :], b[size // 2 :])) for a, b in zip(*parts, strict=True)]
    rows = judge.shown(cells)
    found = judge.ranked(rows)
    told = (
        _telling(schema, judge, cells, found.auc, generator) if telling and len(schema.columns) <= MOST_COLUMNS else ()
    )
    return TwoSampleTest(
        found,
        size // 2,
        "gradient-boosted trees on columns and contrasts",
        told,
        clue(rows, len(schema.columns), contrasts),
    )


def drawn(
    schema: Schema, table: Float[Tensor, "rows columns"], size: int, generator: np.random.Generator
) -> list[np.ndarray]:
    """Some rows of a table in another order, column by column; an even number, so that both halves have as many."""
    order = generator.permutation(len(table))[: size // 2 * 2]
    return [column[order] for column in columns_of(schema, table)]


def clue(rows: np.ndarray, columns: int, contrasts: tuple[Contrast, ...]) -> str:
    """The contrast that tells most, where it tells more than every column; of those that tell about as much the one
    of the fewest columns.
    """
    if not contrasts:
        return ""
    half = len(rows) // 2
    apart = [distance(column[:half], column[half:]) for column in rows.T]
    best = max(apart[columns:])
    plain = min(
        (len(one.columns), -far, one.name)
        for one, far in zip(contrasts, apart[columns:], strict=True)
        if far > best - CLUE / 2
    )
    return plain[2] if best > max(apart[:columns]) + CLUE else ""


def _telling(
    schema: Schema, judge: _Judge, cells: Cells, auc: float, generator: np.random.Generator
) -> tuple[tuple[str, float], ...]:
    falls = []
    rows = judge.shown(cells)
    for place, name in enumerate(schema.names):
        mixed = [*cells]
        mixed[place] = generator.permutation(cells[place])
        shuffled = rows.copy()
        shuffled[:, place] = mixed[place]
        for number, one in enumerate(judge.contrasts, len(cells)):
            if place in one.columns:
                shuffled[:, number] = one.values(mixed, 0)
        falls.append((name, auc - judge.ranked(shuffled).auc))
    return tuple(sorted(falls, key=lambda one: -one[1]))


def native(schema: Schema) -> list[bool]:
    """Which columns trees split by subsets of their levels."""
    unordered = (ColumnKind.CATEGORICAL, ColumnKind.BOOLEAN)
    return [column.kind in unordered and column.codes <= NATIVE for column in schema.columns]
