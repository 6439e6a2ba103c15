"""What run.json says of data, and how data are read again that it describes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vael.data import Binarize, Images, Schema, Windowing
from vael.data.conditioning.columns import AnyCondition, ColumnsCondition
from vael.data.conditioning.conditions import ConditionRows, FileCondition
from vael.data.conditioning.labels import AnyLabelling, ColumnLabels
from vael.data.pictures.patching import Patching
from vael.tables.schema_file import as_record, from_record


class SpecSection(BaseModel):
    """Base of all parts of a spec: fixed once made, and nothing in it that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


MOST = 2**31 - 1  # of anything that is counted
Count = Annotated[int, Field(ge=1, le=MOST)]
Side = Annotated[int, Field(ge=1, le=2**15)]
Seed = Annotated[int, Field(ge=0, lt=2**40)]  # streams of noise are made of it by shifts
Name = Annotated[str, Field(max_length=4096, pattern="^[^\0]*$")]


class SplitSpec(SpecSection):
    """How many examples a split has, and the sha256 of their stored cells."""

    examples: Count
    fingerprint: str


class DataSpec(SpecSection):
    """Which data, how they were turned into numbers, and what every figure must say about them."""

    name: Name
    source: Name  # the name or the absolute path they are loaded from
    binarize: Literal["dynamic", "static", "threshold"] | None = None
    dequantize: bool = False
    size: Side | tuple[Side, Side] | None = (
        None  # height and width that images of a folder are brought to; one number for a square
    )
    skip_damaged: bool = False
    # share below 1, or a count, where the data set does not fix it; "test": the test split serves
    validation: Literal["test"] | Annotated[int | float, Field(gt=0)] | None = None
    set_aside: int | float | None = Field(default=None, gt=0)  # for the test split, likewise
    seed: Seed = 0  # of the splits and of static binarisation
    contamination: float = Field(
        default=0.0, ge=0, lt=0.5
    )  # share of the rows of training and validation that is left out
    kind: str = Field(pattern="^(binary|integer|real|mixed)$")
    levels: int | None = Field(default=None, ge=2, le=2**31)
    largest: float | None = None  # stored value that stands for a probability of 1, where cells were binarised
    event: tuple[Count, ...] = Field(min_length=1, max_length=3)
    columns: tuple[str, ...] = ()  # of a table
    table: dict[str, Any] | None = None  # the schema of a table with columns of several kinds
    gaps: bool = False  # whether cells may be missing
    patching: Patching | None = None  # how patches were cut from pictures, where examples are such
    sequence: Windowing | None = None  # how series were cut into windows [time, channels], the channels in `columns`
    domain: Name = ""  # `module:Class` of a kind of data that is not of this package
    condition: AnyCondition | None = None  # what the model is conditioned on; its columns are not in `table`
    labelling: AnyLabelling | None = None  # the classes that a model learns; a column of them is not in `table`
    train: SplitSpec
    held_out: SplitSpec  # the validation split
    test: SplitSpec | None = None
    notes: tuple[str, ...] = ()

    @property
    def set_apart(self) -> ColumnsCondition | ColumnLabels | None:
        """What takes columns of the table out of x, where something does."""
        if isinstance(self.labelling, ColumnLabels):
            return self.labelling
        return self.condition if isinstance(self.condition, ColumnsCondition) else None

    @property
    def given(self) -> ConditionRows | None:
        """Rows of conditions that were given beside other data than those of training."""
        return None if self.condition is None else self.condition.given

    @property
    def has_schema(self) -> bool:
        """Whether data are a table whose columns a schema tells."""
        return self.table is not None

    @property
    def row_schema(self) -> Schema | None:
        """What the columns of x are, of a table that has it."""
        return None if self.table is None else from_record(self.table, "run.json")

    @property
    def whole_schema(self) -> Schema | None:
        """The schema of the rows as they are read: with the columns that are set apart."""
        schema, apart = self.row_schema, self.set_apart
        return schema if schema is None or apart is None else apart.whole(schema)

    @property
    def windowing(self) -> Windowing | None:
        """How series were cut, of sequences."""
        return self.sequence

    @property
    def stored_levels(self) -> int | None:
        """How many levels the stored cells have: found once, when the run was prepared, so that a later release finds
        no other number.
        """
        if self.binarize is not None:
            return None if self.largest is None or self.largest <= 1 else round(self.largest) + 1
        return self.levels

    @property
    def reading(self) -> Reading:
        """How the data were read."""
        share = None if self.validation == "test" else self.validation
        learned = self.condition and self.condition.learned
        return Reading(
            self.source,
            None if self.binarize is None else Binarize(self.binarize),
            self.dequantize,
            Images(
                size_of(self.size), skip_damaged=self.skip_damaged, levels=self.stored_levels, patches=self.patching
            ),
            share,
            self.set_aside,
            self.validation == "test",
            self.seed,
            self.whole_schema,
            self.sequence,
            Path(learned.file) if isinstance(learned, FileCondition) else None,
        )


@dataclass(frozen=True)
class Reading:
    """Which data, and how they are to be read."""

    source: str
    binarize: Binarize | None
    dequantize: bool
    images: Images
    validation: int | float | None = None  # share or count; None: as the data set has it
    test: int | float | None = None
    by_test: bool = False  # whether the test split serves for validation
    seed: int = 0
    schema: Schema | None = None
    sequence: Windowing | None = None
    beside: Path | None = None  # an array with a row for each row of the data, which is their condition


def size_of(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width of images; one number stands for a square."""
    return (size, size) if isinstance(size, int) else size


def recorded(schema: Schema | None) -> dict[str, Any] | None:
    """A schema as run.json has it."""
    return None if schema is None else as_record(schema)
