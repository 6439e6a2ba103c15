"""Data sets with a name: what they are, which files they have, and how those are read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from vael.data.files import cifar
from vael.data.files.arrays import labelled, read_amat, read_npz
from vael.data.files.idx import read_idx
from vael.data.files.material import Material, MaterialPart
from vael.errors import FormatError
from vael.nearest import hint
from vael.tables.reading import read_table

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
        raise FormatError(
            f"{folder} has no {' or '.join(names)}; put the original file there, or take the folder away so that it is "
            "fetched"
        )
    return found


def _idx_part(folder: Path, stem: str) -> MaterialPart:
    def read(what: str) -> np.ndarray:
        names = [f"{stem}-{what}-ubyte", f"{stem}-{what.replace('-', '.')}-ubyte"]
        return read_idx(needed(folder, *(f"{name}{end}" for name in names for end in (".gz", ""))))

    return labelled(read("images-idx3"), read("labels-idx1").astype(np.int64), folder)


def _mnist_family(label_names: tuple[str, ...]) -> Reader:
    def read(folder: Path) -> Material:
        return Material("", _idx_part(folder, "train"), test=_idx_part(folder, "t10k"), label_names=label_names)

    return read


def _digits(folder: Path) -> Material:
    cells, label = (found.copy() for found in _digits_of_scikit_learn())
    part = MaterialPart(cells.reshape(-1, 8, 8), label)
    return Material("", part, label_names=_numerals(), origin="scikit-learn")


@functools.cache
def _digits_of_scikit_learn() -> tuple[np.ndarray, np.ndarray]:
    """Cells and labels; they stand as text in a file, and a command reads them several times."""
    from sklearn.datasets import load_digits

    cells, label = load_digits(return_X_y=True)
    return np.asarray(cells, np.uint8), np.asarray(label, np.int64)


def _numerals() -> tuple[str, ...]:
    return tuple("0123456789")


def _binarized_mnist(folder: Path) -> Material:
    """Splits as they were drawn once by Larochelle & Murray: an .npz of train, valid and test, or the original text
    files.
    """
    packed = find(folder, "binarized_mnist.npz")
    if packed is not None:
        found = read_npz(packed)
        parts = [found.train, found.validation, found.test]
    else:
        parts = [
            MaterialPart(read_amat(needed(folder, f"binarized_mnist_{split}.amat")))
            for split in ("train", "valid", "test")
        ]
    if any(part is None or part.x[0].size != 28 * 28 for part in parts):
        raise FormatError(
            f"{packed or folder} should have train, valid and test splits of 784 cells an example; fetch it again"
        )
    square = [MaterialPart(part.x.reshape(-1, 28, 28)) for part in parts if part is not None]
    return Material("", square[0], square[1], square[2], notes=("statically binarised by Larochelle & Murray",))


def _matlab(path: Path) -> Mapping[str, np.ndarray]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return {name: cells for name, cells in loadmat(path).items() if isinstance(cells, np.ndarray)}
    except (MatReadError, ValueError, TypeError, OSError, NotImplementedError) as error:
        raise FormatError(
            f"{path} could not be read as a MATLAB file ({error}); it is truncated or damaged: fetch it again"
        ) from error


def _omniglot(folder: Path) -> Material:
    """The 28×28 version of Burda, Grosse & Salakhutdinov: shares of grey in columns, each an image stored column
    after column.
    """
    path = needed(folder, "chardata.mat")
    cells = _matlab(path)

    def part(data: str, target: str) -> MaterialPart:
        if data not in cells or cells[data].ndim != 2 or len(cells[data]) != 28 * 28:
            raise FormatError(
                f"{path} has no array {data} of 784 rows; it is not the file that Burda et al. published: fetch it "
                "again"
            )
        x = cells[data].T.reshape(-1, 28, 28).transpose(0, 2, 1)
        return labelled(np.ascontiguousarray(x, np.float32), cells[target].argmax(0) if target in cells else None, path)

    return Material("", part("data", "target"), test=part("testdata", "testtarget"))


def _frey_faces(folder: Path) -> Material:
    """1,965 frames of one face, in the order of the film."""
    path = find(folder, "freyfaces.npz", "frey_faces.npz")
    if path is not None:
        return read_npz(path)
    path = needed(folder, "frey_rawface.mat", "freyfaces.npz")
    cells = _matlab(path).get("ff")
    if cells is None or cells.ndim != 2 or len(cells) != 28 * 20:
        raise FormatError(f"{path} has no array ff of 560 rows; fetch it again")
    return Material("", MaterialPart(np.ascontiguousarray(cells.T.reshape(-1, 28, 20))))


ADULT = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "income",
)


def _adult(folder: Path) -> Material:
    """Census rows of 1994: the official training and test rows, names added, the points after the test labels taken
    off.
    """
    train = read_table(pa.table(_adult_columns(needed(folder, "adult.data"))))
    test = read_table(pa.table(_adult_columns(needed(folder, "adult.test"))), train.schema)
    return Material(
        "",
        MaterialPart(train.x.numpy()),
        test=MaterialPart(test.x.numpy()),
        columns=train.schema.names,
        schema=train.schema,
    )


def _adult_columns(path: Path) -> dict[str, pa.Array]:
    lines = [
        line.rstrip(".").split(", ") for line in path.read_text().splitlines() if line.count(",") == len(ADULT) - 1
    ]
    if not lines:
        raise FormatError(f"{path} has no rows of {len(ADULT)} cells; fetch it again")
    return {
        name: pa.array([None if cell == "?" else cell for cell in cells])
        for name, cells in zip(ADULT, zip(*lines, strict=True), strict=True)
    }


def _housing(folder: Path) -> Material:
    """Block groups of the census of 1990."""
    table = read_table(needed(folder, "housing.csv"))
    return Material("", MaterialPart(table.x.numpy()), columns=table.schema.names, schema=table.schema)


def _mnist_files(base: str, *checksums: str) -> tuple[File, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(
        File(f"{name}-ubyte.gz", f"{base}{name}-ubyte.gz", check) for name, check in zip(names, checksums, strict=True)
    )


FASHION = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def _amat(split: str, checksum: str) -> File:
    name = f"binarized_mnist_{split}.amat"
    return File(name, f"http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/{name}", checksum)


NAMED = {
    item.name: item
    for item in (
        Named(
            "digits",
            "1,797 handwritten digits, 8×8, 17 grey levels; comes with the install",
            "Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998",
            _digits,
        ),
        Named(
            "mnist",
            "70,000 handwritten digits, 28×28, 256 grey levels",
            "LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to document recognition, Proc. IEEE "
            "86(11), 1998; no licence stated",
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
            "fashion-mnist",
            "70,000 pieces of clothing, 28×28, 256 grey levels",
            "Xiao, Rasul & Vollgraf, Fashion-MNIST, arXiv:1708.07747, 2017; MIT licence",
            _mnist_family(FASHION),
            _mnist_files(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "md5:25c81989df183df01b3e8a0aad5dffbe",
                "md5:bef4ecab320f06d8554ea6380940ec79",
                "md5:bb300cfdad3c16e7a12a480ee83cd310",
            ),
        ),
        Named(
            "kmnist",
            "70,000 cursive Japanese characters, 28×28, 256 grey levels",
            "Clanuwat et al., Deep Learning for Classical Japanese Literature, arXiv:1812.01718, 2018; CC BY-SA 4.0",
            _mnist_family(("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
            _mnist_files(
                "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
                "md5:bdb82020997e1d708af4cf47b453dcf7",
                "md5:e144d726b3acfaa3e44228e80efcd344",
                "md5:5c965bf0a639b31b8f53240b1b52f4d7",
                "md5:7320c461ea6c1c855c0b718fb2a4b134",
            ),
        ),
        Named(
            "binarized-mnist",
            "70,000 digits of MNIST, 28×28, binarised once and for all",
            "Larochelle & Murray, The Neural Autoregressive Distribution Estimator, AISTATS 2011; no licence stated",
            _binarized_mnist,
            (
                _amat("train", "sha256:ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d"),
                _amat("valid", "sha256:1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2"),
                _amat("test", "sha256:e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c"),
            ),
        ),
        Named(
            "cifar10",
            "60,000 photographs of 10 kinds of things, 32×32, three colours of 256 levels",
            "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report, 2009; no licence "
            "stated",
            cifar.read_folder,
            (
                File(
                    cifar.ARCHIVE,
                    f"https://www.cs.toronto.edu/~kriz/{cifar.ARCHIVE}",
                    "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                ),
            ),
        ),
        Named(
            "omniglot",
            "32,415 characters of 50 alphabets, 28×28, shares of grey",
            "Lake, Salakhutdinov & Tenenbaum, Human-level concept learning, Science 350, 2015; this version: Burda, "
            "Grosse & Salakhutdinov, "
            "Importance Weighted Autoencoders, ICLR 2016; MIT licence",
            _omniglot,
            (File("chardata.mat"),),
        ),
        Named(
            "frey-faces",
            "1,965 frames of one face, 28×20, 256 grey levels",
            "Brendan Frey, by way of Sam Roweis; no licence stated",
            _frey_faces,
            (File("freyfaces.npz"),),
        ),
        Named(
            "adult",
            "48,842 people of the census of 1994, 15 columns of numbers and levels, some cells missing",
            "Becker & Kohavi, Adult, UCI Machine Learning Repository, 1996; CC BY 4.0",
            _adult,
            (File("adult.data"), File("adult.test")),
        ),
        Named(
            "california-housing",
            "20,640 block groups of the census of 1990, 10 columns of numbers and levels, some cells missing",
            "Pace & Barry, Sparse spatial autoregressions, Statistics & Probability Letters 33(3), 1997; no licence "
            "stated",
            _housing,
            (File("housing.csv"),),
        ),
    )
}


def key(name: str) -> str:
    """Names are equal whatever their case, hyphens and underscores."""
    return name.lower().replace("-", "").replace("_", "")


def known(name: str) -> Named | None:
    """The data set of that name."""
    return next((item for item in NAMED.values() if key(item.name) == key(name)), None)


def is_name(data: str) -> bool:
    """Whether some data are asked for by name: a word that names a set means the set, also where a file or folder
    is called so (`./word`).
    """
    return known(data) is not None


def unknown(name: str) -> FormatError:
    """The error for something that is neither a name nor a path, with the nearest name."""
    meant = hint(name.replace("_", "-"), NAMED)
    return FormatError(
        f"{name} is neither the name of a data set nor a file or folder that exists{meant or '.'} Names are "
        f"{', '.join(NAMED)}; "
        "files are .npy, .npz, .csv, IDX, CIFAR .bin, or a folder of images"
    )


def read_named(item: Named, folder: Path) -> Material:
    """The material of a named data set whose files lie in `folder`."""
    material = item.read(folder)
    return replace(material, name=item.name, origin=material.origin or str(folder), citation=item.citation)
