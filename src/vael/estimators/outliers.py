"""Rows that do not belong."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import OutlierMixin

from vael.errors import StateError
from vael.estimators.base import Parameter, VAEEstimator
from vael.estimators.transformer import BOUND_DRAWS


class VAEOutlierDetector(OutlierMixin, VAEEstimator):
    """Outliers by a bound on log p(x): `predict` gives -1 for them and 1 for others, as all of scikit-learn does.

    `contamination` is the share of outliers among the training rows, in (0, 0.5]: `offset_` is that quantile of their scores, and
    `decision_function` is `score_samples - offset_`, negative for outliers.
    """

    _state = ("offset_",)

    def __init__(
        self,
        n_components: Parameter = None,
        *,
        contamination: Parameter = 0.1,
        hidden_layer_sizes: Parameter = None,
        max_iter: Parameter = None,
        batch_size: Parameter = None,
        learning_rate: Parameter = 4e-3,
        random_state: Parameter = None,
    ) -> None:
        super().__init__(
            n_components, hidden_layer_sizes=hidden_layer_sizes, max_iter=max_iter, batch_size=batch_size,
            learning_rate=learning_rate, random_state=random_state,
        )  # fmt: skip
        self.contamination = contamination

    def fit(self, X: Any, y: Any = None) -> VAEOutlierDetector:
        """Train on rows that may hold a share of outliers. Errors: `StateError` for a contamination outside (0, 0.5]."""
        if not 0 < self.contamination <= 0.5:
            raise StateError(f"contamination={self.contamination}: expected a share above 0 and at most 0.5")
        x = self._read(X, reset=True)
        self._train(x)
        self.offset_ = float(np.percentile(self._scores(x), 100 * self.contamination))
        return self

    def _scores(self, x: np.ndarray) -> np.ndarray:
        return self.fitted_.bounds(x, BOUND_DRAWS)

    def score_samples(self, X: Any) -> np.ndarray:
        """Scores in nats, higher for usual rows; deterministic."""
        return self._scores(self._read(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples - offset_`: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """-1 for outliers, 1 for others."""
        return np.where(self.decision_function(X) < 0, -1, 1)
