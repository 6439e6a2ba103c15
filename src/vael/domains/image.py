"""Images, `[channels, height, width]`, and whatever else is no row and no window of a sequence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from vael.counting import counted
from vael.data import Kind, Source, Splits
from vael.data.files.images import ENDINGS, sizes
from vael.data.matching import in_units
from vael.data.pictures.cutting import keys_of, load_patches, pictures_in
from vael.data.pictures.patching import Patching
from vael.data.pictures.tiles import corners, tiled
from vael.data.source import spread
from vael.data.splitting import Sizes, ValidateOn
from vael.data.tabular import is_table_file
from vael.data.transforms import DynamicBinarization, Threshold
from vael.domains.coding import Coding, ElementCoding
from vael.domains.core import Described, Domain
from vael.domains.described import DataSpec, Reading
from vael.domains.reading import Lenience, Piece, loaded, trained_on
from vael.domains.recommendation import (
    HIERARCHY,
    Choice,
    Recommendation,
    chosen,
    likelihood,
    power_of_two,
    refuse_unfit,
    values,
)
from vael.errors import ShapeError
from vael.models.families import LikelihoodPart
from vael.models.likelihoods.autoregressive import AutoregressiveBernoulliPart, AutoregressiveMixturePart
from vael.models.likelihoods.parts import TabulatedMixturePart
from vael.networks.ladder_parts import DenseLadderPart
from vael.networks.parts import ConvolutionalPart, DensePart
from vael.report import gather, pictures
from vael.report.of_examples import Shown, drawings
from vael.report.record import Encoded, Headed, ReportInput, Subject

STANDS_OUT, MANY_LEVELS = (
    0.25,
    64,
)  # share of the cells at one level, and number of levels, from which on laws over the levels are shared
PIXELS = Subject("pixels", "image", "More images, weight decay (`--weight-decay`) or a smaller network help.")
GREY = replace(
    PIXELS,
    remedies="Binarising grey values anew at every step (`--binarize dynamic`), more images, weight decay or a smaller "
    "network help.",
)


class ImageDomain(Domain):
    """Images: pictures side by side, convolutions or, of small grey ones, dense networks."""

    pictured: ClassVar[bool] = True
    element: ClassVar[str] = "channel"
    in_arrays: ClassVar[bool] = True

    def holds(self, data: Described) -> bool:
        return not data.domain and not data.has_schema and data.windowing is None and len(data.event) > 1

    def reads(self, how: Reading) -> bool:
        return True

    def read(self, how: Reading) -> Splits:
        """Whole images, or patches of pictures: where they were asked for, and where pictures are few and large."""
        patching = how.images.patches
        if patching is not None:
            return patches_read(how, patching)
        return loaded(how) if not few_and_large(how) else with_note(patches_read(how, PATCHING), UNASKED)

    def examples(self, known: DataSpec, data: str, *, clip: bool = False) -> Source:
        return super().examples(known, data, clip=clip) if not cut_up(known, data) else tiles_read(known, data, clip)

    def told(self, known: DataSpec) -> str:
        return f"patches of pictures, {super().told(known)}" if known.patching is not None else super().told(known)

    def pieces(self, known: DataSpec, data: str, how: Lenience) -> Iterator[Piece]:
        """Errors: `ShapeError` for a table, besides those of every kind of data."""
        path = Path(data)
        if path.is_file() and is_table_file(path):
            raise ShapeError(
                f"{path} is a table, but the run was trained on images of shape {known.event} ({known.name}); give a "
                "folder of images, or an .npy array"
            )
        return super().pieces(known, data, how)

    def coding(self, known: DataSpec) -> Coding:
        return ElementCoding(known, self.examples)

    def recommend(self, source: Source) -> Recommendation:
        part, because = likelihood_of(source)
        refuse_unfit(part, source)
        choice = grey(source) if small_and_grey(source.event) else colour(source)
        channels, *size = source.event
        several = "" if channels == 1 else f" of {channels} channels"
        said = f"Data: {len(source)} {'x'.join(map(str, size))} images{several}; cells are {values(source)}."
        found = chosen(choice, part, (said, because, choice.reason))
        if many_and_drawn_anew(source):
            choice = levels(source)
            leveled = replace(chosen(choice, part, (said, because, choice.reason)), codes=found)
            choice, part = binary_in_turn(source), AutoregressiveBernoulliPart(channels=1)
            return replace(chosen(choice, part, (said, BINARY_IN_TURN, choice.reason)), codes=leveled)
        if not photographic(source):
            return found
        choice = in_turn()
        likelihood = AutoregressiveMixturePart(levels=source.levels, channels=source.event[0])
        return replace(chosen(choice, likelihood, (said, IN_TURN, choice.reason)), codes=found)

    def example(self, source: Source) -> str:
        levels = f" of {source.levels:,} levels" if source.levels else ""
        return f"{' × '.join(map(str, source.event))}, {VALUES[source.kind]}{levels}"

    def subject(self, source: Source) -> Subject:
        """Binarising anew at every step is advice for grey values that were cut to 0 and 1 once."""
        return GREY if isinstance(source.transform, Threshold) else PIXELS

    def figures(self, record: ReportInput, seen: Encoded | None, folder: Path) -> Headed:
        binary = record.splits.train.kind is Kind.BINARY
        grey = "grey is the probability of a one" if binary else "the decoder's noise is left out"
        samples = partial(pictures.samples, grey=grey)
        return drawings(record, seen, folder, Shown("Originals and reconstructions", pictures.reconstructions, samples))

    def detail(self, record: ReportInput) -> float | None:
        """Of pixels of several levels: 0 and 1 are noise that a mean rightly lacks."""
        source = record.shown
        speaks = source.kind is not Kind.BINARY and min(source.event[-2:]) > 1
        return gather.detail_of_samples(record) if speaks else None


VALUES = {Kind.BINARY: "0 or 1", Kind.INTEGER: "whole numbers", Kind.REAL: "real numbers"}


def likelihood_of(source: Source) -> tuple[LikelihoodPart, str]:
    """The likelihood that follows the kind of the pixels, and why."""
    many = source.kind is Kind.INTEGER and (source.levels or 0) >= MANY_LEVELS and small_and_grey(source.event)
    if source.levels is None or not many or len(source.event) != 3 or (share := commonest(source)) <= STANDS_OUT:
        return likelihood(source, source.event[0])
    return TabulatedMixturePart(levels=source.levels), (
        f"Likelihood: eight laws over {source.levels} levels that all cells share, mixed for each cell, because one "
        f"level alone holds {share:.0%} of the cells: no bell fits that (docs/lab-book.md). For "
        "the fewest bits choose pixels one after another (--model autoregressive)."
    )


def commonest(source: Source) -> float:
    """The share of the cells, in at most 1,000 examples, that are at the level where most are."""
    x = source.batch(spread(len(source), 1000)).x
    return float(x.long().flatten().bincount().max()) / x.numel()


def small_and_grey(event: Sequence[int]) -> bool:
    """Whether a dense network sees the image at a lower price than a convolutional one."""
    return event[0] == 1 and math.prod(event) <= 1024


MOST_IN_TURN = 64 * 64  # pixels of an example that are drawn one after another
IN_TURN = (
    "Likelihood: a mixture of logistics for each pixel given those above and left of it, because neighbours say most "
    "of a pixel (docs/lab-book.md). Codes then say little of an image, and a draw takes a step for each pixel; where "
    "codes and reconstructions are what is wanted, choose another model (--model convolutional)."
)


def photographic(source: Source) -> bool:
    """Whether examples are small pictures of many levels in colour, or patches of pictures."""
    if source.kind is not Kind.INTEGER or (source.levels or 0) < MANY_LEVELS or len(source.event) != 3:
        return False
    channels, height, width = source.event
    return (channels == 3 or source.patching is not None) and min(height, width) >= 8 and height * width <= MOST_IN_TURN


def in_turn() -> Choice:
    """Pixel after pixel, with few and narrow convolutions for what is the same all over the image."""
    return Choice(
        "autoregressive",
        ConvolutionalPart(channels=(16, 32, 64)),
        {"latent": 32},
        "Network: narrow convolutions to 32 latents, because what a pixel's neighbours do not say is little.",
    )


def grey(source: Source) -> Choice:
    """Dense with a smooth activation, and a posterior with full covariance (docs/lab-book.md: 0.7 to 0.9 nats of
    log p(x) at equal time).
    """
    cells, rows = math.prod(source.event), len(source)
    width = min(300, power_of_two(2 * cells, 32, 512), power_of_two(rows // 12, 32, 512))
    latent = 24 if rows >= 10_000 else max(2, min(16, cells // 4))
    reason = (
        f"Network: two dense hidden layers of {width} SiLU units, because at {counted(cells, 'cell')} of one "
        "channel they learn "
        "more per second than "
        f"convolutions; width by {counted(cells, 'cell')} and {counted(rows, 'example')}. Posterior: full "
        f"covariance over {counted(latent, 'latent')}."
    )
    leaves = {"latent": latent, "posterior": "gaussian-full-covariance"}
    return Choice("dense", DensePart(hidden=(width, width)), leaves, reason)


MANY, LARGE = 10_000, 400  # examples and cells of the data on which levels of latents were measured to be better


def many_and_drawn_anew(source: Source) -> bool:
    """Whether examples are many small pictures of zeros and ones that are drawn anew whenever they are shown, so that a
    larger model does not learn them by heart.
    """
    drawn = isinstance(source.transform, DynamicBinarization) and small_and_grey(source.event)
    return drawn and len(source) >= MANY and math.prod(source.event) >= LARGE


BINARY_IN_TURN = (
    "Likelihood: Bernoulli for each pixel given those above and left of it, because neighbours say much of a pixel: "
    "on MNIST 3 nats of log p(x) more than without in the same time (docs/lab-book.md). Codes say less then, and a "
    "draw takes a step for each pixel; where codes and reconstructions are what is wanted, choose another model "
    "(--model hierarchical, --model dense)."
)


def binary_in_turn(source: Source) -> Choice:
    """The dense network of such images, with pixel after pixel."""
    found = grey(source)
    return replace(found, recipe="autoregressive-binary")


def levels(source: Source) -> Choice:
    """Two levels of latents, the lower given the upper (docs/lab-book.md: 1.2 to 2.3 nats of log p(x) better)."""
    ladder = DenseLadderPart(latents=(24, 24), width=400)
    return Choice(
        HIERARCHY,
        DensePart(hidden=(400,)),
        {"ladder": ladder},
        f"Network: two levels of 24 latents with dense blocks of {ladder.width} SiLU units, the lower level given the "
        f"upper, because {counted(len(source), 'example')} of {counted(math.prod(source.event), 'cell')} are drawn "
        "anew whenever they are shown: 1 to 2 nats of log p(x) more than one level in the same time. For one vector of "
        "latents with full covariance choose the dense model (--model dense).",
    )


def colour(source: Source) -> Choice:
    """Convolutions down to about 4 × 4, narrower where the image is large, so that an example costs about the same."""
    height, width = source.event[1:]
    levels = max(1, round(math.log2(max(2.0, min(height, width) / 4))))
    first = 32 if height * width <= 64 * 64 else 16
    widest = 256 if len(source) >= 5000 else 128
    channels = tuple(min(widest, first * 2**level) for level in range(levels))
    latent = 128 if len(source) >= 5000 else 32
    reason = (
        f"Network: convolutions that halve the {height}x{width} image {counted(levels, 'time')}, with "
        f"{', '.join(map(str, channels))} channels and "
        f"{counted(latent, 'latent')}, because neighbouring pixels belong together; sizes by the image and "
        f"{counted(len(source), 'example')}."
    )
    return Choice("convolutional", ConvolutionalPart(channels=channels), {"latent": latent}, reason)


PATCHING = Patching(height=32, width=32)  # where none was asked for
MOST_PICTURES = 200  # that are few
LEAST_SIDE = 4 * PATCHING.height  # of the smallest picture, so that it is large
UNASKED = (
    f"few large pictures, so patches of {PATCHING} are cut from them (of other sizes: --patches N; whole pictures, "
    "made smaller: --size N)"
)


def few_and_large(how: Reading) -> bool:
    """Whether a folder has so few pictures, all so large, that patches of them say more than one example each."""
    folder = Path(how.source)
    if how.images.size is not None or not folder.is_dir():
        return False
    found = sizes(folder)
    return bool(found) and found.total() <= MOST_PICTURES and min(map(min, found)) >= LEAST_SIDE


def patches_read(how: Reading, patching: Patching) -> Splits:
    """Patches of the pictures, by the splits that were asked for. Errors: those of `load_patches`."""
    return load_patches(
        how.source,
        patching,
        how.images,
        binarize=how.binarize,
        dequantize=how.dequantize,
        sizes=Sizes(ValidateOn.TEST if how.by_test else how.validation, how.test),
        seed=how.seed,
    )


def cut_up(known: DataSpec, data: str) -> bool:
    """Whether data are whole pictures, of which a run on patches sees tiles."""
    path = Path(data)
    return known.patching is not None and (path.is_dir() or path.suffix.lower() in ENDINGS)


def tiles_read(known: DataSpec, data: str, clip: bool) -> Source:
    """Whole pictures as the tiles that cover them, row by row; what a tile has outside of its picture repeats the edge.

    Errors: those of `pictures_in`, and `ShapeError` or `SupportError` for pictures that the model cannot take.
    """
    patching = known.patching or PATCHING
    found = pictures_in(data, known.reading.images)
    pictures = [one for part in found.parts.values() for one in part]
    cells = np.concatenate([tiled(one.cells.numpy(), patching) for one in pictures])
    if cells.shape[1:] != known.event:
        raise ShapeError(
            f"{data} has pictures of {counted(cells.shape[1], 'channel')}, but the run was trained on patches of shape "
            f"{known.event}; give such pictures"
        )
    named = [(one.name, *place) for one in pictures for place in corners(one.size, patching)]
    note = f"whole pictures as tiles of {patching}; what a tile has outside of its picture repeats the edge"
    source = in_units(cells, found.name, trained_on(known), 0, clip)
    return replace(source, keys=keys_of(named), notes=(*found.notes, note, *source.notes))


def with_note(splits: Splits, note: str) -> Splits:
    """The splits with something more that every figure must say."""
    return splits.each(lambda source: replace(source, notes=(note, *source.notes)))
