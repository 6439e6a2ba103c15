"""Arrays that people saved: .npy and .npz, memory-mapped when large, and text of whitespace-separated 0 and 1 (.amat).

In an .npz, the examples are `train` (or `x_train`), `valid` (`validation`, `x_valid`, ...) and `test` (`x_test`); or
one array of any of the names in `WHOLE`, or the only array of two axes or more. Labels are `y` (`label`, `labels`,
`target`), or `y_train` ... beside splits.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from vael.claims import parsing, refuse_claim
from vael.data.files.material import Material, MaterialPart
from vael.errors import FormatError, ShapeError
from vael.stored import check_file

NPY = b"\x93NUMPY"
LARGE = 2**30  # bytes from which an .npy file stays on disk
WHOLE = ("x", "data", "images", "faces", "arr_0", "features")
LABEL = ("y", "label", "labels", "target", "targets")
SPLITS = {"train": ("train",), "validation": ("valid", "validation", "val"), "test": ("test",)}


def read_npy(path: Path) -> Material:
    """One array, with the labels in `<name>_labels.npy` beside it.

    Errors: `FormatError` for objects, ragged arrays and damaged files.
    """
    x = array_in(path)
    label = path.with_name(f"{path.stem}_labels.npy")
    if not label.is_file():
        return Material(path.stem, MaterialPart(x))
    return named(Material(path.stem, labelled(x, array_in(label), label)))


def read_npz(path: Path) -> Material:
    """Arrays by the names that the module describes. Errors: `FormatError` where no examples can be told among them."""
    with _told(path), open(path, "rb") as file:
        if file.read(len(NPY)) == NPY:
            raise FormatError(f"{path} is a single array, not an archive of arrays; give it the ending .npy")
    begins(path, b"PK")
    arrays = _members(path)
    found = {split: _split(arrays, names, path) for split, names in SPLITS.items()}
    train = found["train"]
    if train is None:
        train = _whole(arrays, path)
        if found["validation"] is not None:
            raise FormatError(
                f"{path} has a validation split but no array train; it holds {', '.join(arrays)}: rename the training "
                "examples"
            )
    return named(Material(path.stem, train, found["validation"], found["test"]))


def named(material: Material) -> Material:
    """Labels that are words as numbers by the order of the words, which become the names of the labels."""
    words = [part.label for part in material.parts if part.label is not None and part.label.dtype.kind in "US"]
    if not words:
        return material
    names = np.unique(np.concatenate(words))
    found = material.changed(
        lambda part, number: replace(part, label=None if part.label is None else np.searchsorted(names, part.label))
    )
    return replace(
        found,
        label_names=tuple(name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names),
    )


def begins(path: Path, with_these: bytes) -> None:
    """Errors: `FormatError` for no file, and for one of another kind than its ending says (which NumPy would take for
    Python objects).
    """
    check_file(path)
    with open(path, "rb") as file:
        found = file.read(len(with_these))
    if found != with_these:
        raise FormatError(
            f"{path} could not be read, as it is no {path.suffix} file: it begins with {found!r}, not {with_these!r}; "
            "save the array again, with its own ending"
        )


def _split(arrays: Mapping[str, np.ndarray], names: tuple[str, ...], path: Path) -> MaterialPart | None:
    for name in names:
        for key in (name, f"x_{name}", f"{name}_x", f"{name}_images", f"{name}_data"):
            if key in arrays:
                return labelled(
                    arrays[key], _label(arrays, [f"{y}_{name}" for y in LABEL] + [f"{name}_{y}" for y in LABEL]), path
                )
    return None


def _whole(arrays: Mapping[str, np.ndarray], path: Path) -> MaterialPart:
    named = [name for name in WHOLE if name in arrays]
    candidates = named[:1] or [name for name, array in arrays.items() if array.ndim > 1]
    if len(candidates) != 1:
        raise FormatError(
            f"{path} holds {', '.join(f'{name} {array.shape}' for name, array in arrays.items()) or 'nothing'}, among "
            "which the examples cannot be "
            "told; name them x (and y for labels), or train, valid and test"
        )
    return labelled(arrays[candidates[0]], _label(arrays, list(LABEL)), path)


def _label(arrays: Mapping[str, np.ndarray], names: list[str]) -> np.ndarray | None:
    return next((arrays[name] for name in names if name in arrays), None)


def labelled(x: np.ndarray, label: np.ndarray | None, where: Path) -> MaterialPart:
    """Examples with labels. Errors: `ShapeError` where they differ in number, `FormatError` for labels that are
    neither whole numbers nor words.
    """
    if label is None:
        return MaterialPart(x)
    flat = label.reshape(-1) if label.ndim == 2 and 1 in label.shape else label
    if flat.shape != x.shape[:1]:
        raise ShapeError(
            f"{where}: {len(x):,} examples came with labels of shape {label.shape}; one label for each example was "
            "expected"
        )
    if flat.dtype.kind in "US":
        return MaterialPart(x, flat)
    if flat.dtype.kind not in "bui" and not (
        flat.dtype.kind == "f" and np.isfinite(flat).all() and (flat == np.floor(flat)).all()
    ):
        raise FormatError(
            f"{where}: labels are of type {label.dtype}, but whole numbers or words were expected; number the classes "
            "from 0"
        )
    return MaterialPart(x, flat.astype(np.int64))


def read_amat(path: Path) -> np.ndarray:
    """Text of 0 and 1, a row an example, as `[examples, cells]`.

    Errors: `FormatError` for other characters or rows of other lengths.
    """
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    cells = raw[(raw == ord("0")) | (raw == ord("1"))] - ord("0")
    rows = int(np.count_nonzero(raw == ord("\n"))) + (raw.size > 0 and raw[-1] != ord("\n"))
    strange = raw.size - cells.size - int(np.isin(raw, [ord(c) for c in " \n\r\t"]).sum())
    if strange or not rows or cells.size % rows:
        raise FormatError(
            f"{path} has {cells.size:,} cells of 0 and 1 in {rows:,} rows, and {strange:,} other characters; only 0 "
            "and 1, in rows of equal length, "
            "were expected: fetch it again"
        )
    return cells.reshape(rows, -1)


def array_in(path: Path, *, mapped: bool = False) -> np.ndarray:
    """The array of an `.npy` file, believed no further than the file is long; `mapped` leaves it on the disk.

    Errors: `FormatError` for objects, texts without letters, other files, and headers that promise more than there is.
    """
    begins(path, NPY)
    with _told(path):
        x = np.load(
            path, allow_pickle=False, mmap_mode="r"
        )  # maps the file, for which a header cannot promise more than there is
        _refuse_nothing(x.dtype, path)
        large = path.stat().st_size >= LARGE
        return x if mapped else np.load(path, allow_pickle=False, mmap_mode="c" if large else None)


def _refuse_nothing(kind: np.dtype, where: object) -> None:
    """Errors: `FormatError` for cells that take no bytes, of which a small file can promise any number."""
    if not kind.itemsize:
        raise FormatError(f"{where} holds cells of type {kind}, which take no bytes; save an array of numbers")


def _members(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` by their names in small letters, each unpacked only after what it says of its size
    was found to be possible.
    """
    found: dict[str, np.ndarray] = {}
    with _told(path), zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
        refuse_claim(sum(entry.file_size for entry in entries), path, "what is packed in it")
        for entry in entries:
            with archive.open(entry) as file:
                shape, kind = _header(cast(io.BufferedIOBase, file))
                size = math.prod(shape) * kind.itemsize
                _refuse_nothing(kind, f"{path}, {entry.filename},")
                if size > entry.file_size:
                    raise ValueError(f"{entry.filename} promises {size:,} bytes, but {entry.file_size:,} are packed")
            with archive.open(entry) as file:
                found[entry.filename.removesuffix(".npy").lower()] = np.lib.format.read_array(file, allow_pickle=False)
    return found


def _header(file: io.BufferedIOBase) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type that an array says it has. Errors: `ValueError`."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    if kind.hasobject:
        raise ValueError("Object arrays are not read")
    if min(shape, default=0) < 0:
        raise ValueError(f"a shape of {shape}")
    return shape, kind


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns what NumPy and the zip reader raise for damaged and unsafe files into a `FormatError`."""
    try:
        with parsing(path, "could not be read as an array", "it is truncated, damaged or no such file: save it again"):
            yield
    except FormatError as error:
        if any(said in str(error) for said in ("allow_pickle=False", "Object arrays", "Python objects in dtype")):
            raise FormatError(
                f"{path} holds Python objects (a ragged array is stored so), which are not read because they could run "
                "code; "
                "save a plain array of numbers in which every example has the same shape"
            ) from error
        raise
