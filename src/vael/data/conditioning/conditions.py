"""What the examples of a model are conditioned on: how labels, columns or an array beside the data become c, one vector
for each example, and how a person names one.

A record of these stands in run.json, so that data that come later are encoded alike.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from torch import Tensor
from torch.nn.functional import one_hot

from vael.counting import counted
from vael.data.files.arrays import array_in
from vael.data.series import Sequences
from vael.data.source import Kind, Source
from vael.errors import FormatError, ShapeError, StateError, SupportError
from vael.nearest import hint

LABEL, ARRAY = "label", ".npy"
SHOWN = 12  # names in a message
Moment = Annotated[float, Field(ge=-1e300, le=1e300)]
Deviation = Annotated[float, Field(gt=0, le=1e300)]


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

    @property
    def everything(self) -> Float[Tensor, "rows features"]:
        """All rows. Errors: `SupportError` for numbers that are not finite."""
        return self.of(Source(self.name, torch.zeros(len(self), 1), Kind.REAL, ""))

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


class Condition(BaseModel, ABC):
    """Abstract: what c is made of, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What a person gives a value for."""

    @property
    @abstractmethod
    def features(self) -> int:
        """How many numbers c has."""

    @property
    def told(self) -> str:
        """What the model is conditioned on, in words."""
        return listed(self.names)

    @property
    def given(self) -> ConditionRows | None:
        """Rows that stand beside other data than those of training; None of a condition that data tell themselves."""
        return None

    @property
    def learned(self) -> Condition:
        """The condition as it was learned from training data, and stands in run.json."""
        return self

    @abstractmethod
    def of(self, source: Source) -> Source:
        """The examples with c beside them; columns that are in c are no longer in x.

        Errors: `StateError` where the source has no such thing, `SupportError` for an example without a condition or
        with one that the model never saw.
        """

    def labelled(self, source: Source) -> Source:
        """The examples, those without labels labelled by a condition with levels, where there is one: for maps."""
        return source

    @abstractmethod
    def encode(self, given: Mapping[str, object]) -> Float[Tensor, " features"]:
        """C from a value for each name, as a person gives them.

        Errors: `StateError` for a name that there is not or that has no value, and for a value that it cannot have.
        """

    def checked(self, given: Mapping[str, object]) -> dict[str, str]:
        """The values as text, if there is one for each name and for nothing else. Errors: `StateError`."""
        for name in given:
            if name not in self.names:
                raise StateError(
                    f"the model has no condition {name!r}{hint(name, self.names)}; it is conditioned on {self.told}"
                )
        lacking = [name for name in self.names if name not in given or not str(given[name]).strip()]
        if lacking:
            raise StateError(
                f"the model is conditioned on {self.told}, but no value was given for {listed(lacking)}; give a value "
                "for each, or none to take the conditions of training rows"
            )
        return {name: str(given[name]).strip() for name in self.names}


def listed(names: Sequence[str]) -> str:
    """Names in a sentence."""
    shown = [*names[:SHOWN], "..."] if len(names) > SHOWN else list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def beside(source: Source, context: Float[Tensor, "examples features"], names: tuple[str, ...]) -> Source:
    """The source with c for each example; its fingerprint is that of both."""
    cells = np.ascontiguousarray(context.float().numpy())
    told = fingerprint_with(source.fingerprint, str(cells.shape).encode() + cells.tobytes())
    return replace(source, context=context.float(), conditions=names, fingerprint=told)


def fingerprint_with(told: str, content: bytes) -> str:
    """The fingerprint of data and of what stands beside them; none where the data have none."""
    return hashlib.sha256(told.encode() + content).hexdigest() if told else told


def refuse_gaps(source: Source, missing: Bool[Tensor, " examples"], name: str) -> None:
    """Errors: `SupportError` for examples without a condition."""
    if bool(missing.any()):
        rows = source.named.rows[missing.numpy()]
        first = ", ".join(f"{row:,}" for row in rows[:5].tolist()) + (" ..." if len(rows) > 5 else "")
        raise SupportError(
            f"{source.name} has {counted(len(rows), 'example')} without {name!r} (row{'s' * (len(rows) > 1)} {first}), "
            "but a condition has to be known of every example; fill it in, leave these rows out, or choose another "
            "condition"
        )


# labels


class LabelCondition(Condition):
    """The label, as one number for each class: 1 at the example's own."""

    kind: Literal["label"] = "label"
    levels: tuple[str, ...] = Field(min_length=1, max_length=2**16)  # classes of the training examples, as called
    codes: tuple[int, ...] = Field(min_length=1, max_length=2**16)  # their numbers

    @model_validator(mode="after")
    def _fits(self) -> LabelCondition:
        if len(self.levels) != len(self.codes) or len(set(self.levels)) < len(self.levels):
            raise ValueError(f"{len(self.levels)} classes with {len(self.codes)} numbers; expected one each, once")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return (LABEL,)

    @property
    def features(self) -> int:
        return len(self.levels)

    def of(self, source: Source) -> Source:
        """The source with a one-hot class for each example.

        Errors: `StateError` without labels, `SupportError` for a class that training did not have.
        """
        if source.label is None:
            raise StateError(
                f"{source.name} has no labels, but the model is conditioned on the label; give data that have labels"
            )
        refuse_gaps(source, source.label < 0, LABEL)
        known = {name: place for place, name in enumerate(self.levels)}
        found, back = source.label.unique(return_inverse=True)
        called = [class_name(source, code) for code in found.tolist()]
        unknown = next((name for name in called if name not in known), None)
        if unknown is not None:
            raise SupportError(
                f"{source.name} has examples of the class {unknown!r}, which no training example has"
                f"{hint(unknown, self.levels)}; leave them out: there are {listed(self.levels)}"
            )
        places = torch.tensor([known[name] for name in called], dtype=torch.int64)[back]
        return beside(source, one_hot(places, self.features).float(), self.names)

    def encode(self, given: Mapping[str, object]) -> Float[Tensor, " features"]:
        """A one-hot class, given by its name or its code.

        Errors: `StateError` for a class that the model does not know.
        """
        value = self.checked(given)[LABEL]
        numbers = {str(code): place for place, code in enumerate(self.codes)}
        places = numbers | {name: place for place, name in enumerate(self.levels)}
        if value not in places:
            raise StateError(
                f"the model knows no class {value!r}{hint(value, self.levels)}; there are {listed(self.levels)}"
            )
        return one_hot(torch.tensor(places[value]), self.features).float()


def class_name(source: Source, code: int) -> str:
    """What a class is called: by its name, else by its number."""
    return source.label_names[code] if code < len(source.label_names) else str(code)


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
