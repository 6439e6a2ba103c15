"""Folders of images: one size and one number of channels, labels from sub-folders, nothing dropped unsaid."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vael.counting import counted
from vael.data.files.depth import BITS, HEAD, channel_bits, rescaled_from
from vael.data.files.material import Material, MaterialPart
from vael.data.keys import file_keys
from vael.data.pictures.patching import Patching
from vael.errors import FormatError, ShapeError
from vael.process import ignoring, unheard
from vael.stored import text_name

ENDINGS = {
    ".png",
    ".apng",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".jp2",
    ".avif",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
}
FOREIGN = {
    ".heic",
    ".heif",
    ".raw",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".dng",
    ".psd",
    ".svg",
    ".jxl",
}  # pictures that are not read, and said to be so
SPLITS = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
FORMATS = (
    "PNG",
    "JPEG",
    "JPEG2000",
    "AVIF",
    "BMP",
    "DIB",
    "GIF",
    "TIFF",
    "WEBP",
    "PPM",
)  # by content: others run programs (EPS), or are rare
AS_THEY_ARE = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}  # modes of which no pixel is changed
ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)  # the entry of EXIF, and its values that exchange height and width
AT_ONCE, FEW_AT_ONCE = 64, 4  # images, and pictures of any size, decoded side by side
SHOWN = 5  # files named in a message
DECODERS = "PIL"  # the logger below which those of all formats are


class Resample(Enum):
    """How an image is made smaller."""

    LANCZOS = Image.Resampling.LANCZOS  # sharp; may ring at edges
    BOX = Image.Resampling.BOX  # mean over the area, which keeps grey shares right


@dataclass(frozen=True)
class Images:
    """How a folder of images is to be read.

    By default all must have one size. With `size` (height, width) each is cropped about its centre to that shape and
    made smaller, never larger. A file that cannot be decoded is an error, or, with `skip_damaged`, left out and noted.
    `levels` is how many values a pixel can have where the cells do not tell, in arrays too: 4,096 for 12 bits.
    """

    size: tuple[int, int] | None = None
    resample: Resample = Resample.LANCZOS
    skip_damaged: bool = False
    levels: int | None = None
    patches: Patching | None = None  # examples are patches of the pictures, which have any sizes


def read_folder(folder: Path, how: Images) -> Material:
    """Splits from sub-folders train, valid and test if there are; labels from the sub-folders below, numbered by name.

    Errors: `FormatError` for no images, damaged files, transparent or 16-bit ones, and grey mixed with colour;
    `ShapeError` for sizes that differ or are too small.
    """
    roots = _roots(folder)
    files = {split: image_files(root) for split, root in roots.items()}
    if not files["train"]:
        raise FormatError(
            f"{roots['train']} has no images; files that end in {', '.join(sorted(ENDINGS))} were expected, in the "
            "folder or in one sub-folder for "
            "each label"
        )
    names = _labels(files, roots)
    passed = sum(len(others(root)) for root in roots.values())
    outside = len(image_files(folder)) - sum(map(len, files.values())) if folder not in roots.values() else 0
    reader = _Reader(folder, how)
    parts = {split: reader.part(files[split], roots[split], names) for split in roots if files[split]}
    notes = (
        *reader.notes(),
        *((f"passed over: {counted(passed, 'file')} of other kinds",) if passed else ()),
        *((f"passed over: {counted(outside, 'image')} outside of {_names(roots)}",) if outside else ()),
    )
    return Material(
        folder.resolve().name,
        parts["train"],
        parts.get("validation"),
        parts.get("test"),
        tuple(names),
        notes=notes,
        channels_first=True,
    )


def _labels(files: dict[str, list[Path]], roots: dict[str, Path]) -> list[str]:
    """What the sub-folders of all splits are called."""
    return sorted(
        {
            path.relative_to(roots[split]).parts[0]
            for split in roots
            for path in files[split]
            if path.parent != roots[split]
        }
    )


def _names(roots: dict[str, Path]) -> str:
    return "the sub-folders " + ", ".join(root.name for root in roots.values())


def _roots(folder: Path) -> dict[str, Path]:
    """The folder of each split: the whole is for training where no sub-folder is called so.

    Errors: `FormatError` for two folders of one split.
    """
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and path.name.lower() in SPLITS):
        split = SPLITS[path.name.lower()]
        if split in found:
            raise FormatError(
                f"{folder} has two sub-folders for {split}, {found[split].name} and {path.name}; keep one of them"
            )
        found[split] = path
    return found if "train" in found else {"train": folder}


def read_image(path: Path, how: Images) -> Material:
    """A single image. Errors: those of `read_folder`."""
    reader = _Reader(path.parent, how)
    part = reader.part([path], path.parent, ())
    return Material(path.stem, part, notes=reader.notes(), channels_first=True)


@dataclass(frozen=True)
class Pictures:
    """Images with their paths: cells `[images, channels, height, width]`, and what of them is not in the cells."""

    files: list[Path]
    x: np.ndarray
    notes: tuple[str, ...]


def read_images(folder: Path) -> Pictures:
    """Every image of a folder with its path, whatever its sub-folder, all of one size.

    Errors: those of `read_folder`; a damaged file is one.
    """
    files = image_files(folder)
    if not files:
        raise FormatError(f"{folder} has no images; files that end in {', '.join(sorted(ENDINGS))} were expected")
    reader = _Reader(folder, Images())
    x = reader.part(files, folder, sorted({path.relative_to(folder).parts[0] for path in files})).x
    return Pictures(files, x, reader.notes())


def read_pictures(folder: Path, how: Images, keep: Callable[[str, str, np.ndarray, int], None]) -> PictureNotes:
    """Every picture of a folder at its own size, one after another: `keep(split, name, cells, label)` takes each, its
    label -1 where it has none. Splits and labels are those of `read_folder`.

    Errors: those of `read_folder` but for sizes.
    """
    roots, reader = _roots(folder), _Reader(folder, how)
    found = {split: image_files(root) for split, root in roots.items()}
    names = _labels(found, roots)
    for split, root in roots.items():
        for path, cells in reader.pictures(found[split]):
            keep(split, path.relative_to(folder).as_posix(), cells, reader.label(path, root, names))
    return PictureNotes(tuple(names), reader.notes())


@dataclass(frozen=True)
class PictureNotes:
    """What labels are called, and what was done to pictures on the way."""

    label_names: tuple[str, ...]
    notes: tuple[str, ...]


def image_files(folder: Path) -> list[Path]:
    """Images by their ending at any depth, sorted by path, those among them that cannot be read too; hidden ones
    are left alone. Errors: `FormatError` for a name that is no text in UTF-8.
    """
    return [text_name(path) for path in visible(folder) if path.suffix.lower() in ENDINGS | FOREIGN]


def sizes(folder: Path) -> Counter[tuple[int, int]]:
    """Height and width of every image that can be opened, turned upright as its camera says, by its head alone;
    with how many there are of each.
    """
    found: Counter[tuple[int, int]] = Counter()
    for path in image_files(folder):
        # decoders raise and warn as they like for content that somebody made to break them
        with suppress(Exception), ignoring(), unheard(DECODERS), Image.open(path, formats=formats()) as image:
            lies = image.getexif().get(ORIENTATION, 1) in LYING
            found[image.size if lies else image.size[::-1]] += 1
    return found


def others(folder: Path) -> list[Path]:
    """Files that are no images by their ending."""
    return [path for path in visible(folder) if path.suffix.lower() not in ENDINGS | FOREIGN]


def visible(folder: Path) -> list[Path]:
    """Files at any depth of which no part is hidden; links are followed, those that lead nowhere are there, and
    those that lead back are not.
    """
    found: list[Path] = []
    for place, folders, files in os.walk(folder, followlinks=True):
        here = Path(os.path.realpath(place))
        ahead = {
            name: Path(os.path.realpath(os.path.join(place, name))) for name in folders if not name.startswith(".")
        }
        folders[:] = [name for name, path in ahead.items() if path != here and path not in here.parents]
        found += [Path(place, name) for name in files if not name.startswith(".")]
    return sorted(found)


class _Reader:
    """Reads the parts of one folder, which must agree in size and channels."""

    def __init__(self, folder: Path, how: Images) -> None:
        self.folder, self.how = folder, how
        self.damaged: list[str] = []
        self.changed: Counter[str] = Counter()  # what was done to how many images
        self.first: tuple[Path, tuple[int, ...]] | None = None

    def part(self, files: Sequence[Path], root: Path, names: Sequence[str]) -> MaterialPart:
        """The images of `files` that could be decoded, with the label that each one's folder under `root` gives it."""
        kept: list[int] = []
        x: np.ndarray | None = None
        for place, cells in enumerate(self._decoded(files)):
            if cells is None:
                continue
            self._agree(files[place], cells.shape)
            if x is None:
                x = np.empty((len(files), *cells.shape), np.uint8)
            x[len(kept)] = cells
            kept.append(place)
        self._refuse_damaged()
        if x is None:
            raise self._none_whole()
        label = [self.label(files[place], root, names) for place in kept]
        keys = file_keys([files[place].relative_to(self.folder).as_posix() for place in kept])
        return MaterialPart(x[: len(kept)], np.array(label, np.int64) if names else None, keys=keys)

    def pictures(self, files: Sequence[Path]) -> Iterator[tuple[Path, np.ndarray]]:
        """Those that could be decoded, at their own sizes."""
        for path, cells in zip(files, self._decoded(files, FEW_AT_ONCE), strict=True):
            if cells is not None:
                self._agree_in_channels(path, cells.shape)
                yield path, cells
        self._refuse_damaged()

    def _refuse_damaged(self) -> None:
        """Errors: `FormatError` for files that could not be decoded, where none may be."""
        if self.damaged and not self.how.skip_damaged:
            raise self._none_whole()

    def _none_whole(self) -> FormatError:
        return FormatError(
            f"{self.folder} has {counted(len(self.damaged), 'image')} that cannot be decoded: "
            f"{_some(self.damaged)}; replace or remove them, or train with skip_damaged (`vael train --skip-damaged`), "
            "which leaves them out and says so"
        )

    def label(self, path: Path, root: Path, names: Sequence[str]) -> int:
        """The place of the folder of `path` under `root` among `names`; -1 for a file of the root itself."""
        return -1 if path.parent == root else names.index(path.relative_to(root).parts[0])

    def _decoded(self, files: Sequence[Path], at_once: int = AT_ONCE) -> Iterator[np.ndarray | None]:
        for start in range(0, len(files), at_once):
            # decoders warn of what does not matter here, and of what is an error with the name of the file below
            with ignoring(), unheard(DECODERS), ThreadPoolExecutor() as pool:
                found = list(pool.map(self._cells, files[start : start + at_once]))
            yield from found

    def _cells(self, path: Path) -> np.ndarray | None:
        if path.suffix.lower() in FOREIGN:
            self.damaged.append(f"{path.relative_to(self.folder)} (a format that is not read)")
            return None
        try:
            # given a file, not a path, the decoder does not map it: mapped, it takes the sides of a turned TIFF for
            # each other
            with open(path, "rb") as file, Image.open(file, formats=formats()) as image:
                _refuse_bomb(image)
                several, small = image.format != "MPO" and getattr(image, "n_frames", 1) > 1, rescaled_from(image)
                file.seek(0)
                deep = channel_bits(image, file.read(HEAD)) > BITS
                file.seek(0)
                image.load()
                upright = ImageOps.exif_transpose(image)
        except MemoryError:
            raise
        except Exception as error:  # decoders raise what they like for content that somebody made to break them
            self.damaged.append(f"{path.relative_to(self.folder)} ({_reason(error)})")
            return None
        plain = _plain(upright, path, deep)
        if several:
            self.changed["with several frames, of which the first is taken"] += 1
        if small is not None:
            self.changed[f"whose largest value is {small}, stretched to 255"] += 1
        if upright.mode not in AS_THEY_ARE:
            self.changed[f"in {upright.mode}, converted to RGB"] += 1
        if self.how.size is not None:
            plain = self._smaller(plain, path, self.how.size)
        cells = np.asarray(plain)
        return cells[None] if cells.ndim == 2 else cells.transpose(2, 0, 1)

    def _smaller(self, image: Image.Image, path: Path, size: tuple[int, int]) -> Image.Image:
        height, width = size
        if image.width < width or image.height < height:
            raise ShapeError(
                f"{path} is {image.height}×{image.width}, smaller than the size {height}×{width} that was asked for, "
                "and images are never made "
                "larger; ask for a smaller size, or remove it"
            )
        return ImageOps.fit(image, (width, height), method=self.how.resample.value)

    def _agree(self, path: Path, shape: tuple[int, ...]) -> None:
        before, expected = self._agree_in_channels(path, shape)
        if shape != expected:
            raise ShapeError(
                f"{before} is {expected[1]}×{expected[2]}, but {path} is {shape[1]}×{shape[2]}; all images must have "
                "one size: "
                "give a size (--size HEIGHTxWIDTH) to which each is cropped about its centre and made smaller, or cut "
                "patches from them (--patches 32)"
            )

    def _agree_in_channels(self, path: Path, shape: tuple[int, ...]) -> tuple[Path, tuple[int, ...]]:
        """The first image, and its shape."""
        if self.first is None:
            self.first = (path, shape)
        before, expected = self.first
        if shape[0] != expected[0]:
            kinds = {1: "grey", 3: "in colour"}
            raise FormatError(
                f"{before} is {kinds[expected[0]]}, but {path} is {kinds[shape[0]]}; images of one data set must have "
                "equal channels: "
                "convert all to grey or all to colour"
            )
        return self.first

    def notes(self) -> tuple[str, ...]:
        """What was done to the images, and which were left out."""
        size = self.how.size
        resized = (
            (f"cropped about the centre and resized to {size[0]}×{size[1]} ({self.how.resample.name.lower()})",)
            if size
            else ()
        )
        left_out = (
            (f"{counted(len(self.damaged), 'damaged image')} left out: {_some(self.damaged)}",) if self.damaged else ()
        )
        return (
            *resized,
            *left_out,
            *(f"{counted(count, 'image')} {what}" for what, count in sorted(self.changed.items())),
        )


def _plain(image: Image.Image, path: Path, deep: bool = False) -> Image.Image:
    """8-bit grey or red, green and blue. Errors: `FormatError` for transparency and for more than 8 bits."""
    if image.mode.startswith(("I", "F")) or deep:
        raise FormatError(
            f"{path} has more than 8 bits a channel (mode {image.mode}); convert it to 8 bits, or save the images as "
            "one .npy array"
        )
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise FormatError(
            f"{path} has transparent pixels; put it on a plain background, and save it without transparency"
        )
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


@cache
def formats() -> tuple[str, ...]:
    """Those of the formats that this PIL can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _refuse_bomb(image: Image.Image) -> None:
    """Errors: `Image.DecompressionBombError` for more pixels than PIL only warns of, before they are decoded."""
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError(f"{image.width * image.height:,} pixels")


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels, at most {Image.MAX_IMAGE_PIXELS:,} are read"
    if isinstance(error, FileNotFoundError | PermissionError):
        return "a link that leads nowhere" if isinstance(error, FileNotFoundError) else "no permission to read it"
    return "not a whole image"


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more
