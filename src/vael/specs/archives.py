"""A run's model as a compressor of data: what is compressed, and what is given back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vael import domains, files
from vael.compression import (
    Compressed,
    Contents,
    Decompressed,
    Header,
    Level,
    SafeLevel,
    from_array,
    from_cells,
    from_folder,
    safe_names,
)
from vael.compression import compress as compress_contents
from vael.compression import decompress as decompress_content
from vael.compression.archive import fingerprint
from vael.compression.levels import make_level
from vael.compression.portable import IntegerVAE, PortableLevel, load_portable, quantise
from vael.compression.tabular.grids import WIDEST
from vael.data import Kind, Source
from vael.data.files.arrays import array_in
from vael.data.files.images import image_files
from vael.errors import FormatError, StateError, SupportError
from vael.evaluation.evaluate import batch_at
from vael.models import Head, LatentModel, needs
from vael.models.likelihoods.parts import ColumnsPart
from vael.specs.reading import examples_of
from vael.specs.runs import Run
from vael.specs.spec import RunSpec, facts_of
from vael.specs.table_archives import table_level, table_of, write_table
from vael.tables.reading import Frame

AT_ONCE = 4096  # examples put through the transform together
Progress = Callable[[int, int], None]


def compress(
    run: Run,
    data: Path | str | Frame | None,
    target: Path | str,
    *,
    level: str = "safe",
    progress: Progress | None = None,
) -> Compressed:
    """Write `data` (None: the run's test split) to the file `target`, coded bits-back with the run's model.

    Every block is decoded and compared with what it came from before anything is written. An array (.npy) comes back as
    it was; so do the pixels and names of a folder of images, and every cell of a table, a text file to the last byte
    where it is regular; of anything else the cells come back as an array. Errors: `ShapeError`, `SupportError`,
    `FormatError` for data or a model with which that cannot be done, `StateError` for one file as both.
    """
    if isinstance(data, Path | str) and files.same(Path(data), Path(target)):
        raise StateError(f"{target} is the data themselves; give another name for the compressed file")
    needs(run.model, LatentModel, "lossless compression")
    if run.spec.data.kind == Kind.MIXED.value:
        check_codes(run.spec)
        contents = table_of(run, data)
        coder: Level = table_level(run, contents.layout) if level == SafeLevel.name else level_of(run, level)
    else:
        coder = level_of(run, level)
        contents = contents_of(run, data if data is None or isinstance(data, Path | str) else refuse_frame(run))
    done = compress_contents(coder, contents, fingerprint_of(run), progress=progress)
    files.write_bytes(Path(target), done.content)
    return done


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
        file.read_bytes(), str(file), fingerprint_of(run), lambda header: level_in(run, header), progress=progress
    )
    if done.layout.kind == "table":
        said = write_table(run, done, file, target)
        return replace(done, notes=(*(note for note in done.notes if note != done.layout.note), said))
    give_back(done, file, target)
    return done


def refuse_frame(run: Run) -> str:
    """Errors: `SupportError`: only a run on a table takes one."""
    raise SupportError(
        f"a table was given, but the run was trained on {run.spec.data.name}; give an array or images of shape "
        f"{run.spec.data.event}"
    )


def fingerprint_of(run: Run) -> str:
    """Of the weights and of what run.json says of the model, and of a table's columns."""
    columns = "" if run.spec.data.table is None else f" {json.dumps(run.spec.data.table, sort_keys=True)}"
    return fingerprint(
        run.model,
        f"{run.spec.model.model_dump_json(serialize_as_any=True)} {run.spec.data.event} {symbols_of(run)}{columns}",
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


def made_portable(run: Run, path: Path) -> IntegerVAE:
    """The stored model in whole numbers if it was made of the run's weights, else a new one that is stored."""
    source = fingerprint_of(run)
    if path.exists() and (known := load_portable(path)).source == source:
        return known
    train = run.splits().train
    rows = [number * len(train) // SHOWN for number in range(SHOWN)] if len(train) > SHOWN else range(len(train))
    examples = torch.cat([batch_at(train, range(row, row + 1), 0, torch.zeros(0)).x for row in rows])
    made = quantise(run.model, examples, symbols_of(run), source=source)
    made.save(path)
    return made


def level_of(run: Run, name: str) -> Level:
    """A level by name, as it is usually set.

    Errors: `SupportError` for a model of real numbers, `FormatError` for an unknown name.
    """
    if run.spec.data.kind == Kind.MIXED.value:
        raise SupportError("there are portable files of images and arrays only; compress tables at the level safe")
    check_codes(run.spec)
    return (
        portable(run)
        if name == PortableLevel.name
        else make_level(name, run.model, run.spec.data.event, symbols_of(run))
    )


def check_codes(spec: RunSpec) -> None:
    """Errors: `SupportError` for a run whose model gives densities, with which nothing is coded."""
    if not domains.of(spec.data).coded:
        raise SupportError(
            f"there is no compressed file of data such as {spec.data.name}; images, arrays and tables are compressed"
        )
    if spec.data.kind == Kind.MIXED.value and not isinstance(getattr(spec.model, "likelihood", None), ColumnsPart):
        raise SupportError(
            f"the model ({spec.model.likelihood_name}) gives densities of rows and no probabilities of cells to code "
            "with, so nothing would become smaller; train one over columns (vael train TABLE --model table)"
        )
    if spec.data.condition is not None:
        raise SupportError(
            f"the model is conditioned on {spec.data.condition.told}, which no compressed file would hold; train one "
            "without a condition (no --condition-on)"
        )
    if spec.data.kind == Kind.REAL.value and spec.data.columns:
        raise SupportError(
            "the run was trained on a table of plain numbers, whose model gives densities and no probabilities to code "
            "with; write its schema "
            "(vael data info TABLE --schema FILE.json) and train by it (vael train TABLE --schema FILE.json): numbers "
            "of declared decimals are coded"
        )
    if spec.data.kind not in (Kind.BINARY.value, Kind.INTEGER.value, Kind.MIXED.value):
        raise SupportError(
            f"the run was trained on cells that are {spec.data.kind}, so its model gives densities and no "
            "probabilities to code with; train on "
            "whole numbers or zeros and ones (without --dequantize)"
        )


def level_in(run: Run, header: Header) -> Level:
    """The level that a file names, set as it says. Errors: `FormatError` for one that this run cannot have."""
    if (header.layout.kind == "table") != (run.spec.data.kind == Kind.MIXED.value) or header.levels != symbols_of(run):
        raise FormatError(
            f"the file says that it holds {header.layout.kind} of {header.levels:,} values a cell, but the run was "
            f"trained on {run.spec.data.name}, "
            f"whose cells have {symbols_of(run):,}; it was not written with this run"
        )
    if header.layout.kind == "table" and header.level == SafeLevel.name:
        return table_level(run, header.layout, header.settings)
    if header.level == PortableLevel.name:
        return portable(run, header.settings)
    return make_level(header.level, run.model, run.spec.data.event, header.levels, header.settings)


def symbols_of(run: Run) -> int:
    """How many values a cell can have: as the likelihood counts them."""
    if run.spec.data.kind == Kind.MIXED.value:
        return WIDEST
    heads = [part for part in run.model.modules() if isinstance(part, Head)]
    counted = [int(getattr(head, "levels", 0)) for head in heads]
    return max(counted, default=0) or facts_of(run.spec.data).values


def contents_of(run: Run, data: Path | str | None) -> Contents:
    """What is to be compressed, in the units of the run's model.

    Errors: `ShapeError`, `SupportError`, `FormatError` for what it cannot take.
    """
    if data is None:
        return cells_of(run.split()[1])
    path, event, symbols = Path(data), run.spec.data.event, symbols_of(run)
    if path.is_file() and path.suffix.lower() == ".npy":
        x = array_in(path)
        factor = factor_of(x, symbols)
        if factor is not None or run.spec.data.binarize is None:
            return from_array(x, str(path), event, factor or 1)
    elif path.is_dir() and image_files(path) and not list(path.glob("data_batch_*.bin")):
        found = from_folder(path, event)
        factor = factor_of(found.array, symbols)
        if factor is not None or run.spec.data.binarize is None:
            return from_folder(path, event, factor or 1)
    return cells_of(examples_of(run.spec, str(data)))


def factor_of(x: np.ndarray, symbols: int) -> int | None:
    """What the cells of a model of zeros and ones are to be multiplied by: 1, or 255 for black and white; None
    where cells have other values.
    """
    if symbols > 2:
        return 1
    values = np.unique(x)
    return next((factor for factor in (1, 255) if np.isin(values, (0, factor)).all()), None)


def cells_of(source: Source) -> Contents:
    """The cells of a source; what a transform draws at random is drawn once, from seed 0, and kept."""
    if source.kind not in (Kind.BINARY, Kind.INTEGER):
        raise SupportError(
            f"{source.name} holds cells that are {source.kind.value}, but only whole numbers can be coded without loss"
        )
    like, parts = torch.zeros(0), []
    for start in range(0, len(source), AT_ONCE):
        parts.append(
            batch_at(source, range(start, min(start + AT_ONCE, len(source))), 0, like).x.to(torch.int32).numpy()
        )
    return from_cells(source, np.concatenate(parts))


def give_back(done: Decompressed, file: Path, target: Path) -> None:
    """Write an array, or a folder of images, whole or not at all."""
    if done.layout.kind == "images":
        write_images(done, file, target)
        return
    if target.suffix.lower() != ".npy":
        raise FormatError(f"{target}: {file} holds an array, which is written as .npy; give a file name that ends so")
    buffer = io.BytesIO()
    np.save(buffer, done.array, allow_pickle=False)
    files.write_bytes(target, buffer.getvalue())


def write_images(done: Decompressed, file: Path, target: Path) -> None:
    """Images as PNG in a folder that was not there, or was empty.

    Errors: `StateError` for another, `FormatError` for names that lead elsewhere.
    """
    names = safe_names(done.layout, str(file))
    with files.new_folder(target) as folder:
        for name, cells in zip(names, done.array, strict=True):
            stream = io.BytesIO()
            Image.fromarray(cells[0] if len(cells) == 1 else cells.transpose(1, 2, 0)).save(stream, "PNG")
            files.write_bytes(folder / name, stream.getvalue(), durable=False)
