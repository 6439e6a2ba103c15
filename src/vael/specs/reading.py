"""Which data a run is on, how they are read, and what run.json says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vael.data import Binarize, Images, Kind, Schema, Source, Splits, Windowing, load, load_sequences, load_table
from vael.data.catalog.named import is_name
from vael.data.conditioning.conditions import AnyCondition, ColumnsCondition, FileCondition
from vael.data.conditioning.learned_conditions import conditioned
from vael.data.matching import Trained, joined, matching
from vael.data.splitting import ValidateOn
from vael.data.tabular import is_table_file
from vael.errors import ShapeError, StateError
from vael.specs import names
from vael.specs.asked import Request
from vael.specs.spec import DataSpec, RunSpec, SplitSpec
from vael.tables.schema_file import as_record, from_record, read_schema


@dataclass(frozen=True)
class Reading:
    """Which data, and how they are to be read."""

    source: str
    binarize: str | None
    dequantize: bool
    size: int | tuple[int, int] | None
    skip_damaged: bool
    validation: int | float | str | None = None
    test: int | float | None = None
    seed: int = 0
    levels: int | None = None
    schema: Schema | None = None
    sequence: Windowing | None = None

    @property
    def images(self) -> Images:
        """How images are read."""
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        return Images(size=size, skip_damaged=self.skip_damaged, levels=self.levels)


def schema_of(asked: Request) -> Schema | None:
    """The schema in the file that was given. Errors: `FormatError`."""
    return None if asked.schema is None else read_schema(Path(asked.schema))


def reading_for(asked: Request) -> Reading:
    """How data are to be read as asked for."""
    return Reading(
        asked.data,
        asked.binarize,
        asked.dequantize,
        asked.size,
        asked.skip_damaged,
        asked.validation,
        asked.test,
        0,
        asked.levels,
        schema_of(asked),
        windowing_of(asked),
    )


def windowing_of(asked: Request) -> Windowing | None:
    """How sequences are to be cut; None where the data are none.

    Errors: `StateError` for a part of it without `sequence`, and for what only other data can be given.
    """
    parts = {"id": asked.id, "window": asked.window, "stride": asked.stride}
    if asked.sequence is None or asked.sequence is False:
        given = [name for name, value in parts.items() if value is not None]
        if given:
            raise StateError(
                f"{given[0]} (--{given[0]}) is for sequences, but the data were not said to be any; name the column of "
                "times (--sequence TIME), or leave it out"
            )
        return None
    names = ("binarize", "dequantize", "size", "skip_damaged", "levels", "schema", "condition_on", "contamination")
    other = [name for name in names if getattr(asked, name)]
    if other:
        raise StateError(
            f"{other[0]} (--{other[0].replace('_', '-')}) is not for sequences (--sequence); leave one of the two out"
        )
    time = "" if asked.sequence is True else str(asked.sequence)
    return Windowing(time=time, id=asked.id or "", window=asked.window, stride=asked.stride)


def reading_of(data: DataSpec) -> Reading:
    """How the data of a run were read."""
    return Reading(
        data.source,
        data.binarize,
        data.dequantize,
        data.size,
        data.skip_damaged,
        data.validation,
        data.set_aside,
        data.seed,
        stored_levels(data),
        whole_schema(data),
        data.sequence,
    )


def whole_schema(data: DataSpec) -> Schema | None:
    """The schema of the rows as they are read: with the columns that are the condition."""
    if data.table is None:
        return None
    schema = from_record(data.table, "run.json")
    return data.condition.whole(schema) if isinstance(data.condition, ColumnsCondition) else schema


def stored_levels(data: DataSpec) -> int | None:
    """How many levels the stored cells of a run have: found once, when it was prepared, so that a later release
    finds no other number.
    """
    if data.binarize is not None:
        return None if data.largest is None or data.largest <= 1 else round(data.largest) + 1
    return data.levels


def load_splits(how: Reading) -> Splits:
    """`vael.data.load` with the names of a command line."""
    kind = (
        None
        if how.binarize is None
        else Binarize(names.meant(how.binarize, [kind.value for kind in Binarize], "binarisation"))
    )
    by_test = (
        isinstance(how.validation, str) and names.meant(how.validation, ["test"], "split to validate on") == "test"
    )
    shares = (None if by_test else how.validation, how.test)
    validation, test = (None if share is None else float(share) for share in shares)
    if how.sequence is not None:
        if by_test:
            raise StateError("sequences have no test split of their own to validate on; give a share")
        return load_sequences(how.source, how.sequence, seed=how.seed, validation=validation, test=test)
    if how.schema is not None and how.binarize is None and not how.dequantize:
        if by_test:
            raise StateError("a table with a schema has no test split of its own to validate on; give a share")
        return load_table(how.source, schema=how.schema, seed=how.seed, validation=validation, test=test)
    return load(
        how.source,
        binarize=kind,
        dequantize=how.dequantize,
        seed=how.seed,
        validation=ValidateOn.TEST if by_test else validation,
        test=test,
        images=how.images,
    )


def splits_of(spec: RunSpec) -> Splits:
    """The data of a run. Errors: `StateError` if they changed since."""
    data = spec.data
    splits = conditioned(load_splits(reading_of(data)), data.condition)
    found = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    known = {"train": data.train, "validation": data.held_out, "test": data.test}
    for name, split in known.items():
        source = found[name]
        if (source and source.fingerprint) != (split and split.fingerprint):
            raise StateError(
                f"{data.source}: the {name} split is no longer what the run was trained on (its fingerprint differs "
                "from run.json); "
                "bring the original data back, or train a new run"
            )
    return splits


def source_of(data: str) -> str:
    """A path from the root, so that it is found from anywhere; the name of a data set as it is, also where a folder
    is called so.
    """
    return data if is_name(data) or not Path(data).exists() else str(Path(data).absolute())


def describe(asked: Request, splits: Splits, condition: AnyCondition | None = None) -> DataSpec:
    """What run.json says of the data, their conditions beside them."""
    train = splits.train
    return DataSpec(
        name=train.name,
        source=source_of(asked.data),
        binarize=asked.binarize,  # type: ignore[arg-type]
        dequantize=asked.dequantize,
        size=asked.size,
        skip_damaged=asked.skip_damaged,
        validation=asked.validation,
        set_aside=asked.test,
        contamination=asked.contamination,
        kind=train.kind.value,
        levels=train.levels,
        largest=train.largest,
        event=train.event,
        columns=train.columns,
        table=None if train.schema is None else as_record(train.schema),
        gaps=train.gaps,
        sequence=train.windowing,
        condition=condition,
        train=describe_split(train),
        held_out=describe_split(splits.validation),
        test=None if splits.test is None else describe_split(splits.test),
        notes=notes_of(splits),
    )


def describe_split(source: Source) -> SplitSpec:
    """Size and fingerprint of a split."""
    return SplitSpec(examples=len(source), fingerprint=source.fingerprint)


def notes_of(splits: Splits) -> tuple[str, ...]:
    """What every figure must say about these data, each thing once."""
    found = (note for split in (splits.train, splits.validation, splits.test) if split for note in split.notes)
    return tuple(dict.fromkeys(found))


def examples_of(spec: RunSpec, data: str, *, clip: bool = False) -> Source:
    """The test split of data that have their own, else all examples in their order, in the units of a run's own data;
    `clip` as in `matching`.

    Errors: `ShapeError` or `SupportError` for data that its model cannot take.
    """
    if matched(spec.data, data):
        return in_condition(spec, matching(data, trained_on(spec.data), reading_of(spec.data).images, clip=clip), data)
    how = replace(reading_of(spec.data), source=data, validation=None, test=None)
    found = in_condition(spec, joined(load_splits(how)), data)
    if found.event != spec.data.event:
        raise ShapeError(
            f"{data} has examples of shape {found.event}, but the run was trained on {spec.data.event}; give data of "
            "that shape"
        )
    return found


def in_condition(spec: RunSpec, source: Source, data: str) -> Source:
    """Examples of data with their conditions, where the model of a run asks for them.

    Errors: those of `vael.data.conditioning.conditions.Condition.of`, and `StateError` where an array was beside the
    training data, so that these data have none.
    """
    condition = spec.data.condition
    if condition is None:
        return source
    if isinstance(condition, FileCondition):
        raise StateError(
            f"the model is conditioned on {condition.told}, which stand beside its own data, not beside {data}; use "
            "its own data, or train on labels or on columns of a table"
        )
    return condition.of(source)


def matched(known: DataSpec, data: str) -> bool:
    """Whether data are read by what the run was trained on alone: arrays and images, but no tables, nor where an
    older run.json does not say how.
    """
    described = known.binarize is None or known.largest is not None
    return (
        known.table is None
        and not known.columns
        and described
        and not (Path(data).is_file() and is_table_file(Path(data)))
    )


def trained_on(known: DataSpec) -> Trained:
    """What arrays and images must be for the model of a run."""
    binarize = None if known.binarize is None else Binarize(known.binarize)
    return Trained(known.event, Kind(known.kind), known.levels, binarize, known.dequantize, known.largest)
