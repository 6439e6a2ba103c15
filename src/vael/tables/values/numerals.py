"""Numbers written as text: with a decimal point or comma, with or without marks between thousands and a unit
around; one form for a column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pyarrow as pa

from vael.tables import columnwise as pc
from vael.tables.schema import Column


@dataclass(frozen=True)
class NumeralForm:
    """A way to write numbers."""

    pattern: str  # that every cell fits
    sample: str  # 1234.5, written so
    without: str = ""  # marks between thousands
    comma: bool = False  # whether a comma is the decimal mark

    def plain(self, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        """The cells as programs write numbers."""
        shorter = self.ungrouped(cells)
        return pc.replace_substring(shorter, ",", ".") if self.comma else shorter

    def ungrouped(self, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        """The cells without marks between thousands."""
        return pc.replace_substring_regex(cells, f"[{self.without}]", "") if self.without else cells

    def grouped(self, text: str) -> str:
        """A number with a mark between thousands."""
        sign, digits, rest = re.fullmatch(r"([+-]?)(\d*)(.*)", text).groups()  # type: ignore[union-attr]
        return (
            sign
            + (f"{int(digits):,}".replace(",", self.sample[1]) if self.without and len(digits) > 3 else digits)
            + rest
        )

    def written(self, text: str) -> str:
        """A number as programs write it, in this form, without marks between thousands."""
        return text.replace(".", ",") if self.comma else text


SPACES = " \u00a0\u2007\u2009\u202f"
FEW = 10  # numbers up to which words after them are taken for levels: 2 doors, 36 months
FORMS = (
    NumeralForm(r"^[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$", "1234.5"),
    NumeralForm(
        r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$|^[+-]?[1-9]\d?(,\d\d)+,\d{3}(\.\d+)?$|^[+-]?\d+(\.\d+)?$", "1,234.5", ","
    ),
    NumeralForm(r"^[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?$|^[+-]?\d+(,\d+)?([eE][+-]?\d+)?$", "1.234,5", ".", comma=True),
    NumeralForm(r"^[+-]?[1-9]\d{0,2}(['’]\d{3})+(\.\d+)?$|^[+-]?\d+(\.\d+)?$", "1'234.5", "'’"),
    NumeralForm(rf"^[+-]?[1-9]\d{{0,2}}([{SPACES}]\d{{3}})+(,\d+)?$|^[+-]?\d+(,\d+)?$", "1 234,5", SPACES, comma=True),
    NumeralForm(rf"^[+-]?[1-9]\d{{0,2}}([{SPACES}]\d{{3}})+(\.\d+)?$|^[+-]?\d+(\.\d+)?$", "1 234.5", SPACES),
    NumeralForm(r"^[+-]?[1-9]\d{0,2}(['’]\d{3})+(,\d+)?$|^[+-]?\d+(,\d+)?$", "1'234,5", "'’", comma=True),
)
MARKS = ",'’\u00a0\u2007\u2009\u202f"  # that are in a file if the form of its numbers is in question
WRITTEN = re.compile("|".join(re.escape(form.sample) for form in FORMS))
MONEY = "$€£¥₹₽₩₺₫฿₴₦₱₿"
CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|KRW|TRY"
BEFORE = rf"(?:(?:US|A|C|CA|AU|NZ|HK|S|R)?[{MONEY}]|{CODES}|kr\.?|Rs\.?|%|≈|~)"
AFTER = r"(?:[%‰°" + MONEY + r"]|°[CFK]|[A-Za-zµΩ€$/²³%]{1,12}|kr\.)"
UNIT = re.compile(rf"[+-]?(?P<before>{BEFORE}[{SPACES}]?)?[+-]?[\d.,'’{SPACES}]*\d(?P<after>[{SPACES}]?{AFTER})?")
NO_MONEY = rf"^(?i:{BEFORE})\s*[-–—]+$|^[-–—]+\s*(?i:[{MONEY}%]|{CODES}|kr\.?)$"  # a dash beside a sign of money
NOTHING = frozenset(
    {
        "-",
        "--",
        "---",
        "–",
        "—",
        ".",
        "..",
        "...",
        "*",
        "n.a.",
        "n. a.",
        "k.a.",
        "k. a.",
        "nd",
        "n/d",
        "n.d.",
        "nil",
        "missing",
        "unknown",
        "no data",
        "not available",
        "not applicable",
        "unbekannt",
        "#div/0!",
        "#value!",
        "#ref!",
        "#name?",
        "#num!",
        "#null!",
        "#wert!",
        "#bezug!",
        "-nan(ind)",
        "1.#qnan",
    }
)
"""What stands for a missing cell among numbers and dates; among levels it may be one of them."""


MINUS = "\u2212\u2012\u2013\ufe63\uff0d"  # signs for a minus beside that of programs
LIMIT = r"^\s*[<>≤≥]=?\s*(?:[+-]?[.,]?\d[\d.,]*|(?i:lo[dq]|m?dl|m?rl|pql)\b)"
ALONE = r"^[$€£¥]?\s*[+-]?\s*[$€£¥]?\s*(?:\d[\d.,'’\s]*|[.,]\d+)(?:[eE][+-]?\d+)?\s*[%$€£¥]?$"
ZEROS = "0٠۰०০０"  # of ASCII, Arabic, Persian, Devanagari, Bengali, and of full width
ASCII = {**{ord(zero) + step: str(step) for zero in ZEROS for step in range(10)}, 0x66B: ".", 0x66C: ","}
SIGNED = rf"[()]|[{MINUS}]|\d\s*-$|-\s|[^\x00-\x7f]"  # in cells that are to be looked at


class Minus(Enum):
    """How a column writes that a number is below 0."""

    SIGN = "-{}"
    TYPESET = "\u2212{}"
    BEHIND = "{}-"
    BRACKETS = "({})"


@dataclass(frozen=True)
class Numeral:
    """How the numbers of a column are written: their form, what stands before and after each, the sign of those
    below 0, and the digits.
    """

    form: NumeralForm = FORMS[0]
    before: str = ""
    after: str = ""
    minus: Minus = Minus.SIGN
    zero: str = "0"

    @property
    def pattern(self) -> str:
        """As `Column.pattern` has it: 1234.5 written so; nothing where that is how programs write it."""
        text = self.before + self._digits(self.form.sample) + self.after
        text = text if self.minus is Minus.SIGN else self.minus.value.format(text)
        return "" if text == FORMS[0].sample else text

    def _digits(self, text: str) -> str:
        if self.zero == "0":
            return text
        point = {ord("."): "٫"} if self.zero in "٠۰" else {}
        return text.translate({ord(str(step)): chr(ord(self.zero) + step) for step in range(10)} | point)

    def bare(self, cells: pa.ChunkedArray, *, known: bool = False) -> pa.ChunkedArray:
        """Cells without what stands around the numbers, signs and digits as programs write them; with `known`, of a
        column of numbers.
        """
        cells = signed(cells, known=known)
        if self.before:
            sign = rf"^([+-]?)\s*{re.escape(self.before.strip())}\s*"
            cells = pc.replace_substring_regex(cells, sign, r"\1")
        return pc.replace_substring_regex(cells, rf"\s*{re.escape(self.after.strip())}$", "") if self.after else cells

    def written(self, text: str) -> str:
        """A number as programs write it, as the column has it."""
        return self.around(self.form.written(text))

    def around(self, text: str) -> str:
        """What stands before and after a number, put there, and around it all the sign of one below 0."""
        whole = f"{self.before}{self._digits(text.removeprefix('-'))}{self.after}"
        return self.minus.value.format(whole) if text.startswith("-") else whole


def signed(cells: pa.ChunkedArray, *, known: bool = False) -> pa.ChunkedArray:
    """Cells with digits as programs write them and a minus before all, also where brackets, a sign behind or another
    sign say so.

    Brackets around all of the cells are a minus only where they are `known` to be numbers: else they are rather the
    names of paragraphs.
    """
    if not pc.any(pc.match_substring_regex(cells, SIGNED)).as_py():
        return cells
    if pc.any(pc.match_substring_regex(cells, "[^\\x00-\\x7f]")).as_py():
        plain = [None if cell is None else cell.translate(ASCII) for cell in pc.unique(cells).to_pylist()]
        cells = pa.array(plain, pa.string()).take(pc.index_in(cells, pc.unique(cells)))
    if known or not pc.all(pc.match_substring_regex(cells, r"^\D*\(.*\)\D*$")).as_py():
        cells = pc.replace_substring_regex(cells, r"^([^\d()]*)\(\s*([^()]*?\d[^()]*?)\s*\)([^\d()]*)$", r"-\1\2\3")
    cells = pc.replace_substring_regex(cells, rf"^([^\d+{MINUS}-]*)(?:[{MINUS}]|-\s)\s*", r"\1-")
    return pc.replace_substring_regex(cells, rf"^([^\d+-]*\d[^{MINUS}-]*?)\s*[-{MINUS}]$", r"-\1")


def limits(cells: pa.ChunkedArray) -> np.ndarray:
    """Where a cell says only that a number lies below or above a limit: `<0.5`, `> 100`, `<LOD`."""
    return np.asarray(pc.fill_null(pc.match_substring_regex(cells, LIMIT), False).to_numpy())


def digits_alone(cells: pa.ChunkedArray) -> np.ndarray:
    """Where a cell is a number and no more: digits with marks between them, a sign, an exponent, a currency."""
    return np.asarray(pc.fill_null(pc.match_substring_regex(signed(cells, known=True), ALONE), False).to_numpy())


def is_pattern(text: str) -> bool:
    """Whether a text is 1234.5 as a column may have it."""
    return WRITTEN.search(text.translate(ASCII)) is not None


def numeral_of(column: Column) -> Numeral:
    """How a column of numbers is written, by its schema."""
    plain = column.pattern.translate(ASCII)
    found = WRITTEN.search(plain)
    if found is None:
        return Numeral()
    form = next(form for form in FORMS if form.sample == found[0])
    before, after = plain[: found.start()], plain[found.end() :]
    zero = next((one for one in ZEROS[1:] if chr(ord(one) + 1) in column.pattern), "0")
    for minus in (Minus.TYPESET, Minus.BEHIND, Minus.BRACKETS):
        start, end = minus.value.split("{}")
        if before.startswith(start) and after.endswith(end):
            return Numeral(form, before[len(start) :], after[: len(after) - len(end)], minus, zero)
    return Numeral(form, before, after, zero=zero)


def _minus_of(cells: pa.ChunkedArray) -> Minus:
    """How most of the cells below 0 say so."""
    ways = {
        Minus.SIGN: r"^\D*-\s*\D*\d",
        Minus.TYPESET: rf"^\D*[{MINUS}]\s*\D*\d",
        Minus.BEHIND: r"\d\s*-$",
        Minus.BRACKETS: r"\(.*\)",
    }
    counts = {minus: pc.sum(pc.match_substring_regex(cells, way)).as_py() or 0 for minus, way in ways.items()}
    return max(counts, key=lambda minus: counts[minus])


def _zero_of(cells: pa.ChunkedArray) -> str:
    """The digit 0 as the first cell has it."""
    first = next((cell.as_py() for cell in cells if cell.is_valid), "")
    return next((zero for zero in ZEROS[1:] if any(ord(zero) <= ord(letter) < ord(zero) + 10 for letter in first)), "0")


def nothing(cells: pa.ChunkedArray) -> np.ndarray:
    """Where a cell says that there is no number."""
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(cells))
    dashes = pc.match_substring_regex(lower, NO_MONEY)
    return np.asarray(pc.fill_null(pc.or_(pc.is_in(lower, pa.array(sorted(NOTHING))), dashes), False).to_numpy())


def told_numbers(cells: pa.ChunkedArray, absent: np.ndarray, comma: bool = False) -> tuple[np.ndarray, Numeral] | None:
    """The cells as float64, NaN where absent, and how they are written; None if one of them is no number.

    With `comma` the decimal mark of the table is a comma, which decides where a mark could also stand between
    thousands.
    """
    written = pc.utf8_trim_whitespace(pc.if_else(pa.array(~absent), cells, pa.scalar(None, cells.type)))
    first = next((cell.as_py() for cell in written if cell.is_valid), "")
    if not re.search(r"\d|inf", first, re.IGNORECASE):
        return None
    shown = signed(written)
    numeral = _units(shown)
    bare = numeral.bare(shown)
    first_commas = comma and pc.any(pc.match_substring_regex(bare, "[.,]")).as_py()
    for form in sorted(FORMS, key=lambda one: not one.comma) if first_commas else FORMS:
        if form is not FORMS[0] and not _all(bare, form.pattern):
            continue
        try:
            values = np.array(pc.cast(form.plain(bare), pa.float64()).to_numpy(zero_copy_only=False), np.float64)
        except pa.ArrowInvalid:
            continue
        return values, Numeral(form, numeral.before, numeral.after, _minus_of(written), _zero_of(written))
    return None


def decimal_commas(cells: pa.ChunkedArray, absent: np.ndarray) -> bool | None:
    """Whether a column of numbers can only be read with a decimal comma (True), or only with a point (False); None
    where neither is sure.
    """
    shown = signed(pc.utf8_trim_whitespace(pc.if_else(pa.array(~absent), cells, pa.scalar(None, cells.type))))
    first = next((cell.as_py() for cell in shown if cell.is_valid), "")
    if not re.search(r"\d", first) or not pc.any(pc.match_substring_regex(shown, "[.,]")).as_py():
        return None
    bare = _units(shown).bare(shown)
    point, comma = (any(_all(bare, form.pattern) for form in FORMS if form.comma is mark) for mark in (False, True))
    return comma if point != comma else None


def _all(cells: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(cells, pattern)).as_py())


def _units(shown: pa.ChunkedArray) -> Numeral:
    """What stands before and after the numbers of a column, if it is the same in all of them."""
    first = next((cell.as_py() for cell in shown if cell.is_valid), "")
    found = UNIT.fullmatch(first)
    before, after = (found["before"] or "", found["after"] or "") if found else ("", "")
    if re.fullmatch(r"[eE]\d*", after) or not (before or after):
        return Numeral()
    around = rf"^[+-]?\s*{re.escape(before.strip())}\s*[+-]?[\d.,'’{SPACES}]*\d\s*{re.escape(after.strip())}$"
    words = re.search("[A-Za-z]", after) and after.strip() not in CODES.split("|")
    levels = words and pc.count_distinct(shown).as_py() <= FEW
    return Numeral(before=before, after=after) if not levels and _all(shown, around) else Numeral()


def read_by(cells: pa.ChunkedArray, column: Column) -> np.ndarray:
    """How many cells each of `FORMS` reads; see `form_of`."""
    trimmed = numeral_of(column).bare(pc.utf8_trim_whitespace(cells), known=True)
    counts = [pc.sum(pc.match_substring_regex(trimmed, form.pattern)).as_py() or 0 for form in FORMS]
    return np.array(counts, np.int64)


def form_of(counts: np.ndarray, column: Column) -> NumeralForm:
    """The form that reads most cells; of several the one that the column had in training, or else the first."""
    own = numeral_of(column).form
    return own if counts[FORMS.index(own)] == counts.max() else FORMS[int(counts.argmax())]


def in_question(cells: pa.ChunkedArray, column: Column) -> bool:
    """Whether the cells could be in any form but that of programs."""
    return bool(column.pattern) or bool(pc.any(pc.match_substring_regex(cells, f"[{MARKS}]")).as_py())


def numbers_of(cells: pa.ChunkedArray, absent: np.ndarray, column: Column, form: NumeralForm) -> np.ndarray:
    """Cells as float64, NaN where absent, -inf where a cell is no number in this form."""
    shown = pc.utf8_trim_whitespace(pc.if_else(pa.array(~absent), cells, pa.scalar(None, cells.type)))
    bare = numeral_of(column).bare(shown, known=True)
    written = form.plain(bare)
    try:
        if form is not FORMS[0] and not _all(bare, form.pattern):
            written = pc.if_else(
                pc.match_substring_regex(bare, form.pattern), written, pa.scalar("no number", cells.type)
            )
        return np.array(pc.cast(written, pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    except pa.ArrowInvalid:
        return _one_by_one(written, absent)


def _one_by_one(cells: pa.ChunkedArray, absent: np.ndarray) -> np.ndarray:
    found = np.full(len(absent), np.nan)
    for row, cell in enumerate(cells.to_pylist()):
        if not absent[row]:
            try:
                found[row] = float(cell)
            except ValueError:
                found[row] = -np.inf
    return found
