"""Data sets with a name: what they are, which files they have, and how those are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from vael.data.idx import read_idx
from vael.data.material import Material, Part
from vael.errors import FormatError

Reader = Callable[[Path], Material]


@dataclass(frozen=True)
class File:
    """A file of a data set, and where the very same bytes can be had; `checksum` is `sha256:...` or `md5:...`."""

    name: str
    url: str = ""
    checksum: str = ""


@dataclass(frozen=True)
class Named:
    """A data set with a name."""

    name: str
    summary: str
    citation: str
    read: Reader  # from the folder that holds the files
    files: tuple[File, ...] = ()


def find(folder: Path, *names: str) -> Path | None:
    """The first of several files that a folder, or a folder in it that holds the files as they were packed, has."""
    places = [folder, *(folder / inner for inner in ("raw", "cifar-10-batches-bin"))]
    return next((place / name for name in names for place in places if (place / name).is_file()), None)


def needed(folder: Path, *names: str) -> Path:
    """`find`, or a `FormatError` that names what is lacking."""
    found = find(folder, *names)
    if found is None:
        raise FormatError(f"{folder} has no {' or '.join(names)}; put the original file there, or take the folder away so that it is fetched")
    return found


def labelled(x: np.ndarray, label: np.ndarray | None, where: Path) -> Part:
    """Examples with their labels. Errors: `FormatError` where they differ in number."""
    if label is not None and label.shape != (len(x),):
        raise FormatError(f"{where} has {len(x):,} examples but labels of shape {label.shape}; one label for each was expected: check the files")
    return Part(x, label)


def _idx_part(folder: Path, stem: str) -> Part:
    def read(what: str) -> np.ndarray:
        names = [f"{stem}-{what}-ubyte", f"{stem}-{what.replace('-', '.')}-ubyte"]
        return read_idx(needed(folder, *(f"{name}{end}" for name in names for end in (".gz", ""))))

    return labelled(read("images-idx3"), read("labels-idx1").astype(np.int64), folder)


def _mnist_family(label_names: tuple[str, ...]) -> Reader:
    def read(folder: Path) -> Material:
        return Material("", _idx_part(folder, "train"), test=_idx_part(folder, "t10k"), label_names=label_names)

    return read


def _digits(folder: Path) -> Material:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    part = Part(bunch.images.astype(np.uint8), bunch.target.astype(np.int64))
    return Material("", part, label_names=_numerals(), origin="scikit-learn")


def _numerals() -> tuple[str, ...]:
    return tuple("0123456789")


def _mnist_files(base: str, *checksums: str) -> tuple[File, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(File(f"{name}-ubyte.gz", f"{base}{name}-ubyte.gz", check) for name, check in zip(names, checksums, strict=True))


FASHION = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

NAMED = {
    item.name: item
    for item in (
        Named(
            "digits", "1,797 handwritten digits, 8×8, 17 grey levels; comes with the install",
            "Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998", _digits,
        ),
        Named(
            "mnist", "70,000 handwritten digits, 28×28, 256 grey levels",
            "LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to document recognition, Proc. IEEE 86(11), 1998; no licence stated",
            _mnist_family(_numerals()),
            _mnist_files(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
        Named(
            "fashion-mnist", "70,000 pieces of clothing, 28×28, 256 grey levels",
            "Xiao, Rasul & Vollgraf, Fashion-MNIST, arXiv:1708.07747, 2017; MIT licence", _mnist_family(FASHION),
            _mnist_files(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d", "md5:25c81989df183df01b3e8a0aad5dffbe",
                "md5:bef4ecab320f06d8554ea6380940ec79", "md5:bb300cfdad3c16e7a12a480ee83cd310",
            ),
        ),
        Named(
            "kmnist", "70,000 cursive Japanese characters, 28×28, 256 grey levels",
            "Clanuwat et al., Deep Learning for Classical Japanese Literature, arXiv:1812.01718, 2018; CC BY-SA 4.0",
            _mnist_family(("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
            _mnist_files(
                "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
                "md5:bdb82020997e1d708af4cf47b453dcf7", "md5:e144d726b3acfaa3e44228e80efcd344",
                "md5:5c965bf0a639b31b8f53240b1b52f4d7", "md5:7320c461ea6c1c855c0b718fb2a4b134",
            ),
        ),
    )
}  # fmt: skip


def key(name: str) -> str:
    """Names are equal whatever their case, hyphens and underscores."""
    return name.lower().replace("-", "").replace("_", "")


def known(name: str) -> Named | None:
    """The data set of that name."""
    return next((item for item in NAMED.values() if key(item.name) == key(name)), None)


def unknown(name: str) -> FormatError:
    """The error for something that is neither a name nor a path, with the nearest name."""
    near = get_close_matches(name.lower().replace("_", "-"), NAMED, n=1, cutoff=0.5)
    meant = f"; did you mean {near[0]}?" if near else ""
    return FormatError(
        f"{name} is neither the name of a data set nor a file or folder that exists{meant} Names are {', '.join(NAMED)}; "
        "files are .npy, .npz, .csv, IDX, CIFAR .bin, or a folder of images"
    )


def read_named(item: Named, folder: Path) -> Material:
    """The material of a named data set whose files lie in `folder`."""
    material = item.read(folder)
    return replace(material, name=item.name, origin=material.origin or str(folder), citation=item.citation)
