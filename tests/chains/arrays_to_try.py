"""Arrays and folders of pictures as people have them, drawn by Hypothesis as a few choices and one seed, and the
commands over them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from commands import TINY, Chain
from hypothesis import strategies as st
from PIL import Image

DTYPES = (
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    ">f8",
    ">i2",
    "complex64",
    "S3",
)
SHAPES = ((5,), (1,), (6, 6), (1, 6, 6), (3, 8, 8), (8, 8, 3), (8, 8, 1), (4, 6), (2, 3, 4, 5), ())
LAWS = ("bits", "grey", "twelve bits", "unit", "normal", "large", "negative", "constant", "nan", "infinite", "heavy")


def drawn(law: str, draw: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Cells by what they are."""
    made = {
        "bits": lambda: draw.integers(0, 2, shape),
        "grey": lambda: draw.integers(0, 256, shape),
        "twelve bits": lambda: draw.integers(0, 4096, shape),
        "unit": lambda: draw.random(shape),
        "normal": lambda: draw.normal(size=shape),
        "large": lambda: draw.normal(1e6, 1, shape),
        "negative": lambda: draw.integers(-100, 100, shape),
        "constant": lambda: np.full(shape, 3),
        "nan": lambda: np.where(draw.random(shape) < 0.1, np.nan, draw.normal(size=shape)),
        "infinite": lambda: np.where(draw.random(shape) < 0.02, np.inf, draw.normal(size=shape)),
        "heavy": lambda: draw.standard_cauchy(shape) ** 3,
    }
    return made[law]()


@dataclass(frozen=True)
class ArrayCase:
    """An array in a file."""

    law: str
    dtype: str
    shape: tuple[int, ...]
    rows: int
    seed: int
    held: str = ".npy"  # .npy, .npz, .npz with labels
    fortran: bool = False

    def write(self, folder: Path) -> Path:
        draw = np.random.default_rng(self.seed)
        with np.errstate(all="ignore"):
            x = drawn(self.law, draw, (self.rows, *self.shape)).astype(self.dtype)
        x = np.asfortranarray(x) if self.fortran else x
        if self.held == ".npy":
            np.save(folder / "data.npy", x)
            return folder / "data.npy"
        labels = {"y": draw.integers(0, 3, self.rows)} if "labels" in self.held else {}
        np.savez(folder / "data.npz", x=x, **labels)
        return folder / "data.npz"

    train = ()


MODES = (("L",), ("RGB",), ("RGB", "P"), ("RGBA",), ("LA",), ("L", "1"), ("I;16",), ("CMYK",), ("F",), ("L", "RGB"))
FORMATS = (".png", ".jpg", ".bmp", ".gif", ".tif", ".webp", ".pgm", ".ppm")


@dataclass(frozen=True)
class PictureCase:
    """A folder of pictures."""

    modes: tuple[str, ...]
    formats: tuple[str, ...]
    sides: tuple[tuple[int, int], ...]
    rows: int
    seed: int
    classes: int = 0
    orientations: bool = False
    damaged: int = 0
    size: str = ""
    options: tuple[str, ...] = ()

    @property
    def train(self) -> tuple[str, ...]:
        return (*(("--size", self.size) if self.size else ()), *self.options)

    def write(self, folder: Path) -> Path:
        draw, root = np.random.default_rng(self.seed), folder / "pictures"
        root.mkdir()
        for number in range(self.rows):
            place = root / f"class {number % self.classes}" if self.classes else root
            place.mkdir(exist_ok=True)
            self._picture(draw, place, number)
        for number in range(self.damaged):
            (root / f"broken{number}.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
        return root

    def _picture(self, draw: np.random.Generator, place: Path, number: int) -> None:
        mode, ending = (some[int(draw.integers(len(some)))] for some in (self.modes, self.formats))
        height, width = self.sides[int(draw.integers(len(self.sides)))]
        grey = Image.fromarray(draw.integers(0, 256, (height, width)).astype(np.uint8))
        if mode == "I;16":
            picture = Image.fromarray(draw.integers(0, 60000, (height, width)).astype(np.uint16))
        else:
            picture = grey.convert("RGB").convert(mode) if mode in ("CMYK", "P") else grey.convert(mode)
        exif = Image.Exif()
        if self.orientations:
            exif[0x0112] = int(draw.integers(1, 9))
        try:
            picture.save(place / f"größe {number}{ending}", exif=exif)
        except (OSError, KeyError, ValueError, TypeError):  # a mode that the format has not
            grey.save(place / f"größe {number}.png")


arrays = st.builds(
    ArrayCase,
    st.sampled_from(LAWS),
    st.sampled_from(DTYPES),
    st.sampled_from(SHAPES),
    st.one_of(st.sampled_from((1, 2, 3, 60)), st.integers(12, 70)),
    st.integers(0, 10**6),
    st.sampled_from((".npy", ".npy", ".npz", ".npz with labels")),
    st.booleans(),
)
pictures = st.builds(
    PictureCase,
    st.sampled_from(MODES),
    st.lists(st.sampled_from(FORMATS), min_size=1, max_size=2).map(tuple),
    st.sampled_from((((8, 8),), ((12, 12),), ((9, 12),), ((12, 12), (9, 14)), ((1, 1),), ((1, 12),))),
    st.one_of(st.sampled_from((3, 30)), st.integers(30, 50)),
    st.integers(0, 10**6),
    st.sampled_from((0, 0, 3)),
    st.booleans(),
    st.sampled_from((0, 0, 0, 1)),
    st.sampled_from(("", "8", "6x8")),
    st.sampled_from(((), (), ("--skip-damaged",), ("--binarize", "threshold"), ("--dequantize",))),
)


def chain_of(chain: Chain, case: ArrayCase | PictureCase, *, deep: bool = False) -> bool:
    """Describe, train, and what a run serves; whether it could be trained."""
    folder, data = chain.folder, case.write(chain.folder)
    run, known = folder / "run", chain("data", "info", data)
    split = ("--validation", "10", "--test", "10") if case.rows >= 30 else ()
    if not chain("train", data, "--run", run, *TINY, *split, *case.train).done:
        return False
    assert known.done or case.train, f"what can be trained on cannot be described\n{known}"
    chain.succeeds("evaluate", run, "--importance-samples", "2")
    chain.succeeds("sample", run, "-n", "3", "-o", folder / "sample.npy")
    scored = chain("score", run, "-o", folder / "scores.csv", "--explain")
    assert scored.done or case.rows < 30, scored
    chain.succeeds("encode", run, data, "-o", folder / "codes.npy")
    chain.succeeds("reconstruct", run, data, "-o", folder / "again.npy")
    compressed(chain, data)
    if deep:
        chain.succeeds("report", run, "--importance-samples", "2")
        chain("export", run)
    return True


def compressed(chain: Chain, data: Path) -> None:
    """An array that can be compressed comes back to the last byte."""
    packed, back = chain.folder / "packed.vael", chain.folder / "back.npy"
    if not chain("compress", chain.folder / "run", data, "-o", packed).done:
        return
    if data.is_dir() and chain("decompress", chain.folder / "run", packed, "-o", chain.folder / "back").done:
        assert len(list((chain.folder / "back").rglob("*.*"))) == len(list(data.rglob("*.*"))), "pictures were lost"
        return
    chain.succeeds("decompress", chain.folder / "run", packed, "-o", back)
    if data.suffix == ".npy":
        came, found = np.load(data), np.load(back)
        assert came.tobytes() == found.tobytes(), "an array came back otherwise than it was"
        assert (came.dtype, came.shape) == (found.dtype, found.shape), (
            f"{came.dtype}{came.shape} came back as {found.dtype}{found.shape}"
        )
