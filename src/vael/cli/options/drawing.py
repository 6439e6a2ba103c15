"""What the commands that draw take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vael.cli.formats import ARRAY, FILMS, PAGE, PICTURE, ROWS, STILLS
from vael.cli.options.shared import BesideOptions, ResultOptions, in_run, own_data, result, seed
from vael.options.declaring import argument, flag, option, repeated, section
from vael.options.values import natural, number, one_of, positive, temperatures, whole

FRAMES, FILM_FRAMES = 11, 31
SHOWN, DRAWS, FILM_DRAWS = 8, 4, 12
FRAMES_TOLD = f"how many; default {FRAMES}, {FILM_FRAMES} in a film"


def strip(name: str) -> Any:
    """`-o FILE` for frames of this name."""
    about = "file: .png (a strip), .gif or .html (a film), .npy, .csv or .parquet; default in the run folder"
    return result(about, in_run(f"{name}.png", f"{name}.csv"), formats=(*STILLS, *FILMS))


@dataclass(frozen=True, kw_only=True)
class ForecastOptions(ResultOptions, BesideOptions):
    """What `vael forecast` takes."""

    notes: ClassVar[str] = (
        "For models of sequences. A forecast knows the last window of each series; a gap in it is a gap. Written "
        "are the mean of each channel and the ends of the interval, noise of the measurement included."
    )
    output: Path | None = result(
        ".csv, .parquet, or .npy [series, steps, channels]; default forecast.csv in the run folder",
        in_run("forecast.csv"),
        formats=ROWS,
    )
    data: str | None = argument(
        "DATA", "series to go on from; default all of the run's own data", default=None, called="the data themselves"
    )
    steps: int | None = option("H", "steps to forecast; default a quarter of a window", whole, main=True)
    interval: float = option(
        "P", "probability between the two quantiles", number(float, 0, above=True, most=0.999), default=0.9
    )
    draws: int | None = option(
        "N",
        "write N drawn futures of each series and no means: for what hangs on several steps",
        number(int, 1, most=1000),
    )
    seed: int = seed("the draws")


@dataclass(frozen=True, kw_only=True)
class StripOptions(ResultOptions, BesideOptions):
    """Abstract: what a command takes that changes examples step by step."""

    data: str | None = own_data()
    frames: int | None = option("N", FRAMES_TOLD, number(int, 2))


@dataclass(frozen=True, kw_only=True)
class InterpolateOptions(StripOptions):
    """What `vael interpolate` takes."""

    output: Path | None = strip("interpolation")
    from_: int = option("ROW", "example to begin at, counted from 1", whole, default=1)
    to: int = option("ROW", "example to end at", whole, default=2)
    spherical: bool = flag("along a great circle, where N(0, I) has its mass; default a straight line")


@dataclass(frozen=True, kw_only=True)
class AttributeOptions(StripOptions):
    """What `vael attribute` takes."""

    output: Path | None = strip("attribute")
    of: int = option("ROW", "example to change, counted from 1", whole, default=1)
    give: str | None = option("CLASS", "class whose examples have the attribute, by name or number; must be given")
    take: str | None = option("CLASS", "class whose examples have it not; default all others")
    strength: float = option("A", "go from 0 to A times the difference of means", positive, default=1.0)


@dataclass(frozen=True, kw_only=True)
class InpaintOptions(ResultOptions, BesideOptions):
    """What `vael inpaint` takes."""

    output: Path | None = result(
        "file: .png (original, what was seen, mean, draws, one column for each image), .gif or .html (a film of "
        "draws), .npy (means)",
        in_run("inpainted.png", "inpainted.csv"),
        formats=(PICTURE, ARRAY, *FILMS),
    )
    data: str | None = own_data()
    region: str | None = option(
        "Y0:Y1,X0:X1",
        "rows Y0 to Y1 - 1 and columns X0 to X1 - 1 of the image, counted from 0, are hidden; must be given",
    )
    draws: int | None = option("N", f"draws of the hidden pixels below the mean; default {DRAWS}", natural)
    seed: int = seed("the draws")
    count: int = option("N", "how many images, from the first", whole, "-n", default=SHOWN)


EXAMPLES, FILMED = 64, 25  # samples unless told, and in a film


@dataclass(frozen=True, kw_only=True)
class LatentOptions:
    """Latents drawn in another way than from the prior."""

    class_: str | None = option(
        "NAME",
        "a Gaussian fitted to the codes of the training examples of a class, by its name or number; needs labels; of a "
        "semi-supervised model the prior, x drawn given the class",
        main=True,
    )
    temperature: tuple[float, ...] | None = option(
        "T,T",
        "multiply the distance of z from its mean by T: below 1 more usual and less varied; the examples are then no "
        "draws from p(x). Of several levels of latents one for all, or one for each, the top first: 0.7,1,1",
        temperatures,
    )

    sampler: str | None = option(
        "NAME",
        "the prior, or a density fitted afterwards to codes of the training examples: gaussian, mixture (default for "
        "tables with a schema) or flow; it changes the samples, not the model or its bound",
        one_of("prior", "gaussian", "mixture", "flow"),
    )

    @property
    def fitted(self) -> str | None:
        """The density that z comes from where one is asked for."""
        return None if self.sampler == "prior" else self.sampler

    @property
    def asked(self) -> bool:
        """Whether a class or a temperature was given."""
        return self.class_ is not None or self.temperature is not None


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Rows of a table, and how good they are."""

    quality: Path | None = option(
        "PAGE.html",
        "judge the rows against real ones and write a page: how good, how private",
        Path,
        written=True,
        formats=(PAGE,),
    )
    target: str | None = option("COLUMN", "what learners predict for the page; default the last column with few levels")
    with_gaps: bool = flag("leave cells empty as in the training rows; default complete rows")
    given: tuple[str, ...] = repeated(
        "COLUMN=VALUE",
        "rows with this value in this column, the rest drawn given it; several times for several columns",
    )


@dataclass(frozen=True, kw_only=True)
class SampleOptions(ResultOptions, BesideOptions):
    """Everything that `vael sample` takes."""

    output: Path | None = result(
        "file: .png (a grid of images), .gif or .html (a film of them on the move), .npy, .csv or .parquet; default "
        "in the run folder",
        in_run("samples.png", "samples.csv"),
        formats=(*STILLS, *FILMS),
    )
    count: int | None = option("N", f"how many; default {EXAMPLES}, {FILMED} in a film", whole, "-n", main=True)
    seed: int = seed("the draws", main=True)
    mean: bool = flag("write the mean of p(x | z) at each drawn z: calmer pictures, but no draws of x", main=True)
    where: tuple[str, ...] = repeated(
        "NAME=VALUE",
        "the condition that the examples have, once for each column that the model was conditioned on; of labels also "
        "--class; default the conditions of training rows drawn at random",
        title="conditional models",
    )
    latents: LatentOptions = section(LatentOptions, "where z comes from")
    tables: TableOptions = section(TableOptions, "tables")

    @property
    def has_rows(self) -> bool:
        """What is drawn has a row for each."""
        return True

    @property
    def examples(self) -> int:
        """How many are drawn where no film is made."""
        return self.count or EXAMPLES
