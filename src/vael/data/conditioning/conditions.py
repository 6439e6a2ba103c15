"""What the examples of a model are conditioned on: how labels, columns or an array beside the data become c, one vector
for each example, and how a person names one.

A record of these stands in run.json, so that data that come later are encoded alike.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torch.nn.functional import one_hot

from vael.counting import counted
from vael.data.files.arrays import array_in
from vael.data.source import Source
from vael.errors import FormatError, ShapeError, StateError, SupportError
from vael.nearest import hint

LABEL, ARRAY = "label", ".npy"
SHOWN = 12  # names in a message
Moment = Annotated[float, Field(ge=-1e300, le=1e300)]
Deviation = Annotated[float, Field(gt=0, le=1e300)]


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
    told = source.fingerprint
    if told:
        cells = np.ascontiguousarray(context.float().numpy())
        told = hashlib.sha256(told.encode() + str(cells.shape).encode() + cells.tobytes()).hexdigest()
    return replace(source, context=context.float(), conditions=names, fingerprint=told)


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


# an array beside the data


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
        found = rows_beside(source, Path(self.file))
        if found.shape[1] != self.features:
            raise ShapeError(
                f"{self.file} has {counted(found.shape[1], 'column')}, but the model is conditioned on "
                f"{self.features:,} numbers; give an array of shape [examples, {self.features}]"
            )
        return beside(source, self.numbers(found), self.names)

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


def rows_beside(source: Source, path: Path) -> Float[Tensor, "examples features"]:
    """The rows of an array that belong to the examples of a source: by their places in the data.

    Errors: `FormatError` for an array that is none of numbers, `ShapeError` for another number of rows, `SupportError`
    for numbers that are not finite.
    """
    array = array_in(path, mapped=True)
    if array.ndim not in (1, 2) or array.dtype.kind not in "buif" or 0 in array.shape:
        raise FormatError(
            f"{path} holds an array of shape {array.shape} and type {array.dtype}; a condition is an array of numbers "
            "[examples, features] or [examples]"
        )
    rows = source.named.rows - 1
    if rows.max(initial=0) >= len(array):
        raise ShapeError(
            f"{path} has {counted(len(array), 'row')}, but {source.name} has at least {rows.max() + 1:,}; give one row "
            "for each row of the data, in their order"
        )
    found = torch.from_numpy(np.array(array[rows], dtype=np.float64).reshape(len(rows), -1))
    refuse_gaps(source, ~found.isfinite().all(1), path.name)
    return found
