"""What commands take that use a run on data, or judge it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vael.cli.formats import ARRAY, LAID_OUT, ROWS, STILLS
from vael.cli.options.shared import BesideOptions, ResultOptions, RunOptions, in_run, on_error, own_data, result, seed
from vael.options.declaring import argument, flag, option, repeated
from vael.options.values import number, one_of, whole

SHOWN = 40  # pairs in a picture of reconstructions
EXPORTED = ("encoder.onnx", "decoder.onnx", "columns.json", "condition.json")
SCORES = ("combined", "bound", "error", "typicality", "distortion", "divergence", "ratio", "neighbours", "rows")
USUAL_THRESHOLD = 0.01
SINGLE = {".npz": ".npy"}  # of files that hold several arrays, what one of them is written as


@dataclass(frozen=True, kw_only=True)
class ReconstructOptions(ResultOptions, BesideOptions):
    """What `vael reconstruct` takes."""

    output: Path | None = result(
        "file, .png (a grid of images), .npy or .csv by its extension; default in the run folder",
        in_run("reconstructions.png", "reconstructions.csv"),
        formats=STILLS,
    )
    data: str | None = own_data()
    count: int | None = option("N", f"how many, from the first; default all, {SHOWN} in a picture", whole, "-n")
    optimize: int | None = option(
        "STEPS", "climb the bound of each example by so many steps, from the encoder's code", whole
    )


@dataclass(frozen=True, kw_only=True)
class EncodeOptions(ResultOptions, BesideOptions):
    """What `vael encode` takes."""

    output: Path | None = result(
        ".csv, .parquet or .npy; default codes.csv in the run folder", in_run("codes.csv"), formats=ROWS
    )
    data: str | None = own_data()
    on_error: str | None = on_error()


@dataclass(frozen=True, kw_only=True)
class ExportOptions(ResultOptions):
    """What `vael export` takes."""

    output: Path | None = result(
        "folder where encoder.onnx, decoder.onnx and what columns and conditions are go; default the run folder",
        lambda options: [(options.output or options.run) / name for name in EXPORTED],
    )


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(ResultOptions):
    """What `vael classify` takes."""

    notes = "For runs of `--model semi-supervised`. Written: the most probable class of each row, and all shares."
    output: Path | None = result(
        ".csv, .parquet or .npy (the shares alone); default classes.csv in the run folder",
        in_run("classes.csv"),
        formats=ROWS,
    )
    data: str | None = own_data()
    by: str | None = option(
        "NAME",
        "what the shares are: classifier (default), q(y | x); bound, the softmax of the bound on log p(x, y) over y",
        one_of("classifier", "bound"),
        main=True,
    )
    on_error: str | None = on_error()


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(ResultOptions, BesideOptions):
    """What `vael score` takes."""

    notes = (
        "A higher score is stranger; a p-value is the share of rows that belong and score as high. Rows are counted "
        "from 1."
    )
    data: str | None = own_data()
    output: Path | None = result(
        ".csv, .parquet or .npy; default scores.csv in the run folder", lambda options: options.written, formats=ROWS
    )
    threshold: float | None = option(
        "P",
        f"flag rows with a p-value up to this; default {USUAL_THRESHOLD:g}",
        number(float, 0, above=True, most=1),
        main=True,
    )
    explain: bool = flag("name the cells that make each flagged row strange; of images write a picture too", main=True)
    reasons: int | None = option(
        "N", "write the N cells that make each flagged row strange into the file too", whole, main=True
    )
    score: str | None = option("NAME", f"what is measured: {', '.join(SCORES)}; default combined", one_of(*SCORES))
    contamination: float | None = option(
        "SHARE", "share of the training rows that do not belong; default 0", number(float, 0, most=0.49)
    )
    calibrate: str | None = option(
        "FILE",
        "rows that belong and were not trained on, to calibrate p-values; default the run's test split",
        called="the data themselves",
    )
    on_error: str | None = on_error()

    @property
    def written(self) -> list[Path]:
        """The scores, and the picture that `--explain` puts beside them."""
        target = self.output or self.run / "scores.csv"
        return [target, picture_of(target)] if self.explain else [target]


def picture_of(target: Path) -> Path:
    """The picture beside the scores."""
    return target.parent / f"{target.stem}-why.png"


@dataclass(frozen=True, kw_only=True)
class ImputeOptions(ResultOptions, BesideOptions):
    """What `vael impute` takes."""

    notes = (
        "Cells that were seen stay exactly as they came. A cell is taken to be missing at random, given the cells that "
        "were seen."
    )
    data: Path = argument("TABLE", "a table with empty cells: .csv or .parquet", Path, called="the data themselves")
    output: Path | None = result(
        ".csv or .parquet; default TABLE-filled beside the table",
        lambda options: options.answers,
        formats=(LAID_OUT, ARRAY),
    )
    samples: int = option("N", "latents for each row", whole, default=200)
    multiple: int | None = option(
        "M", "write M tables (-1, -2 ...), each with draws of the missing cells; default one table of means", whole
    )
    uncertainty: Path | None = option(
        "FILE",
        "a table of how unsure each filled cell is: deviation; 1 - probability of levels",
        Path,
        written=True,
        formats=(LAID_OUT,),
    )
    fitted: bool = flag("proposals fitted to each row: slower, for rows whose weights are few")
    seed: int = seed("the draws")
    on_error: str | None = on_error()

    @property
    def target(self) -> Path:
        """The file given, or one beside the table; what came compressed is written as it is inside."""
        from vael.tables.as_text.compressed import plain_name

        plain = plain_name(self.data)
        ending = SINGLE.get(plain.suffix.lower(), plain.suffix)
        return self.output or self.data.parent / f"{plain.stem}-filled{ending}"

    @property
    def answers(self) -> list[Path]:
        """The filled tables that are written."""
        target, tables = self.target, range(1, (self.multiple or 0) + 1)
        return [target.parent / f"{target.stem}-{one}{target.suffix}" for one in tables] or [target]


@dataclass(frozen=True, kw_only=True)
class CompressOptions(ResultOptions, BesideOptions):
    """What `vael compress` takes."""

    data: str | None = argument(
        "DATA",
        "a name or a path (.npy, a folder of images, a table, ...); default the run's own test split",
        default=None,
        called="the data themselves",
    )
    output: Path | None = result("the compressed file; must be given")
    level: str = option(
        "NAME",
        "safe: float64, decodes where PyTorch and processor are the same; portable: integer arithmetic, decodes "
        "anywhere",
        one_of("safe", "portable"),
        default="safe",
    )
    where: tuple[str, ...] = repeated(
        "NAME=VALUE",
        "one condition for all examples, once for each name, of a conditional model; default the condition of each as "
        "the data tell it",
    )


@dataclass(frozen=True, kw_only=True)
class DecompressOptions(ResultOptions):
    """What `vael decompress` takes."""

    file: Path = argument("FILE", "the compressed file", Path, called="the compressed file itself")
    output: Path | None = result(
        "an .npy file, a new folder for images, .csv or .parquet for a table; must be given", folder=True
    )


IMPORTANCE_SAMPLES = 1000
TOGETHER = 256  # examples encoded at once
PROPOSALS = {
    "adaptive": "ADAPTIVE",
    "encoder": "ENCODER",
    "laplace": "FITTED",
}  # members of `vael.evaluation.Proposals`


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(RunOptions, BesideOptions):
    """What `vael evaluate` takes."""

    data: str | None = own_data()
    split: str | None = option(
        "NAME", "train, validation or test; default test", one_of("train", "validation", "test"), main=True
    )
    importance_samples: int | None = option("K", f"samples per example; default {IMPORTANCE_SAMPLES:,}", whole)
    proposal: str | None = option(
        "NAME",
        "what the samples are drawn from: adaptive (default), the encoder's posterior or, where its weights have a "
        "heavy tail, a Gaussian fitted to the example; encoder, the encoder's posterior only; laplace, a fitted "
        "Gaussian for every example",
        one_of(*PROPOSALS),
    )
    linear_classifier: bool = flag(
        "besides, fit a linear classifier to the codes of labelled training examples, and say how many of this split "
        "it tells right"
    )
    frechet: bool = flag(
        "besides, the Fréchet distance of draws from this split, in features of a classifier that is trained on the "
        "labelled training examples, with that of held-out examples beside it"
    )
    batch: int = option("N", "examples at once; the numbers do not depend on it", whole, default=TOGETHER)
    seed: int = seed("the estimate")
    threads: int | None = option("N", "threads of the processor", whole)


@dataclass(frozen=True, kw_only=True)
class ReportOptions(RunOptions):
    """What `vael report` takes."""

    importance_samples: int | None = option(
        "K", "samples of the estimate of log p(x); default 100 to 1,000 by cost", whole
    )
    seed: int = seed("pictures and estimate")
