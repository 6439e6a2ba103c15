"""What stands beside the symbols of a table, in one piece: columns and single cells as Arrow streams, and how the table
was written.

Nothing of it is believed: sizes are bounded before memory is taken, and every column is validated in full before a cell
of it is looked at.
"""

from __future__ import annotations

import io
import lzma
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from vael.claims import parsing, refuse_claim
from vael.compression.container import MOST
from vael.compression.tabular.text_form import NumberForm, TextForm
from vael.counting import counted
from vael.errors import FormatError

LENGTH = struct.Struct("<I")
MOST_BESIDE = 1 << 31  # bytes, unpacked
PACKER = 1 << 27  # bytes that unpacking itself may take: the preset that is written with needs half
AT_ONCE = 1 << 24
BATCH, COMPRESSION = (
    3,
    3,
    # of the messages of an Arrow stream, the kind of a batch of rows; of its fields, the one that says how it is
    # compressed
)

Row = Annotated[int, Field(ge=0, le=MOST)]
Whole = Annotated[int, Field(ge=-MOST, le=MOST)]


class ColumnForm(BaseModel):
    """How the cells of a column that the model knows are written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    place: Row  # among all columns of the table
    number: NumberForm = NumberForm.SHORT
    grouped: bool = False  # whether thousands are marked
    absent: Annotated[str, Field(max_length=1000)] | None = None  # what stands for a missing cell in text
    others: Row = 0  # cells that stand beside, one by one


class BesideForm(BaseModel):
    """What stands beside the symbols, before the columns and cells themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: Row
    columns: tuple[ColumnForm, ...]  # in the order of the model's
    counters: dict[str, Whole] = {}  # columns that count the rows, and from where
    whole: tuple[str, ...] = ()  # columns that the model does not know
    layout: tuple[str, bool, str] | None = None  # of a text file
    text: TextForm | None = None
    digest: str = ""  # SHA-256 of the text file, where `text` gives its bytes back


@dataclass(frozen=True)
class Beside:
    """What stands beside, opened: `whole` are the columns that the model does not know, `cells` the cells of each
    column that has others.
    """

    told: BesideForm
    schema: pa.Schema
    whole: pa.Table
    cells: Iterator[pa.Table]


def packed(told: BesideForm, tables: list[pa.Table]) -> bytes:
    """What stands beside, in one piece. Errors: `FormatError` for more than can be read back."""
    text = told.model_dump_json(exclude_defaults=True).encode()
    streams = io.BytesIO()
    for table in tables:
        with pa.ipc.new_stream(streams, table.schema.remove_metadata()) as writer:
            writer.write_table(table.combine_chunks())
    size = LENGTH.size + len(text) + streams.tell()
    if size > MOST_BESIDE:
        raise FormatError(
            f"the columns and cells that are not coded take {size:,} bytes, and at most {MOST_BESIDE:,} can be kept; "
            "leave columns out, or compress "
            "the table in parts"
        )
    return lzma.compress(LENGTH.pack(len(text)) + text + streams.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def unpacked(beside: bytes, name: str, rows: int) -> Beside:
    """What stands beside `rows` coded rows. Errors: `FormatError` for what this program did not write."""
    with parsing(
        name,
        "is no whole file of `vael compress` in what stands beside its blocks",
        "another program wrote it, or it is damaged",
    ):
        plain = _plain(beside, name)
        (length,) = LENGTH.unpack_from(plain)
        told = BesideForm.model_validate_json(plain[LENGTH.size : LENGTH.size + length])
        if told.rows != rows:
            raise FormatError(
                f"{name}: data for {counted(told.rows, 'row')} stand beside {rows:,} that are coded; another "
                "program wrote the file"
            )
        stream = pa.BufferReader(plain[LENGTH.size + length :])
        others = [column.others for column in told.columns if column.others]
        schema, whole, *cells = [_table(stream, name, count) for count in (0, rows if told.whole else None, *others)]
        if len(set(schema.column_names)) < schema.num_columns or tuple(whole.column_names) != told.whole:
            raise FormatError(
                f"{name} has columns beside its blocks that are not those it lists; another program wrote the file"
            )
        return Beside(told, schema.schema, whole, iter(cells))


def _plain(beside: bytes, name: str) -> bytes:
    """Unpacked, a piece at a time, to a size that can be had."""
    opened, parts, size = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=PACKER), [], 0
    while not opened.eof:
        part = opened.decompress(beside, AT_ONCE)
        beside = b""
        size += len(part)
        if not part and opened.needs_input:
            raise EOFError("it is cut short")
        if size > MOST_BESIDE:
            raise FormatError(
                f"{name} unpacks to more than {MOST_BESIDE:,} bytes beside its blocks; it is made to harm"
            )
        refuse_claim(size, name, "what stands beside its blocks")
        parts.append(part)
    if opened.unused_data:
        raise ValueError("there is more after its end")
    return b"".join(parts)


def _table(stream: pa.BufferReader, name: str, rows: int | None) -> pa.Table:
    """The next table of a stream, every buffer of it validated; `rows` is how many it must have, None for any
    number in no columns.
    """
    begin = stream.tell()
    _refuse_packed(stream, name)
    stream.seek(begin)
    reader = pa.ipc.open_stream(stream)
    table = pa.Table.from_batches(list(reader), schema=reader.schema)
    if rows is not None and table.num_rows != rows:
        raise FormatError(
            f"{name}: columns of {counted(table.num_rows, 'cell')} stand beside where {rows:,} are announced; another "
            "program wrote the file"
        )
    table.validate(full=True)
    odd = next((field for field in table.schema if re.search("view|run_end", str(field.type))), None)
    if odd is not None:
        raise FormatError(
            f"{name} has a column of {odd.type} beside its blocks, as which none is written; another program wrote the "
            "file"
        )
    return table


def _refuse_packed(stream: pa.BufferReader, name: str) -> None:
    """Errors: `FormatError` for batches that are compressed once more, which would unpack to whatever size they
    say: none is written so.
    """
    for message in pa.ipc.MessageReader.open_stream(stream):
        metadata = message.metadata.to_pybytes()
        if message.type in ("record batch", "dictionary") and _is_packed(
            metadata, dictionary=message.type == "dictionary"
        ):
            raise FormatError(
                f"{name} has columns that are compressed once more beside its blocks; another program wrote the file"
            )


def _is_packed(metadata: bytes, dictionary: bool) -> bool:
    """Whether a message holds a compressed batch, by the fields of the flatbuffer (`Message.header`,
    `DictionaryBatch.data`, `RecordBatch`).
    """
    (root,) = struct.unpack_from("<I", metadata)
    batch = _follow(metadata, root, 2)
    batch = _follow(metadata, batch, 1) if dictionary and batch else batch
    return bool(batch and _field(metadata, batch, COMPRESSION))


def _field(metadata: bytes, table: int, number: int) -> int:
    """Where a field of a table lies, 0 where it has none."""
    (back,) = struct.unpack_from("<i", metadata, table)
    fields = table - back
    (size,) = struct.unpack_from("<H", metadata, fields)
    place = 4 + 2 * number
    (offset,) = struct.unpack_from("<H", metadata, fields + place) if place + 2 <= size else (0,)
    return table + offset if offset else 0


def _follow(metadata: bytes, table: int, number: int) -> int:
    """The table that a field of a table points to, 0 where it has none."""
    place = _field(metadata, table, number)
    return place + struct.unpack_from("<I", metadata, place)[0] if place else 0
