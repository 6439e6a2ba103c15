"""Whether a classifier can tell one table from another: the two-sample test of Lopez-Paz & Oquab (2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vael.data.constraints import columns_of
from vael.data.schema import ColumnKind, Schema
from vael.errors import ShapeError
from vael.evaluation.ranking import RankedApart, ranked_apart

NATIVE = 255  # levels that the trees split by subsets; columns with more are split by their codes
MOST = 20_000  # rows of each table
LEAF = 20  # rows in a leaf of a tree, fewer where there are few rows
MOST_COLUMNS = 100  # of a table whose columns are shuffled one by one


@dataclass(frozen=True)
class TwoSampleTest:
    """How well rows of the first table were told from rows of the second, on rows that the classifier had not seen.

    Where both tables follow one law, and their rows are independent, `found.auc` is 1/2 with standard deviation `found.null_error`:
    the scores of the rows held out are then exchangeable, whatever the classifier has learnt. 1 means that every row gives itself away.
    """

    found: RankedApart
    trained: int  # rows of each table that the classifier learned from
    classifier: str
    telling: tuple[tuple[str, float], ...]  # columns by how much the AUC falls when the column is shuffled, those that tell most first

    def __str__(self) -> str:
        tested = f"{self.found.positives:,} + {self.found.negatives:,} rows held out"
        return f"{self.classifier}: {self.found} on {tested}; 1/2 ± {self.found.null_error:.3f} where the laws are equal"


def two_sample_test(
    schema: Schema, x: Float[Tensor, "rows columns"], y: Float[Tensor, "others columns"], *, seed: int = 0, telling: bool = True
) -> TwoSampleTest:
    """Gradient-boosted trees learn to tell half of the rows of `x` from half of the rows of `y`, and are judged on the other halves.

    Both tables give equally many rows, drawn by `seed` (at most `MOST`); a missing cell is a value of its own. `telling` says whether
    columns are shuffled one by one to find out which of them tell (not in tables of more than 100 columns). Deterministic.
    Errors: `ShapeError` for fewer than 8 rows in a table.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    size = min(len(x), len(y), MOST)
    if size < 8:
        raise ShapeError(f"tables of {len(x):,} and {len(y):,} rows; a two-sample test needs at least 8 in each")
    generator = np.random.default_rng(seed)
    parts = [tree_features(schema, table)[generator.permutation(len(table))[:size]] for table in (x, y)]
    learn, judge = (np.concatenate([part[half] for part in parts]) for half in (np.s_[: size // 2], np.s_[size // 2 :]))
    label = np.repeat([1, 0], size // 2)
    model = HistGradientBoostingClassifier(
        categorical_features=native(schema), max_iter=100, early_stopping=False, min_samples_leaf=min(LEAF, max(2, size // 8)), random_state=0
    )
    model.fit(learn, label)
    found = _judged(model, judge)
    told = _telling(schema, model, judge, found.auc, generator) if telling and len(schema.columns) <= MOST_COLUMNS else ()
    return TwoSampleTest(found, size // 2, "gradient-boosted trees", told)


def _judged(model: object, rows: np.ndarray) -> RankedApart:
    scores = model.decision_function(rows)
    return ranked_apart(scores[: len(rows) // 2], scores[len(rows) // 2 :])


def _telling(schema: Schema, model: object, rows: np.ndarray, auc: float, generator: np.random.Generator) -> tuple[tuple[str, float], ...]:
    falls = []
    for place, name in enumerate(schema.names):
        shuffled = rows.copy()
        shuffled[:, place] = generator.permutation(shuffled[:, place])
        falls.append((name, auc - _judged(model, shuffled).auc))
    return tuple(sorted(falls, key=lambda one: -one[1]))


def tree_features(schema: Schema, x: Float[Tensor, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Codes and numbers, NaN where missing."""
    return np.stack(columns_of(schema, x), axis=1)


def native(schema: Schema) -> list[bool]:
    """Which columns trees split by subsets of their levels."""
    unordered = (ColumnKind.CATEGORICAL, ColumnKind.BOOLEAN)
    return [column.kind in unordered and column.codes <= NATIVE for column in schema.columns]
