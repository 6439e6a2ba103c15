"""Tables as people save them: columns of every kind, gaps, stand-ins, names and dialects, drawn by Hypothesis.

A table is drawn as a few choices (what each column is, how its gaps are written, how the file is written) and one seed
from which its cells follow, so that a failing one shrinks to few columns and few choices.
"""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from gzip import compress as gzip
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

Draws = np.random.Generator
Cells = Callable[[Draws, int], list[str]]


def of_numbers(law: Callable[[Draws, int], np.ndarray], form: Callable[[float], str]) -> Cells:
    return lambda draw, rows: [form(float(value)) for value in law(draw, rows)]


def chosen(*words: str, weights: tuple[float, ...] | None = None) -> Cells:
    return lambda draw, rows: [str(word) for word in draw.choice(np.array(words, dtype=object), rows, p=weights)]


def days(form: str, first: date = date(2015, 1, 1), span: int = 2500) -> Cells:
    return lambda draw, rows: [
        (
            datetime(first.year, first.month, first.day)
            + timedelta(days=int(day), seconds=int(second), microseconds=int(second) * 7)
        ).strftime(form)
        for day, second in zip(draw.integers(0, span, rows), draw.integers(0, 86_400, rows), strict=True)
    ]


def with_some(cells: Cells, share: float, *stand_ins: str) -> Cells:
    """Cells of which a share is one of some other words."""

    def found(draw: Draws, rows: int) -> list[str]:
        return [str(draw.choice(stand_ins)) if draw.random() < share else cell for cell in cells(draw, rows)]

    return found


def normal(middle: float, spread: float) -> Callable[[Draws, int], np.ndarray]:
    return lambda draw, rows: draw.normal(middle, spread, rows)


def whole(low: int, high: int) -> Callable[[Draws, int], np.ndarray]:
    return lambda draw, rows: draw.integers(low, high, rows).astype(float)


REAL = of_numbers(normal(0, 1), lambda v: f"{v:.3f}")
SMALL = of_numbers(whole(0, 9), lambda v: f"{v:.0f}")
LEVELS = chosen("red", "green", "blue")
COLUMNS: dict[str, Cells] = {
    "real": REAL,
    "tenths": of_numbers(normal(20, 4), lambda v: f"{v:.1f}"),
    "all digits": of_numbers(normal(0, 1), repr),
    "tiny": of_numbers(normal(0, 1e-30), lambda v: f"{v:.3e}"),
    "huge": of_numbers(normal(0, 1e30), lambda v: f"{v:.3e}"),
    "beyond float32": of_numbers(normal(0, 1e60), lambda v: f"{v:.3e}"),
    "far from zero": of_numbers(normal(1e9, 1), lambda v: f"{v:.4f}"),
    "heavy tails": lambda draw, rows: [f"{v:.2f}" for v in draw.standard_cauchy(rows) ** 3],
    "positive": of_numbers(lambda d, n: d.lognormal(2, 1, n), lambda v: f"{v:.2f}"),
    "money": of_numbers(lambda d, n: d.lognormal(7, 1, n), lambda v: f"${v:,.2f}"),
    "accounting": of_numbers(normal(0, 2000), lambda v: f"({-v:,.2f})" if v < 0 else f"{v:,.2f}"),
    "trailing minus": of_numbers(normal(0, 2000), lambda v: f"{-v:.2f}-" if v < 0 else f"{v:.2f}"),
    "percent": of_numbers(lambda d, n: 100 * d.random(n), lambda v: f"{v:.1f} %"),
    "unit": of_numbers(normal(70, 9), lambda v: f"{v:.0f} kg"),
    "plus": of_numbers(normal(0, 3), lambda v: f"{v:+.1f}"),
    "typeset minus": of_numbers(normal(0, 3), lambda v: f"{v:.1f}".replace("-", "\u2212")),
    "small counts": SMALL,
    "counts": of_numbers(lambda d, n: d.poisson(30, n), lambda v: f"{v:.0f}"),
    "nine digits": of_numbers(whole(10**8, 10**9), lambda v: f"{v:.0f}"),
    "eighteen digits": lambda draw, rows: [str(int(v)) for v in draw.integers(10**17, 10**18, rows)],
    "years": of_numbers(whole(1950, 2024), lambda v: f"{v:.0f}"),
    "rows counted": lambda draw, rows: [str(row + 1) for row in range(rows)],
    "identifiers": lambda draw, rows: [f"ID-{row:05d}" for row in draw.permutation(rows)],
    "leading zeros": of_numbers(whole(0, 10**5), lambda v: f"{int(v):05d}"),
    "zero or one": of_numbers(whole(0, 2), lambda v: f"{v:.0f}"),
    "minus nine nine": with_some(SMALL, 0.2, "-99"),
    "stand-ins": with_some(REAL, 0.2, "-999", "9999"),
    "spike": with_some(of_numbers(lambda d, n: d.lognormal(5, 1, n), lambda v: f"{v:.2f}"), 0.5, "0"),
    "limits": with_some(of_numbers(lambda d, n: d.lognormal(1, 1, n), lambda v: f"{v:.1f}"), 0.2, "<0.5", ">100"),
    "numbers and words": with_some(REAL, 0.1, "broken", "see note"),
    "numbers and infinity": with_some(REAL, 0.1, "inf", "-inf", "nan"),
    "one number": chosen("7"),
    "one word": chosen("same"),
    "yes and no": chosen("yes", "no"),
    "true and false": chosen("True", "False"),
    "levels": LEVELS,
    "rare levels": with_some(chosen("common", "usual"), 0.06, *"ABCDEFGHIJ"),
    "words for missing": chosen("NA", "none", "n/a", "null", "yes"),
    "awkward levels": chosen("$x_1$", "a,b;c", 'say "so"', "\\frac{1}{2", "<b>&amp;", "=1+1", "%d {0}"),
    "scripts": chosen("größe", "東京", "ﷺ", "🎈", "e\u0301", "Ω"),
    "blanks": chosen(" a", "a ", "a", "  "),
    "line breaks": chosen("one\ntwo", "one", "two\r\nthree"),
    "long levels": chosen("x" * 300, "y" * 300, "z"),
    "text": lambda draw, rows: [
        " ".join(str(w) for w in draw.choice(np.array(["lorem", "ipsum", "dolor", "sit"]), 9)) for _ in range(rows)
    ],
    "iso days": days("%Y-%m-%d"),
    "american days": days("%m/%d/%Y"),
    "european days": days("%d.%m.%Y"),
    "short years": days("%d/%m/%y"),
    "days as numbers": days("%Y%m%d"),
    "moments": days("%Y-%m-%d %H:%M:%S"),
    "moments with T": days("%Y-%m-%dT%H:%M:%S.%fZ"),
    "moments as numbers": days("%Y%m%d%H%M%S"),
    "zones": days("%Y-%m-%d %H:%M:%S+02:00"),
    "month names": days("%d %b %Y"),
    "months": days("%Y-%m"),
    "times of day": days("%H:%M"),
    "times with seconds": days("%H:%M:%S"),
    "old days": days("%Y-%m-%d", date(1600, 1, 1), 9000),
    "stand-in days": with_some(days("%Y-%m-%d"), 0.15, "9999-12-31", "1900-01-01"),
    "one day": chosen("2024-02-29"),
    "nothing": chosen(""),
    "hexadecimal": lambda draw, rows: [hex(int(v)) for v in draw.integers(0, 2**20, rows)],
    "arabic digits": of_numbers(whole(0, 99), lambda v: "".join(chr(0x660 + int(c)) for c in f"{v:.0f}")),
    "phone numbers": of_numbers(whole(10**6, 10**7), lambda v: f"+41 {int(v) % 1000:03d} {int(v) % 97:02d}"),
    "decimal commas": of_numbers(normal(20, 4), lambda v: f"{v:.2f}".replace(".", ",")),
    "swiss numbers": of_numbers(normal(20000, 4000), lambda v: f"{v:,.2f}".replace(",", "'")),
    "lists": chosen("[1, 2]", "[3]", "{}"),
}
NAMES = (
    "a",
    "b",
    "c",
    "A",
    "",
    " ",
    "a b",
    "größe",
    "$x_1$",
    "x,y",
    'say "x"',
    "score",
    "p_value",
    "label",
    "row",
    "index",
    "flag",
    "z0",
    "=SUM(A1)",
    "1",
    "2020",
    "a\nb",
    "_hidden",
    "n" * 200,
    "#count",
    "NA",
    "date",
    "<b>",
    "\u202eright",
    "x.1",
    "{0}",
    "%s",
    "\\alpha",
    "reasons",
    "bound",
    "count",
)
GAPS = ("", "", "", "NA", "?", "-", "NULL", "n/a", " ", ".")


@dataclass(frozen=True)
class Asked:
    """What one column is."""

    name: str
    kind: str
    gap: str = ""  # how a missing cell is written
    share: float = 0.0  # of missing cells


@dataclass(frozen=True)
class Dialect:
    """How a table is written as text."""

    delimiter: str = ","
    end: str = "\n"
    encoding: str = "utf-8"
    quoted: bool = False  # every cell, not only those that need it
    last_end: bool = True
    header: bool = True
    before: str = ""  # what stands before the names
    packed: str = ""  # .gz or .zip
    suffix: str = ".csv"


@dataclass(frozen=True)
class TextTable:
    """A table that is written as text."""

    columns: tuple[Asked, ...]
    rows: int
    seed: int
    dialect: Dialect = field(default_factory=Dialect)

    def grid(self) -> list[list[str | None]]:
        """Rows of cells, None where one is missing."""
        draw = np.random.default_rng(self.seed)
        columns = []
        for asked in self.columns:
            cells = COLUMNS[asked.kind](draw, self.rows)
            gone = draw.random(self.rows) < asked.share
            columns.append([None if lost else cell for cell, lost in zip(cells, gone, strict=True)])
        return [list(row) for row in zip(*columns, strict=True)]

    def records(self) -> list[list[tuple[str, bool]]]:
        """Each row as pieces of text, and whether a piece is a cell that may be filled."""
        how, found = self.dialect, []
        marks = {
            asked.gap.lower() for asked in self.columns
        }  # a word that stands for a gap in one column may do so in another
        for number, row in enumerate(self.grid()):
            pieces: list[tuple[str, bool]] = []
            for place, (asked, cell) in enumerate(zip(self.columns, row, strict=True)):
                pieces.append((how.delimiter if place else "", False))
                pieces.append(
                    (
                        self._written(asked.gap if cell is None else cell),
                        cell is None or not cell.strip() or cell.lower() in marks,
                    )
                )
            last = number == self.rows - 1 and not how.last_end
            pieces.append(("" if last else how.end, False))
            found.append(pieces)
        return found

    def _written(self, cell: str) -> str:
        how = self.dialect
        if len(self.columns) == 1 and not cell.strip():
            return f'"{cell}"'  # an empty line is no row
        if how.quoted or any(sign in cell for sign in (how.delimiter, '"', "\n", "\r")):
            return '"' + cell.replace('"', '""') + '"'
        return cell

    def head(self) -> str:
        """What stands before the rows."""
        names = self.dialect.delimiter.join(self._written(asked.name) for asked in self.columns) + self.dialect.end
        return self.dialect.before + (names if self.dialect.header else "")

    def encoded(self) -> bytes:
        """The text of the file."""
        body = "".join(piece for record in self.records() for piece, _ in record)
        return (self.head() + body).encode(self.dialect.encoding, errors="replace")

    def write(self, folder: Path) -> Path:
        """The table in a folder."""
        name, raw = f"table{self.dialect.suffix}{self.dialect.packed}", self.encoded()
        if self.dialect.packed == ".zip":
            held = io.BytesIO()
            with zipfile.ZipFile(held, "w") as archive:
                archive.writestr(f"table{self.dialect.suffix}", raw)
            raw = held.getvalue()
        elif self.dialect.packed == ".gz":
            raw = gzip(raw)
        (folder / name).write_bytes(raw)
        return folder / name


columns = st.builds(
    Asked,
    name=st.sampled_from(NAMES),
    kind=st.sampled_from(sorted(COLUMNS)),
    gap=st.sampled_from(GAPS),
    share=st.sampled_from((0.0, 0.0, 0.05, 0.3, 0.95)),
)
plain_columns = st.builds(
    Asked, name=st.sampled_from(NAMES[:4]), kind=st.sampled_from(sorted(COLUMNS)), share=st.sampled_from((0.0, 0.2))
)
dialects = st.builds(
    Dialect,
    delimiter=st.sampled_from((",", ";", "\t", "|")),
    end=st.sampled_from(("\n", "\r\n")),
    encoding=st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "latin-1", "utf-16", "cp1252")),
    quoted=st.booleans(),
    last_end=st.booleans(),
    header=st.sampled_from((True, True, True, False)),
    before=st.sampled_from(("", "", "", "# made by hand\n", "sep=;\n", "\n")),
    packed=st.sampled_from(("", "", "", ".gz", ".zip")),
    suffix=st.sampled_from((".csv", ".csv", ".tsv", ".txt", ".data")),
)
sizes = st.one_of(st.sampled_from((1, 2, 3, 12, 60, 80)), st.integers(20, 90))
SEEDS = st.integers(0, 10**6)


text_tables = st.one_of(
    st.builds(
        TextTable,
        st.lists(plain_columns, min_size=1, max_size=4, unique_by=lambda one: one.name).map(tuple),
        sizes,
        SEEDS,
    ),
    st.builds(
        TextTable, st.lists(columns, min_size=1, max_size=5, unique_by=lambda one: one.name).map(tuple), sizes, SEEDS
    ),
    st.builds(TextTable, st.lists(columns, min_size=1, max_size=5).map(tuple), sizes, SEEDS, dialects),
)
