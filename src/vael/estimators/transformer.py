"""Rows to latents and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from vael.errors import ShapeError
from vael.estimators import frames
from vael.estimators.base import VAEEstimator

BOUND_DRAWS = 16


class VAETransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, VAEEstimator):
    """Latents of rows: `transform` gives the mean of q(z | x), `inverse_transform` the mean of p(x | z) (Kingma &
    Welling 2013).

    >>> import numpy as np
    >>> from vael.estimators import VAETransformer
    >>> VAETransformer(n_components=1, max_iter=1, random_state=0).fit_transform(np.eye(4)).shape
    (4, 1)
    """

    @property
    def _n_features_out(self) -> int:
        return self._known.part.latent

    def transform(self, X: Any) -> np.ndarray:
        """Means of q(z | x), `[rows, n_components]`; deterministic."""
        return self._known.codes(self._read(X))

    def inverse_transform(self, X: Any) -> Any:
        """Means of p(x | z) in the units of the data, `[rows, columns]`; of a table a frame.

        Errors: `ShapeError` for another number of latents.
        """
        check_is_fitted(self)
        z = check_array(X, dtype=np.float64)
        if z.shape[1] != self._n_features_out:
            raise ShapeError(
                f"latents of shape {z.shape}: expected [rows, {self._n_features_out}], as transform gives them"
            )
        x = self._known.decoded(z)
        return x if self.form_ is None else frames.new_rows(self.form_, x, 0)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean bound on log p(x) over rows, in nats: higher is better, for `GridSearchCV`."""
        return float(self._known.bounds(self._read(X), BOUND_DRAWS).mean())
