"""`vael compress` and `vael decompress`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from vael.cli.drawing.conditioning import asked
from vael.cli.expecting import Expecting
from vael.cli.options.parser import UsageError
from vael.cli.options.shared import ResultOptions
from vael.cli.options.using import CompressOptions, DecompressOptions
from vael.cli.results import loaded
from vael.cli.telling import CountingLine, answer, said
from vael.compression import Compressed
from vael.counting import counted
from vael.specs import archives


def compress(options: CompressOptions) -> int:
    """Data to a file."""
    target = wanted(options)
    with Expecting("Compressing", silent=options.json, line=CountingLine("compressed and compared", 10.0)) as time:
        run = loaded(options)
        condition = run.spec.data.condition
        where = asked(() if condition is None else condition.names, options.where)
        done = archives.compress(run, options.data, target, level=options.level, where=where, progress=time.tell)
    return said(options.json, as_json(done, target), *told(done, target), say=answer)


def decompress(options: DecompressOptions) -> int:
    """A file to data."""
    target = wanted(options)
    with Expecting("Decompressing", silent=options.json, line=CountingLine("decompressed and checked", 10.0)) as time:
        done = archives.decompress(loaded(options), options.file, target, progress=time.tell)
    speed = done.array.nbytes / 1e6 / done.seconds
    pictures = counted(len(done.layout.names), "picture")
    named = {
        "images": "images",
        "pictures": f"tiles of {pictures}",
        "table": f"rows of {done.array.shape[-1]} modelled columns",
    }
    what = named.get(done.layout.kind) or f"examples, {done.array.dtype} {' × '.join(map(str, done.array.shape))}"
    facts = {"file": str(target), "kind": done.layout.kind, "shape": done.array.shape, "dtype": str(done.array.dtype)}
    return said(
        options.json,
        {**facts, "notes": done.notes, "seconds": done.seconds, "megabytes_per_second": speed},
        f"{target}: {len(done.array):,} {what}, every block checked, {speed:.2f} MB/s",
        *(f"note: {note}" for note in done.notes),
    )


def wanted(options: ResultOptions) -> Path:
    """Where it goes. Errors: `UsageError` where nothing was said."""
    if options.output is None:
        raise UsageError("-o FILE is missing: say where the result goes")
    return options.output


def rates(done: Compressed) -> dict[str, float | None]:
    """Megabytes of the original a second, and the ratio."""
    megabytes = done.original_bytes / 1e6
    return {
        "encode_megabytes_per_second": megabytes / done.encode_seconds if done.encode_seconds else None,
        "verify_megabytes_per_second": megabytes / done.verify_seconds if done.verify_seconds else None,
    }


def as_json(done: Compressed, target: Path) -> dict[str, object]:
    """Everything but the content."""
    facts = {name: value for name, value in vars(done).items() if name not in ("content", "raw", "layout")}
    return {
        "file": str(target),
        "bytes": len(done.content),
        **facts,
        "note": done.layout.note,
        "raw_blocks": len(done.raw),
        "raw_reasons": sorted(set(done.raw)),
        **rates(done),
    }


def told(done: Compressed, target: Path) -> list[str]:
    """What a person wants to know."""
    size, speed = len(done.content), rates(done)
    what = {"table": "rows", "pictures": "tiles"}.get(done.layout.kind, "examples")
    lines = [
        f"{target}: {done.examples:,} {what}, {done.original_bytes:,} bytes -> {size:,} bytes "
        f"({done.original_bytes / size:.2f} times smaller)"
    ]
    if done.net_bits_per_dim is not None and done.elbo_bits_per_dim is not None:
        off = f"{done.net_bits_per_dim / done.elbo_bits_per_dim - 1:+.2%}" if done.elbo_bits_per_dim else "nothing"
        lines += [
            f"  net rate    {rate(done.net_bits_per_dim, done)}, what the {what} add",
            f"  -ELBO       {rate(done.elbo_bits_per_dim, done)}, what they would at best; the coder is {off} off",
        ]
    lines.append(
        f"  gross rate  {rate(done.gross_bits_per_dim, done)}, the whole file with first bits, checksums and header"
    )
    if done.beside_bytes:
        lines.append(
            f"  beside      {done.beside_bytes:,} bytes of the file: columns and cells that are not coded, and how the "
            "table was written"
        )
    speeds = (
        f"{speed['encode_megabytes_per_second']:.2f} MB/s, decoded and compared at "
        f"{speed['verify_megabytes_per_second']:.2f} MB/s"
    )
    lines.append(f"  speed       {speeds}; {counted(done.blocks, 'block')}, each compared with the original")
    lines += [
        f"  note        {count} of {done.blocks} blocks went raw: {why}" for why, count in Counter(done.raw).items()
    ]
    return [*lines, *([f"  note        {done.layout.note}"] if done.layout.note else [])]


def rate(bits_per_dim: float, done: Compressed) -> str:
    """Bits of a cell, and of tables those of a row."""
    if done.layout.kind != "table":
        return f"{bits_per_dim:.4f} bits/dim"
    return f"{bits_per_dim * done.cells:.2f} bits/row, {bits_per_dim:.4f} bits/cell"
