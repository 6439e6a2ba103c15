"""Pictures of any sizes to splits of patches: places of training are new in every epoch, others stay, and no pixel is
in two splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int64
from torch import Tensor

from vael.counting import counted
from vael.data.cells import look
from vael.data.files.images import Images, read_pictures
from vael.data.files.material import Material, MaterialPart
from vael.data.keys import FILE, Keys
from vael.data.loading import TWO_LEVELS, Meaning, arranged, black_and_white_in, meaning_of, read, said_of_test
from vael.data.pictures.patching import Patching
from vael.data.pictures.store import Patches, Picture, PictureStore
from vael.data.source import Source, Splits
from vael.data.splitting import SHARE, Sizes, ValidateOn, split
from vael.data.transforms import Binarize
from vael.errors import ShapeError, StateError, SupportError

FEW = 5  # pictures up to which the splits are regions of them
MOST_JUDGED = 5000  # patches of validation, and of test
MOST_CELLS = 1 << 28  # of the patches that an epoch has
TOP, LEFT = "top", "left"  # columns that say where in its picture a patch is, in pixels from 0
NAMED = 5  # pictures named in a message


@dataclass(frozen=True)
class Divided:
    """The pictures of each split, or regions of them."""

    train: tuple[Picture, ...]
    validation: tuple[Picture, ...]
    test: tuple[Picture, ...] | None
    regions: bool = False

    @property
    def parts(self) -> tuple[tuple[Picture, ...], ...]:
        """Those that exist, training first."""
        return (self.train, self.validation, *(() if self.test is None else (self.test,)))


@dataclass(frozen=True)
class FoundPictures:
    """The pictures of a folder or an array by split, and what is known of them."""

    name: str
    parts: dict[str, list[Picture]]
    label_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load_patches(
    data: str,
    patching: Patching,
    images: Images,
    *,
    binarize: Binarize | None = None,
    dequantize: bool = False,
    sizes: Sizes = Sizes(),  # noqa: B008
    seed: int = 0,
) -> Splits:
    """Patches of the pictures in a folder or an array, as training, validation and test split.

    An epoch of training has as many patches as cover the pictures once, each at a random place of its picture; patches
    of validation and test lie side by side, at most 5,000 each. A picture is in one split only. Of at most 5 pictures
    the splits are regions of each, cut along its longer side.

    Errors: `ShapeError` for pictures smaller than a patch, `StateError` for splits that cannot be made, and those of
    `vael.data.load`.
    """
    if binarize is Binarize.STATIC:
        raise StateError(
            f"{data}: static binarisation draws all cells once, but patches are cut anew in every epoch; use another "
            "one (--binarize dynamic or threshold)"
        )
    found = pictures_in(data, images)
    refuse_small(found, patching)
    arrays = [one.cells.numpy() for part in found.parts.values() for one in part]
    seen, notes = look(arrays, found.name), found.notes
    if images.levels is None and black_and_white_in(arrays, seen):
        bilevel = {name: [replace(one, cells=one.cells // 255) for one in part] for name, part in found.parts.items()}
        found, seen, notes = replace(found, parts=bilevel), replace(seen, maximum=1.0), (*notes, TWO_LEVELS)
    meaning = meaning_of(arrays[0], seen, found.name, binarize=binarize, dequantize=dequantize, levels=images.levels)
    divided = by_regions(found, patching, sizes) if few(found) else by_pictures(found, sizes, seed)
    patching = patching.model_copy(update={"regions": divided.regions})
    said = (*notes, told(divided, patching))
    train, *others = (
        patches_of(replace(found, notes=said), part, patching, meaning, learned=number == 0)
        for number, part in enumerate(divided.parts)
    )
    splits = Splits(train, others[0], others[1] if len(others) > 1 else None, data)
    return said_of_test(splits) if isinstance(sizes.validation, ValidateOn) else splits


def pictures_in(data: str, images: Images) -> FoundPictures:
    """Every picture of a folder, or of an array `[pictures, height, width, channels]`, at its own size.

    Errors: as `load_patches`.
    """
    path = Path(data)
    if not path.is_dir():
        return _in_array(arranged(read(data, images)))
    stores: dict[str, PictureStore] = {}
    known = read_pictures(
        path,
        replace(images, size=None),
        lambda split, name, cells, label: stores.setdefault(split, PictureStore()).add(name, cells, label),
    )
    return FoundPictures(
        path.resolve().name, {split: one.found for split, one in stores.items()}, known.label_names, known.notes
    )


def _in_array(material: Material) -> FoundPictures:
    """Errors: `ShapeError` for what has no height and width, `SupportError` for cells that are no whole numbers."""
    parts = {"train": material.train, "validation": material.validation, "test": material.test}
    found: dict[str, list[Picture]] = {}
    for split_name, part in parts.items():
        if part is None:
            continue
        if part.x.ndim < 4:
            raise ShapeError(
                f"{material.name} has examples of shape {part.x.shape[1:]}, of which no patches can be cut "
                "(--patches); give a folder of pictures, or an array [pictures, height, width, channels]"
            )
        if part.x.dtype.kind == "f":
            raise SupportError(
                f"{material.name} holds real numbers, but patches are cut from whole ones (--patches); save the "
                "pictures as whole numbers (uint8 or uint16)"
            )
        store = PictureStore()
        for number, cells in enumerate(part.x):
            store.add(f"picture {number + 1}", cells, -1 if part.label is None else int(part.label[number]))
        found[split_name] = store.found
    return FoundPictures(material.name, found, material.label_names, material.notes)


def refuse_small(found: FoundPictures, patching: Patching) -> None:
    """Errors: `ShapeError` for pictures that are smaller than a patch, with the largest patch that there could be."""
    every = [one for part in found.parts.values() for one in part]
    small = [one for one in every if one.size[0] < patching.height or one.size[1] < patching.width]
    if not small:
        return
    listed = ", ".join(f"{one.name} ({one.size[0]}×{one.size[1]})" for one in small[:NAMED])
    more = f" and {len(small) - NAMED:,} more" if len(small) > NAMED else ""
    side = min(min(one.size) for one in every)
    raise ShapeError(
        f"patches of {patching} pixels cannot be cut from {counted(len(small), 'picture')} of {len(every):,}, "
        f"smaller than that: {listed}{more}; ask for patches of at most {side} (--patches {side}), or remove "
        f"{'it' if len(small) == 1 else 'them'}"
    )


def few(found: FoundPictures) -> bool:
    """Whether pictures are so few that each is to be in all splits, in parts."""
    return len(found.parts["train"]) <= FEW and len(found.parts) == 1


def by_pictures(found: FoundPictures, sizes: Sizes, seed: int) -> Divided:
    """Other pictures for other splits. Errors: `StateError` for too few, as `vael.data.splitting.split` says it."""
    numbers = {name: MaterialPart(np.arange(len(part))) for name, part in found.parts.items()}
    material = Material(found.name, numbers["train"], numbers.get("validation"), numbers.get("test"))
    parts = split(material, sizes, seed)

    def chosen(part: MaterialPart | None, name: str) -> tuple[Picture, ...] | None:
        own = found.parts[name if name in found.parts else "train"]
        return None if part is None else tuple(own[row] for row in part.x.tolist())

    by_test = isinstance(sizes.validation, ValidateOn)
    train, test = chosen(parts.train, "train"), chosen(parts.test, "test")
    return Divided(train or (), (test if by_test else chosen(parts.validation, "validation")) or (), test)


def by_regions(found: FoundPictures, patching: Patching, sizes: Sizes) -> Divided:
    """Each picture cut in three along its longer side: training, validation, test, the latter two a tenth each or as
    asked for, at least a patch. A picture too short for that is for training only.

    Errors: `StateError` for counts in place of shares, and where no picture is long enough.
    """
    by_test = isinstance(sizes.validation, ValidateOn)
    held_out, tested = (_share(one, what) for one, what in ((sizes.validation, "validation"), (sizes.test, "test")))
    train, validation, test = [], [], []
    for picture in found.parts["train"]:
        axis = 0 if picture.size[0] > picture.size[1] else 1
        length, least = picture.size[axis], patching.size[axis]
        ends = [0 if by_test else max(least, round(held_out * length)), max(least, round(tested * length))]
        left = length - sum(ends)
        if left < least:
            train.append(picture)
            continue
        train.append(picture.region(axis, 0, left))
        validation += [] if by_test else [picture.region(axis, left, ends[0])]
        test.append(picture.region(axis, left + ends[0], ends[1]))
    if not test:
        raise StateError(
            f"{found.name} has {counted(len(train), 'picture')}, none of which is long enough for patches of "
            f"{patching} in three regions, for training, validation and test; ask for smaller patches (--patches), or "
            f"give more than {FEW} pictures"
        )
    return Divided(tuple(train), tuple(test if by_test else validation), tuple(test), regions=True)


def _share(asked: float | int | ValidateOn | None, what: str) -> float:
    if asked is None or isinstance(asked, ValidateOn):
        return SHARE
    if not 0 < asked < 1:
        raise StateError(
            f"{asked:g} pictures for {what} were asked for, but of at most {FEW} pictures the splits are regions of "
            f"each; give a share below 1 (--{what} 0.2)"
        )
    return float(asked)


def told(divided: Divided, patching: Patching) -> str:
    """How the splits came about, in one sentence for every figure."""
    counts = [len(part) for part in divided.parts]
    if divided.regions:
        return (
            f"patches of {patching} from regions of {counted(counts[0], 'picture')}: each is cut along its longer side "
            "into a part for training, one for validation and one for test, which do not overlap; so figures are of "
            "other parts of the same pictures, not of other pictures"
        )
    others = f"{counts[1]:,} for validation" + (f", {counts[2]:,} for test" if len(counts) > 2 else "")
    return (
        f"patches of {patching} from pictures, {counts[0]:,} for training, {others}; those of training are cut at new "
        "places in every epoch"
    )


def places(size: tuple[int, int], patching: Patching) -> list[tuple[int, int]]:
    """Top and left of the patches that lie side by side in a picture."""
    height, width = patching.size
    return [
        (top, left) for top in range(0, size[0] - height + 1, height) for left in range(0, size[1] - width + 1, width)
    ]


def patches_of(
    found: FoundPictures, pictures: tuple[Picture, ...], patching: Patching, meaning: Meaning, *, learned: bool
) -> Source:
    """The patches that lie side by side in the pictures of a split, evenly thinned out where they are too many; if
    they are to be `learned` from, noise takes others in their place.
    """
    every = [(number, *place) for number, one in enumerate(pictures) for place in places(one.size, patching)]
    channels, (height, width) = pictures[0].cells.shape[0], patching.size
    most = max(1, MOST_CELLS // (channels * height * width)) if learned else MOST_JUDGED
    kept = [every[row * len(every) // most] for row in range(most)] if len(every) > most else every
    x = torch.stack([pictures[n].cells[:, top : top + height, left : left + width] for n, top, left in kept])
    which = torch.tensor([number for number, _, _ in kept], dtype=torch.int64)
    return Source(
        found.name,
        x,
        meaning.kind,
        fingerprint_of(pictures, patching),
        meaning.levels,
        _labels(pictures, which) if found.label_names else None,
        found.label_names,
        meaning.transform,
        (*found.notes, *meaning.notes),
        largest=meaning.largest,
        keys=keys_of([(pictures[n].name, top + pictures[n].top, left + pictures[n].left) for n, top, left in kept]),
        patching=patching,
        patches=Patches(pictures, which, patching, moves=learned),
    )


def _labels(pictures: Sequence[Picture], which: Int64[Tensor, " examples"]) -> Int64[Tensor, " examples"]:
    return torch.tensor([one.label for one in pictures], dtype=torch.int64)[which]


def keys_of(named: Sequence[tuple[str, int, int]]) -> Keys:
    """Of patches, by their picture and where they are in it."""
    columns = {
        FILE: pa.array([name for name, _, _ in named], pa.string()),
        TOP: pa.array([top for _, top, _ in named], pa.int64()),
        LEFT: pa.array([left for _, _, left in named], pa.int64()),
    }
    return Keys(np.arange(1, len(named) + 1), columns)


def fingerprint_of(pictures: Sequence[Picture], patching: Patching) -> str:
    """sha256 of every pixel of the pictures with their places, and of the size of the patches."""
    digest = hashlib.sha256(f"patches {patching.size}".encode())
    for one in pictures:
        digest.update(f"{one.cells.dtype} {tuple(one.cells.shape)} {one.top} {one.left}\n".encode())
        digest.update(np.ascontiguousarray(one.cells.numpy()).data)
    return digest.hexdigest()
