"""How a table was written as text, so that the same bytes can be written again: marks, quotes, ends of lines, forms
of numbers.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from vael.tables import columnwise as pc
from vael.tables.as_text.text import TextLayout

TRIED = 20  # rows by which the form of a file is told


class NumberForm(Enum):
    """How numbers of a column are written."""

    SHORT = "short"  # 1.50 as 1.5 and 2.00 as 2
    PADDED = "padded"  # as many decimals as the column has
    POINT = "point"  # 1.50 as 1.5 and 2.00 as 2.0
    SHORT_COMMA = "short comma"  # the first two with a decimal comma
    PADDED_COMMA = "padded comma"


def in_form(value: float, decimals: int, form: NumberForm) -> str:
    """A number as it is written."""
    text = f"{value:.{decimals}f}"
    if form in (NumberForm.SHORT, NumberForm.POINT, NumberForm.SHORT_COMMA) and decimals:
        text = text.rstrip("0").rstrip(".")
    text = "0" + text[2:] if text in ("-0",) else text
    if form is NumberForm.POINT and "." not in text:
        text += ".0"
    return text.replace(".", ",") if form in (NumberForm.SHORT_COMMA, NumberForm.PADDED_COMMA) else text


class Quotes(Enum):
    """Which cells stand in quotes, beside those that cannot do without."""

    NEEDED = "needed"
    THERE = "texts there"  # texts that are not missing
    TEXTS = "texts"
    ALL = "all"


class TextForm(BaseModel):
    """The bytes around the cells of a text file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mark: Annotated[str, Field(min_length=1, max_length=1)]
    pad: Annotated[str, Field(max_length=1)]  # after a mark
    quotes: Quotes
    end: Annotated[str, Field(min_length=1, max_length=2)]  # of a line
    tail: str  # after the last row
    head: str  # the line of names as it stands, with its end; empty where there is none
    encoding: Annotated[str, Field(max_length=40)]
    odd: dict[Annotated[int, Field(ge=0)], str] = {}  # lines that are written otherwise than the others

    def content(self, rows: Iterable[Sequence[str]], texts: Sequence[bool]) -> bytes:
        """The whole file; `texts` says which columns are no numbers."""
        lines = self.lines(rows, texts)
        for place, line in self.odd.items():
            lines[place] = line
        return encoded(self.head + self.end.join(lines) + self.tail, self.encoding)

    def lines(self, rows: Iterable[Sequence[str]], texts: Sequence[bool]) -> list[str]:
        """The rows as most of them are written."""
        between, quoted = self.mark + self.pad, self._quoting(texts, frozenset({"", "NA"}))
        return [between.join(quoted(row)) for row in rows]

    def _quoting(self, texts: Sequence[bool], absent: frozenset[str]) -> Callable[[Sequence[str]], Iterable[str]]:
        needs = re.compile('["\r\n' + re.escape(self.mark) + "]")

        def cell(text: str, is_text: bool) -> str:
            wanted = self.quotes is Quotes.ALL or (
                is_text and (self.quotes is Quotes.TEXTS or (self.quotes is Quotes.THERE and text not in absent))
            )
            return '"' + text.replace('"', '""') + '"' if wanted or needs.search(text) else text

        return lambda row: map(cell, row, texts)


def encoded(text: str, encoding: str) -> bytes:
    """As `vael.tables.as_text.text.decoded` undoes it."""
    return codecs.BOM_UTF16_LE + text.encode("utf-16-le") if encoding == "utf-16" else text.encode(encoding)


def text_form(raw: bytes, layout: TextLayout, rows: Sequence[Sequence[str]], texts: Sequence[bool]) -> TextForm | None:
    """The form in which the file comes out as it stands, with the lines that are written in another one; None where
    lines are not rows.
    """
    try:
        text = raw.decode(layout.encoding)
    except UnicodeDecodeError:
        return None
    end = "\r\n" if "\r\n" in text else "\n" if "\n" in text else "\r"
    head, _, rest = text.partition(end) if layout.named else ("", "", text)
    body = rest.rstrip("\r\n")
    tried = [
        TextForm(
            mark=layout.mark,
            pad=pad,
            quotes=quotes,
            end=end,
            tail=rest[len(body) :],
            head=head + end if layout.named else "",
            encoding=layout.encoding,
        )
        for quotes, pad in itertools.product(Quotes, ("", " "))
    ]
    first = [body.startswith(end.join(form.lines(rows[:TRIED], texts))) for form in tried]
    alike = [len(set(form.lines(rows[:TRIED], texts)) & set(body.split(end, TRIED)[:TRIED])) for form in tried]
    form = tried[first.index(True) if any(first) else alike.index(max(alike))]
    lines, made = body.split(end), form.lines(rows, texts)
    if end.join(made) != body and len(made) == len(lines):
        form = form.model_copy(
            update={
                "odd": {place: line for place, (line, own) in enumerate(zip(lines, made, strict=True)) if line != own}
            }
        )
    return form if form.content(rows, texts) == raw else None


def number_form(values: np.ndarray, cells: pa.ChunkedArray, decimals: int) -> NumberForm:
    """The form in which most of the first cells are written; NaN where there is no number."""
    known = np.flatnonzero(~np.isnan(values))[:1000]
    shown = [str(cells[int(row)].as_py()) for row in known]
    hits = {
        form: sum(in_form(values[row], decimals, form) == text for row, text in zip(known, shown, strict=True))
        for form in NumberForm
    }
    return max(hits, key=lambda form: hits[form])


def commonest(cells: pa.ChunkedArray) -> str | None:
    """The text that most cells have."""
    counted = pc.value_counts(cells.drop_null()) if len(cells) else ()
    return max((int(one["counts"].as_py()), str(one["values"].as_py())) for one in counted)[1] if len(counted) else None
