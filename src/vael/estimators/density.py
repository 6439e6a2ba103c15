"""Log-densities of rows, and new rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import DensityMixin
from sklearn.utils.validation import check_is_fitted

from vael.errors import StateError
from vael.estimators import frames
from vael.estimators.base import Parameter, VAEEstimator, is_size, seed_of
from vael.estimators.core import constant_columns, dependent_columns
from vael.estimators.transformer import BOUND_DRAWS

MOST_NAMED = 6


class VAEDensity(DensityMixin, VAEEstimator):
    """A density of numeric rows: `score_samples` bounds log p(x) from below, `sample` draws new rows (Kingma & Welling
    2013).

    The bound is log 1/K Σ p(x, z_k) / q(z_k | x) with K = 16 (Burda, Grosse & Salakhutdinov 2016): below log p(x) in
    expectation over its draws, which are a function of the row, so that a row scores the same wherever and whenever it
    is asked about.

    Numbers are taken for continuous, with a σ of at least 0.25 % of the spread of their column (of 1, where a column
    never varies). A column that never varies, or that others give (a copy, a sum), has no density: it adds up to 5 nats
    to every row, and `fit` warns of it and names it.
    """

    _least_latents = 4  # of 3 columns made by 2 factors one latent misses 0.3 to 0.6 nats per row, 2 or 3 miss 0.03

    def _train(self, x: np.ndarray) -> None:
        if self.form_ is None:
            self._warn(x)
        super()._train(x)

    def _warn(self, x: np.ndarray) -> None:
        names = getattr(self, "feature_names_in_", [f"x{column}" for column in range(x.shape[1])])
        constant, dependent = (
            [str(names[column]) for column in found] for found in (constant_columns(x), dependent_columns(x))
        )
        said = [f"never varying: {listed(constant)}"] if constant else []
        said += [f"linear functions of other columns: {listed(dependent)}"] if dependent else []
        if said:
            warnings.warn(
                f"X has columns without a density ({'; '.join(said)}). Their σ is kept at 0.25 % of their spread or "
                "more, so that scores are finite, "
                "but each of them adds up to 5 nats to every row; leave out what never varies or follows from the rest",
                stacklevel=4,
            )

    def score_samples(self, X: Any) -> np.ndarray:
        """A bound on log p(x) of each row, in nats and the units of the data; higher is more usual."""
        return self._known.bounds(self._read(X), BOUND_DRAWS)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`, in nats per row."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: Parameter = 1, random_state: Parameter = None) -> Any:
        """New rows `[n_samples, columns]`, of a table a frame; a `random_state` of None takes that of the estimator.

        Errors: `StateError` for what is no whole number of rows.
        """
        check_is_fitted(self)
        if not is_size(n_samples):
            raise StateError(f"n_samples={n_samples!r}: expected a whole number of at least 1")
        seed = seed_of(self.random_state if random_state is None else random_state)
        x = self._known.sampled(int(n_samples), seed)
        return x if self.form_ is None else frames.new_rows(self.form_, x, seed)


def listed(names: list[str]) -> str:
    """The first few names."""
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
