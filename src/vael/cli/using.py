"""`vael sample`, `reconstruct`, `encode` and `export`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vael.cli import conditioning, latents, quality, series
from vael.cli.parser import Parser, number, one_of
from vael.cli.places import RUN_FOLDER, Files, known_ending, or_in_run, within
from vael.cli.telling import answer, tell
from vael.counting import counted
from vael.errors import SupportError

if TYPE_CHECKING:
    from torch import Tensor

    from vael.data import Source
    from vael.specs import Piece, Run
    from vael.specs.spec import DataSpec
    from vael.tables.reading import Skipped
    from vael.tables.schema import Schema

SHOWN = 40  # pairs in a picture of reconstructions
COLUMNS = 10
LISTED = 10  # rows that were skipped, on the screen
ARRAYS, ALL = (".npy", ".csv", ".parquet"), (".png", ".npy", ".csv", ".parquet")


def sample_options(parser: Parser) -> None:
    """Everything that `vael sample` takes."""
    common(
        parser,
        in_run("samples"),
        "file: .png (a grid of images), .gif or .html (a film of them on the move), .npy, .csv or .parquet; default in "
        "the run folder",
    )
    parser.option(
        "-n", "--count", metavar="N", type=number(int, 1), help=f"how many; default 64, {latents.FILMED} in a film"
    )
    parser.option("--seed", metavar="N", type=number(int, 0), help="seed of the draws; default 0")
    parser.option(
        "--mean",
        action="store_true",
        help="write the mean of p(x | z) at each drawn z: calmer pictures, but no draws of x",
    )
    conditioning.where_options(parser)
    latents.latent_options(parser)
    quality.table_options(parser)


def reconstruct_options(parser: Parser) -> None:
    """Everything that `vael reconstruct` takes."""
    common(parser, in_run("reconstructions"))
    from_data(parser)
    parser.option(
        "-n",
        "--count",
        metavar="N",
        type=number(int, 1),
        help=f"how many, from the first; default all, {SHOWN} in a picture",
    )
    parser.option(
        "--optimize",
        metavar="STEPS",
        type=number(int, 1),
        help="climb the bound of each example by so many steps, from the encoder's code",
    )


def encode_options(parser: Parser) -> None:
    """Everything that `vael encode` takes."""
    common(parser, or_in_run("output", "codes.csv"))
    from_data(parser)
    parser.option(
        "--on-error",
        type=one_of("stop", "skip"),
        metavar="stop|skip",
        help="what to do with a row that cannot be read; default stop",
    )


def export_options(parser: Parser) -> None:
    """Everything that `vael export` takes."""
    common(
        parser,
        within("output", "encoder.onnx", "decoder.onnx", "columns.json"),
        "folder where encoder.onnx, decoder.onnx and, for a table, columns.json go; default the run folder",
    )


def in_run(name: str) -> Files:
    """The file given, or what `default` calls the result."""
    return or_in_run("output", f"{name}.png", f"{name}.csv")


def common(
    parser: Parser,
    files: Files,
    output: str = "file, .png (a grid of images), .npy or .csv by its extension; default in the run folder",
) -> None:
    """RUN, -o, --json."""
    parser.reads("run", metavar="RUN", type=Path, called=RUN_FOLDER, help="run folder")
    parser.writes("-o", "--output", metavar="FILE", type=Path, files=files, help=output)
    parser.option("--json", action="store_true", help="print one JSON object")


def from_data(parser: Parser) -> None:
    """DATA."""
    parser.reads("data", metavar="DATA", nargs="?", help="a name or a path; default the run's own test split")


def sample(given: argparse.Namespace) -> int:
    """New examples from the prior and the likelihood."""
    from vael import specs
    from vael.applications import generation

    options = vars(given)
    target = options.get("output")
    if target:
        known_ending(target, (*ALL, *latents.FILMS))
    run = specs.load(options["run"])
    if run.spec.data.sequence is not None:
        return series.sample(run, options)
    quality.refuse_tables_options(run, options)
    target = target or default(run, "samples")
    film = target.suffix.lower() in latents.FILMS
    count = options.get("count", latents.FILMED if film else 64)
    drawn = conditioning.conditioned(run, count, options, film=film)
    run = drawn.run
    if film:
        return done(latents.film(run, target, count, options), count, options)
    schema = quality.rules_of(run, options)
    if schema is not None and target.suffix.lower() != ".png":
        return sample_table(drawn, schema, target, options)
    seed, draw = (
        options.get("seed", 0),
        generation.mean_samples if options.get("mean") else generation.samples,
    )
    x = (
        latents.latent_samples(run, count, options)
        if latents.wants_latents(options)
        else draw(run.model, count, seed, drawn.each)
    )
    if not run.spec.model.is_likelihood and "mean" not in options:
        answer(
            "vael: note: there is no likelihood of this model to draw from, so the means of the decoder are written",
            file=sys.stderr,
        )
    return done(store(target, x, run), len(x), options)


def sample_table(drawn: conditioning.ConditionedRun, schema: Schema, target: Path, options: dict[str, object]) -> int:
    """Rows that keep the rules of their columns, and the page about them if it was asked for."""
    run, seed = drawn.run, int(str(options.get("seed", 0)))
    x = quality.draw_table(run, schema, int(str(options.get("count", 64))), seed, options, drawn.each)
    if "quality" not in options:
        gapped = quality.gapped(run, x, seed, options)
        rules, rows_whole = conditioning.whole(run, schema, gapped, drawn.beside)
        return done(quality.store_table(target, rules, rows_whole, seed), len(x), options)
    found = quality.write_page(run, x, seed, options)
    quality.store_table(target, schema, quality.gapped(run, x, seed, options), seed)
    if options.get("json"):
        print(
            json.dumps(
                {"file": str(target), "examples": len(x), "page": str(options["quality"]), **quality.numbers(found)}
            )
        )
        return 0
    tell(f"{target}: {counted(len(x), 'example')}\n{quality.sentences(found, options['quality'])}")
    return 0


def reconstruct(given: argparse.Namespace) -> int:
    """What the model makes of data."""
    from vael import specs
    from vael.applications import generation

    options = vars(given)
    if "output" in options:
        known_ending(options["output"], ALL)
    run = specs.load(options["run"])
    target = options.get("output") or default(run, "reconstructions")
    source = examples(run, options.get("data"))
    count = options.get("count") or (SHOWN if target.suffix == ".png" else None)
    x, y = (
        improved(run, source, count, options)
        if "optimize" in options
        else generation.reconstructions(run.model, source, count)
    )
    columns = min(COLUMNS, len(y))
    shown = generation.beside(x, y, columns) if target.suffix == ".png" else y
    return done(store(target, shown, run, columns), len(y), options)


def improved(run: Run, source: Source, count: int | None, options: Mapping[str, object]) -> tuple[Tensor, Tensor]:
    """Examples and their reconstructions from codes made better one by one; says what that gained."""
    from vael.applications.latents import optimized_reconstructions
    from vael.cli.wording import climbed

    found = optimized_reconstructions(run.model, source, count, steps=int(str(options["optimize"])))
    if not options.get("json"):
        tell(
            f"the {climbed(run.spec)} rises by {float(found.gained.mean()):.2f} nats on average, "
            f"{float(found.gained.max()):.2f} at most"
        )
    return found.x, found.mean


def encode(given: argparse.Namespace) -> int:
    """Posterior means of data."""
    from vael import specs
    from vael.applications import generation
    from vael.cli.sheets import Sheet
    from vael.models import Encodes, needs

    options = vars(given)
    if "output" in options:
        known_ending(options["output"], ARRAYS)
    run = specs.load(options["run"])
    target = options.get("output") or run.inside("codes.csv")
    needs(run.model, Encodes, "encoding examples")
    skipped: list[Skipped] = []
    with Sheet(target, [f"z{number}" for number in range(1, width_of_codes(run) + 1)]) as file:
        for piece in rows(run, options.get("data"), options.get("on_error")):
            skipped, begin = [*skipped, *piece.skipped], 0
            for codes in generation.code_blocks(run.model, piece.source):
                file.add(piece, begin, codes.numpy())
                begin += len(codes)
    return done(target, file.rows, options, skipped)


def width_of_codes(run: Run) -> int:
    """How many numbers the code of an example has, as the first one of the run's own data shows."""
    import torch

    from vael.applications import generation

    first = run.splits().train.subset(torch.zeros(1, dtype=torch.int64))
    return next(iter(generation.code_blocks(run.model, first))).shape[1]


def export(given: argparse.Namespace) -> int:
    """Encoder and decoder as ONNX."""
    from vael import specs
    from vael.applications.export import export_onnx

    options = vars(given)
    run = specs.load(options["run"])
    exported = export_onnx(
        run.model, run.spec.data.event, options.get("output") or run.inside(), schema_of(run.spec.data)
    )
    print(json.dumps(asdict(exported), default=str) if options.get("json") else exported)
    return 0


def schema_of(data: DataSpec) -> Schema | None:
    """The columns that a run was trained on; None for data without columns."""
    from vael.data import Column, ColumnKind, Schema
    from vael.tables.schema_file import from_record

    if data.table is not None:
        return from_record(data.table, "run.json")
    return Schema(tuple(Column(name, ColumnKind.REAL) for name in data.columns)) if data.columns else None


def is_image(event: tuple[int, ...]) -> bool:
    """Whether examples of this shape can be shown."""
    return len(event) == 3


def default(run: Run, name: str) -> Path:
    """Where it goes when nothing was said: a picture of images, a table of anything else."""
    return run.inside(f"{name}{'.png' if is_image(run.spec.data.event) else '.csv'}")


def store(path: Path, x: Tensor, run: Run, columns: int | None = None) -> Path:
    """Write cells as the extension says, images in `columns` (None: nearly square).

    Errors: `SupportError` for a picture of what is no image.
    """
    from vael.applications import generation

    if path.suffix.lower() != ".png":
        generation.write(path, x, run.spec.data.columns)
        return path
    if not is_image(run.spec.data.event):
        raise SupportError(
            f"{path}: examples of shape {run.spec.data.event} are no images, so there is no picture; write .npy or .csv"
        )
    from vael.report import display_of, save_grid

    return save_grid(path, x, display_of(run.splits().train), columns=columns)


def examples(run: Run, data: str | None) -> Source:
    """The run's test split, or all examples of other data.

    Errors: `ShapeError`, `SupportError` if the model cannot take them.
    """
    if data is None:
        return run.split()[1]
    from vael.specs import examples_of

    return examples_of(run.spec, data)


def rows(run: Run, data: str | None, on_error: str | None = None, *, clip: bool = False) -> Iterator[Piece]:
    """The run's test split, or all examples of other data a block at a time; `clip` as in `vael.specs.pieces`.

    Errors: as `examples`.
    """
    from vael.data import OnError
    from vael.specs import Piece, pieces

    if data is not None:
        return pieces(run.spec, data, on_error=OnError(on_error or "stop"), clip=clip)
    source = run.split()[1]
    return iter([Piece(source, source.named.rows)])


def done(path: Path, count: int, options: dict[str, object], skipped: Sequence[Skipped] = ()) -> int:
    """Say what was written where, and which rows were not."""
    if options.get("json"):
        listed = {"skipped": [vars(one) for one in skipped]} if "on_error" in options else {}
        print(json.dumps({"file": str(path), "examples": count, **listed}))
        return 0
    tell(f"{path}: {counted(count, 'example')}")
    list_skipped(skipped)
    return 0


def list_skipped(skipped: Sequence[Skipped]) -> None:
    """The first of the rows that were left out, and how many more there are."""
    for one in skipped[:LISTED]:
        tell(f"  row {one.row:,} was skipped: {one.reason}")
    if len(skipped) > LISTED:
        tell(f"  ... and {len(skipped) - LISTED:,} more rows were skipped (all are listed with --json)")
