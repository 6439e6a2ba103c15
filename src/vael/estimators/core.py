"""A trained model with the scale of its columns: codes, bounds, samples and filled rows, the same for a row alone
and among others.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.nn import functional

from vael.applications.anomaly import LEAST_HELD_OUT, REFERENCE, AnomalyDetector
from vael.applications.imputation import impute
from vael.data import Batch, Schema, Source, Splits
from vael.data.source import spread
from vael.errors import StateError
from vael.estimators.network import Effort, Rows, designed, trained
from vael.evaluation import cell_keys
from vael.inference import drawn_and_weighed
from vael.models import VAE
from vael.models.likelihoods.heads import LOG_SCALE
from vael.models.parts import VAEPart
from vael.probability import Noise, PerExample
from vael.probability.factorization import spectrum

Matrix = Float64[np.ndarray, "rows columns"]

BLOCK = 64  # rows that pass through the networks together, always: products of another shape round in another way
FARTHEST = 1e100  # standard deviations; squares of what lies beyond would overflow
FAR = 1e6  # standard deviations beyond which cells are all alike for proposals and for a detector
FILL_DRAWS = 500  # latents for each row of numbers; a fifth where columns have laws of many parameters
LEAST_SPREAD = math.exp(LOG_SCALE[0])  # of a column's own, the least σ that it can have
NARROW = 1e-3  # of a column's spread: where float32 is finer than that, a detector takes its cells as float32 has them
TINY = 1e-10  # variances below it are zero with errors of rounding
MOST_COLUMNS = 2000  # whose correlations are looked at


@dataclass(frozen=True)
class Fitted:
    """A model of standardised columns in float64, and where and how wide the columns are."""

    model: VAE
    part: VAEPart  # what the model was made from
    gaps: bool  # whether cells may be missing
    shift: Float64[np.ndarray, " columns"]
    scale: Float64[np.ndarray, " columns"]
    schema: Schema | None = None  # of a frame with columns of several kinds: cells are codes then, shift 0 and scale 1
    constant: tuple[int, ...] = ()  # columns of numbers that never varied, as new rows have them
    splits: Splits | None = None  # rows that were learned from, and set aside; kept for a detector only

    @cached_property
    def judge(self) -> VAE:
        """The model as it is used: `model` serves to be saved."""
        return steady(self.model)

    def codes(self, x: Matrix) -> Float64[np.ndarray, "rows latents"]:
        """Means of q(z | x)."""
        return blockwise(lambda part: self.judge.infer(batch_of(part)).mean, self._standard(x))

    def decoded(self, z: Float64[np.ndarray, "rows latents"]) -> Matrix:
        """Means of p(x | z) in the units of the data."""
        return self._original(blockwise(lambda part: self.judge.decode((part[None],)).mean[0], z))

    def bounds(self, x: Matrix, samples: int) -> Float64[np.ndarray, " rows"]:
        """Log 1/K Σ p(x, z_k) / q(z_k | x) in nats (Burda, Grosse & Salakhutdinov 2016), the variates of a row a
        function of its cells.

        Variates shared by all rows would leave an error that no number of rows averages out: held-out rows then scored
        0.2 nats above the density that had made them.
        """
        found = blockwise(
            lambda part: self._log_weights(part, samples, of_cells(part))[0].logsumexp(0) - math.log(samples),
            self._standard(x),
        )
        return found - float(np.log(self.scale).sum())

    def sampled(self, rows: int, seed: int) -> Matrix:
        """Draws from p(x); a column that never varied does not vary, though its σ is above 0."""
        with torch.no_grad():
            made = self.judge.sample(rows, generator=torch.Generator().manual_seed(seed)).numpy()
        made[:, list(self.constant)] = 0.0
        return self._original(made)

    def filled(self, x: Matrix) -> Matrix:
        """`x` with E[x | seen cells] in its gaps (`vael.applications.imputation`), of levels the most probable."""
        gaps = np.isnan(x)
        rows = gaps.any(1)  # those without a gap take no time
        whole = x.copy()
        if rows.any():
            found = self._original(blockwise(self._expected, self._within(self._standard(x[rows]))))
            whole[rows] = np.where(gaps[rows], found, x[rows])
        return whole

    def _expected(self, part: Tensor) -> Tensor:
        draws = FILL_DRAWS if self.schema is None else FILL_DRAWS // 5
        return torch.cat(
            [found.x for found in impute(self.judge, Rows(part, True, self.schema).source(), samples=draws)]
        )

    def detector(self, contamination: float) -> AnomalyDetector:
        """What finds rows that do not belong, measured on the rows of training."""
        if self.splits is None:
            raise StateError("the rows of training were not kept, so there is nothing to compare with; fit again")
        train, held_out = (
            self._at_least(source, LEAST_HELD_OUT) for source in (self.splits.train, self.splits.validation)
        )
        return AnomalyDetector(self.judge, train, held_out, contamination=contamination)

    def with_few_rows(self) -> Fitted:
        """With no more rows of training than a detector compares with."""
        if self.splits is None:
            return self
        train = self._at(self.splits.train, spread(len(self.splits.train), REFERENCE))
        return replace(self, splits=Splits(train, self._at_least(self.splits.validation, 1), None))

    def _at_least(self, source: Source, count: int) -> Source:
        """Few rows several times, until there are enough."""
        return self._at(source, torch.arange(max(len(source), count)) % len(source))

    def _at(self, source: Source, rows: Tensor) -> Source:
        return Rows(source.batch(rows).x.double(), self.gaps, self.schema).source()

    def judged(self, detector: AnomalyDetector, x: Matrix) -> Float64[np.ndarray, "rows 2"]:
        """Scores (higher is stranger) and p-values; blocks of one size are the detector's own affair.

        The rows that are compared with were learned from in float32, so cells are brought to float32 in the same way
        before they are compared: a row that stands there is at distance 0 from itself, in whatever precision it is
        given again.
        """
        cells = self._within(self._standard(narrowed(x, self.shift, self.scale))).astype(np.float32)
        rows = Rows(torch.from_numpy(cells.astype(np.float64)), self.gaps, self.schema)
        found = [torch.stack((part.score.double(), part.p_value.double()), 1) for part in detector.judge(rows.source())]
        return torch.cat(found).numpy()

    def _log_weights(self, part: Tensor, samples: int, noise: Noise) -> tuple[Tensor, Tensor]:
        given = batch_of(part)
        found = drawn_and_weighed(self.judge, given, self.judge.infer(given), samples, noise)
        return found.log_weight, found.latent[0]

    def _standard(self, x: Matrix) -> Matrix:
        return standardised(x, self.shift, self.scale)

    def _within(self, x: Matrix) -> Matrix:
        """Standardised cells, those that are far beyond all others at one end; of a table with a schema the
        networks see to that.
        """
        return x if self.schema else x.clip(-FAR, FAR)

    def _original(self, x: Matrix) -> Matrix:
        return x * self.scale + self.shift


@dataclass(frozen=True)
class Told:
    """Rows as `fit` was given them."""

    x: Matrix  # numbers, or the codes of a table with a schema
    gaps: bool = False
    schema: Schema | None = None
    least: int = 1  # latents, where no number is asked for and columns and rows allow it
    kept: bool = False  # whether rows are to be compared with these, in whatever precision they are given


def fit(told: Told, latent: int | None, hidden: tuple[int, ...] | None, how: Effort) -> tuple[Fitted, int]:
    """The model fitted to rows, and the epochs that it took; NaN is a gap."""
    gaps, shift, scale = told.gaps, np.zeros(told.x.shape[1]), np.ones(told.x.shape[1])
    constant: tuple[int, ...] = ()
    if told.schema is None:
        shift, scale = location_and_scale(told.x)
        constant = tuple(constant_columns(told.x).tolist())
    else:
        gaps = True
    cells = standardised(narrowed(told.x, shift, scale) if told.kept else told.x, shift, scale)
    rows = Rows(torch.from_numpy(cells.astype(np.float32)), gaps, told.schema)
    design = designed(rows, latent, hidden, how, told.least)
    model, run, splits = trained(rows, design, how)
    return Fitted(model, design.model, rows.gaps, shift, scale, told.schema, constant, splits), max(1, run.epochs)


def constant_columns(x: Matrix) -> Int64[np.ndarray, " constant"]:
    """Columns that never vary."""
    return np.flatnonzero((x == x[:1]).all(0))


def location_and_scale(x: Matrix) -> tuple[Float64[np.ndarray, " columns"], Float64[np.ndarray, " columns"]]:
    """Means and standard deviations of the seen cells, without overflow; (0, 1) for a column that was never seen,
    scale 1 where it never varies.
    """
    seen = ~np.isnan(x)
    count = np.maximum(seen.sum(0), 1)
    unit = np.maximum(np.abs(x).max(0, where=seen, initial=0.0), np.finfo(np.float64).tiny)
    small = np.where(seen, x, 0.0) / unit
    mean = small.sum(0) / count
    std = np.sqrt(np.where(seen, (small - mean) ** 2, 0.0).sum(0) / count)
    varies = std > 10 * np.finfo(np.float64).eps * np.abs(mean)
    with np.errstate(over="ignore"):
        scale = np.where(varies, std * unit, 1.0)
    return mean * unit, np.where((scale > np.finfo(np.float64).tiny) & np.isfinite(scale), scale, 1.0)


def standardised(x: Matrix, shift: Float64[np.ndarray, " columns"], scale: Float64[np.ndarray, " columns"]) -> Matrix:
    """Cells in units of their column, what would overflow later at `FARTHEST`; halves of numbers, whose difference
    cannot overflow.
    """
    with np.errstate(over="ignore"):
        return ((x / 2 - shift / 2) / (scale / 2)).clip(-FARTHEST, FARTHEST)


def narrowed(x: Matrix, shift: Float64[np.ndarray, " columns"], scale: Float64[np.ndarray, " columns"]) -> Matrix:
    """Cells as float32 has them, in columns whose spread is far above the digits of float32; other columns as they are.

    The same table in float32 and in float64 is one table then: 0.1 has another value in each, and would be no copy of
    itself. A cell beyond the largest number of float32 (3e38) has no value there and stays what it is.
    """
    fine = np.spacing(np.abs(shift).clip(max=1e30).astype(np.float32)) < NARROW * scale
    with np.errstate(over="ignore"):
        single = x.astype(np.float32).astype(np.float64)
    return np.where(fine & ~np.isinf(single), single, x)


def dependent_columns(x: Matrix) -> Int64[np.ndarray, " dependent"]:
    """Columns that a linear function of the others gives up to `LEAST_SPREAD` of their own spread, those that never
    vary left aside.

    What the others leave of a standardised column is (1 / (C⁻¹)_jj)^½, C the correlations. So few rows as columns would
    determine every column by chance: then none is named.
    """
    varies = np.setdiff1d(np.arange(x.shape[1]), constant_columns(x))
    if not 0 < len(varies) <= MOST_COLUMNS or len(x) <= len(varies) + 1:
        return varies[:0]
    shift, scale = location_and_scale(x[:, varies])
    standard = standardised(x[:, varies], shift, scale)
    values, vectors = spectrum(torch.from_numpy(standard.T @ standard / len(x)))
    left = (1 / (vectors.square() / (values.clamp(min=0.0) + TINY)).sum(1)).numpy()
    return varies[left < LEAST_SPREAD**2]


def batch_of(part: Float[Tensor, "rows columns"]) -> Batch:
    """Rows as a model takes them; NaN is a gap."""
    seen = ~torch.isnan(part)
    return Batch(x=part, observed=None if bool(seen.all()) else seen)


def of_cells(part: Float[Tensor, "rows columns"]) -> PerExample:
    """Variates that belong to the cells of a row: equal rows get equal ones, wherever they stand, as they are to
    get equal scores.
    """
    return PerExample(0, cell_keys(part))


def blockwise(function: Callable[[Tensor], Tensor], x: Matrix) -> np.ndarray:
    """`function` of all rows, `BLOCK` at a time, the last block filled up with zeros.

    A matrix product rounds in a way that depends on its shape, so a row would differ in its last digits from itself in
    another batch; of one shape, with aligned rows (`SteadyLinear`), it does not depend on the place of the row.
    """
    parts = []
    with torch.inference_mode():
        for begin in range(0, len(x), BLOCK):
            part = torch.zeros(BLOCK, x.shape[1], dtype=torch.float64)
            rows = x[begin : begin + BLOCK]
            part.numpy()[: len(rows)] = rows
            parts.append(function(part)[: len(rows)].numpy())
    return np.concatenate(parts)


# float64 numbers in a line of the cache: rows of whole lines are all aligned alike, so one kernel serves them all
WIDTH = 8


class SteadyLinear(nn.Module):
    """A linear layer whose sizes are filled up with zeros to whole lines of the cache.

    Measured with MKL: among rows of 5 numbers some differ in the last digit by their place in the block, among rows of
    8, 16, 24 ... none.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.outputs, self.missing = linear.out_features, -linear.in_features % WIDTH
        more = -linear.out_features % WIDTH
        self.register_buffer("weight", functional.pad(linear.weight.detach(), (0, self.missing, 0, more)))
        self.register_buffer("bias", functional.pad(linear.bias.detach(), (0, more)))

    def forward(self, x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "rows outputs"]:
        whole = functional.linear(
            functional.pad(x, (0, self.missing)), torch.as_tensor(self.weight), torch.as_tensor(self.bias)
        )
        return whole[:, : self.outputs].contiguous()


def steady(model: VAE) -> VAE:
    """A copy of a model with `SteadyLinear` in place of every linear layer."""
    copied = copy.deepcopy(model)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, SteadyLinear(child))
    return copied.eval()
