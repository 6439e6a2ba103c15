"""What `vael sample` takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vael.cli.formats import FILMS, PAGE, STILLS
from vael.cli.options.shared import BesideOptions, ResultOptions, in_run, result, seed
from vael.options.declaring import flag, option, repeated, section
from vael.options.values import one_of, temperatures, whole

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
