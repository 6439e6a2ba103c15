"""Tables in the forms that spreadsheets, loggers and other programs write: units, decimal commas, times, compressed
files, odd first lines.
"""

import bz2
import gzip
import zipfile
from datetime import date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from vael.data import Column, ColumnKind, Kind, load, load_table, read_table
from vael.data.blocks import table_blocks
from vael.errors import FormatError, ShapeError, SupportError
from vael.tables.inference import why_left_out
from vael.tables.schema_file import from_record
from vael.tables.values.date_patterns import told_dates
from vael.tables.values.dates import resolution, written_date
from vael.tables.values.numerals import numeral_of, told_numbers
from vael.tables.writing import completed, write_arrow, write_rows


def cells(*texts):
    return pa.chunked_array([pa.array(texts, pa.string())])


@pytest.mark.parametrize(
    ("texts", "comma", "values", "pattern"),
    [
        (("$1,234.50", "-$7.00", "$12"), False, (1234.5, -7, 12), "$1,234.5"),
        (("12 %", "7 %", "100 %"), False, (12, 7, 100), "1234.5 %"),
        (("1.234,50 €", "7,00 €", "2.000 €"), False, (1234.5, 7, 2000), "1.234,5 €"),
        (("EUR 1,234.5", "EUR 7"), False, (1234.5, 7), "EUR 1,234.5"),
        (("1'234.5", "7"), False, (1234.5, 7), "1'234.5"),
        (("1 234,5", "7,25"), False, (1234.5, 7.25), "1 234,5"),
        (("0,567", "1,250"), False, (0.567, 1.25), "1.234,5"),  # no mark stands between thousands after a 0
        (("1,234", "7,512"), False, (1234, 7512), "1,234.5"),
        (("1,234", "7,512"), True, (1.234, 7.512), "1.234,5"),
        (("1.234", "7.512"), True, (1234, 7512), "1.234,5"),
        (("1.234", "7.512"), False, (1.234, 7.512), ""),
    ],
)
def test_numbers_with_units_and_marks(texts, comma, values, pattern):
    found, numeral = told_numbers(cells(*texts), np.zeros(len(texts), bool), comma)
    np.testing.assert_allclose(found, values)
    assert numeral.pattern == pattern


@pytest.mark.parametrize(
    ("text", "pattern", "plain"),
    [("-$1,234.5", "$1,234.5", "-1234.5"), ("1.234,5 €", "1.234,5 €", "1234.5"), ("1'234", "1'234.5", "1234")],
)
def test_numbers_are_written_as_the_column_has_them(text, pattern, plain):
    numeral = numeral_of(Column("a", ColumnKind.REAL, pattern=pattern))
    assert numeral.pattern == pattern
    assert numeral.around(numeral.form.grouped(numeral.form.written(plain))) == text
    assert numeral.form.plain(numeral.bare(cells(text))).to_pylist() == [plain]


@pytest.mark.parametrize(
    "texts",
    [("A12", "A13"), ("36 months", "60 months"), ("12 kg", "13 lb"), ("1.2.3", "4"), ("tall", "1"), ("12e", "13f")],
)
def test_names_and_levels_are_no_numbers(texts):
    assert told_numbers(cells(*texts), np.zeros(2, bool)) is None


@pytest.mark.parametrize(
    ("texts", "pattern"),
    [
        (("2024-03-01T00:00:01Z", "2024-03-01T00:00:00.250Z"), "%Y-%m-%dT%H:%M:%S.%3fZ"),
        (("2024-03-01 10:00:00.123456", "2024-03-01 10:00:01.500000"), "%Y-%m-%d %H:%M:%S.%f"),
        (("2024-03-01 00:30:00+01:00", "2024-07-01 00:00:00+02:00"), "%Y-%m-%d %H:%M:%S+01:00"),
        (("01/03/2024 10:00:00", "31/03/2024 10:00:00"), "%d/%m/%Y %H:%M:%S"),
        (("3/1/2024, 10:00 PM", "3/31/2024, 1:00 AM"), "%m/%d/%Y, %I:%M %p"),
        (("Mar 01, 2024", "Dec 24, 1999"), "%b %d, %Y"),
        (("01 March 2024", "24 December 1999"), "%d %B %Y"),
        (("03/01/24", "12/31/99"), "%m/%d/%y"),
        (("01.03.24", "31.12.99"), "%d.%m.%y"),
        (("01-Mar-2024", "24-Dec-1999"), "%d-%b-%Y"),
        (("2024-03", "1999-12"), "%Y-%m"),
        (("00:10", "23:59"), "%H:%M"),
        (("12:10 AM", "11:59 PM"), "%I:%M %p"),
    ],
)
def test_dates_and_times_are_read_and_written_again(texts, pattern):
    days, found = told_dates(cells(*texts), np.zeros(2, bool))
    assert found == pattern
    again = [written_date(datetime(1970, 1, 1) + timedelta(days=day), found) for day in days]
    np.testing.assert_allclose(told_dates(cells(*again), np.zeros(2, bool))[0], days, atol=1e-9)
    if "+01:00" not in pattern and "%3f" not in pattern and pattern[:2] != "%m":  # zones are written as most are
        assert tuple(again) == texts


def test_moments_are_those_of_the_calendar():
    days, _ = told_dates(cells("2024-03-01 00:30:00+01:00", "2024-07-01 00:00:00.5+02:00"), np.zeros(2, bool))
    np.testing.assert_allclose(
        days,
        [
            (date(2024, 2, 29) - date(1970, 1, 1)).days + 23.5 / 24,
            (date(2024, 6, 30) - date(1970, 1, 1)).days + 79_200.5 / 86_400,
        ],
    )
    days, _ = told_dates(cells("03/01/24", "12/31/99"), np.zeros(2, bool))
    assert [date(1970, 1, 1) + timedelta(days=day) for day in days] == [
        date(2024, 3, 1),
        date(1999, 12, 31),
    ]  # not of the first century
    assert resolution("%Y-%m-%d %H:%M") == 60.0


@pytest.mark.parametrize(
    "text", ["1.2.3", "16:9", "5.1", "10-12", "192.168.1.1", "1/2", "A-1", "555-1234", "12-34", "2024-W01"]
)
def test_versions_ratios_and_numbers_are_no_dates(text):
    assert told_dates(cells(text, text), np.zeros(2, bool)) == (None, "")


def german(path, rows=60):
    rng = np.random.default_rng(0)
    lines = ["\ufeff Ort;Größe ;Umsatz;Anteil;Zeit;"]
    for row in range(rows):
        umsatz = f"{rng.integers(1, 9)}.{rng.integers(0, 1000):03},{rng.integers(0, 100):02} €" if row % 7 else "-"
        moment = f"{1 + row % 28:02}.03.2024 {row % 24:02}:{rng.integers(0, 60):02}" if row % 11 else ""
        lines.append(f"{['Köln', 'Bonn'][row % 2]}; 1,{rng.integers(10, 99)};{umsatz};{row * 7 % 100} %;{moment};")
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode())
    return path


def test_gaps_are_filled_in_the_form_of_the_file(tmp_path):
    path = german(tmp_path / "t.csv")
    table = read_table(path)
    assert table.schema.names == ("Ort", "Größe", "Umsatz", "Anteil", "Zeit")
    assert table.schema.left_out == ("column 6",)
    assert [column.pattern for column in table.schema.columns] == [
        "",
        "1.234,5",
        "1.234,5 €",
        "1234.5 %",
        "%d.%m.%Y %H:%M",
    ]
    assert table.schema.columns[2].decimals == 2
    assert table.schema.columns[3].kind is ColumnKind.COUNT
    middle = torch.nanmedian(table.x, 0).values
    filled = completed(table, torch.where(table.x.isnan(), middle, table.x))
    write_arrow(tmp_path / "filled.csv", filled, table.layout)
    before, after = path.read_bytes().split(b"\r\n"), (tmp_path / "filled.csv").read_bytes().split(b"\r\n")
    assert len(before) == len(after)
    assert before[0] == after[0]
    gaps = table.x.isnan().numpy()
    for old, new, gap in zip(before[1:-1], after[1:-1], gaps, strict=True):
        differ = [
            place
            for place, (one, other) in enumerate(zip(old.split(b";"), new.split(b";"), strict=True))
            if one != other
        ]
        assert differ == list(np.flatnonzero(gap))  # spaces around cells, ends of lines and empty columns stay
    again = read_table(tmp_path / "filled.csv", table.schema)  # what was written is what the model reads
    torch.testing.assert_close(again.x, torch.where(table.x.isnan(), middle, table.x), rtol=0, atol=6e-3)
    for rows in (7, 1000):
        blocks = list(table_blocks(tmp_path / "filled.csv", table.schema, rows=rows))
        torch.testing.assert_close(torch.cat([block.x for block in blocks]), again.x, rtol=0, atol=0)


def test_a_file_without_a_comma_is_read_as_training_was(tmp_path):
    schema = read_table(german(tmp_path / "t.csv")).schema
    (tmp_path / "u.csv").write_text("Ort;Größe;Umsatz;Anteil;Zeit\nBonn;2;1.234;5;01.03.2024 10:00\n")
    assert read_table(tmp_path / "u.csv", schema).x[0, 2] == 1234
    (block,) = table_blocks(tmp_path / "u.csv", schema)
    assert block.x[0, 2] == 1234


def test_a_point_among_decimal_commas_is_named(tmp_path):
    """It was read as a mark between thousands: 15."""
    (tmp_path / "t.csv").write_text("a;b\n" + "".join(f"{n},5;x\n" for n in range(40)))
    schema = read_table(tmp_path / "t.csv").schema
    (tmp_path / "u.csv").write_text("a;b\n1,5;x\n1.5;x\n")
    with pytest.raises(Exception, match=r"row 2, column 'a': '1\.5' is no"):
        read_table(tmp_path / "u.csv", schema)


def test_minutes_are_not_cut_to_the_minute_before(tmp_path):
    """In float32 a minute is off by a little, and strftime cuts."""
    moments = [datetime(2024, 1, 1) + timedelta(minutes=10 * row) for row in range(2000)]
    lines = [f"{moment:%Y-%m-%d %H:%M},{row % 3}" for row, moment in enumerate(moments)]
    (tmp_path / "t.csv").write_text("\n".join(["when,b", *lines]) + "\n")
    table = read_table(tmp_path / "t.csv")
    write_rows(tmp_path / "again.csv", table.schema, table.x)
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "t.csv").read_text()


TEXT = "a,b\n" + "".join(f"{n}.5,{'xyz'[n % 3]}\n" for n in range(40))


def packed(folder, name, text=TEXT):
    path = folder / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside.csv", text)
    else:
        path.write_bytes({".gz": gzip.compress, ".bz2": bz2.compress}[path.suffix](text.encode()))
    return path


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.bz2", "t.csv.zip", "t.zip"])
def test_compressed_text_is_read(tmp_path, name):
    (tmp_path / "t.csv").write_text(TEXT)
    path, plain = packed(tmp_path, name), read_table(tmp_path / "t.csv")
    assert torch.equal(read_table(path).x, plain.x)
    (block,) = table_blocks(path, plain.schema)
    assert torch.equal(block.x, plain.x)
    assert load(path).train.name == "t"


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.bz2", "t.csv.zip"])
def test_damaged_compressed_text_is_refused(tmp_path, name):
    path = packed(tmp_path, name, TEXT * 300)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FormatError, match=r"t\.csv\.\w+ is (damaged or cut off|a \.zip with 0 files)"):
        read_table(path)


def test_a_zip_of_two_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("a.csv", TEXT)
        archive.writestr("b.csv", TEXT)
    with pytest.raises(FormatError, match="with 2 files"):
        read_table(tmp_path / "t.csv.zip")


ROWS = "".join(f"{n % 7}.5,{n % 3},{n * 7 % 5}\n" for n in range(40))


@pytest.mark.parametrize(
    ("top", "names"),
    [
        ("a,b,c\n", ("a", "b", "c")),
        ("# written by a program\n#\na,b,c\n", ("a", "b", "c")),
        ("# a,b,c\n", ("a", "b", "c")),  # numpy.savetxt
        ("sep=,\na,b,c\n", ("a", "b", "c")),  # spreadsheets
        ("2019,2020,2021\n", ("2019", "2020", "2021")),
        ("land,2019,2020\n", ("land", "2019", "2020")),
        ("0,1,2\n", ("0", "1", "2")),  # pandas, where columns have no names
        ("3,1,4\n", ("column 1", "column 2", "column 3")),
    ],
)
def test_first_lines(tmp_path, top, names):
    (tmp_path / "t.csv").write_text(top + ROWS)
    table = read_table(tmp_path / "t.csv")
    assert table.schema.names == names
    assert len(table.x) == 40 + (names[0] == "column 1")
    (block,) = table_blocks(tmp_path / "t.csv", table.schema)
    assert torch.equal(block.x, table.x)


@pytest.mark.parametrize("index", ["{year}", "{year}-0{digit}-01", "{year}.083"])
@pytest.mark.parametrize("top", ["Month,0", ",0", ",0,1", "Month,0,1"])  # pandas, where columns have no names
def test_the_first_line_of_a_written_index_holds_names(tmp_path, top, index):
    cells = [index.format(year=1990 + n, digit=1 + n % 9) + f",{n * 7 % 5}" * top.count(",") for n in range(30)]
    (tmp_path / "t.csv").write_text("\n".join([top, *cells]) + "\n")
    table = read_table(tmp_path / "t.csv")
    assert table.layout.named
    assert len(table.x) == 30
    (tmp_path / "t.csv").write_text("\n".join([cells[0].replace("1990", "1989"), *cells]) + "\n")
    assert len(read_table(tmp_path / "t.csv").x) == 31


def test_years_in_the_first_row_are_no_names(tmp_path):
    (tmp_path / "t.csv").write_text("".join(f"{1990 + n * 7 % 30},{1991 + n * 7 % 30},{n % 4}\n" for n in range(30)))
    assert read_table(tmp_path / "t.csv").schema.names == ("column 1", "column 2", "column 3")


@pytest.mark.parametrize(
    ("text", "words", "error"),
    [
        ("Report of 2024\na,b\n1,2\n3,4\n", "delete them, or begin them with #", ShapeError),
        ("a,b\n1,2,\n3,4,\n", "delete the separator that ends the lines", ShapeError),
        ('a,b\n1,"x\n2,y\n3,z\n', "row 1, column 'b': a text that begins with 'x.*goes on for 3 lines", FormatError),
    ],
)
def test_slips_of_whole_files_are_named(tmp_path, text, words, error):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(error, match=words):
        read_table(tmp_path / "t.csv")


def test_what_cannot_be_modelled_is_left_out_and_said(tmp_path):
    rows = 30
    table = pa.table(
        {
            "a": np.arange(rows) * 7 % 11,
            "none": pa.nulls(rows),
            "gone": pa.array([None] * rows, pa.float64()),
            "list": [{"q": 1}] * rows,
            "id": np.arange(rows),
            "name": [f"n{row}" for row in range(rows)],
            "when": [time(row % 24) for row in range(rows)],
        }
    )
    found = read_table(table)
    assert found.schema.names == ("a", "when")
    assert found.schema.columns[1].kind is ColumnKind.DATE
    assert [why_left_out(table.column(name)) for name in found.schema.left_out] == [
        "no cell that is not missing",
        "no cell that is not missing",
        "of type struct<q: int64>",
        "counts the rows",
        "text that differs in most rows",
    ]
    torch.testing.assert_close(read_table(table, found.schema).x, found.x)
    (tmp_path / "t.csv").write_text("a,gone,b\n" + "".join(f"{n % 3},,{n % 5}.5\n" for n in range(30)))
    assert load(tmp_path / "t.csv").train.notes == ("left out: gone (no cell that is not missing)",)


def test_words_for_nothing_among_numbers_are_gaps(tmp_path):
    (tmp_path / "t.csv").write_text(
        "a,sign\n"
        + "".join(f"{'-' if n % 9 == 1 else '#DIV/0!' if n % 9 == 2 else n / 8},{'+-'[n % 2]}\n" for n in range(90))
    )
    table = read_table(tmp_path / "t.csv")
    assert int(table.x[:, 0].isnan().sum()) == 20
    assert table.schema.columns[0].missing
    assert table.schema.columns[1].levels == ("+", "-")
    assert not table.x[:, 1].isnan().any()
    (block,) = table_blocks(tmp_path / "t.csv", table.schema)
    torch.testing.assert_close(block.x, table.x, equal_nan=True)


def test_digits_of_large_numbers_are_kept(tmp_path):
    """A table of plain numbers was kept in float32 without its origin: a moment in seconds was off by a minute."""
    (tmp_path / "t.csv").write_text(
        "t,v,k\n" + "".join(f"{1_709_251_200 + 7 * (n * 31 % 97)},{n * 13 % 29},20240301123\n" for n in range(60))
    )
    table = read_table(tmp_path / "t.csv")
    write_rows(tmp_path / "again.csv", table.schema, table.x)
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "t.csv").read_text()
    splits = load(tmp_path / "t.csv")
    assert splits.train.schema is not None  # its origin is needed


def test_spaces_in_typed_texts_are_no_part_of_a_level():
    table = pa.table(
        {"a": pa.array([" x", "y ", "x"] * 10).dictionary_encode(), "b": [" u", "v", "u "] * 10, "c": np.arange(30) % 4}
    )
    found = read_table(table)
    assert [column.levels for column in found.schema.columns[:2]] == [("x", "y"), ("u", "v")]
    assert torch.equal(read_table(table, found.schema).x, found.x)


def test_the_index_of_a_pandas_file_stays_what_it_is(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.5, None, 2.5] * 10, "b": ["x", "y", "x"] * 10}, index=np.arange(30)[::-1] * 3)
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.schema.names == ("a", "b")
    assert load(tmp_path / "t.parquet").train.notes == ("left out: __index_level_0__ (the index of a frame)",)
    (block,) = table_blocks(tmp_path / "t.parquet", table.schema)
    for one in (table, block):
        write_arrow(tmp_path / "filled.parquet", completed(one, torch.nan_to_num(one.x, 2.0)))
        pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "filled.parquet"), frame.fillna({"a": 2.0}))


def test_whole_numbers_beyond_64_bits_are_written(tmp_path):
    table = read_table(pa.table({"a": np.linspace(1, 29, 30) * 1e28, "b": np.arange(30) % 7}))
    write_rows(tmp_path / "t.csv", table.schema, table.x)
    np.testing.assert_allclose(read_table(tmp_path / "t.csv").x, table.x, rtol=1e-6)


@pytest.mark.parametrize(
    ("scale", "words"),
    [(1e40, "holds .* in row 1; give finite numbers below 1e"), (1e-40, "varies by .* give it in smaller units")],
)
def test_numbers_of_no_ordinary_size(tmp_path, scale, words):
    """A plain table of them trained, and could then not be scored: their squares are none of float32."""
    table = pa.table({"a": np.linspace(-1, 1, 30) * scale, "b": np.arange(30) % 7})
    with pytest.raises(SupportError, match=words):
        read_table(table)
    table = pa.table({"a": np.linspace(-1, 1, 30) * scale**0.5, "b": np.arange(30) % 7})
    assert load_table(table).train.kind is Kind.MIXED
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").train.kind is Kind.MIXED


@pytest.mark.parametrize(
    "top",
    [
        '"a","b","c d"\n"x",1.5,"u, v"\n"y",NA,"w"\n',
        '"a","b","c d"\n"x","1.5","u"\n"y","2.5","w"\n',
        'a,b,c\nx,1.5,"u ""q"", v"\ny,,w\n',
        "a,b,c\nx,1.5,u\n,,w\n",
    ],
)
def test_quotes_stay_where_they_were(tmp_path, top):
    names, first, second = top.splitlines(keepends=True)
    (tmp_path / "t.csv").write_text(names + (first + second) * 12)
    table = read_table(tmp_path / "t.csv")
    write_arrow(tmp_path / "again.csv", table.original, table.layout)
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "t.csv").read_text()


def test_a_pattern_without_a_number_is_refused():
    column = {"name": "a", "kind": "real", "pattern": "0.00 EUR"}
    with pytest.raises(FormatError, match=r"column 'a' has the pattern '0.00 EUR'; write 1234\.5"):
        from_record({"vael_schema": 1, "columns": [column]})
    assert (
        from_record({"vael_schema": 1, "columns": [{**column, "pattern": "1234.5 EUR"}]}).columns[0].pattern
        == "1234.5 EUR"
    )
