"""Compressing to a file and back: every block is decoded and compared before it counts, and goes raw where that
fails.
"""

from __future__ import annotations

import hashlib
import math
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from torch import nn

import vael
from vael.claims import refuse_claim
from vael.compression.bits_back import CodedExamples, decode, encode
from vael.compression.container import MOST_CELLS, BlockFacts, Header, Layout, checksum, facts_beside, pack, unpack
from vael.compression.contents import Contents, to_cells, to_original
from vael.compression.level import GivenLevels, Level
from vael.counting import Progress, counted
from vael.errors import FormatError, ShapeError, VaelError

BLOCK = 4096  # examples in a block, at most
FAILURES = (
    VaelError,
    ValueError,
    KeyError,
    OverflowError,
    RuntimeError,
)  # of a coder that is given bits of another model


@dataclass(frozen=True)
class Compressed:
    """A file, and what it took. Rates are bits per cell (dimension) of the examples."""

    content: bytes
    examples: int
    blocks: int
    raw: tuple[str, ...]  # for each block that went raw, why
    original_bytes: int
    net_bits_per_dim: (
        float | None
    )  # without the known bits that blocks start on; of the coded blocks, None where there are none
    elbo_bits_per_dim: float | None  # -ELBO at the latents that were used
    gross_bits_per_dim: float  # the file
    encode_seconds: float
    verify_seconds: float
    layout: Layout
    cells: int = 1  # of an example
    beside_bytes: int = 0  # of the file, what is kept beside the blocks


@dataclass(frozen=True)
class Decompressed:
    """What was compressed, checked against its checksums."""

    array: np.ndarray
    layout: Layout
    notes: tuple[str, ...]
    seconds: float
    beside: bytes = b""


@dataclass(frozen=True)
class _Block:
    facts: BlockFacts
    payload: bytes
    why: str  # it went raw, or nothing
    coded: CodedExamples | None
    encoded: float  # seconds
    verified: float
    cells: int  # of the data, without those of tiles that are outside of a picture


def fingerprint(model: nn.Module, spec: str = "") -> str:
    """SHA-256 of a model's weights by name, type, shape and bytes, and of what else says what it is."""
    digest = hashlib.sha256(spec.encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def coder() -> str:
    """Major and minor version of the entropy coder."""
    return ".".join(version("constriction").split(".")[:2])


def compress(
    level: Level | GivenLevels, contents: Contents, model: str, *, block: int = BLOCK, progress: Progress | None = None
) -> Compressed:
    """The examples as the content of a file; `model` is the fingerprint of the model that `level` was made of, or that
    the levels of each condition were.

    Every block is decoded and compared; one that differs, cannot be coded, or would be no smaller goes raw (deflated),
    with the reason. Errors: `ShapeError` for no examples or for a block below 1.
    """
    if not len(contents) or block < 1:
        raise ShapeError(
            f"{contents.name}: {counted(len(contents), 'example')} in blocks of {block}; expected at least 1 each"
        )
    given, done = level if isinstance(level, GivenLevels) else None, _coded(level, contents, block, progress)
    level = level if isinstance(level, Level) else level.at(level.conditions[0])
    header = Header(
        vael=vael.__version__,
        constriction=coder(),
        model=model,
        level=level.name,
        settings=dict(level.settings),
        build=dict(level.build),
        cells=level.cells,
        levels=level.levels,
        layout=contents.layout,
        beside=facts_beside(contents.beside),
        conditions=() if given is None else given.conditions,
        given=() if given is None else given.given,
        blocks=tuple(part.facts for part in done),
    )
    return _summary(pack(header, [part.payload for part in done], contents.beside), contents, level, done)


def _coded(level: Level | GivenLevels, contents: Contents, block: int, progress: Progress | None) -> list[_Block]:
    """The blocks of all examples."""
    done, ready, count = [], 0, len(contents)
    if progress:
        progress(0, count)  # what comes before the first block is no measure of the blocks
    for one, rows in level.parts(count) if isinstance(level, GivenLevels) else [(level, np.arange(count))]:
        size = max(1, min(block, MOST_CELLS // one.cells))
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            done.append(_compressed(one, contents.array[some], contents.layout))
            ready += len(some)
            if progress:
                progress(ready, count)
    return done


def _compressed(level: Level, array: np.ndarray, layout: Layout) -> _Block:
    """A block, coded if it can be."""
    begun = time.perf_counter()
    plain = np.ascontiguousarray(array).tobytes()
    coded, why, encoded = _tried(level, array, layout)
    raw = zlib.compress(plain, 6)
    if coded is not None and 4 * len(coded.words) >= len(raw):
        coded, why = None, "coded, they were no smaller than deflated"
    payload = raw if coded is None else coded.words.astype("<u4").tobytes()
    facts = BlockFacts(
        examples=len(array),
        coded=coded is not None,
        size=len(payload),
        stored=checksum(payload),
        decoded=checksum(plain),
        kept=0 if coded is None else coded.kept,
        groups=() if coded is None else coded.groups,
    )
    return _Block(
        facts,
        payload,
        why,
        coded,
        encoded,
        time.perf_counter() - begun - encoded,
        int((array >= 0).sum()) if layout.kind == "pictures" else level.cells * len(array),
    )


def _tried(level: Level, array: np.ndarray, layout: Layout) -> tuple[CodedExamples | None, str, float]:
    """A block coded, decoded and compared, and the seconds that coding took; or why it cannot be."""
    begun = time.perf_counter()
    try:
        cells = to_cells(array, layout, level.levels)
        coded = encode(level, cells)
        encoded = time.perf_counter() - begun
        if np.array_equal(decode(level, coded.words, coded.kept, coded.groups), cells):
            return coded, "", encoded
        return None, "decoded, they were not what was encoded", encoded
    except FAILURES as error:
        return None, str(error), time.perf_counter() - begun


def _summary(content: bytes, contents: Contents, level: Level, done: list[_Block]) -> Compressed:
    coded = [part.coded for part in done if part.coded is not None]
    dims = sum(part.cells for part in done if part.coded is not None)
    return Compressed(
        content=content,
        examples=len(contents),
        blocks=len(done),
        raw=tuple(part.why for part in done if part.why),
        original_bytes=contents.array.nbytes if contents.original_bytes is None else contents.original_bytes,
        net_bits_per_dim=sum(part.net for part in coded) / dims if dims else None,
        elbo_bits_per_dim=sum(part.ideal for part in coded) / math.log(2) / dims if dims else None,
        gross_bits_per_dim=8 * len(content) / sum(part.cells for part in done),
        encode_seconds=sum(part.encoded for part in done),
        verify_seconds=sum(part.verified for part in done),
        layout=contents.layout,
        cells=level.cells,
        beside_bytes=len(contents.beside),
    )


def decompress(
    content: bytes,
    name: str,
    model: str,
    level_of: Callable[[Header], Level | GivenLevels],
    *,
    progress: Progress | None = None,
) -> Decompressed:
    """What a file holds. `level_of` makes the level that the header names from the model with the fingerprint `model`.

    Errors: `FormatError` for a file that is damaged, cut short, of another format or another coder, for another model,
    and where what is decoded is not what was encoded: nothing that is wrong is ever given back.
    """
    begun = time.perf_counter()
    header, payloads, beside = unpack(content, name)
    levels, level = _fitting(header, name, model, level_of)
    differs = differences(header.build, level.build)
    refuse_claim(header.layout.shape[0] * header.layout.example_bytes, name, "what it holds")
    kind, event = np.dtype(header.layout.dtype), header.layout.shape[1:]
    parts: list[np.ndarray] = []  # memory grows with what was found to be right, not with what the header says
    first = 0
    of_blocks = levels.of_blocks([one.examples for one in header.blocks]) if isinstance(levels, GivenLevels) else ()
    if progress:
        progress(0, header.layout.shape[0])
    for number, (facts, payload) in enumerate(zip(header.blocks, payloads, strict=True), 1):
        level = next(of_blocks, level) if of_blocks else level
        plain = _plain(facts, payload, level, header.layout)
        if plain is None:
            raise FormatError(_mismatch(name, f"block {number} of {len(payloads)}", differs))
        parts.append(np.frombuffer(plain, kind).reshape(facts.examples, *event))
        first += facts.examples
        if progress:
            progress(first, header.layout.shape[0])
    whole = np.concatenate(parts, dtype=kind) if parts else np.empty(header.layout.shape, kind)
    if isinstance(levels, GivenLevels):
        coded, whole = whole, np.empty_like(whole)
        whole[levels.order(len(coded))] = coded
    notes = (f"written elsewhere ({differs}), but every block was checked and is exact",) if differs else ()
    notes = (*notes, *((header.layout.note,) if header.layout.note else ()))
    return Decompressed(whole, header.layout, notes, time.perf_counter() - begun, beside)


def _fitting(
    header: Header, name: str, model: str, level_of: Callable[[Header], Level | GivenLevels]
) -> tuple[Level | GivenLevels, Level]:
    """The level that a header names, or those of each condition, and the first one.

    Errors: `FormatError` for another model, another coder or sizes that do not fit.
    """
    if header.model != model:
        raise FormatError(
            f"{name} was compressed with another model (fingerprint {header.model[:12]}…, this one has {model[:12]}…); "
            "give the run that it was "
            "compressed with, unchanged"
        )
    if header.constriction != coder():
        raise FormatError(
            f"{name} was written with constriction {header.constriction}, but {coder()} is installed; install "
            f"{header.constriction}"
        )
    try:
        levels = level_of(header)
        level = levels if isinstance(levels, Level) else levels.at(levels.conditions[0])
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, RuntimeError) as error:
        raise FormatError(
            f"{name} has settings that no level of compression has ({error}); it was not written by `vael compress`"
        ) from error
    if (level.cells, level.levels) != (header.cells, header.levels) or math.prod(
        header.layout.shape[1:]
    ) != level.cells:
        raise FormatError(
            f"{name} says {counted(header.cells, 'cell')} of {counted(header.levels, 'level')}, but the model has "
            f"{level.cells} of "
            f"{level.levels}; it was not written by "
            "`vael compress`"
        )
    return levels, level


def _plain(facts: BlockFacts, payload: bytes, level: Level, layout: Layout) -> bytes | None:
    """The bytes that a block stands for, or None if they do not come out right."""
    size = facts.examples * layout.example_bytes
    try:
        if facts.coded:
            words = np.frombuffer(payload, "<u4").astype(np.uint32)
            cells = decode(level, words, facts.kept, facts.groups)
            plain = to_original(cells, layout.shape[1:], layout).tobytes()
        else:
            plain = zlib.decompressobj().decompress(payload, size + 1)
    except (*FAILURES, zlib.error):
        return None
    return plain if len(plain) == size and checksum(plain) == facts.decoded else None


def differences(written: Mapping[str, str], here: Mapping[str, str]) -> str:
    """What is another way here than where a file was written, in words; empty where nothing is."""
    return ", ".join(
        f"{what} was {written.get(what, 'unknown')} (here {here.get(what, 'unknown')})"
        for what in sorted({*written, *here})
        if written.get(what) != here.get(what)
    )


def _mismatch(name: str, where: str, differs: str) -> str:
    said = f"{name}, {where}: what is decoded is not what was encoded, so nothing is written"
    if differs:
        return (
            f"{said}. When it was written, {differs}; the level safe needs the same build: decompress there, or "
            "compress again (--level portable)"
        )
    return (
        f"{said}, though the file is whole and was written by a build like this one; try again, and if it fails again, "
        "please report it"
    )
