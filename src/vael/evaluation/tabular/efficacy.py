"""Train on synthetic rows, test on real ones: what a learner loses when it never sees the data (Esteban, Hyland &
Rätsch 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import fmean
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vael.errors import ShapeError, SupportError
from vael.evaluation.skill import FOLDS, LEAST_FOLD, Skill, SkillTold, skill_of_classes, skill_of_numbers
from vael.evaluation.tabular.ranking import ALARM
from vael.process import ignoring
from vael.tables.constraints import columns_of, whole_codes
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema

MOST = 50_000  # rows that a learner is given
MANY_MAGNITUDES = 1e3  # numbers that are never negative and reach this are given as logarithms
SPAN = 5.0  # other numbers are brought to [0, 5]
FEW_CLASSES = 20  # levels that a target may have unless it was asked for
PROBED, MOST_PROBED = 4000, 12  # rows and columns looked at for a target that can be learned
FEWEST = 10  # rows for learning and for testing


class Task(Enum):
    """What is to be predicted."""

    BINARY = "two classes"
    CLASSES = "several classes"
    NUMBER = "a number"


@dataclass(frozen=True)
class Learner:
    """A kind of model to train, made anew from a seed for each training."""

    name: str
    make: Callable[[int], Any]


@dataclass(frozen=True)
class LearnerScore:
    """One learner on real test rows."""

    learner: str
    value: float  # accuracy for classes, R² for a number
    f1: float = math.nan  # of the rarer of two classes; of more, the mean over classes


@dataclass(frozen=True)
class Efficacy:
    """The same learners trained on synthetic and on real rows, tested on the same real rows, which neither had."""

    target: str
    task: Task
    synthetic: tuple[LearnerScore, ...]
    real: tuple[LearnerScore, ...]
    tested: int
    baseline: float  # what the commonest class of the real training rows (or their mean) reaches, by `value`
    skill: Skill | None = None  # what the learners together have learned; None where no class has enough test rows

    @property
    def value(self) -> tuple[float, float]:
        """Mean accuracy (classes) or R² (a number) over the learners: (trained on synthetic, trained on real)."""
        return fmean(one.value for one in self.synthetic), fmean(one.value for one in self.real)

    @property
    def f1(self) -> tuple[float, float]:
        """Mean F1 over the learners: (trained on synthetic, trained on real); NaN for a number."""
        return fmean(one.f1 for one in self.synthetic), fmean(one.f1 for one in self.real)

    @property
    def measure(self) -> str:
        """What `value` is called."""
        return "R²" if self.task is Task.NUMBER else "accuracy"


def task_of(column: Column) -> Task:
    """What predicting this column is."""
    if column.kind not in LEVELS:
        return Task.NUMBER
    return Task.BINARY if column.codes <= 2 else Task.CLASSES


def sdgym_learners(task: Task) -> tuple[Learner, ...]:
    """The learners of SDGym 0.2 (Xu, Skoularidou, Cuesta-Infante & Veeramachaneni 2019), for numbers that are
    compared with its table.
    """
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.tree import DecisionTreeClassifier

    if task is Task.BINARY:
        return (
            Learner(
                "decision tree",
                lambda seed: DecisionTreeClassifier(max_depth=15, class_weight="balanced", random_state=seed),
            ),
            Learner("AdaBoost", lambda seed: AdaBoostClassifier(random_state=seed)),
            Learner("logistic regression", lambda seed: LogisticRegression(class_weight="balanced", max_iter=50)),
            Learner(
                "network (50)", lambda seed: MLPClassifier(hidden_layer_sizes=(50,), max_iter=50, random_state=seed)
            ),
        )
    if task is Task.CLASSES:
        return (
            Learner(
                "decision tree",
                lambda seed: DecisionTreeClassifier(max_depth=30, class_weight="balanced", random_state=seed),
            ),
            Learner(
                "network (100)", lambda seed: MLPClassifier(hidden_layer_sizes=(100,), max_iter=50, random_state=seed)
            ),
        )
    return (
        Learner("linear regression", lambda seed: LinearRegression()),
        Learner("network (100)", lambda seed: MLPRegressor(hidden_layer_sizes=(100,), max_iter=50, random_state=seed)),
    )


def quick_learners(task: Task) -> tuple[Learner, ...]:
    """A linear model and gradient-boosted trees: seconds instead of minutes, and the better learners of tables."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LinearRegression, LogisticRegression

    if task is Task.NUMBER:
        trees = Learner(
            "gradient-boosted trees",
            lambda seed: HistGradientBoostingRegressor(random_state=seed, early_stopping=False),
        )
        return (Learner("linear regression", lambda seed: LinearRegression()), trees)
    trees = Learner(
        "gradient-boosted trees", lambda seed: HistGradientBoostingClassifier(random_state=seed, early_stopping=False)
    )
    return (Learner("logistic regression", lambda seed: LogisticRegression(max_iter=200)), trees)


def efficacy(
    schema: Schema,
    target: str,
    synthetic: Float[Tensor, "drawn columns"],
    train: Float[Tensor, "seen columns"],
    test: Float[Tensor, "unseen columns"],
    *,
    learners: Callable[[Task], Sequence[Learner]] = quick_learners,
    seed: int = 0,
    folds: bool = True,
) -> Efficacy:
    """Predict column `target` from the others: learners trained on `synthetic` and on `train`, each judged on `test`.

    Rows without a target are left out; equally many rows of both tables, at most `MOST`, drawn by `seed`. Without
    `folds` the scatter of learning is not measured, so nothing is said of a loss. Deterministic. Errors: `SupportError`
    for a column that there is not, or that has one value only in the real data; `ShapeError` for too few rows.
    """
    if target not in schema.names:
        raise SupportError(f"there is no column {target!r} to predict; the columns are {', '.join(schema.names[:20])}")
    if len(schema.names) < 2:
        raise SupportError(f"the table has no column besides {target!r} to predict it from; nothing can be learned")
    place = schema.names.index(target)
    task = task_of(schema.columns[place])
    encoder = FeatureEncoder(schema, place, train)
    chosen = [_chosen(table, place, seed) for table in (synthetic, train, test)]
    size = min(len(chosen[0]), len(chosen[1]))  # fewer rows teach less, whatever their law
    drawn, seen, unseen = (encoder(table) for table in (chosen[0][:size], chosen[1][:size], chosen[2]))
    if len(np.unique(seen.y)) < 2 or len(np.unique(unseen.y)) < 2:
        raise SupportError(
            f"column {target!r} has one value only in the real rows, so there is nothing to predict; choose another "
            "target"
        )
    positive = _rarer(seen.y)
    classes = np.unique(np.concatenate((drawn.y, seen.y)))
    taught = [[_taught(one, rows, unseen.x, classes, task, seed) for one in learners(task)] for rows in (drawn, seen)]
    scores = [tuple(_score(one, unseen, positive, task) for one in rows) for rows in taught]
    constant = float((unseen.y == _commonest(seen.y)).mean()) if task is not Task.NUMBER else 0.0
    said = [np.mean([one.said for one in rows], axis=0) for rows in taught]
    told = SkillTold(
        said[1],
        said[0],
        (
            _folds(seen, unseen.x, classes, task, seed) if folds else (),
            _folds(drawn, unseen.x, classes, task, seed) if folds else (),
        ),
    )
    limits = float(seen.y.min()), float(seen.y.max())
    skill = (
        skill_of_numbers(unseen.y, told, limits) if task is Task.NUMBER else skill_of_classes(unseen.y, classes, told)
    )
    return Efficacy(target, task, scores[0], scores[1], len(unseen.y), constant, skill)


def _chosen(table: Tensor, place: int, seed: int) -> Tensor:
    rows = np.flatnonzero(~np.isnan(table[:, place].numpy(force=True)))
    if len(rows) < FEWEST:
        raise ShapeError(
            f"{len(rows)} rows have a target; train-on-synthetic-test-on-real needs at least {FEWEST} in each table"
        )
    return table[np.random.default_rng(seed).permutation(rows)[:MOST]]


def learnable_target(schema: Schema, train: Float[Tensor, "seen columns"], *, seed: int = 0) -> str | None:
    """The last column with 2 to 20 levels that trees predict from the others better than chance, else such a column of
    numbers; None where none is.

    Half of at most `PROBED` training rows teach, the others judge, so that the choice has looked at no row that a judge
    is given. Better than chance: by more than 3 standard deviations for one column, so many more that a column is
    chosen by chance in one of 740 tables in all.
    """
    few = [column.name for column in schema.columns if column.kind in LEVELS and 2 <= column.codes <= FEW_CLASSES]
    others = [name for name in schema.names if name not in few]
    asked = (few[::-1] + others[::-1])[:MOST_PROBED]
    rows = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:PROBED]]
    for target in asked:
        try:
            half = len(rows) // 2
            found = efficacy(
                schema,
                target,
                rows[:half],
                rows[:half],
                rows[half:],
                learners=lambda task: quick_learners(task)[-1:],
                seed=seed,
                folds=False,
            )
        except (ShapeError, SupportError):
            continue
        if found.skill is not None and 0.5 * math.erfc(found.skill.deviations / math.sqrt(2)) < ALARM / len(asked):
            return target
    return None


def _rarer(codes: np.ndarray) -> float:
    values, counts = np.unique(codes, return_counts=True)
    return float(values[counts.argmin()])


def _commonest(codes: np.ndarray) -> float:
    values, counts = np.unique(codes, return_counts=True)
    return float(values[counts.argmax()])


@dataclass(frozen=True)
class Problem:
    """What a learner is given."""

    x: Float[np.ndarray, "rows features"]
    y: Float[np.ndarray, " rows"]


class FeatureEncoder:
    """Rows as features, with shifts and scales from the real training rows.

    As SDGym has it: levels without an order one-hot where there are more than two, numbers that are never negative and
    reach 1,000 as logarithms (of at least 0.01), other numbers brought to [0, 5]. A missing number is the median, with
    a feature that says so; a missing level is a level of its own.
    """

    def __init__(self, schema: Schema, target: int, train: Float[Tensor, "rows columns"]) -> None:
        self.schema, self.target = schema, target
        self.train = columns_of(schema, train)

    def __call__(self, table: Float[Tensor, "rows columns"]) -> Problem:
        cells = columns_of(self.schema, table)
        others = [place for place in range(len(cells)) if place != self.target]
        x = np.column_stack([block for place in others for block in self._features(place, cells[place])])
        return Problem(x, cells[self.target])

    def _features(self, place: int, cells: np.ndarray) -> list[np.ndarray]:
        column, gap = self.schema.columns[place], np.isnan(cells)
        gaps = [gap.astype(np.float64)] if column.missing and column.kind is not ColumnKind.CATEGORICAL else []
        if column.kind is ColumnKind.CATEGORICAL and column.codes > 2:
            return [np.eye(column.codes + 2)[whole_codes(column, cells)][:, : column.codes + column.missing]]
        known = self.train[place][~np.isnan(self.train[place])]
        filled = np.where(gap, np.median(known) if len(known) else 0.0, cells)
        return [filled if column.kind in LEVELS else scaled(filled, known), *gaps]


def scaled(cells: Float[np.ndarray, " rows"], known: Float[np.ndarray, " seen"]) -> Float[np.ndarray, " rows"]:
    """Numbers as SDGym gives them to a learner, by the least and the largest value that is known."""
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if low >= 0 and high >= MANY_MAGNITUDES:
        return np.log(np.maximum(cells, 1e-2))
    return (cells - low) / (high - low or 1.0) * SPAN


@dataclass(frozen=True)
class _Taught:
    """A learner that was trained, and what it says of test rows."""

    name: str
    predicted: np.ndarray
    said: Float[np.ndarray, "tests outputs"]  # shares of the classes, or the number again


def _score(taught: _Taught, test: Problem, positive: float, task: Task) -> LearnerScore:
    predicted = taught.predicted
    if task is Task.NUMBER:
        centred, left = test.y - test.y.mean(), test.y - predicted
        return LearnerScore(taught.name, 1 - float(left @ left) / float(centred @ centred))
    judged = [positive] if task is Task.BINARY else list(np.union1d(test.y, predicted))
    return LearnerScore(
        taught.name, float((predicted == test.y).mean()), fmean(f1(test.y, predicted, one) for one in judged)
    )


def _taught(learner: Learner, rows: Problem, x: np.ndarray, classes: np.ndarray, task: Task, seed: int) -> _Taught:
    if len(np.unique(rows.y)) < 2:  # a table that never varies in its target teaches a constant
        constant = np.full(len(x), rows.y[0])
        said = constant[:, None] if task is Task.NUMBER else np.tile((classes == rows.y[0]).astype(float), (len(x), 1))
        return _Taught(learner.name, constant, said)
    with ignoring():  # that 50 steps do not converge is how the benchmark was defined
        model = learner.make(seed).fit(rows.x, rows.y)
        predicted = model.predict(x)
        if task is Task.NUMBER:
            return _Taught(learner.name, predicted, predicted[:, None])
        said = np.zeros((len(x), len(classes)))
        said[:, np.searchsorted(classes, model.classes_)] = model.predict_proba(x)
    return _Taught(learner.name, predicted, said)


def _folds(rows: Problem, x: np.ndarray, classes: np.ndarray, task: Task, seed: int) -> tuple[np.ndarray, ...]:
    """What trees say that were taught by a part of the rows each; nothing where parts would be small."""
    size = len(rows.y) // FOLDS
    if size < LEAST_FOLD:
        return ()
    trees = quick_learners(task)[-1]
    parts = [
        Problem(rows.x[one * size : (one + 1) * size], rows.y[one * size : (one + 1) * size]) for one in range(FOLDS)
    ]
    return tuple(_taught(trees, part, x, classes, task, seed).said for part in parts)


def f1(truth: Float[np.ndarray, " rows"], predicted: Float[np.ndarray, " rows"], positive: float) -> float:
    """2 TP / (2 TP + FP + FN) of one class; 0 where it neither occurs nor is predicted."""
    true, told = truth == positive, predicted == positive
    total = int(true.sum() + told.sum())
    return 2 * int((true & told).sum()) / total if total else 0.0
