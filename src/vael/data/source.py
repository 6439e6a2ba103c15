"""A data set in memory (or memory-mapped), gathered by index and turned into model units on the fly."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from vael.data.batch import Batch, Variates
from vael.data.keys import Keys, counted_keys
from vael.data.pictures.patching import Patching
from vael.data.pictures.store import Patches
from vael.data.windowing import Windowing
from vael.errors import ShapeError, StateError
from vael.tables.schema import Schema
from vael.visible import html_table


class Kind(Enum):
    """What a cell of the data is, after the transform: it decides which likelihoods fit."""

    BINARY = "binary"  # 0 or 1
    INTEGER = "integer"  # 0 ... levels - 1
    REAL = "real"
    MIXED = "mixed"  # columns of several kinds: see the schema


class Transform(ABC):
    """Abstract: how stored cells become the model's x; the same rows give other values each time only where
    `stochastic`.

    A stochastic transform asks for variates of shape `[1, batch, *event]`, so that noise that belongs to examples can
    serve it.
    """

    stochastic: bool = False

    @abstractmethod
    def __call__(self, x: Tensor, noise: Variates | None) -> Tensor:
        """`x` is stored cells `[batch, *event]`; the result is floating point."""


class AsFloat(Transform):
    """The stored numbers as float32 (float64 stays)."""

    def __call__(self, x: Tensor, noise: Variates | None) -> Tensor:
        return x if x.dtype == torch.float64 else x.float()


@dataclass(frozen=True)
class Source:
    """Examples of one split and what is known of them."""

    name: str
    x: Shaped[Tensor, "stored *event"]  # as stored: uint8 where it is
    kind: Kind
    fingerprint: str  # sha256 of the stored cells
    levels: int | None = None  # for integers
    label: Int64[Tensor, " examples"] | None = None
    label_names: tuple[str, ...] = ()
    transform: Transform = field(default_factory=AsFloat)
    notes: tuple[str, ...] = ()  # what every figure must say
    columns: tuple[str, ...] = ()  # names of the features of a table
    schema: Schema | None = None  # of a table whose columns are of several kinds
    rules: Schema | None = (
        None  # of a table of plain numbers: the types and decimals of its columns, which no model needs
    )
    gaps: bool = False  # whether cells may be missing: stored as NaN
    largest: float | None = None  # stored value that stands for a probability of 1, where cells were binarised
    rows: Int64[Tensor, " chosen"] | None = (
        None  # which rows of a memory-mapped `x` are this split's; None is all, in order
    )
    keys: Keys | None = None  # what names the examples; None where it is their order alone
    context: Float[Tensor, "examples features"] | None = None  # c, what the model is conditioned on
    conditions: tuple[str, ...] = ()  # what c is made of, by name
    windowing: Windowing | None = None  # of sequences: examples are windows [time, channels]
    patching: Patching | None = None  # of patches of pictures: how they were cut
    patches: Patches | None = None  # of patches: the pictures that they are cut from
    domain: str = ""  # `module:Class` of a person's own kind of data; empty for images, tables and sequences

    def __len__(self) -> int:
        return self.x.shape[0] if self.rows is None else len(self.rows)

    @property
    def event(self) -> tuple[int, ...]:
        """Shape of one example: `[channels, height, width]` for images, `[features]` for tables, `[time, channels]` for
        sequences.
        """
        return tuple(self.x.shape[1:])

    @property
    def highest(self) -> float | None:
        """The largest value of an element, where its kind says it; the least is 0 then."""
        levels = 2 if self.kind is Kind.BINARY else self.levels if self.kind is Kind.INTEGER else None
        return None if levels is None else float(levels - 1)

    @property
    def stored(self) -> Shaped[Tensor, "examples *event"]:
        """The stored cells of these examples, in their order."""
        return self.x if self.rows is None else self.x[self.rows]

    @property
    def has_schema(self) -> bool:
        """Whether examples are rows of columns that a schema tells."""
        return self.schema is not None

    @property
    def named(self) -> Keys:
        """What names the examples: `keys`, or their order."""
        return self.keys or counted_keys(len(self))

    def label_texts(self, index: Int64[Tensor, " chosen"]) -> list[str] | None:
        """The labels of some examples as they are called, empty where one has none; None where no example has one."""
        if self.label is None:
            return None
        names = self.label_names
        return ["" if one < 0 else names[one] if one < len(names) else str(one) for one in self.label[index].tolist()]

    def subset(self, index: Int64[Tensor, " chosen"]) -> Source:
        """The examples at `index` as a source of their own, without a copy of the cells.

        Errors: `ShapeError` for rows that there are not.
        """
        if not len(index) or int(index.min()) < 0 or int(index.max()) >= len(self):
            raise ShapeError(
                f"{self.name} has {len(self):,} examples, but rows {index[:5].tolist()} ... were asked for; give rows "
                "from 0 on"
            )
        rows = index if self.rows is None else self.rows[index]
        fingerprint = hashlib.sha256(self.fingerprint.encode() + index.cpu().numpy().tobytes()).hexdigest()
        label = None if self.label is None else self.label[index]
        context = None if self.context is None else self.context[index]
        keys = self.named.take(index.cpu().numpy())
        return replace(self, rows=rows, label=label, context=context, fingerprint=fingerprint, keys=keys)

    def fewer(self, most: int) -> Source:
        """At most so many of the examples, evenly spread."""
        return self if len(self) <= most else self.subset(spread(len(self), most))

    def batch(self, index: Int64[Tensor, " batch"], noise: Variates | None = None) -> Batch:
        """The examples at `index`, in model units. A stochastic transform needs `noise`; patches to train on are those
        of `x` without, and elsewhere in their pictures with it.
        """
        if self.transform.stochastic and noise is None:
            raise StateError(
                f"{self.name}: the transform {type(self.transform).__name__} draws at random, but no noise was given"
            )
        stored = index if self.rows is None else self.rows[index.to(self.rows.device)].to(self.x.device)
        x = self.transform(self._stored(stored, noise), noise)
        observed = ~torch.isnan(x) if self.gaps else None
        label = None if self.label is None else self.label[index]
        context = None if self.context is None else self.context[index.to(self.context.device)].to(x.device)
        return Batch(x=x, context=context, observed=observed, label=label, index=index)

    def _stored(self, rows: Int64[Tensor, " batch"], noise: Variates | None) -> Tensor:
        if self.patches is None or noise is None or not self.patches.moves:
            return self.x.index_select(0, rows)
        return self.patches.cut(rows, noise).to(self.x.device)


@dataclass(frozen=True)
class Splits:
    """Training, validation and test data of one data set; the test split is None where none was given or set aside."""

    train: Source
    validation: Source
    test: Source | None
    origin: str = ""  # where the data were found
    citation: str = ""  # whom to cite, and the terms as far as they are known

    def each(self, change: Callable[[Source], Source]) -> Splits:
        """Every split changed in the same way."""
        test = None if self.test is None else change(self.test)
        return replace(self, train=change(self.train), validation=change(self.validation), test=test)

    def _repr_html_(self) -> str:
        """A line for each split."""
        parts = {"training": self.train, "validation": self.validation, "test": self.test}
        rows = [
            (name, len(one), " × ".join(map(str, one.event)), one.kind.value, one.fingerprint[:12])
            for name, one in parts.items()
            if one is not None
        ]
        notes = [("", note) for note in self.train.notes]
        table = html_table(self.train.name, rows, ("split", "examples", "one example", "values", "fingerprint"))
        return table + (html_table("Notes", notes) if notes else "")


def spread(examples: int, wanted: int) -> Int64[Tensor, " chosen"]:
    """`wanted` rows (or all) evenly spread over so many: fixed, whatever the seed."""
    wanted = min(wanted, examples)
    return (torch.arange(wanted) * examples) // max(wanted, 1)


def few(source: Source, seed: int, wanted: int) -> Int64[Tensor, " chosen"]:
    """`wanted` rows (or all) at random, in the order of the source; the same for the same seed."""
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
    return order[:wanted].sort().values
