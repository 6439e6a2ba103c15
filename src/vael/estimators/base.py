"""What all estimators share: parameters, fitting, and files without pickle."""

from __future__ import annotations

import json
import math
import secrets
from abc import ABC
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.random import RandomState
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data  # type: ignore[attr-defined]

import vael
from vael.data import Splits
from vael.errors import FormatError, StateError
from vael.estimators import frames
from vael.estimators.core import Fitted, Told, fit
from vael.estimators.network import Effort, Rows, built, unseen
from vael.models.parts import VAEPart
from vael.tables.reading import Frame, Table
from vael.training.checkpoint import read_tensors, write_tensors

FORMAT = 3
ENTROPY = 2**31 - 1
Parameter = Any  # a constructor takes anything, and what makes no sense is refused by `fit`: the rule of scikit-learn
Own = TypeVar("Own", bound="VAEEstimator")


class VAEEstimator(BaseEstimator, ABC):
    """Abstract: a variational autoencoder of the columns of a table, trained when `fit` is called.

    Arrays and frames of numbers are numbers. A frame (pandas, polars, Arrow) with a column of text, levels or dates is
    a table: each column has a law by its kind, its cells may be missing, and it is recognised by its names from then
    on. Everything is an array where scikit-learn has arrays; rows of a table are frames.

    Numbers are brought to unit scale, the model is trained in float32 and used in float64 with blocks of one shape, so
    that a row gets the same answer, bit for bit, alone and among others. Parameters that are None follow the table:
    `n_components` latents, `hidden_layer_sizes` of the encoder (mirrored by the decoder), `max_iter` epochs at most
    (training stops when a tenth of the rows, set aside, gain no more), `batch_size`. `learning_rate` is AdamW's at its
    highest. `random_state` None takes fresh entropy from the system; no global random state is read or moved.
    """

    _gaps = False  # whether NaN is a missing cell
    _keeps_rows = False  # whether rows of training are needed after training, and so stand in the file
    _least_latents = 1
    form_: frames.FrameForm | None  # of a frame with columns of several kinds

    def __init__(
        self,
        n_components: Parameter = None,
        *,
        hidden_layer_sizes: Parameter = None,
        max_iter: Parameter = None,
        batch_size: Parameter = None,
        learning_rate: Parameter = 4e-3,
        random_state: Parameter = None,
    ) -> None:
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self: Own, X: Any, y: Any = None) -> Own:
        """Train on the rows of `X`; `y` is not used.

        Errors: `ValueError` for what is no finite number, `StateError` for bad parameters.
        """
        self._train(self._begin(X))
        return self

    def _begin(self, X: Any) -> np.ndarray:
        """The rows to train on, and the schema of a frame with columns of several kinds."""
        self.form_ = None
        if not frames.is_mixed(X):
            return self._read(X, reset=True)
        validate_data(self, X, reset=True, skip_check_array=True)
        table, self.form_ = frames.begin(X, self._missing(), empty=self._gaps)
        return frames.codes(table)

    def _read(self, X: Any, *, reset: bool = False) -> np.ndarray:
        """`X` as a float64 matrix with the columns that were trained on; of a frame with columns of several kinds
        as codes.
        """
        if not reset:
            check_is_fitted(self)
        self._refuse_dictionary(X)
        if not reset and self.form_ is not None:
            return frames.codes(self._table(X, self.form_))
        finite = "allow-nan" if self._gaps else True
        return validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite=finite)

    def _refuse_dictionary(self, X: Any) -> None:
        """Errors: `StateError` for a row as a dictionary, which scikit-learn's checks do not know."""
        if isinstance(X, Mapping) and not issparse(X):  # some sparse matrices are dictionaries
            raise StateError(
                f"{type(self).__name__} takes rows as an array or a data frame, but a dictionary was given: "
                "pandas.DataFrame([row])"
            )

    def _table(self, X: Any, form: frames.FrameForm) -> Table:
        if not isinstance(X, Frame):
            raise StateError(
                f"{type(self).__name__} was trained on a frame with columns of several kinds, but {type(X).__name__} "
                "was given; give a frame"
            )
        validate_data(self, X, reset=False, skip_check_array=True)
        return frames.read(X, form, self._missing(), empty=self._gaps)

    def _missing(self) -> object:
        """What stands in a cell that is missing, besides the ways that every frame knows."""
        return None

    def _train(self, x: np.ndarray) -> None:
        how = Effort(self._count("max_iter"), self._count("batch_size"), self._rate(), seed_of(self.random_state))
        hidden = self._hidden()
        schema = None if self.form_ is None else self.form_.schema
        fitted, self.n_iter_ = fit(
            Told(x, self._gaps, schema, self._least_latents, self._keeps_rows), self._count("n_components"), hidden, how
        )
        self.fitted_ = fitted if self._keeps_rows else replace(fitted, splits=None)

    @property
    def _known(self) -> Fitted:
        """What `fit` found. Errors: `NotFittedError` before it, whichever method asks."""
        check_is_fitted(self)
        return self.fitted_

    def _count(self, name: str) -> int | None:
        value = getattr(self, name)
        if value is not None and not is_size(value):
            raise StateError(
                f"{name}={value!r}: expected a whole number of at least 1, or None to have it follow the table"
            )
        return None if value is None else int(value)

    def _hidden(self) -> tuple[int, ...] | None:
        value = self.hidden_layer_sizes
        widths = (value,) if is_size(value) else value
        if widths is not None and not (
            isinstance(widths, (tuple, list, np.ndarray)) and all(is_size(width) for width in widths)
        ):
            raise StateError(
                f"hidden_layer_sizes={value!r}: expected whole numbers of at least 1, or None to have them follow the "
                "table"
            )
        return None if widths is None else tuple(int(width) for width in widths)

    def _rate(self) -> float:
        value = self.learning_rate
        if not isinstance(value, (int, float, np.number)) or not 0 < value < math.inf:
            raise StateError(f"learning_rate={value!r}: expected a number above 0")
        return float(value)

    # files

    def save(self, path: Path | str) -> None:
        """Write parameters and fitted state as one safetensors file, whole or not at all; nothing in it can be
        executed.

        A `random_state` that is an object is kept as None. Errors: `NotFittedError` before `fit`.
        """
        check_is_fitted(self)
        tensors = {f"model.{name}": value for name, value in self.fitted_.model.state_dict().items()}
        arrays = {"shift": self.fitted_.shift, "scale": self.fitted_.scale, **self._kept()}
        write_tensors(
            Path(path),
            tensors | {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()},
            self._facts(),
        )

    def _kept(self) -> dict[str, np.ndarray]:
        splits = self.fitted_.splits
        rows = {} if splits is None else {"train": splits.train.x.numpy(), "held_out": splits.validation.x.numpy()}
        return rows | {"constant": np.asarray(self.fitted_.constant, dtype=np.int64)}

    def _facts(self) -> dict[str, object]:
        parameters = {name: plain(value) for name, value in self.get_params(deep=False).items()}
        names = getattr(self, "feature_names_in_", None)
        state = {name: plain(getattr(self, name)) for name in ("n_iter_", "n_features_in_", *self._state)}
        return {
            "format": FORMAT,
            "estimator": type(self).__name__,
            "version": vael.__version__,
            "parameters": parameters,
            "model": self.fitted_.part.model_dump(mode="json", serialize_as_any=True),
            "gaps": self.fitted_.gaps,
            "form": self.form_ and self.form_.record(),
            "state": state,
            "columns": None if names is None else [str(name) for name in names],
        }

    _state: tuple[str, ...] = ()  # further numbers that `fit` finds

    @classmethod
    def load(cls: type[Own], path: Path | str) -> Own:
        """The estimator that `save` wrote.

        Errors: `FormatError` for a file that is damaged, of another kind, or holds another estimator.
        """
        tensors, facts = read_tensors(Path(path))
        if facts.get("format") != FORMAT or facts.get("estimator") != cls.__name__:
            held = f"{facts.get('estimator')} of format {facts.get('format')}" if facts else "no estimator"
            raise FormatError(
                f"{path} holds {held}, but {cls.__name__} of format {FORMAT} was asked for; load it with the class "
                "that saved it"
            )
        try:
            return cls._restored(tensors, facts)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError, IndexError) as error:
            raise FormatError(
                f"{path} is not what {cls.__name__}.save writes ({error}); restore it from a copy, or fit anew"
            ) from error

    @classmethod
    def _restored(cls: type[Own], tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> Own:
        estimator = cls(**{name: listed(value) for name, value in facts["parameters"].items()})
        estimator.form_ = None if facts["form"] is None else frames.FrameForm.of_record(facts["form"])
        schema = None if estimator.form_ is None else estimator.form_.schema
        part, gaps = VAEPart.model_validate(facts["model"]), bool(facts["gaps"])
        model = built(part, unseen(len(tensors["shift"]), gaps, schema)).double().eval()
        model.load_state_dict(
            {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
        )
        rows = [Rows(tensors[name], gaps, schema).source() for name in ("train", "held_out") if name in tensors]
        splits = Splits(rows[0], rows[1], None) if rows else None
        constant = tuple(tensors["constant"].tolist()) if "constant" in tensors else ()
        estimator.fitted_ = Fitted(
            model, part, gaps, tensors["shift"].numpy(), tensors["scale"].numpy(), schema, constant, splits
        )
        for name, value in facts["state"].items():
            setattr(estimator, name, value)
        if facts["columns"] is not None:
            setattr(estimator, "feature_names_in_", np.asarray(facts["columns"], dtype=object))  # noqa: B010 (an attribute only after frames)
        return estimator


def is_size(value: object) -> bool:
    """Whether something is a whole number of at least 1."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= 1)


def seed_of(random_state: Parameter) -> int:
    """A seed: the number itself where there is one, fresh entropy for None, a draw from a `RandomState`."""
    return (
        secrets.randbelow(ENTROPY) if random_state is None else int(check_random_state(random_state).randint(ENTROPY))
    )


def plain(value: object) -> object:
    """A parameter or a number as JSON has it."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return None if isinstance(value, RandomState) or type(value).__name__ == "NAType" else json.loads(json.dumps(value))


def listed(value: object) -> Any:
    """Sizes as a tuple again, and NaN as the one that NumPy has."""
    if isinstance(value, float) and math.isnan(value):
        return np.nan
    return tuple(value) if isinstance(value, list) else value
