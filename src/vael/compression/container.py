"""The file: what it says of itself, blocks, and checksums of everything, so that damage is found and named before
anything is decoded.

| bytes | what |
|---|---|
| 8 | `89 56 41 45 4c 0d 0a 1a`: no text, and spoilt by whatever changes the ends of lines |
| 2 | format version |
| 4 | length of the header |
| ... | header: JSON, deflated |
| 16 | start of the SHA-256 of all bytes before |
| ... | what is kept beside the blocks of a table, as long as the header says |
| ... | blocks, one after another, as long as the header says |
| 32 | SHA-256 of all bytes before |

Whole numbers are little-endian, words of coded blocks too.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vael.counting import counted
from vael.errors import FormatError

MAGIC, VERSION = b"\x89VAEL\r\n\x1a", 1
FRONT = struct.Struct("<8sHI")
SHORT, LONG = 16, 32  # bytes of checksums
LARGEST_HEADER = 1 << 28

MOST = (1 << 63) - 1  # that any whole number of a header may be
MOST_AXES = 32
MOST_CONDITIONS = 1000  # of a conditional model, in a file
MOST_CELLS = 1 << 24  # in a block: what `vael compress` puts into one, at most
DEFLATED = 1032  # bytes that one byte of deflated content can stand for, at most

Count = Annotated[int, Field(ge=0, le=MOST)]
Several = Annotated[int, Field(ge=1, le=MOST)]


class ArchiveSection(BaseModel):
    """Base of all parts of a header: fixed once made, and nothing in it that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Layout(ArchiveSection):
    """What was compressed, and how the cells of a model become it again."""

    kind: Literal["array", "images", "table", "pictures"]
    dtype: str
    shape: tuple[Count, ...]  # of the whole, examples first
    factor: Several = 1  # that a cell is multiplied by
    channels_last: bool = False
    names: tuple[str, ...] = ()  # of images and pictures, as paths in their folder
    sizes: tuple[tuple[Several, Several], ...] = ()  # of pictures that were cut into tiles: height and width
    tile: tuple[Several, ...] = ()  # channels, height and width of a tile
    note: str = ""  # what of the original is not in the file
    gaps: tuple[
        tuple[Count, ...], ...
    ] = ()  # of a table, how often each state of a cell followed each (`column_laws.count_states`)

    @model_validator(mode="after")
    def _known(self) -> Layout:
        """Only cells that are plain numbers, in shapes that such contents have."""
        kind = np.dtype(self.dtype)
        plain = kind.kind in "buif" and 1 <= kind.itemsize <= 16 and kind.subdtype is None
        if not plain or kind.str != self.dtype:  # NumPy reads a type from many words, of which only one is written here
            raise ValueError("cells that are no numbers")
        axes = {"table": {2}, "images": {4}, "pictures": {2}}.get(self.kind, set(range(1, MOST_AXES + 1)))
        if len(self.shape) not in axes or (self.channels_last and len(self.shape) != 4):
            raise ValueError("a shape that such contents do not have")
        if self.kind == "table" and kind != np.dtype("<i4"):
            raise ValueError("a table whose symbols are no whole numbers")
        if self.kind == "images" and (kind != np.dtype("u1") or self.shape[1] not in (1, 3)):
            raise ValueError("images that are neither grey nor in colour")
        if self.kind == "pictures":
            self._refuse_other_tiles()
        return self

    def _refuse_other_tiles(self) -> None:
        if len(self.tile) != 3 or math.prod(self.tile) != self.shape[1] or self.tile[0] not in (1, 3):
            raise ValueError("tiles that are neither grey nor in colour, or of another size than they say")
        tiles = sum(-(-height // self.tile[1]) * -(-width // self.tile[2]) for height, width in self.sizes)
        if len(self.names) != len(self.sizes) or tiles != self.shape[0] or np.dtype(self.dtype) != np.dtype("<i2"):
            raise ValueError("not one name and all tiles for each picture")

    @property
    def example_bytes(self) -> int:
        """Bytes of one example."""
        return math.prod(self.shape[1:]) * np.dtype(self.dtype).itemsize


class BlockFacts(ArchiveSection):
    """A block: whether it was coded or goes raw, how long it is, and checksums of what is stored and of what it
    stands for.
    """

    examples: Several
    coded: bool
    size: Count
    stored: str
    decoded: str
    kept: Count = 0
    groups: tuple[Several, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> BlockFacts:
        if self.coded and (sum(self.groups) != self.examples or self.size % 4):
            raise ValueError("a coded block whose groups do not add up")
        return self


class BesideFacts(ArchiveSection):
    """What is kept beside the blocks: how long it is, and its checksum."""

    size: Count = 0
    stored: str = ""


class Header(ArchiveSection):
    """Everything that a decoder must know before it begins."""

    vael: str
    constriction: str  # major and minor version: the coder's arithmetic is part of the format
    model: str  # fingerprint
    level: str
    settings: dict[str, int]
    build: dict[str, str]
    cells: Several
    levels: Several
    layout: Layout
    beside: BesideFacts = BesideFacts()
    # of a conditional model: the conditions that there are, and the number of each example's; none for all the first
    conditions: Annotated[tuple[tuple[float, ...], ...], Field(max_length=MOST_CONDITIONS)] = ()
    given: tuple[Count, ...] = ()
    blocks: tuple[BlockFacts, ...]

    @model_validator(mode="after")
    def _conditioned(self) -> Header:
        if self.given and (len(self.given) != self.layout.shape[0] or max(self.given) >= len(self.conditions)):
            raise ValueError("not one of the conditions for each example")
        return self

    @model_validator(mode="after")
    def _whole(self) -> Header:
        if not self.layout.shape or sum(block.examples for block in self.blocks) != self.layout.shape[0]:
            raise ValueError("blocks that do not add up to the examples")
        for block in self.blocks:
            if (block.examples - 1) * self.cells >= MOST_CELLS:
                raise ValueError("a block with more cells than blocks have")
            if not block.coded and block.examples * self.layout.example_bytes > DEFLATED * block.size:
                raise ValueError("a block that stands for more bytes than it can")
        if self.layout.kind == "images" and len(self.layout.names) != self.layout.shape[0]:
            raise ValueError("not one name for each image")
        return self


def checksum(content: bytes) -> str:
    """The start of the SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()[: 2 * SHORT]


def facts_beside(beside: bytes) -> BesideFacts:
    """What the header says of it."""
    return BesideFacts(size=len(beside), stored=checksum(beside)) if beside else BesideFacts()


def pack(header: Header, payloads: list[bytes], beside: bytes = b"") -> bytes:
    """The whole file; `beside` is what the header says of it."""
    told = zlib.compress(header.model_dump_json(exclude_defaults=True).encode(), 9)
    front = FRONT.pack(MAGIC, VERSION, len(told)) + told
    body = b"".join([front, hashlib.sha256(front).digest()[:SHORT], beside, *payloads])
    return body + hashlib.sha256(body).digest()


def unpack(content: bytes, name: str) -> tuple[Header, list[bytes], bytes]:
    """Header, blocks and what is beside them of a file that is whole.

    Errors: `FormatError` for any other, which names what is wrong and where.
    """
    header, start = _header(content, name)
    first = start + header.beside.size
    end = first + sum(block.size for block in header.blocks) + LONG
    if len(content) < end:
        raise FormatError(
            f"{name} is cut short: it has {counted(len(content), 'byte')} and should have {end:,}; copy or fetch it "
            "again"
        )
    if len(content) > end:
        raise FormatError(
            f"{name} has {counted(len(content) - end, 'byte')} after its end; something was added to it: copy or "
            "fetch it again"
        )
    beside = content[start:first]
    if beside and checksum(beside) != header.beside.stored:
        raise FormatError(
            f"{name} is damaged in what stands beside the blocks: its checksum does not fit; copy or fetch it again"
        )
    payloads = _payloads(header, content, first, name)
    if hashlib.sha256(content[:-LONG]).digest() != content[-LONG:]:
        raise FormatError(f"{name} is damaged: the checksum of the whole file does not fit; copy or fetch it again")
    return header, payloads, beside


def _header(content: bytes, name: str) -> tuple[Header, int]:
    """The header, and where the blocks begin."""
    if content[: len(MAGIC)] != MAGIC[: len(content)]:
        raise FormatError(f"{name} is not a file that `vael compress` wrote, or its first bytes are damaged")
    if len(content) < FRONT.size:
        raise FormatError(f"{name} is cut short: it has only {counted(len(content), 'byte')}; copy or fetch it again")
    _, version, length = FRONT.unpack_from(content)
    if version != VERSION:
        raise FormatError(
            f"{name} says that it has format version {version}, but this vael reads {VERSION}; use the vael that wrote "
            "it"
        )
    front = content[: FRONT.size + length]
    start = len(front) + SHORT
    if len(content) < FRONT.size + length + SHORT:
        raise FormatError(
            f"{name} is cut short within its header, or its length there is damaged; copy or fetch it again"
        )
    if hashlib.sha256(front).digest()[:SHORT] != content[len(front) : start]:
        raise FormatError(f"{name} is damaged: the checksum of its header does not fit; copy or fetch it again")
    return _parsed(front[FRONT.size :], name), start


def _parsed(told: bytes, name: str) -> Header:
    """A header whose checksum fits; what does not parse all the same was not written by this program."""
    try:
        opened = zlib.decompressobj()
        text = opened.decompress(told, LARGEST_HEADER)
        if not opened.eof or opened.unused_data:
            raise ValueError("it is too long, or not whole")
        return Header.model_validate_json(text)
    except (zlib.error, ValidationError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise FormatError(
            f"{name} has a header that does not parse ({type(error).__name__}); it was not written by `vael compress`"
        ) from error


def _payloads(header: Header, content: bytes, start: int, name: str) -> list[bytes]:
    found, first = [], 1
    for number, block in enumerate(header.blocks, 1):
        payload = content[start : start + block.size]
        if checksum(payload) != block.stored:
            raise FormatError(
                f"{name} is damaged in block {number} of {len(header.blocks)} (examples {first:,} to "
                f"{first + block.examples - 1:,}): its checksum "
                "does not fit; copy or fetch it again"
            )
        found.append(payload)
        start, first = start + block.size, first + block.examples
    return found
