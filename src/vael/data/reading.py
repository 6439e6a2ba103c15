"""From a path to what the file or folder there holds, by its ending."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from vael.data.files import cifar
from vael.data.files.arrays import labelled, read_amat, read_npy, read_npz
from vael.data.files.idx import is_idx, read_idx
from vael.data.files.images import ENDINGS, FOREIGN, Images, read_folder, read_image
from vael.data.files.material import Material, MaterialPart
from vael.data.tabular import is_table_file, table_material
from vael.errors import FormatError
from vael.stored import check_file

EXPECTED = (
    ".npy, .npz, .csv (.tsv, .txt, .data), .parquet, .amat, IDX (.idx, -ubyte, .gz), CIFAR .bin, an image or a folder "
    "of images"
)


def read_path(path: Path, images: Images) -> Material:
    """The material in a file or folder.

    Errors: `FormatError` for an ending that is not known, and those of the readers.
    """
    if path.is_dir():
        return _folder(path, images)
    check_file(path)
    if not path.stat().st_size:
        raise FormatError(f"{path} is empty (0 bytes); write or fetch it again")
    ending = path.suffix.lower()
    if is_idx(path):
        return _idx(path)
    if ending == ".bin":
        part = cifar.read_file(path)
        return Material(path.stem, part, label_names=cifar.LABELS, channels_first=True)
    if ending == ".amat":
        return Material(path.stem, MaterialPart(read_amat(path)))
    if ending in ENDINGS | FOREIGN:
        return read_image(path, images)
    if is_table_file(path):
        return table_material(path)
    readers = {".npy": read_npy, ".npz": read_npz}
    if ending not in readers:
        raise FormatError(
            f"{path} ends in {ending or 'nothing'}, but {EXPECTED} was expected; save the data as one of these"
        )
    return readers[ending](path)


def _folder(path: Path, images: Images) -> Material:
    if list(path.glob("data_batch_*.bin")):
        return _called(path, cifar.read_folder(path))
    idx = sorted(file for file in path.iterdir() if file.is_file() and is_idx(file) and "images" in file.name)
    if idx:
        train = next((file for file in idx if "train" in file.name), idx[0])
        test = next((file for file in idx if file is not train and re.search("t10k|test", file.name)), None)
        return _called(path, Material("", _idx(train).train, test=None if test is None else _idx(test).train))
    return read_folder(path, images)


def _called(path: Path, material: Material) -> Material:
    return replace(material, name=path.resolve().name)


def _idx(path: Path) -> Material:
    """Images with the labels beside them, if a file has the same name but for `labels-idx1`."""
    name = re.sub("images([-.])idx3", r"labels\1idx1", path.name)
    beside = [path.with_name(name), path.with_name(name.removesuffix(".gz")), path.with_name(f"{name}.gz")]
    found = next((file for file in beside if file != path and file.is_file()), None)
    label = None if found is None else read_idx(found).astype(np.int64)
    return Material(path.name.split(".")[0], labelled(read_idx(path), label, path))
