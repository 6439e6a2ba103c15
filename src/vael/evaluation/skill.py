"""What learners have learned of a target, by a measure that a rare class cannot hide from, and with its errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

PERMUTATIONS = 200  # of the truth, for the error of a score where nothing is learned
MOST_CLASSES, FEWEST = 20, 5  # classes judged, and test rows that each needs, in it and outside
FOLDS = 5  # parts of the rows for learning, by which the scatter of learning itself is measured
LEAST_FOLD = 40  # rows of one


@dataclass(frozen=True)
class Skill:
    """Area under the ROC curve (of classes the mean over one against the rest), for numbers the rank correlation and
    R²; of learners together.

    `deviations`: how far the skill from real rows lies above chance, in standard deviations of permuted truths. `lost`
    is what is lost from real to synthetic rows, `lost_error` its standard deviation over test rows and over training
    rows, and `lost_p_value` P(folds of synthetic rows teach so much less than folds of real ones | one law), by
    Student's t of `FOLDS` and `FOLDS` folds; 1 where there are too few rows.
    """

    measure: str  # "AUC" or "R²"
    synthetic: float
    real: float
    deviations: float
    ceiling: float  # what skill there may be at most, two standard errors above, as an AUC or a correlation
    lost: float
    lost_error: float
    lost_p_value: float


@dataclass(frozen=True)
class SkillTold:
    """What learners together say of the test rows: shares of the classes, or a number in one column."""

    real: Float[np.ndarray, "tests outputs"]
    synthetic: Float[np.ndarray, "tests outputs"]
    folds: tuple[
        tuple[Float[np.ndarray, "tests outputs"], ...], tuple[Float[np.ndarray, "tests outputs"], ...]
    ]  # of real and of synthetic rows


def classes_judged(truth: np.ndarray, classes: np.ndarray) -> list[int]:
    """Places of the classes that enough test rows have; of two the rarer one alone."""
    counts = np.array([(truth == one).sum() for one in classes])
    enough = [
        int(place)
        for place in np.argsort(-counts, kind="stable")[:MOST_CLASSES]
        if FEWEST <= counts[place] <= len(truth) - FEWEST
    ]
    return enough[-1:] if len(classes) == 2 else enough


def skill_of_classes(truth: np.ndarray, classes: np.ndarray, told: SkillTold) -> Skill | None:
    """Areas under the curve. None where no class has enough test rows."""
    judged = classes_judged(truth, classes)
    if not judged:
        return None
    hits = np.stack([truth == classes[place] for place in judged], axis=1)
    areas = {name: area_and_parts(hits, getattr(told, name)[:, judged]) for name in ("real", "synthetic")}
    (real, own), (synthetic, other) = areas["real"], areas["synthetic"]
    null = null_error(hits, told.real[:, judged])
    folds = [[area_and_parts(hits, one[:, judged])[0] for one in part] for part in told.folds]
    above = (real - 0.5) / null if null else 0.0
    ceiling = real + 2 * max(standard_error(own), null)
    return Skill("AUC", synthetic, real, above, ceiling, real - synthetic, *lost(own - other, folds))


def area_and_parts(hits: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean area over classes, and what each test row adds to its error (DeLong, DeLong & Clarke-Pearson 1988)."""
    from scipy.stats import rankdata

    parts, areas = np.zeros(len(hits)), []
    for hit, score in zip(hits.T, scores.T, strict=True):
        m, n = int(hit.sum()), int((~hit).sum())
        ranks = rankdata(score)
        inside = np.zeros(len(hit))
        inside[hit], inside[~hit] = rankdata(score[hit]), rankdata(score[~hit])
        share = np.where(
            hit, (ranks - inside) / n, 1 - (ranks - inside) / m
        )  # of the other side that lies on the right side of the row
        area = float(share[hit].mean())
        parts += (share - area) * np.where(hit, len(hit) / m, len(hit) / n)
        areas.append(area)
    return float(np.mean(areas)), parts / len(areas)


def null_error(hits: np.ndarray, scores: np.ndarray) -> float:
    """Standard deviation of the mean area where truth has nothing to do with what is told, over permutations of the
    truth.
    """
    from scipy.stats import rankdata

    ranks, count = rankdata(scores, axis=0), hits.sum(0)
    generator = np.random.default_rng(0)
    found = []
    for _ in range(PERMUTATIONS):
        sums = (ranks * hits[generator.permutation(len(hits))]).sum(0)
        found.append(float(((sums - count * (count + 1) / 2) / (count * (len(hits) - count))).mean()))
    return float(np.std(found))


def skill_of_numbers(truth: np.ndarray, told: SkillTold, limits: tuple[float, float]) -> Skill:
    """R² of what the learners say together, within the range of the real training rows; whether anything is
    learned, by the rank correlation.
    """
    from scipy.stats import rankdata

    squares = float(((truth - truth.mean()) ** 2).mean()) or 1.0

    def errors(said: np.ndarray) -> np.ndarray:
        return (truth - said[:, 0].clip(*limits)) ** 2 / squares

    own, other = errors(told.real), errors(told.synthetic)
    folds = [[1 - float(errors(one).mean()) for one in part] for part in told.folds]
    a, b = rankdata(truth) - (len(truth) + 1) / 2, rankdata(told.real[:, 0]) - (len(truth) + 1) / 2
    scale = math.sqrt(float(a @ a) * float(b @ b))
    together, root = float(a @ b) / scale if scale else 0.0, math.sqrt(len(truth) - 1)
    gap = float(other.mean() - own.mean())
    return Skill(
        "R²",
        1 - float(other.mean()),
        1 - float(own.mean()),
        together * root,
        together + 2 / root,
        gap,
        *lost(other - own, folds),
    )


def standard_error(parts: np.ndarray) -> float:
    """Of a mean."""
    return float(parts.std() / math.sqrt(len(parts)))


def lost(parts: np.ndarray, folds: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Standard error of what is lost, and the p-value of a loss; parts of the error are those of test rows, folds
    show that of training rows.
    """
    from scipy.stats import t

    real, synthetic = (np.array(one) for one in folds)
    if len(real) < 2:
        return math.inf, 1.0
    scatter = math.sqrt((real.var(ddof=1) + synthetic.var(ddof=1)) / 2)
    statistic = float(real.mean() - synthetic.mean()) / max(scatter * math.sqrt(2 / len(real)), 1e-9)
    training = scatter * math.sqrt(
        2 / len(real)
    )  # what is learned from all rows scatters as a mean over folds does, or less
    return math.hypot(standard_error(parts), training), float(t.sf(statistic, 2 * len(real) - 2))
