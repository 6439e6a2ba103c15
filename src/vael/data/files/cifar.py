"""CIFAR-10: records of one label byte and 3,072 bytes of red, green and blue planes, 32×32 each."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from vael.data.files.arrays import array_in
from vael.data.files.material import Material, MaterialPart
from vael.errors import FormatError

SIDE, CHANNELS = 32, 3
RECORD = 1 + CHANNELS * SIDE * SIDE
OFFICIAL_TEST = 10_000
ARCHIVE = "cifar-10-binary.tar.gz"
LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def records(raw: bytes, where: str) -> MaterialPart:
    """Images and labels. Errors: `FormatError` for a length that is no whole number of records, or labels above 9."""
    if not raw or len(raw) % RECORD:
        raise FormatError(
            f"{where} holds {len(raw):,} bytes, but CIFAR-10's binary layout is whole records of {RECORD:,} (one "
            "label, 3×32×32 pixels); "
            "it is truncated or not of this layout: fetch it again"
        )
    cells = np.frombuffer(raw, np.uint8).reshape(-1, RECORD)
    if cells[:, 0].max() >= len(LABELS):
        raise FormatError(
            f"{where} has a label of {cells[:, 0].max()}, but CIFAR-10's are 0 to 9; the file is damaged or of another "
            "layout"
        )
    return MaterialPart(cells[:, 1:].reshape(-1, CHANNELS, SIDE, SIDE), cells[:, 0].astype(np.int64))


def read_file(path: Path) -> MaterialPart:
    """One batch file."""
    return records(path.read_bytes(), str(path))


def read_folder(folder: Path) -> Material:
    """Five training batches and the test batch: unpacked, in the official archive, or as lossless mosaics of 32×32
    tiles.
    """
    train = _joined([_batch(folder, f"data_batch_{number}") for number in range(1, 6)])
    test = _batch(folder, "test_batch")
    notes = (
        ()
        if len(test) == OFFICIAL_TEST
        else (f"{len(test):,} test images (the official test split has {OFFICIAL_TEST:,})",)
    )
    return Material("", train, test=test, label_names=LABELS, notes=notes, channels_first=True)


def _batch(folder: Path, name: str) -> MaterialPart:
    for place in (folder, folder / "cifar-10-batches-bin"):
        if (place / f"{name}.bin").is_file():
            return read_file(place / f"{name}.bin")
    if (folder / ARCHIVE).is_file():
        return _from_archive(folder / ARCHIVE, f"cifar-10-batches-bin/{name}.bin")
    mosaics = sorted(folder.glob(f"{name}*.webp"))
    if mosaics:
        return _mosaic(mosaics[0], folder)
    raise FormatError(
        f"{folder} has no {name}.bin; put the six files of CIFAR-10's binary version there, or its archive {ARCHIVE}"
    )


def _from_archive(path: Path, member: str) -> MaterialPart:
    try:
        with tarfile.open(path) as archive:
            file = archive.extractfile(member)
            raw = file.read(RECORD * OFFICIAL_TEST + 1) if file else b""
    except (tarfile.TarError, EOFError, OSError, KeyError) as error:
        raise FormatError(f"{path} is damaged or lacks {member} ({error}); fetch it again") from error
    return records(raw, f"{member} in {path}")


def _mosaic(path: Path, folder: Path) -> MaterialPart:
    """A picture of 32×32 tiles, row after row, and the labels beside it: those of the test split, or a fifth of the
    training labels.
    """
    with Image.open(path, formats=["WEBP"]) as image:
        cells = np.asarray(image.convert("RGB"))
    rows, columns = cells.shape[0] // SIDE, cells.shape[1] // SIDE
    x = cells.reshape(rows, SIDE, columns, SIDE, CHANNELS).transpose(0, 2, 4, 1, 3).reshape(-1, CHANNELS, SIDE, SIDE)
    name = path.stem
    kind = "labels_train" if name.startswith("data") else "labels_test"
    files = sorted(folder.glob(f"{kind}*.npy"))
    if not files:
        raise FormatError(f"{folder} has the mosaic {path.name} but no {kind}.npy beside it; put the labels there")
    label = array_in(files[0]).astype(np.int64)
    if name.startswith("data"):
        start = (int(name[-1]) - 1) * len(x)
        label = label[start : start + len(x)]
    if label.shape != (len(x),):
        raise FormatError(
            f"{path} has {len(x):,} images, but {files[0].name} gives labels of shape {label.shape} for them; one each "
            "was expected"
        )
    return MaterialPart(x, label)


def _joined(parts: list[MaterialPart]) -> MaterialPart:
    labels = [part.label for part in parts if part.label is not None]
    return MaterialPart(np.concatenate([part.x for part in parts]), np.concatenate(labels))
