"""Tables as text: from bytes to cells and back to the same bytes, compressed or not."""

from vael.tables.as_text.compressed import content, plain_name
from vael.tables.as_text.naming import MISSING, check_names
from vael.tables.as_text.output import CellFile, RowFile, cell_file, row_file
from vael.tables.as_text.text import TEXT, Ragged, TextLayout, read_text, text_table

__all__ = [
    "MISSING",
    "TEXT",
    "CellFile",
    "Ragged",
    "RowFile",
    "TextLayout",
    "cell_file",
    "check_names",
    "content",
    "plain_name",
    "read_text",
    "row_file",
    "text_table",
]
