"""Rows that do not belong."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import OutlierMixin

from vael.applications.anomaly import AnomalyDetector
from vael.errors import StateError
from vael.estimators.base import Parameter, VAEEstimator

MOST_CONTAMINATION = 0.49


AUTOMATIC = 0.05  # p-value up to which a row is an outlier where no share was given


class VAEOutlierDetector(OutlierMixin, VAEEstimator):
    """Outliers by `vael.applications.anomaly.AnomalyDetector`: its default score (bound on log p(x) and distances to
    neighbours) and its p-values.

    `predict` gives -1 for outliers and 1 for others, as all of scikit-learn does. `contamination` is "auto", or the
    share of outliers among the training rows, in (0, 0.5]. With a share, `offset_` is that quantile of their scores,
    and so many of the strangest rows do not calibrate. With "auto" training rows are taken to belong, and a row is an
    outlier where its p-value among the rows set aside is at most 0.05. `decision_function` is `score_samples -
    offset_`, negative for outliers. A file of `save` holds the rows that are compared with: up to 10,000 rows of the
    training data.
    """

    _keeps_rows = True
    _state = ("offset_",)

    def __init__(
        self,
        n_components: Parameter = None,
        *,
        contamination: Parameter = "auto",
        hidden_layer_sizes: Parameter = None,
        max_iter: Parameter = None,
        batch_size: Parameter = None,
        learning_rate: Parameter = 4e-3,
        random_state: Parameter = None,
    ) -> None:
        super().__init__(
            n_components,
            hidden_layer_sizes=hidden_layer_sizes,
            max_iter=max_iter,
            batch_size=batch_size,
            learning_rate=learning_rate,
            random_state=random_state,
        )
        self.contamination = contamination

    def fit(self, X: Any, y: Any = None) -> VAEOutlierDetector:
        """Train on rows that may hold a share of outliers.

        Errors: `StateError` for a contamination outside (0, 0.5].
        """
        share = self.contamination
        if share != "auto" and (not isinstance(share, (int, float, np.number)) or not 0 < share <= 0.5):
            raise StateError(
                f"contamination={self.contamination!r}: expected 'auto', or a share above 0 and at most 0.5"
            )
        x = self._begin(X)
        self._train(x)
        self.fitted_ = self.fitted_.with_few_rows()
        self._detector = self._compared()
        self.offset_ = self._offset(x)
        return self

    def _offset(self, x: np.ndarray) -> float:
        if self.contamination != "auto":
            return float(np.percentile(-self._judged(x)[:, 0], 100 * self.contamination))
        calibration = np.sort(self._detector.calibration)
        outliers = int(
            AUTOMATIC * (len(calibration) + 1)
        )  # held-out rows that may score as high: 1 + # <= 0.05 (n + 1)
        return -float(calibration[-outliers]) if outliers else -float(np.nextafter(calibration[-1], np.inf))

    def _compared(self) -> AnomalyDetector:
        share = 0.0 if self.contamination == "auto" else min(float(self.contamination), MOST_CONTAMINATION)
        return self._known.detector(share)

    @classmethod
    def _restored(cls, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> VAEOutlierDetector:
        estimator = super()._restored(tensors, facts)
        estimator._detector = estimator._compared()
        return estimator

    def _judged(self, x: np.ndarray) -> np.ndarray:
        return self._known.judged(self._detector, x)

    def score_samples(self, X: Any) -> np.ndarray:
        """Scores, higher for usual rows (the opposite sign of `vael score`); deterministic."""
        return -self._judged(self._read(X))[:, 0]

    def p_values(self, X: Any) -> np.ndarray:
        """(1 + #{rows set aside that are at least as strange}) / (n + 1), as `vael score` has them; with fewer than
        20 rows none were set aside.
        """
        return self._judged(self._read(X))[:, 1]

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples - offset_`: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """-1 for outliers, 1 for others."""
        return np.where(self.decision_function(X) < 0, -1, 1)
