"""A run's model as a compressor of data: what is compressed, and what is given back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vael import domains, files
from vael.compression import (
    Compressed,
    Decompressed,
    GivenLevels,
    Header,
    Layout,
    Level,
    OneCondition,
    given_levels,
)
from vael.compression import compress as compress_contents
from vael.compression import decompress as decompress_content
from vael.compression.archive import fingerprint
from vael.compression.integers.integer_model import IntegerModel
from vael.compression.portable import PortableLevel, load_portable, quantise
from vael.counting import Progress
from vael.data.source import spread
from vael.domains.coding import Coding
from vael.errors import FormatError, StateError, SupportError
from vael.evaluation.examples import batch_at
from vael.models import LatentModel, needs
from vael.specs.reading import pieces
from vael.specs.runs import Run
from vael.specs.spec import RunSpec
from vael.tables.reading import Frame


def compress(
    run: Run,
    data: Path | str | Frame | None,
    target: Path | str,
    *,
    level: str = "safe",
    where: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Compressed:
    """Write `data` (None: the run's test split) to the file `target`, coded bits-back with the run's model.

    Every block is decoded and compared with what it came from before anything is written. An array (.npy) comes back as
    it was; so do the pixels and names of a folder of images, and every cell of a table, a text file to the last byte
    where it is regular; of anything else the cells come back as an array. A conditional model takes the condition of
    each example from the data, or one for all of them from `where`; it stands in the file. Errors: `ShapeError`,
    `SupportError`, `FormatError` for data or a model with which that cannot be done, `StateError` for one file as both,
    and for conditions that are not known.
    """
    if isinstance(data, Path | str) and files.same(Path(data), Path(target)):
        raise StateError(f"{target} is the data themselves; give another name for the compressed file")
    needs(run.model, LatentModel, "lossless compression")
    coding = coding_of(run.spec)
    coding.refuse_densities(run.spec.model)
    contents = coding.contents(run.model, data, run.split)
    if run.spec.data.condition is None and not where:
        coder = level_of(run, coding, level, contents.layout)
    else:
        context = contexts(run, data, len(contents), where or {})
        coder = given_levels(context, len(contents), lambda c: level_of(at(run, c), coding, level, contents.layout))
    done = compress_contents(coder, contents, fingerprint_of(run), progress=progress)
    files.write_bytes(Path(target), done.content)
    return done


def contexts(run: Run, data: object, examples: int, where: Mapping[str, object]) -> np.ndarray:
    """The condition of each example, or one row for all of them.

    Errors: `StateError` for a model without a condition, for values that it cannot have, and for data that do not tell
    theirs; those of `vael.specs.pieces`.
    """
    condition = run.spec.data.condition
    if condition is None:
        raise StateError("the model is conditioned on nothing; leave the condition out (--where)")
    if where:
        return condition.encode(where)[None].numpy()
    try:
        found = [run.split()[1].context] if data is None else [one.source.context for one in pieces(run.spec, data)]
    except StateError as error:
        raise StateError(f"{error}, or name one condition for all examples (--where NAME=VALUE)") from error
    known = [one for one in found if one is not None]
    context = torch.cat(known).numpy() if known else np.zeros((0, condition.features), np.float32)
    if len(context) != examples:
        raise StateError(
            f"{examples:,} examples are to be compressed, but {len(context):,} of them tell their condition; name one "
            "for all (--where NAME=VALUE), or give data whose conditions are all known"
        )
    return context


def at(run: Run, condition: OneCondition) -> Run:
    """The run with its model at one condition. Errors: `ShapeError` for one of another model."""
    return replace(run, model=run.model.at(torch.tensor(condition)))


def decompress(run: Run, file: Path | str, target: Path | str, *, progress: Progress | None = None) -> Decompressed:
    """Write what the file holds to `target`: an array as .npy, images as a new folder, a table as .csv or .parquet.
    Whole and exact, or not at all.

    Errors: `FormatError` for a file that is damaged, cut short, of another version, of another model, or that does not
    come out exactly; `StateError` for a folder that holds something, and for one file as both.
    """
    file, target = Path(file), Path(target)
    if not file.is_file():
        raise FormatError(
            f"{file}: {'a folder, not a file' if file.is_dir() else 'no such file'}; give a file that `vael compress` "
            "wrote"
        )
    if files.same(file, target):
        raise StateError(f"{target} is the compressed file itself; give another name for what comes out of it")
    done = decompress_content(
        file.read_bytes(),
        str(file),
        fingerprint_of(run),
        lambda header: level_in(run, header, target),
        progress=progress,
    )
    return coding_of(run.spec).give_back(done, file, target)


def coding_of(spec: RunSpec) -> Coding:
    """How the data of a run are coded. Errors: `SupportError` for a kind of data that is not."""
    return domains.of(spec.data).coding(spec.data)


def fingerprint_of(run: Run) -> str:
    """Of the weights and of what run.json says of the model, and of a table's columns."""
    coding = coding_of(run.spec)
    return fingerprint(
        run.model,
        f"{run.spec.model.model_dump_json(serialize_as_any=True)} {run.spec.data.event} {coding.symbols(run.model)}"
        f"{coding.told}",
    )


PORTABLE = "portable.safetensors"  # in the run's folder: its model in whole numbers
SHOWN = 256  # training examples that show how large the numbers between layers grow


def portable(run: Run, settings: Mapping[str, int] | None = None) -> Level:
    """The model in whole numbers that lies beside the weights; made, and put there, where it is missing and nothing is
    to be read with it.

    Errors: `FormatError` where a file was written with other whole numbers than those that are there, or there are
    none.
    """
    path = run.inside(PORTABLE)
    if settings is None:
        return PortableLevel(made_portable(run, path), run.model)
    if not path.exists():
        raise FormatError(f"{path} is missing: the file was written with it, so bring it along with the run folder")
    level = PortableLevel(load_portable(path), run.model)
    if dict(settings) != dict(level.settings):
        raise FormatError(
            f"{path} is not the one that the file was written with: it holds other whole numbers; bring back the one "
            "that lay beside the run"
        )
    return level


def made_portable(run: Run, path: Path) -> IntegerModel:
    """The stored model in whole numbers if it was made of the run's weights, else a new one that is stored."""
    source = fingerprint_of(run)
    if path.exists() and (known := load_portable(path)).source == source:
        return known
    train = run.splits().train
    rows = spread(len(train), SHOWN).tolist()
    examples = torch.cat([batch_at(train, range(row, row + 1), 0, torch.zeros(0)).x for row in rows])
    made = quantise(run.model, examples, coding_of(run.spec).symbols(run.model), source=source)
    made.save(path)
    return made


def level_of(run: Run, coding: Coding, name: str, layout: Layout) -> Level:
    """A level by name, as it is usually set.

    Errors: `SupportError` for a model of real numbers, `FormatError` for an unknown name.
    """
    if name == PortableLevel.name and run.spec.data.condition is not None:
        raise SupportError("there are no portable files of conditional models; compress at the level safe")
    if name == PortableLevel.name and coding.whole_numbers and layout.kind != "pictures":
        return portable(run)
    return coding.level(name, run.model, layout)


def level_in(run: Run, header: Header, target: Path) -> Level | GivenLevels:
    """The level that a file names, set as it says; of a conditional model one for each condition in it.

    Errors: `FormatError` for one that this run cannot have, and for a target that what the file holds is not
    written to.
    """
    coding = coding_of(run.spec)
    symbols = coding.symbols(run.model)
    if not coding.holds(header) or header.levels != symbols:
        raise FormatError(
            f"the file says that it holds {header.layout.kind} of {header.levels:,} values a cell, but the run was "
            f"trained on {run.spec.data.name}, whose cells have {symbols:,}; it was not written with this run"
        )
    if endings := coding.endings(header.layout):
        files.known_ending(target, endings)
    if bool(header.conditions) != (run.spec.data.condition is not None):
        raise FormatError("the file and the run do not agree whether there is a condition; it was not written with it")
    if header.level == PortableLevel.name:
        return portable(run, header.settings)

    def level(run: Run) -> Level:
        return coding.level(header.level, run.model, header.layout, header.settings)

    if not header.conditions:
        return level(run)
    return GivenLevels(header.conditions, header.given, lambda c: level(at(run, c)))
