"""Which rows do not belong: scores behind one sign convention, p-values calibrated on rows that do belong, and the
cells that say why.

**Every score is higher the stranger a row is.** A p-value is small for a strange row.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from vael.applications.attribution import conditional_surprise
from vael.data import Batch, Kind, Source
from vael.errors import StateError
from vael.evaluation import row_blocks, row_terms
from vael.evaluation.rows import terms_of_rows
from vael.models import (
    CellWise,
    ClosedForm,
    ColumnsHead,
    ColumnsInput,
    Decodes,
    Head,
    LatentVector,
    Model,
    has,
    head_of,
    needs,
)
from vael.models.core import Levels
from vael.models.vae import filled
from vael.probability import PerExample

NEIGHBOURS, REFERENCE = 5, 5000
FEW_CELLS = 256  # up to which the surprise of every cell is a place in the space of neighbours
LEAST_HELD_OUT = 10
EXPLAINED = 256  # held-out rows that say what is usual of a cell given the others
CLEAR = 2.0  # nats more than usual that make a cell a reason beyond doubt
LOOKED_UP = 256  # rows at once among the neighbours


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
class Measured:
    """What a model says of some rows, one entry a row."""

    distortion: Float[Tensor, " rows"]
    divergence: Float[Tensor, " rows"]
    objective: Float[Tensor, " rows"]  # log p(x) or a bound on it, else minus the error's cost
    code: Float[Tensor, "rows latents"]  # mean of q(z | x)
    surprise: Float[Tensor, "rows *event"]  # -log p(x_j | z) at that mean, or its error's cost; 0 for a missing cell
    background: Float[Tensor, " rows"]  # what a simple code needs
    cells: Float[Tensor, "rows places"]  # the row itself, in units of spread; a gap in the middle


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
        low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
        return cls(float(middle), float(max(high - low, 1e-9)))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Distance from the middle in units of the spread, large ones on a logarithmic scale, so that no score
        rules the other.
        """
        return np.arcsinh((values - self.middle) / self.spread)


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
    others. A model without likelihood is asked what its errors cost (`Score.ERROR`). Errors: `StateError` for fewer
    than 10 held-out rows, a contamination that is not in [0, ½), a score that the model has not, or a model that
    decodes nothing.
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
        self.model, self.kind, self.samples, self.seed = model.eval(), score, samples, seed
        self.head = head_of(model)
        self.space = _Space(_few(train, REFERENCE), self.head)
        reference = self._belonging(self._all(_few(train, REFERENCE)), contamination)
        self.deviation = reference.code.std(0, correction=0).clamp(min=1e-6)
        cells = reference.surprise.flatten(1)
        self.least, self.roughness = cells.min(0).values, cells.std(0, correction=0).clamp(min=1e-6)
        self.neighbours = _Nearest(self._place(reference))
        self.rows = _Nearest(reference.cells.double().numpy())
        held = self._belonging(self._all(held_out), contamination)
        seen = torch.where(held.surprise == 0, torch.full_like(held.surprise, torch.nan), held.surprise)  # 0 is a gap
        self.usual_cells, self.middle = seen.nanmedian(0).values.nan_to_num(), float(held.objective.median())
        grey = len(train.event) == 3 and train.kind in (
            Kind.BINARY,
            Kind.INTEGER,
        )  # the bound of an image counts its ink
        own = Score.RATIO if grey else Score.BOUND
        own = own if model.states_likelihood else Score.ERROR
        self.usual = {kind: Usual.of(self._raw(held, kind)) for kind in (own, Score.NEIGHBOURS, Score.ROWS)}
        self.held_out = held_out
        self.calibration, self._of_calibration = self._calibrated(calibration or held_out, contamination)
        self._usual_given: Tensor | None = None

    def calibrated(self, source: Source, *, contamination: float = 0.0) -> AnomalyDetector:
        """The same detector with p-values by other rows that belong. Errors: `StateError` for fewer than 10 of them."""
        other = copy.copy(self)
        other.calibration, other._of_calibration = self._calibrated(source, contamination)
        return other

    def _calibrated(self, source: Source, contamination: float) -> tuple[np.ndarray, str]:
        """Sorted scores of calibrating rows, and their fingerprint where they are compared with each other."""
        if len(source) < LEAST_HELD_OUT:
            raise StateError(f"{len(source)} rows to calibrate p-values on: expected at least {LEAST_HELD_OUT}")
        return np.sort(
            self._score(self._belonging(self._all(source), contamination))
        ), "" if contamination else source.fingerprint

    @property
    def least_p_value(self) -> float:
        """1 / (n + 1): no p-value lies below."""
        return 1 / (len(self.calibration) + 1)

    def judge(self, source: Source) -> Iterator[Verdict]:
        """Every row in order, a block at a time; memory does not grow with their number."""
        own = int(bool(source.fingerprint) and source.fingerprint == self._of_calibration)
        for measured in self._measure(source):
            score = self._score(measured)
            beyond = len(self.calibration) - np.searchsorted(self.calibration, score, side="left")
            p_value = torch.from_numpy(
                (1 - own + beyond) / (len(self.calibration) + 1 - own)
            )  # a row that calibrates is not its own witness
            reasons = torch.where(
                measured.surprise == 0, torch.zeros_like(measured.surprise), measured.surprise - self.usual_cells
            )
            yield Verdict(torch.from_numpy(score), measured.objective, p_value, reasons)

    def scores(self, source: Source, kind: Score | None = None) -> Float[Tensor, " rows"]:
        """The score of every row, of the detector's own kind or another."""
        return torch.from_numpy(np.concatenate([self._score(part, kind) for part in self._measure(source)]))

    def explain(self, source: Source, reasons: Float[Tensor, "rows *event"]) -> Float[Tensor, "rows *event"]:
        """By how many nats each cell of a few rows is more surprising, given the others, than it usually is.

        With an encoder that sees gaps, or in closed form, by `conditional_surprise`; else `reasons`, those of `judge`,
        which take a cell's own part in its code. Where that leaves a row of a table without a clear reason (`CLEAR`
        nats), a cell that is rare in its own column is one too: what few rows have can be learned as such, and still
        stands far from the others.
        """
        model = self.model
        proposes = isinstance(model, LatentVector) and has(model, CellWise) and model.posterior.sees_gaps
        if len(source.event) != 1 or not (proposes or has(model, ClosedForm)):
            return reasons
        if self._usual_given is None:
            usual = torch.cat(list(conditional_surprise(model, _few(self.held_out, EXPLAINED), seed=self.seed)))
            self._usual_given = (
                torch.where(usual == 0, torch.full_like(usual, torch.nan), usual).nanmedian(0).values.nan_to_num()
            )
        found = torch.cat(list(conditional_surprise(model, source, seed=self.seed)))
        given = torch.where(found == 0, torch.zeros_like(found), found - self._usual_given)
        unclear = given.amax(1, keepdim=True) < CLEAR
        return (
            torch.where(unclear, torch.maximum(given, self._rarity(source)), given)
            if isinstance(self.head, ColumnsHead)
            else given
        )

    def _rarity(self, source: Source) -> Float[Tensor, "rows columns"]:
        """By how many nats each cell is more surprising in its own column than it usually is; 0 for a gap."""
        usual, cells = (
            torch.cat(
                [
                    self._column_surprise(block.batch)[: block.rows]
                    for block in row_blocks(self.model, part, self.seed, 1)
                ]
            )
            for part in (_few(self.held_out, EXPLAINED), source)
        )
        seen = torch.where(usual == 0, torch.full_like(usual, torch.nan), usual)
        return torch.where(cells == 0, torch.zeros_like(cells), cells - seen.nanmedian(0).values.nan_to_num())

    def _score(self, measured: Measured, kind: Score | None = None) -> np.ndarray:
        kind = kind or self.kind
        if kind is not Score.COMBINED:
            return self._raw(measured, kind)
        return sum(usual(self._raw(measured, part)) for part, usual in self.usual.items())  # type: ignore[return-value]

    def _raw(self, measured: Measured, kind: Score) -> np.ndarray:
        if kind is Score.NEIGHBOURS:
            return self.neighbours(self._place(measured))
        if kind is Score.ROWS:
            return self.rows(measured.cells.double().numpy())
        values = {
            Score.BOUND: -measured.objective,
            Score.ERROR: measured.distortion,
            Score.TYPICALITY: (measured.objective - self.middle).abs(),
            Score.DISTORTION: measured.distortion,
            Score.DIVERGENCE: measured.divergence,
            Score.RATIO: -measured.objective - measured.background,
        }
        return values[kind].double().numpy()

    def _place(self, measured: Measured) -> np.ndarray:
        """A row in the space of neighbours: its code in units of the codes' spread, and the root of the surprise of its
        cells.

        The root of a Gaussian's surprise is the distance of a cell from what was expected. Of many cells only their sum
        counts.
        """
        code, cells = measured.code / self.deviation, measured.surprise.flatten(1)
        if cells.shape[1] > FEW_CELLS:
            cells = cells.sum(1, keepdim=True)
            least, roughness = self.least.sum(), self.roughness.square().sum().sqrt()
        else:
            least, roughness = self.least, self.roughness
        return torch.cat((code, ((cells - least).clamp(min=0) / roughness).sqrt()), 1).double().numpy()

    def _belonging(self, measured: Measured, contamination: float) -> Measured:
        kept = (
            torch.argsort(measured.objective, descending=True)[
                : max(LEAST_HELD_OUT, round(len(measured.objective) * (1 - contamination)))
            ]
            .sort()
            .values
        )
        return (
            measured
            if not contamination
            else Measured(*(getattr(measured, name)[kept] for name in Measured.__dataclass_fields__))
        )

    def _all(self, source: Source) -> Measured:
        parts = list(self._measure(source))
        return Measured(*(torch.cat([getattr(part, name) for part in parts]) for name in Measured.__dataclass_fields__))

    def _measure(self, source: Source) -> Iterator[Measured]:
        for block in row_blocks(self.model, source, self.seed, self.samples):
            batch = block.batch
            with torch.inference_mode():
                said, latents = terms_of_rows(self.model, batch, self.samples, self.seed), self.model.latents(batch)
                found = (
                    said.distortion,
                    said.divergence,
                    said.objective,
                    self.model.encode(batch),
                    self._surprise(batch, latents),
                    self._background(batch),
                    self.space(batch),
                )
            yield Measured(*(part[: block.rows] for part in found))

    def _surprise(self, batch: Batch, means: Levels) -> Tensor:
        x = filled(batch.x, batch.observed)
        cells = -self.model.decode(means, batch.context).log_prob(x)[0]
        if cells.dim() == 1:
            return cells[:, None]
        return cells if batch.observed is None else torch.where(batch.observed, cells, torch.zeros_like(cells))

    def _column_surprise(self, batch: Batch) -> Tensor:
        """-log p of each cell by the distribution that its column had before the networks learned anything; 0 where
        it is missing.
        """
        x = filled(batch.x, batch.observed)
        with torch.no_grad():
            cells = -self.head(x.new_zeros(1, len(x), self.head.raw_numbers)).log_prob(x)[0]  # type: ignore[union-attr]
        return cells if batch.observed is None else torch.where(batch.observed, cells, torch.zeros_like(cells))

    def _background(self, batch: Batch) -> Tensor:
        """What a simple code needs for each row in nats: columns by their own laws, whole numbers by zlib, real
        numbers as standard normal ones.
        """
        x = filled(batch.x, batch.observed)
        if isinstance(self.head, ColumnsHead):
            return self._column_surprise(batch).sum(1)
        if not x.shape[1:] or bool((x != x.round()).any()) or float(x.max()) > 255 or float(x.min()) < 0:
            return 0.5 * x.flatten(1).square().sum(1)
        lengths = [len(zlib.compress(row.tobytes(), 9)) for row in x.flatten(1).to(torch.uint8).numpy()]
        return torch.tensor(lengths, dtype=x.dtype) * 8 * float(np.log(2))


class _Space:
    """Where rows stand: columns of kinds as an encoder is shown them, other columns and the cells of images by their
    spread.

    Columns have a spread each, one that never varies has 1; the cells of an image have one in common, or dark corners
    would count most.
    """

    def __init__(self, train: Source, head: Head | None) -> None:
        self.shown, x = None, train.batch(torch.arange(len(train)), PerExample(0, torch.arange(len(train)))).x
        if isinstance(head, ColumnsHead):
            self.shown = ColumnsInput(head.schema, sample=x)
            return
        seen = ~torch.isnan(x)
        count = seen.sum(0).clamp(min=1)
        self.middle = torch.nan_to_num(x).sum(0) / count
        variance = torch.where(seen, (x - self.middle).square(), torch.zeros_like(x)).sum(0) / count
        spread = (variance if variance.dim() == 1 else variance.mean()).sqrt()
        self.spread = torch.where(spread > 1e-9, spread, torch.ones_like(spread))

    def __call__(self, batch: Batch) -> Float[Tensor, "rows places"]:
        gaps = torch.isnan(batch.x) if batch.observed is None else ~batch.observed
        if self.shown is not None:
            return self.shown(batch.x.masked_fill(gaps, torch.nan))
        return (
            torch.where(gaps, torch.zeros_like(batch.x), (batch.x - self.middle) / self.spread)
            .flatten(1)
            .clamp(-1e6, 1e6)
        )


class _Nearest:
    """Rows of training as places; distances from the fifth nearest, in blocks of one size: what is near another row
    does not round its distance.

    Distances are computed anew from the differences: a search by products of matrices leaves 1e-8 between a row and its
    copy, which would be much where most rows have copies.
    """

    def __init__(self, places: np.ndarray) -> None:
        self.places, self.index = places, NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(places))).fit(places)

    def __call__(self, places: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [self._of_block(places[start : start + LOOKED_UP]) for start in range(0, len(places), LOOKED_UP)]
        )

    def _of_block(self, block: np.ndarray) -> np.ndarray:
        whole = np.concatenate((block, np.repeat(block[-1:], LOOKED_UP - len(block), axis=0)))
        near = np.asarray(self.index.kneighbors(whole, return_distance=False))[: len(block)]
        return np.sqrt(np.stack([((block - self.places[place]) ** 2).sum(1) for place in near.T])).max(0)


def _few(source: Source, most: int) -> Source:
    return source if len(source) <= most else source.subset((torch.arange(most) * len(source)) // most)


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
