"""Missing cells of rows."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data  # type: ignore[attr-defined]

from vael.errors import StateError
from vael.estimators import frames
from vael.estimators.base import Parameter, VAEEstimator
from vael.tables import ranges
from vael.tables.schema import Column, ColumnKind, Schema


class VAEImputer(OneToOneFeatureMixin, TransformerMixin, VAEEstimator):
    """Missing cells filled with their conditional mean given the cells that were seen, by importance weights (Mattei &
    Frellsen 2019).

    `vael.applications.imputation` on a model of the rows that were seen, which need not be complete: fewer than 5,000
    rows of numbers are all learned from, by the importance-weighted bound. Cells that were seen come back bit for bit.

    `missing_values` is what stands in a cell that is missing: NaN (None, pandas.NA), or a number such as -1; in a frame
    of several kinds also a text. A column without any seen cell in training is left out with a warning, or filled with
    0 with `keep_empty_features`: as `SimpleImputer` has it. `add_indicator` appends a column of 0 and 1 for each column
    that had missing cells in training. Columns of a frame that no model has (texts that differ in most rows, numbers of
    rows, lists, and texts that had no cell) stay as they came: where they have gaps, a `UserWarning` names them, how
    many gaps are left, and why. So does one where a cell beside a gap lies farther outside of its column's range in
    training than that is wide: what is filled there is a guess.
    """

    _gaps = True
    _state = ("indicated_", "kept_", "ranges_")
    ranges_: list[list[float]]  # least and largest number of each column of an array that had any

    def __init__(
        self,
        n_components: Parameter = None,
        *,
        missing_values: Parameter = np.nan,
        add_indicator: Parameter = False,
        keep_empty_features: Parameter = False,
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
        self.missing_values, self.add_indicator, self.keep_empty_features = (
            missing_values,
            add_indicator,
            keep_empty_features,
        )

    def fit(self, X: Any, y: Any = None) -> VAEImputer:
        """Train on rows with gaps. Errors: as `VAETransformer.fit`, and `StateError` where no cell was seen at all."""
        x = self._begin(X)
        if not self.kept_:
            raise StateError(
                f"none of the {x.shape[1]} columns has a cell that was seen, so there is nothing to learn from"
            )
        self._train(x[:, self.kept_])
        self.indicated_ = np.flatnonzero(np.isnan(x).any(0)).tolist()
        seen = x[:, self.kept_]
        self.ranges_ = np.stack((np.nanmin(seen, 0), np.nanmax(seen, 0)), 1).tolist()
        return self

    def _begin(self, X: Any) -> np.ndarray:
        x = super()._begin(X)
        self.kept_ = np.flatnonzero(~np.isnan(x).all(0)).tolist()
        return x

    def _read(self, X: Any, *, reset: bool = False) -> np.ndarray:
        self._refuse_dictionary(X)
        if reset or self.form_ is None:
            finite = "allow-nan" if self._of_nan else True
            if not reset:
                check_is_fitted(self)
            x = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite=finite)
            return x if self._of_nan else np.where(x == self.missing_values, np.nan, x)
        return frames.codes(self._table(X, self.form_))

    @property
    def _of_nan(self) -> bool:
        """Whether a missing cell is written as NaN, None or NA."""
        value = self.missing_values
        return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))

    def _missing(self) -> object:
        return None if self._of_nan else self.missing_values

    def transform(self, X: Any) -> Any:
        """`X` with its gaps filled; deterministic. Errors: `ValueError` for infinite cells or other columns."""
        check_is_fitted(self)
        if self.form_ is not None:
            return self._table_filled(X, self.form_)
        x = self._read(X)
        self._warn_of_empty()
        self._warn_of_far(self._ranged, torch.from_numpy(x[:, self.kept_]))
        found = np.where(np.isnan(x), 0.0, x)
        found[:, self.kept_] = self._known.filled(x[:, self.kept_])
        kept = found if self.keep_empty_features else found[:, self.kept_]
        return np.hstack((kept, np.isnan(x[:, self.indicated_]))) if self.add_indicator else kept

    def _table_filled(self, X: Any, form: frames.FrameForm) -> Any:
        table = self._table(X, form)
        x = frames.codes(table)
        more = {
            f"missingindicator_{table.schema.names[place]}": np.isnan(x[:, place])
            for place in self.indicated_
            if self.add_indicator
        }
        self._warn_of_empty()
        self._warn_of_far(table.schema, table.x)
        return frames.filled(
            table, self._known.filled(x), X, more, frames.Empty(self._empty, bool(self.keep_empty_features))
        )

    @property
    def _empty(self) -> tuple[str, ...]:
        """Names of the columns without any cell in training."""
        names = [str(name) for name in super().get_feature_names_out()]
        if self.form_ is not None:
            return tuple(name for name in names if name not in self.form_.types.names)
        return tuple(name for place, name in enumerate(names) if place not in self.kept_)

    def _warn_of_empty(self) -> None:
        if self._empty and not self.keep_empty_features:
            names = ", ".join(self._empty)
            warnings.warn(
                f"columns without a seen cell in training are left out: {names}; keep_empty_features=True fills them "
                "with 0",
                stacklevel=3,
            )

    @property
    def _ranged(self) -> Schema:
        """The columns of an array with their ranges; without one in what an earlier release saved."""
        names = [str(name) for name in super().get_feature_names_out()]
        known = getattr(self, "ranges_", None) or [(None, None)] * len(self.kept_)
        ends = zip(self.kept_, known, strict=True)
        return Schema(
            tuple(Column(names[place], ColumnKind.REAL, minimum=low, maximum=high) for place, (low, high) in ends)
        )

    def _warn_of_far(self, schema: Schema, x: torch.Tensor) -> None:
        for one in ranges.beside_gaps(schema, x):
            warnings.warn(one.beside_gaps, stacklevel=3)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of `transform`: those of the input, then `missingindicator_<name>`."""
        names = super().get_feature_names_out(input_features)
        gone = () if self.keep_empty_features else self._empty
        kept = [name for name in names if str(name) not in gone]
        modelled = names if self.form_ is None else self.form_.schema.names
        added = [f"missingindicator_{modelled[column]}" for column in self.indicated_] if self.add_indicator else []
        return np.asarray([*kept, *added], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = self._of_nan
        return tags
