"""Which rows do not belong: scores behind one sign convention, p-values calibrated on rows that do belong, and the
cells that say why.

**Every score is higher the stranger a row is.** A p-value is small for a strange row.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from vael.applications.attribution import conditional_surprise
from vael.applications.measuring import Measured, Measuring, Neighbourhood
from vael.counting import counted
from vael.data import Kind, Source
from vael.errors import StateError
from vael.evaluation import row_terms
from vael.models import (
    CellWise,
    ClosedForm,
    ColumnsHead,
    Decodes,
    LatentVector,
    Model,
    has,
    needs,
)

REFERENCE = 5000  # rows of training that others are compared with
LEAST_HELD_OUT = 10
EXPLAINED = 256  # held-out rows that say what is usual of a cell given the others
CLEAR = 2.0  # nats more than usual that make a cell a reason beyond doubt


class Score(Enum):
    """What strangeness is taken to be, in nats unless said otherwise."""

    # bound (of images of whole numbers ratio, of a model without likelihood error), neighbours and rows, each in units
    # of its spread on held-out rows; no unit
    COMBINED = "combined"
    BOUND = "bound"  # minus the bound on log p(x), or minus log p(x) itself where that is known exactly
    ERROR = "error"  # what an error costs where a model has no likelihood, such as squared error; in its own units
    TYPICALITY = (
        "typicality"  # |bound - its median on held-out rows|: too likely is strange too (Nalisnick et al. 2019)
    )
    DISTORTION = "distortion"  # E_q[-log p(x | z)]
    DIVERGENCE = "divergence"  # KL(q(z | x) || p(z))
    RATIO = "ratio"  # minus the bound, less what a simple code needs (Ren et al. 2019; Serrà et al. 2020)
    NEIGHBOURS = "neighbours"  # distance to the fifth nearest training row in the space of codes and surprises; no unit
    # distance to the fifth nearest training row as the rows stand, cells in units of their spread; what no model has
    # smoothed; no unit
    ROWS = "rows"


WITHOUT_LIKELIHOOD = (Score.COMBINED, Score.ERROR, Score.NEIGHBOURS, Score.ROWS)


def scores_for(model: Model) -> tuple[Score, ...]:
    """The scores that a model has: by its likelihood, or by what its errors cost."""
    if not model.states_likelihood:
        return WITHOUT_LIKELIHOOD
    return tuple(kind for kind in Score if kind is not Score.ERROR)


@dataclass(frozen=True)
class Verdict:
    """Rows judged."""

    score: Float[Tensor, " rows"]
    objective: Float[Tensor, " rows"]  # log p(x) or a bound on it; of a model without likelihood minus the error's cost
    p_value: Float[Tensor, " rows"]
    reasons: Float[Tensor, "rows *event"]  # by how many nats each cell is more surprising than it usually is

    def flagged(self, threshold: float) -> Bool[Tensor, " rows"]:
        """Rows whose p-value is at most `threshold`."""
        return self.p_value <= threshold


@dataclass(frozen=True)
class Usual:
    """How scores of rows that belong lie: to put two scores on one scale."""

    middle: float
    spread: float

    @classmethod
    def of(cls, values: np.ndarray) -> Usual:
        """By their median, and the distance between their first and last tenth."""
        low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
        return cls(float(middle), float(max(high - low, 1e-9)))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Distance from the middle in units of the spread, large ones on a logarithmic scale, so that no score
        rules the other.
        """
        return np.arcsinh((values - self.middle) / self.spread)


@dataclass(frozen=True)
class Calibration:
    """Scores of rows that belong, in order, and the fingerprint of their source where it may be judged itself."""

    scores: Float64[np.ndarray, " calibrating"]
    fingerprint: str

    def p_values(self, score: np.ndarray, fingerprint: str) -> np.ndarray:
        """Of scores of a source; a row that calibrates is not its own witness."""
        own = int(bool(fingerprint) and fingerprint == self.fingerprint)
        beyond = len(self.scores) - np.searchsorted(self.scores, score, side="left")
        return (1 - own + beyond) / (len(self.scores) + 1 - own)


def _usual_of(surprise: Tensor) -> Tensor:
    """The median of each cell over rows in which it was seen: 0 is a gap."""
    seen = torch.where(surprise == 0, torch.full_like(surprise, torch.nan), surprise)
    return seen.nanmedian(0).values.nan_to_num()


def _beyond(surprise: Tensor, usual: Tensor) -> Tensor:
    """By how much cells are more surprising than usual; 0 for a gap."""
    return torch.where(surprise == 0, torch.zeros_like(surprise), surprise - usual)


def _refuse_no_numbers(reference: Measured) -> None:
    """Errors: `StateError` where the model says what is no number of rows that it was trained on."""
    said = (reference.code, reference.surprise, reference.objective)
    wrong = sum(~part.reshape(len(part), -1).isfinite().all(1) for part in said)
    if found := int(torch.as_tensor(wrong).count_nonzero()):
        raise StateError(
            f"what the model says of {counted(found, 'row')} of {len(reference.code):,} that it was trained on is no "
            "finite number, so its weights are of no use for scores; train again, or bring back the files of the run"
        )


class Explaining:
    """Which cells make a row strange, beside some rows that belong."""

    def __init__(self, measuring: Measuring, held_out: Source) -> None:
        self.measuring, self.held_out = measuring, held_out
        self._usual_given: Tensor | None = None

    def __call__(self, source: Source, reasons: Float[Tensor, "rows *event"]) -> Float[Tensor, "rows *event"]:
        """As `AnomalyDetector.explain`."""
        model, seed = self.measuring.model, self.measuring.seed
        proposes = isinstance(model, LatentVector) and has(model, CellWise) and model.posterior.sees_gaps
        if len(source.event) != 1 or not (proposes or has(model, ClosedForm)):
            return reasons
        if self._usual_given is None:
            self._usual_given = _usual_of(torch.cat(list(conditional_surprise(model, self.held_out, seed=seed))))
        usual = self._usual_given
        given = _beyond(torch.cat(list(conditional_surprise(model, source, usual=usual, seed=seed))), usual)
        if not isinstance(self.measuring.head, ColumnsHead):
            return given
        own = self.measuring.column_surprise
        rarity = _beyond(own(source), _usual_of(own(self.held_out)))
        return torch.where(given.amax(1, keepdim=True) < CLEAR, torch.maximum(given, rarity), given)


class AnomalyDetector:
    """A trained model, what it says of rows that it was trained on, and how rows that belong score.

    p(x) = (1 + #{rows of calibration with a score at least that of x}) / (n + 1): where those rows and new ones come
    from one law and the score was made without either, a share of at most α of new rows has p ≤ α on average (Vovk,
    Gammerman & Shafer 2005; Bates et al. 2023), and just α where α (n + 1) is a whole number. So `calibration` should
    be rows that chose nothing: `held_out`, which is taken where there is none, chose the best weights of a run, and
    here the scales of `Score.COMBINED` (with n = 19 that is 6 % below 0.05). Rows of calibration that are judged
    themselves are compared with the others, p = #/n, which is as exact. No p-value is below 1 / (n + 1): 99 rows are
    needed for one of 0.01.

    `contamination` is the share of rows in training and held-out data that do not belong: so many of the strangest are
    left out of the neighbours and of the calibration. Declared where there are none, it flags more rows that belong
    than the threshold says. Everything is a function of the rows and the seed; a row scores the same alone and among
    others. A model without likelihood is asked what its errors cost (`Score.ERROR`). `watch` is told how many more rows
    were measured, here and when rows are judged. Errors: `StateError` for fewer than 10 held-out rows, a contamination
    that is not in [0, ½), a score that the model has not, or a model that decodes nothing.
    """

    def __init__(
        self,
        model: Model,
        train: Source,
        held_out: Source,
        *,
        calibration: Source | None = None,
        score: Score = Score.COMBINED,
        contamination: float = 0.0,
        samples: int = 4,
        seed: int = 0,
        watch: Callable[[int], None] | None = None,
    ) -> None:
        if len(held_out) < LEAST_HELD_OUT or not 0 <= contamination < 0.5:
            raise StateError(
                f"{len(held_out)} held-out rows and a contamination of {contamination:g}: expected at least "
                f"{LEAST_HELD_OUT} rows that were not "
                "trained on, and a share from 0 to below one half"
            )
        model = needs(model, Decodes, "scoring")
        if score not in (known := scores_for(model)):
            raise StateError(
                f"the score {score.value} was asked for, but this model, {type(model).__name__}, has "
                f"{', '.join(kind.value for kind in known)}: choose one of these"
            )
        self.kind = score
        self.measuring = Measuring(model, train.fewer(REFERENCE), samples, seed, watch)
        reference = self.measuring.all(train.fewer(REFERENCE)).belonging(contamination, LEAST_HELD_OUT)
        _refuse_no_numbers(reference)
        self.neighbourhood = Neighbourhood(reference)
        held = self.measuring.all(held_out).belonging(contamination, LEAST_HELD_OUT)
        self.usual_cells, self.middle = _usual_of(held.surprise), float(held.objective.median())
        grey = len(train.event) == 3 and train.kind in (
            Kind.BINARY,
            Kind.INTEGER,
        )  # the bound of an image counts its ink
        own = Score.RATIO if grey else Score.BOUND
        own = own if model.states_likelihood else Score.ERROR
        self.usual = {kind: Usual.of(self._raw(held, kind)) for kind in (own, Score.NEIGHBOURS, Score.ROWS)}
        self.explaining = Explaining(self.measuring, held_out.fewer(EXPLAINED))
        self.calibrating = self._calibrated(calibration or held_out, contamination)

    def calibrated(self, source: Source, *, contamination: float = 0.0) -> AnomalyDetector:
        """The same detector with p-values by other rows that belong. Errors: `StateError` for fewer than 10 of them."""
        other = copy.copy(self)
        other.calibrating = self._calibrated(source, contamination)
        return other

    def _calibrated(self, source: Source, contamination: float) -> Calibration:
        if len(source) < LEAST_HELD_OUT:
            raise StateError(f"{len(source)} rows to calibrate p-values on: expected at least {LEAST_HELD_OUT}")
        belonging = self.measuring.all(source).belonging(contamination, LEAST_HELD_OUT)
        return Calibration(np.sort(self._score(belonging)), "" if contamination else source.fingerprint)

    @property
    def calibration(self) -> np.ndarray:
        """Scores of the rows that p-values are calibrated on, from the least strange."""
        return self.calibrating.scores

    @property
    def least_p_value(self) -> float:
        """1 / (n + 1): no p-value lies below."""
        return 1 / (len(self.calibration) + 1)

    def judge(self, source: Source) -> Iterator[Verdict]:
        """Every row in order, a block at a time; memory does not grow with their number."""
        for measured in self.measuring.blocks(source):
            score = self._score(measured)
            p_value = torch.from_numpy(self.calibrating.p_values(score, source.fingerprint))
            reasons = _beyond(measured.surprise, self.usual_cells)
            yield Verdict(torch.from_numpy(score), measured.objective, p_value, reasons)

    def scores(self, source: Source, kind: Score | None = None) -> Float[Tensor, " rows"]:
        """The score of every row, of the detector's own kind or another."""
        return torch.from_numpy(np.concatenate([self._score(part, kind) for part in self.measuring.blocks(source)]))

    def explain(self, source: Source, reasons: Float[Tensor, "rows *event"]) -> Float[Tensor, "rows *event"]:
        """By how many nats each cell of a few rows is more surprising, given the others, than it usually is.

        With an encoder that sees gaps, or in closed form, by `conditional_surprise`; else `reasons`, those of `judge`,
        which take a cell's own part in its code. Where that leaves a row of a table without a clear reason (`CLEAR`
        nats), a cell that is rare in its own column is one too: what few rows have can be learned as such, and still
        stands far from the others.
        """
        return self.explaining(source, reasons)

    def _score(self, measured: Measured, kind: Score | None = None) -> np.ndarray:
        kind = kind or self.kind
        if kind is not Score.COMBINED:
            return self._raw(measured, kind)
        return sum(usual(self._raw(measured, part)) for part, usual in self.usual.items())  # type: ignore[return-value]

    def _raw(self, measured: Measured, kind: Score) -> np.ndarray:
        if kind is Score.NEIGHBOURS:
            return self.neighbourhood.of_codes(measured)
        if kind is Score.ROWS:
            return self.neighbourhood.of_rows(measured)
        values = {
            Score.BOUND: -measured.objective,
            Score.ERROR: measured.distortion,
            Score.TYPICALITY: (measured.objective - self.middle).abs(),
            Score.DISTORTION: measured.distortion,
            Score.DIVERGENCE: measured.divergence,
            Score.RATIO: -measured.objective - measured.background,
        }
        return values[kind].double().numpy()


def without_the_strangest(model: Decodes, source: Source, share: float, *, seed: int = 0) -> Source:
    """The rows of a contaminated training set whose bound is not among the lowest `share` (of a model without
    likelihood, whose errors do not cost most): to train on again.

    (Trimming, as in Zhou & Paffenroth 2017.) Errors: `StateError` for a share outside [0, ½).
    """
    if not 0 <= share < 0.5:
        raise StateError(f"a share of {share:g} of the rows was to be left out; expected one from 0 to below one half")
    said = torch.cat([part.objective for part in row_terms(model, source, samples=4, seed=seed)])
    kept = torch.argsort(said, descending=True)[: len(said) - round(share * len(said))].sort().values
    lost = "the lowest bound" if model.states_likelihood else "the largest errors"
    return replace(source.subset(kept), notes=(*source.notes, f"without the {share:.0%} of rows with {lost}"))
