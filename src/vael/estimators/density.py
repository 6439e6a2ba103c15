"""Log-densities of rows, and new rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import RandomState
from sklearn.base import DensityMixin
from sklearn.utils.validation import check_is_fitted

from vael.errors import StateError
from vael.estimators import frames
from vael.estimators.base import VAEEstimator, seed_of
from vael.estimators.transformer import BOUND_DRAWS


class VAEDensity(DensityMixin, VAEEstimator):
    """A density of numeric rows: `score_samples` bounds log p(x) from below, `sample` draws new rows (Kingma & Welling 2013).

    The bound is log 1/K Σ p(x, z_k) / q(z_k | x) with K = 16 (Burda, Grosse & Salakhutdinov 2016): below log p(x) in expectation over its
    draws, which are a function of the row, so that a row scores the same wherever and whenever it is asked about.
    """

    def score_samples(self, X: Any) -> np.ndarray:
        """A bound on log p(x) of each row, in nats and the units of the data; higher is more usual."""
        return self.fitted_.bounds(self._read(X), BOUND_DRAWS)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`, in nats per row."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: int | RandomState | None = None) -> Any:
        """New rows `[n_samples, columns]`, of a table a frame; a `random_state` of None takes that of the estimator.

        Errors: `StateError` for fewer than one row.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise StateError(f"n_samples={n_samples}: expected at least 1")
        seed = seed_of(self.random_state if random_state is None else random_state)
        x = self.fitted_.sampled(n_samples, seed)
        return x if self.form_ is None else frames.new_rows(self.form_, x, seed)
