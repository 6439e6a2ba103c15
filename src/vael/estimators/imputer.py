"""Missing cells of numeric rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import OneToOneFeatureMixin, TransformerMixin

from vael.estimators.base import Parameter, VAEEstimator

FILL_DRAWS = 64


class VAEImputer(OneToOneFeatureMixin, TransformerMixin, VAEEstimator):
    """Missing cells filled with their conditional mean given the cells that were seen, by importance weights (Mattei & Frellsen 2019).

    Training needs no complete row. Cells that were seen come back bit for bit; a column without any seen cell in training is filled with 0.
    `add_indicator` appends a column of 0 and 1 for each column that had missing cells in training.
    """

    _gaps = True
    _state = ("indicated_",)

    def __init__(
        self,
        n_components: Parameter = None,
        *,
        add_indicator: Parameter = False,
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
        self.add_indicator = add_indicator

    def fit(self, X: Any, y: Any = None) -> VAEImputer:
        """Train on rows with gaps (NaN)."""
        x = self._read(X, reset=True)
        self._train(x)
        self.indicated_ = np.flatnonzero(np.isnan(x).any(0)).tolist()
        return self

    def transform(self, X: Any) -> np.ndarray:
        """`X` with its gaps filled; deterministic. Errors: `ValueError` for infinite cells or other columns."""
        x = self._read(X)
        found = self.fitted_.filled(x, FILL_DRAWS)
        return np.hstack((found, np.isnan(x[:, self.indicated_]))) if self.add_indicator else found

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of `transform`: those of the input, then `missingindicator_<name>`."""
        names = super().get_feature_names_out(input_features)
        added = [f"missingindicator_{names[column]}" for column in self.indicated_] if self.add_indicator else []
        return np.asarray([*names, *added], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = True
        return tags
