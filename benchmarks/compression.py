"""Lossless compression of whole test sets: vael against gzip, bz2, xz, PNG, WebP and JPEG XL, and of tables against
Parquet, in one table for each data set.

    python benchmarks/compression.py [--data binary grey colour] [--binary RUN] [--grey RUN] [--colour RUN] [--level
    safe|portable ...]
                                     [--examples N] [--time-limit SECONDS] [--folder FOLDER] [--tables NAME_OR_FILE ...]
                                     [--table RUN ...]

binary is MNIST binarised dynamically (one draw, seed 0), grey is MNIST in 256 levels, colour is CIFAR-10; always the
official 10,000 test images unless `--examples` says fewer. A data set for which no run is given is learned first, for
`--time-limit` seconds (default 300). Every file is decompressed and compared. gzip, bz2 and xz get the whole set as
one stream, binary cells packed to bits; PNG (optimised), WebP (lossless) and, where `pillow-jxl-plugin` is installed,
JPEG XL (lossless, effort 9 of 10) get an image each, and all bytes of their files count. Rates are bits per dimension;
speed counts the bytes of the cells as they are stored (a byte each).

`--tables adult housing.csv` does the same for tables instead: the test split (of a file without one the validation
split) is written as CSV, which gzip, bz2 and xz get, and as Parquet with Zstandard; rates are bits per row, speed
counts the bytes of the CSV file. `--table` gives their runs.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import lzma
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import vael
from vael.evaluation import evaluate
from vael.specs import archives

TRAINED: dict[str, tuple[str, dict[str, Any]]] = {
    "binary": ("mnist", {"binarize": "dynamic"}),
    "grey": ("mnist", {"model": "dense", "likelihood": "tabulated-mixture"}),
    "colour": ("cifar10", {"model": "principal", "latent": 384, "likelihood": "coupled-logistic"}),
}
TITLES = {"binary": "MNIST, binarised", "grey": "MNIST, 8 bits", "colour": "CIFAR-10, 8 bits"}
STREAMS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gzip -9": (lambda content: gzip.compress(content, 9), gzip.decompress),
    "bz2 -9": (lambda content: bz2.compress(content, 9), bz2.decompress),
    "xz -9e": (lambda content: lzma.compress(content, preset=9 | lzma.PRESET_EXTREME), lzma.decompress),
}
IMAGES: dict[str, dict[str, Any]] = {
    "PNG, optimised": {"format": "PNG", "optimize": True},
    "WebP, lossless": {"format": "WEBP", "lossless": True, "quality": 100, "exact": True},
}
if find_spec("pillow_jxl"):  # a library that nothing else here needs, so an environment of its own may have it
    import_module("pillow_jxl")  # which makes Pillow know the format
    IMAGES["JPEG XL, lossless"] = {"format": "JXL", "lossless": True, "effort": 9}


@dataclass(frozen=True)
class Row:
    """One way of compressing one data set."""

    data: str
    method: str
    net: float | None  # bits per dimension
    elbo: float | None  # the same, -ELBO at the latents that were used
    gross: float
    encode: float  # megabytes of cells a second, the check not counted
    decode: float


def rate(content_bytes: int, x: np.ndarray) -> float:
    """Bits per dimension."""
    return 8 * content_bytes / x.size


def streams(data: str, x: np.ndarray) -> Iterator[Row]:
    """The general compressors."""
    plain = (np.packbits(x) if data == "binary" else x).tobytes()
    for name, (pack, unpack) in STREAMS.items():
        begun = time.perf_counter()
        content = pack(plain)
        packed = time.perf_counter()
        assert unpack(content) == plain
        speeds = x.size / 1e6 / (packed - begun), x.size / 1e6 / (time.perf_counter() - packed)
        yield Row(data, name, None, None, rate(len(content), x), *speeds)


def pictures(data: str, x: np.ndarray) -> Iterator[Row]:
    """The image formats, a file for each image; zeros and ones as one-bit PNG, and as black and white for WebP,
    which has no such mode.
    """
    for name, how in IMAGES.items():
        flat = [cells[0] if len(cells) == 1 else cells.transpose(1, 2, 0) for cells in x]
        shown = [Image.fromarray(cells * 255) if data == "binary" else Image.fromarray(cells) for cells in flat]
        if data == "binary" and how["format"] == "PNG":
            shown = [image.convert("1", dither=Image.Dither.NONE) for image in shown]
        begun, files = time.perf_counter(), []
        for image in shown:
            image.save(buffer := io.BytesIO(), **how)
            files.append(buffer.getvalue())
        packed = time.perf_counter()
        back = [
            np.asarray(Image.open(io.BytesIO(file)).convert(image.mode))
            for file, image in zip(files, shown, strict=True)
        ]
        seconds = time.perf_counter() - packed
        assert all(np.array_equal(one, np.asarray(image)) for one, image in zip(back, shown, strict=True))
        yield Row(
            data,
            name,
            None,
            None,
            rate(sum(map(len, files)), x),
            x.size / 1e6 / (packed - begun),
            x.size / 1e6 / seconds,
        )


def ours(data: str, x: np.ndarray, run: vael.Run, level: str, folder: Path) -> Row:
    """Vael at a level of care."""
    np.save(folder / "x.npy", x)
    file = folder / f"{data}-{level}.vael"
    done = archives.compress(run, folder / "x.npy", file, level=level)
    back = archives.decompress(run, file, folder / "back.npy")
    assert (folder / "back.npy").read_bytes() == (folder / "x.npy").read_bytes()
    assert not done.raw, done.raw
    megabytes = x.size / 1e6
    speeds = megabytes / done.encode_seconds, megabytes / back.seconds
    return Row(data, f"vael, {level}", done.net_bits_per_dim, done.elbo_bits_per_dim, done.gross_bits_per_dim, *speeds)


def bound(run: vael.Run, examples: int | None) -> float:
    """-ELBO of the test split in bits per dimension as `vael evaluate` computes it, which knows nothing of coding."""
    import torch

    source = run.split("test")[1]
    source = source.subset(torch.arange(examples)) if examples else source
    judged = evaluate(run.model, source, importance_samples=1)
    return -judged.elbo / np.log(2) / np.prod(source.event)


def shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


HEAD = (
    "| data | method | net | -ELBO there | gross (file) | encode MB/s | decode MB/s "
    "|\n|---|---|---:|---:|---:|---:|---:|"
)


def line(row: Row) -> str:
    """Markdown."""
    rates = " | ".join(
        (shown(row.net, 4), shown(row.elbo, 4), shown(row.gross, 4), shown(row.encode, 2), shown(row.decode, 2))
    )
    return f"| {TITLES[row.data]} | {row.method} | {rates} |"


def learned(data: str, given: Path | None, seconds: int, folder: Path) -> vael.Run:
    """The run that was given, or one of our own."""
    if given is not None:
        return vael.load(given)
    name, options = TRAINED[data]
    return vael.train(name, run=folder / data, time_limit=seconds, **options)


def measured(data: str, options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """All rows of a data set."""
    run = learned(data, getattr(options, data), options.time_limit, folder)
    x = archives.coding_of(run.spec).contents(run.model, None, run.split).array[: options.examples].astype(np.uint8)
    print(
        f"{TITLES[data]}: {len(x):,} images, -ELBO by `vael evaluate` {bound(run, options.examples):.4f} bits/dim",
        file=sys.stderr,
        flush=True,
    )
    for level in options.level:
        yield ours(data, x, run, level, folder)
    yield from streams(data, x)
    yield from pictures(data, x)


def tables(name: str, given: Path | None, options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Lines of Markdown for a table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from vael.domains.coding import ColumnCoding
    from vael.tables.writing import write_arrow, written_cells

    run = vael.load(given) if given else vael.train(name, run=folder / Path(name).stem, time_limit=options.time_limit)
    coding = archives.coding_of(run.spec)
    assert isinstance(coding, ColumnCoding), run.spec.data.name
    typed = coding.original(None, run.split).table.slice(0, options.examples)
    columns = coding.schema.columns
    text = {column.name: written_cells(column, typed.column(column.name).combine_chunks()) for column in columns}
    write_arrow(folder / "rows.csv", pa.table(text))
    pq.write_table(typed, folder / "rows.parquet", compression="zstd", compression_level=19)
    plain, rows, title = (
        (folder / "rows.csv").read_bytes(),
        typed.num_rows,
        f"{Path(name).stem}, {typed.num_rows:,} rows",
    )
    done = archives.compress(run, folder / "rows.csv", folder / "rows.vael")
    back = archives.decompress(run, folder / "rows.vael", folder / "back.csv")
    assert (folder / "back.csv").read_bytes() == plain
    assert not done.raw, done.raw
    net, elbo = done.cells * (done.net_bits_per_dim or 0), done.cells * (done.elbo_bits_per_dim or 0)
    speed = f"{len(plain) / 1e6 / done.encode_seconds:.2f} | {len(plain) / 1e6 / back.seconds:.2f}"
    yield f"| {title} | CSV | | | {8 * len(plain) / rows:.1f} | | | |"
    yield (
        f"| | vael, safe | {net:.2f} | {elbo:.2f} | {8 * len(done.content) / rows:.2f} | "
        f"{8 * done.beside_bytes / rows:.2f} | {speed} |"
    )
    for method, (pack, unpack) in STREAMS.items():
        begun = time.perf_counter()
        content = pack(plain)
        packed = time.perf_counter()
        assert unpack(content) == plain
        speed = f"{len(plain) / 1e6 / (packed - begun):.2f} | {len(plain) / 1e6 / (time.perf_counter() - packed):.1f}"
        yield f"| | {method} | | | {8 * len(content) / rows:.2f} | | {speed} |"
    yield f"| | Parquet, zstd -19 | | | {8 * (folder / 'rows.parquet').stat().st_size / rows:.2f} | | | |"


def tabulate(options: argparse.Namespace, folder: Path) -> None:
    """Measure tables and print."""
    names = (
        "table",
        "method",
        "net bits/row",
        "-ELBO there",
        "gross (file)",
        "of it beside",
        "encode MB/s",
        "decode MB/s",
    )
    print(f"| {' | '.join(names)} |\n|---|---|{'---:|' * 6}")
    for number, name in enumerate(options.tables):
        for row in tables(name, options.table[number] if number < len(options.table) else None, options, folder):
            print(row, flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(TRAINED), default=list(TRAINED))
    for name in TRAINED:
        parser.add_argument(f"--{name}", type=Path, help=f"a run that was trained on {TITLES[name]}")
    parser.add_argument("--level", nargs="+", default=["safe"], choices=["safe", "portable"])
    parser.add_argument("--examples", type=int)
    parser.add_argument("--time-limit", type=int, default=300)
    parser.add_argument(
        "--folder", type=Path, help="where runs that are trained here are kept; default a temporary one"
    )
    parser.add_argument("--tables", nargs="+", default=[], metavar="NAME_OR_FILE")
    parser.add_argument(
        "--table",
        nargs="+",
        default=[],
        type=Path,
        metavar="RUN",
        help="runs that were trained on them, in their order",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if options.tables:
            tabulate(options, folder)
            return
        print(HEAD, flush=True)
        rows = []
        for row in (row for data in options.data for row in measured(data, options, folder)):
            rows.append(row)
            print(line(row), flush=True)  # as it comes, so that an interruption costs the rest only
    print(json.dumps([asdict(row) for row in rows]))


if __name__ == "__main__":
    main()
