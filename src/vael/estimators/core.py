"""A trained model with the scale of its columns: codes, bounds, samples and filled rows, the same for a row alone and among others."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from vael.data import Batch
from vael.estimators.network import Sizes, Training, sized, trained
from vael.estimators.steady import steady
from vael.models import VAE
from vael.objectives import log_weights
from vael.probability import Common, Noise, PerExample, draw

Matrix = Float64[np.ndarray, "rows columns"]

BLOCK = 64  # rows that pass through the networks together, always: products of another shape round in another way
FARTHEST = 1e100  # standard deviations; squares of what lies beyond would overflow
READS = frozenset({"log_prior", "log_posterior"})


@dataclass(frozen=True)
class Fitted:
    """A model of standardised columns in float64, and where and how wide the columns are."""

    model: VAE
    sizes: Sizes
    shift: Float64[np.ndarray, " columns"]
    scale: Float64[np.ndarray, " columns"]

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
        """Log 1/K Σ p(x, z_k) / q(z_k | x) in nats (Burda, Grosse & Salakhutdinov 2016), the variates of a row a function of its cells.

        Variates shared by all rows would leave an error that no number of rows averages out: held-out rows then scored 0.2 nats above the
        density that had made them.
        """
        found = blockwise(lambda part: self._log_weights(part, samples, of_cells(part))[0].logsumexp(0) - math.log(samples), self._standard(x))
        return found - self._log_scale

    def sampled(self, rows: int, seed: int) -> Matrix:
        """Draws from p(x)."""
        with torch.no_grad():
            return self._original(self.judge.sample(rows, generator=torch.Generator().manual_seed(seed)).numpy())

    def filled(self, x: Matrix, samples: int) -> Matrix:
        """`x` with E[x | seen cells] in its gaps: means of p(x | z_k), weighted by w_k / Σ w (Mattei & Frellsen 2019, equation 12)."""
        found = self._original(blockwise(lambda part: self._expected(part, samples), self._standard(x)))
        return np.where(np.isnan(x), found, x)

    def _expected(self, part: Tensor, samples: int) -> Tensor:
        log_w, z = self._log_weights(part, samples, Common(0))
        return (log_w.softmax(0)[..., None] * self.judge.decode((z,)).mean).sum(0)

    def _log_weights(self, part: Tensor, samples: int, noise: Noise) -> tuple[Tensor, Tensor]:
        given = batch_of(part)
        q = self.judge.infer(given)
        z = draw(q, samples, noise)
        terms = self.judge.terms(given, samples=samples, generator=noise, reads=READS, posterior=(q,), latent=(z,))
        return log_weights(terms), z

    @property
    def _log_scale(self) -> float:
        return float(np.log(self.scale).sum())

    def _standard(self, x: Matrix) -> Matrix:
        with np.errstate(over="ignore"):
            return ((x - self.shift) / self.scale).clip(-FARTHEST, FARTHEST)

    def _original(self, x: Matrix) -> Matrix:
        return x * self.scale + self.shift


def fit(x: Matrix, latent: int | None, hidden: tuple[int, ...] | None, gaps: bool, how: Training) -> tuple[Fitted, int]:
    """The model fitted to rows, and the epochs that it took; NaN is a gap."""
    shift, scale = location_and_scale(x)
    cells = torch.from_numpy(((x - shift) / scale).astype(np.float32))
    sizes = sized(cells, latent, hidden, gaps)
    model, run = trained(cells, sizes, how)
    return Fitted(model, sizes, shift, scale), max(1, run.epochs)


def location_and_scale(x: Matrix) -> tuple[Float64[np.ndarray, " columns"], Float64[np.ndarray, " columns"]]:
    """Means and standard deviations of the seen cells, without overflow; (0, 1) for a column that was never seen, scale 1 where it never varies."""
    seen = ~np.isnan(x)
    count = np.maximum(seen.sum(0), 1)
    unit = np.maximum(np.abs(x).max(0, where=seen, initial=0.0), np.finfo(np.float64).tiny)
    small = np.where(seen, x, 0.0) / unit
    mean = small.sum(0) / count
    std = np.sqrt(np.where(seen, (small - mean) ** 2, 0.0).sum(0) / count)
    varies = std > 10 * np.finfo(np.float64).eps * np.abs(mean)
    with np.errstate(over="ignore"):
        scale = np.where(varies, std * unit, 1.0)
    return mean * unit, np.where((scale > 0) & np.isfinite(scale), scale, 1.0)


def batch_of(part: Float[Tensor, "rows columns"]) -> Batch:
    """Rows as a model takes them; NaN is a gap."""
    seen = ~torch.isnan(part)
    return Batch(x=part, observed=None if bool(seen.all()) else seen)


def of_cells(part: Float[Tensor, "rows columns"]) -> PerExample:
    """Variates that belong to the cells of a row: equal rows get equal ones, wherever they stand."""
    cells = np.where(np.isnan(part.numpy()), np.nan, part.numpy() + 0.0)  # one way to write a gap, and one to write zero
    keys = [int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest()) >> 1 for row in cells]
    return PerExample(0, torch.tensor(keys))


def blockwise(function: Callable[[Tensor], Tensor], x: Matrix) -> np.ndarray:
    """`function` of all rows, `BLOCK` at a time, the last block filled up with zeros.

    A matrix product rounds in a way that depends on its shape, so a row would differ in its last digits from itself in another batch; of one
    shape, with aligned rows (`SteadyLinear`), it does not depend on the place of the row.
    """
    parts = []
    with torch.inference_mode():
        for begin in range(0, len(x), BLOCK):
            part = torch.zeros(BLOCK, x.shape[1], dtype=torch.float64)
            rows = x[begin : begin + BLOCK]
            part[: len(rows)] = torch.from_numpy(np.ascontiguousarray(rows))
            parts.append(function(part)[: len(rows)].numpy())
    return np.concatenate(parts)
