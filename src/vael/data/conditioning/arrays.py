"""An array of numbers beside the data as what a model is conditioned on: a row for each row of the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from vael.counting import counted
from vael.data.conditioning.conditions import Condition, ConditionRows, Deviation, Moment, beside, listed
from vael.data.files.arrays import array_in
from vael.data.source import Source
from vael.errors import FormatError, ShapeError, StateError


def rows_in(given: object) -> ConditionRows:
    """The rows of an `.npy` file, or of an array in memory.

    Errors: `FormatError` for what is no array of numbers `[rows, features]` or `[rows]`.
    """
    inside = not isinstance(given, str | Path)
    array = np.asarray(given) if inside else array_in(Path(str(given)), mapped=True)
    name = "the array of conditions" if inside else str(given)
    if array.ndim not in (1, 2) or array.dtype.kind not in "buif" or 0 in array.shape:
        raise FormatError(
            f"{name} holds an array of shape {array.shape} and type {array.dtype}; a condition is an array of numbers "
            "[examples, features] or [examples]"
        )
    return ConditionRows(name if inside else Path(name).name, array.reshape(len(array), -1))


class FileCondition(Condition):
    """A row of an `.npy` array for each row of the data, brought to mean 0 and deviation 1 of the training rows.

    Of other data than those of training it is `with_rows` of their own, which stand in no run.json.
    """

    kind: Literal["file"] = "file"
    file: str = Field(max_length=4096, pattern="^[^\0]*$")
    mean: tuple[Moment, ...] = Field(min_length=1, max_length=2**16)
    std: tuple[Deviation, ...] = Field(min_length=1, max_length=2**16)
    _given: ConditionRows | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _fits(self) -> FileCondition:
        if len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means and {len(self.std)} deviations; expected as many")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"c{number}" for number in range(1, len(self.mean) + 1))

    @property
    def features(self) -> int:
        return len(self.mean)

    @property
    def told(self) -> str:
        return f"{listed(self.names)} (columns of {Path(self.file).name})"

    @property
    def given(self) -> ConditionRows | None:
        return self._given

    @property
    def learned(self) -> FileCondition:
        return self if self._given is None else FileCondition.model_validate(self.model_dump())

    def with_rows(self, rows: ConditionRows) -> FileCondition:
        """The condition of other data. Errors: `ShapeError` for another number of columns."""
        if rows.cells.shape[1] != self.features:
            raise ShapeError(
                f"{rows.name} has {counted(rows.cells.shape[1], 'column')}, but the model is conditioned on "
                f"{self.features:,} numbers; give an array of shape [examples, {self.features}]"
            )
        found = self.model_copy()
        found._given = rows
        return found

    def of(self, source: Source) -> Source:
        """The source with the rows beside it. Errors: `ShapeError` for another number of columns."""
        if self.given is None:
            return self.with_rows(rows_in(self.file)).of(source)
        return beside(source, self.numbers(self.given.of(source)), self.names)

    def numbers(self, cells: Float[Tensor, "rows features"]) -> Float[Tensor, "rows features"]:
        """Numbers as they stand in the array, as c."""
        mean, std = (torch.tensor(values, dtype=torch.float64) for values in (self.mean, self.std))
        return ((cells.double() - mean) / std).float()

    def encode(self, given: Mapping[str, object]) -> Float[Tensor, " features"]:
        """The numbers as they are given. Errors: `StateError` for what is no finite number."""
        known = self.checked(given)
        try:
            cells = torch.tensor([[float(value) for value in known.values()]], dtype=torch.float64)
        except ValueError as error:
            raise StateError(f"a condition cannot be that: {error}; give a number for each of {self.told}") from error
        if not bool(cells.isfinite().all()):
            raise StateError(f"a condition has to be finite; give a number for each of {self.told}")
        return self.numbers(cells)[0]
