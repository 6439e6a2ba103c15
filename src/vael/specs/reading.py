"""Which data a run is on, how they are read, and what run.json says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vael import domains
from vael.data import Binarize, Images, OnError, Schema, Source, Splits, Table, Windowing
from vael.data.catalog.named import is_name
from vael.data.conditioning.columns import AnyCondition
from vael.data.conditioning.conditions import ARRAY, LABEL
from vael.data.conditioning.labels import Labelling, labelled_splits
from vael.data.conditioning.learned_conditions import conditioned
from vael.data.pictures.patching import Patching
from vael.domains import DataSpec, Piece, Reading
from vael.domains.described import SplitSpec, recorded, size_of
from vael.domains.reading import Lenience, aligned
from vael.errors import StateError
from vael.specs import names
from vael.specs.asked import Request
from vael.specs.spec import RunSpec, fitting
from vael.stored import text_name
from vael.tables.schema_file import read_schema


def reading_for(asked: Request) -> Reading:
    """How data are to be read as asked for.

    Errors: `FormatError` for a binarisation or a split that there is not.
    """
    binarize, share, on = asked.binarize, asked.validation, asked.condition_on or ""
    by_test = isinstance(share, str) and names.meant(share, ["test"], "split to validate on") == "test"
    return Reading(
        asked.data,
        None if binarize is None else Binarize(names.meant(binarize, [one.value for one in Binarize], "binarisation")),
        asked.dequantize,
        images_of(asked),
        None if by_test or share is None else float(share),
        None if asked.test is None else float(asked.test),
        by_test,
        0,
        None if asked.schema is None else read_schema(Path(asked.schema)),
        windowing_of(asked),
        Path(on) if on.lower().endswith(ARRAY) else None,
    )


def images_of(asked: Request) -> Images:
    """How images are to be read. Errors: `StateError` for two sizes at once, or one that no patch can have."""
    if asked.patches is not None and asked.size is not None:
        raise StateError(
            "whole pictures made smaller (--size) and patches of pictures as they are (--patches) were both asked for; "
            "leave one of them out"
        )
    side = size_of(asked.patches)
    with fitting():
        patches = None if side is None else Patching(height=side[0], width=side[1])
    return Images(size_of(asked.size), skip_damaged=asked.skip_damaged, levels=asked.levels, patches=patches)


def load_splits(how: Reading) -> Splits:
    """The data, by the domain that reads them."""
    return domains.reading(how).splits(how)


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
    names = (
        "binarize",
        "dequantize",
        "size",
        "patches",
        "skip_damaged",
        "levels",
        "schema",
        "labels",
        "contamination",
    )
    other = [name for name in names if getattr(asked, name)]
    if other:
        raise StateError(
            f"{other[0]} (--{other[0].replace('_', '-')}) is not for sequences (--sequence); leave one of the two out"
        )
    time = "" if asked.sequence is True else str(asked.sequence)
    on = asked.condition_on or ""
    labels = on == LABEL and not time  # of an array
    apart = () if not on or labels or on.lower().endswith(ARRAY) else (on,)
    return Windowing(time=time, id=asked.id or "", apart=apart, window=asked.window, stride=asked.stride)


def splits_of(spec: RunSpec) -> Splits:
    """The data of a run. Errors: `StateError` if they changed since."""
    data = spec.data
    splits = conditioned(domains.of(data).splits(data.reading), data.condition and data.condition.learned)
    splits = aligned(labelled_splits(splits, data.labelling), data)
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
    is called so. Errors: `FormatError` for a name that is no text in UTF-8.
    """
    return data if is_name(data) or not Path(data).exists() else str(text_name(Path(data).absolute()))


def describe(
    asked: Request, splits: Splits, condition: AnyCondition | None = None, labelling: Labelling | None = None
) -> DataSpec:
    """What run.json says of the data, their conditions and labels beside them."""
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
        table=recorded(train.schema),
        gaps=train.gaps,
        patching=train.patching,
        sequence=train.windowing,
        domain=train.domain,
        condition=condition,
        labelling=labelling,  # type: ignore[bad-argument-type]
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
    """The test split of data that have their own, else all examples in their order, in the units of a run's own data.

    With `clip`, elements above the largest level of the training data count as the largest one, and a note says so.
    Errors: `ShapeError` or `SupportError` for data that its model cannot take.
    """
    return domains.of(spec.data).examples(spec.data, data, clip=clip)


def pieces(
    spec: RunSpec, data: object, *, on_error: OnError = OnError.STOP, schema: Schema | None = None, clip: bool = False
) -> Iterator[Piece]:
    """All examples of a file as consecutive rows; of data with a test split of their own, that one. Tables and `.npy`
    files are read as needed. Examples in memory (rows as a data frame, dictionaries or a list of them; arrays) are one
    piece.

    `schema` has the rules of columns for a run on plain numbers, whose rows may then have gaps; `clip` as in
    `examples_of`. Errors: `ShapeError`, `SupportError` or `FormatError` for data that the model of the run cannot take.
    """
    domain, how = domains.of(spec.data), Lenience(on_error, schema, clip)
    if isinstance(data, str | Path):
        return domain.pieces(spec.data, str(data), how)
    return iter([domain.given(spec.data, data, how)])


def table_of(spec: RunSpec, data: object, *, skip: bool = False, schema: Schema | None = None) -> tuple[Source, Table]:
    """The rows of a table by the schema of a run (or one made for it), and the table as it came, all at once.

    `data` is a path, a data frame, columns or a row as a dictionary, or a list of rows. With `skip`, rows that do not
    fit are left out and listed in the table.

    Errors: `StateError` for a run that was not trained on such a table, and those of `vael.data.read_table`.
    """
    return domains.of(spec.data).rows(spec.data, data, schema, OnError.SKIP if skip else OnError.STOP)
