"""An array of numbers beside the data as what a model is conditioned on: a row for each row of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped
from pydantic import ConfigDict, Field, model_validator
from torch import Tensor

from vael.counting import counted
from vael.data.conditioning.conditions import Condition, Deviation, Moment, beside, listed, refuse_gaps
from vael.data.files.arrays import array_in
from vael.data.series import Sequences
from vael.data.source import Kind, Source
from vael.errors import FormatError, ShapeError, StateError, SupportError


@dataclass(frozen=True)
class ConditionRows:
    """An array of numbers with a row for each row of some data, in their order."""

    name: str
    cells: Shaped[np.ndarray, "rows features"]

    def __len__(self) -> int:
        return len(self.cells)

    def of(self, source: Source) -> Float[Tensor, "examples features"]:
        """The rows that belong to the examples of a source: by their places in the data.

        Errors: `ShapeError` for too few, `SupportError` for numbers that are not finite.
        """
        rows = source.named.rows - 1
        if rows.max(initial=0) >= len(self):
            raise self.other_length(f"{source.name} has at least {rows.max() + 1:,}")
        found = torch.from_numpy(np.array(self.cells[rows], dtype=np.float64))
        refuse_gaps(source, ~found.isfinite().all(1), self.name)
        return found

    def refuse_length(self, rows: int, data: str) -> None:
        """Errors: `ShapeError` unless there is one for each of so many rows of the data."""
        if rows != len(self):
            raise self.other_length(f"{data} has {rows:,}")

    def other_length(self, said: str) -> ShapeError:
        """What to say of an array that has more or fewer rows than the data."""
        return ShapeError(
            f"{self.name} has {counted(len(self), 'row')}, but {said}; give one row for each row of the data, in their "
            "order"
        )

    def refuse_series(self, found: Sequences) -> None:
        """Errors: `ShapeError` for another number of rows, `SupportError` for rows that differ within a series."""
        self.refuse_length(int(max(one.rows.max() for one in found.series)), found.name)
        for one in found.series:
            own = np.asarray(self.cells[np.unique(one.rows) - 1], dtype=np.float64)
            apart = (own != own[0]).any(1)  # a NaN differs from itself
            if apart.any():
                row = int(np.unique(one.rows)[apart.argmax()])
                raise SupportError(
                    f"{self.name}: row {row:,} is {self.cells[row - 1].tolist()} and row {one.rows.min():,} is "
                    f"{self.cells[one.rows.min() - 1].tolist()} within the series {one.name!r} of {found.name}, but a "
                    "condition of series has one value for each, which has to be known; give all rows of a series the "
                    "same numbers"
                )


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
    """A row of an `.npy` array for each row of the data, brought to mean 0 and deviation 1 of the training rows."""

    kind: Literal["file"] = "file"
    file: str = Field(max_length=4096, pattern="^[^\0]*$")
    mean: tuple[Moment, ...] = Field(min_length=1, max_length=2**16)
    std: tuple[Deviation, ...] = Field(min_length=1, max_length=2**16)

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

    def of(self, source: Source) -> Source:
        """The source with the rows of the file beside it. Errors: `ShapeError` for another number of columns."""
        return GivenRows(own=self, rows=rows_in(self.file)).of(source)

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


class GivenRows(Condition):
    """Rows beside other data than those of training, in the units of a `FileCondition`; they stand in no run.json."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    kind: Literal["given"] = "given"
    own: FileCondition
    rows: ConditionRows

    @model_validator(mode="after")
    def _columns_fit(self) -> GivenRows:
        if self.rows.cells.shape[1] != self.own.features:
            raise ShapeError(
                f"{self.rows.name} has {counted(self.rows.cells.shape[1], 'column')}, but the model is conditioned on "
                f"{self.own.features:,} numbers; give an array of shape [examples, {self.own.features}]"
            )
        return self

    @property
    def learned(self) -> Condition:
        return self.own

    @property
    def names(self) -> tuple[str, ...]:
        return self.own.names

    @property
    def features(self) -> int:
        return self.own.features

    @property
    def told(self) -> str:
        return self.own.told

    @property
    def each(self) -> Float[Tensor, "rows features"]:
        """C of every row. Errors: `SupportError` for numbers that are not finite."""
        everything = Source(self.rows.name, torch.zeros(len(self.rows), 1), Kind.REAL, "")
        return self.own.numbers(self.rows.of(everything))

    def of(self, source: Source) -> Source:
        return beside(source, self.own.numbers(self.rows.of(source)), self.names)

    def encode(self, given: Mapping[str, object]) -> Float[Tensor, " features"]:
        return self.own.encode(given)
