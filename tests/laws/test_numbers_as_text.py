"""Law of numbers as people write them: each form is read as the numbers that it says, a gap is filled in the same
form, and what was seen stays.
"""

import numpy as np
import pytest
import torch

from vael.data import ColumnKind, load, read_table
from vael.data.blocks import table_blocks
from vael.tables.as_text.output import cell_file
from vael.tables.as_text.text import text_table
from vael.tables.schema_file import as_record, from_record
from vael.tables.writing import completed

ARABIC = str.maketrans("0123456789.,", "٠١٢٣٤٥٦٧٨٩٫٬")
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")


def brackets(text):
    return f"({text[1:]})" if text.startswith("-") else text


def comma(text):
    return text.translate(str.maketrans(",.", ".,"))


def money(before, after, value):
    return ("-" if value < 0 else "") + f"{before}{abs(value):,.2f}{after}"


WAYS = {
    "accounting": lambda value: brackets(f"{value:,.2f}"),
    "accounting, comma": lambda value: brackets(comma(f"{value:,.2f}")),
    "brackets and currency": lambda value: f"(${-value:,.2f})" if value < 0 else f"${value:,.2f}",
    "brackets behind a currency": lambda value: f"$({-value:,.2f})" if value < 0 else f"${value:,.2f}",
    "brackets and a code": lambda value: brackets(f"{value:,.2f}") + " EUR",
    "sign behind": lambda value: f"{abs(value):,.2f}" + ("-" if value < 0 else ""),
    "sign behind, comma": lambda value: comma(f"{abs(value):,.2f}") + ("-" if value < 0 else ""),
    "typeset minus": lambda value: f"{value:.2f}".replace("-", "\u2212"),
    "dash for minus": lambda value: f"{value:.2f}".replace("-", "\u2013"),
    "typeset minus and currency": lambda value: money("€ ", "", value).replace("-", "\u2212"),
    "plus": lambda value: f"{value:+.2f}",
    "currency before": lambda value: money("$", "", value),
    "currency behind": lambda value: money("", " €", value),
    "code before": lambda value: money("USD ", "", value),
    "code behind": lambda value: money("", " CHF", value),
    "per cent": lambda value: f"{value:.2f} %",
    "per cent, before": lambda value: money("%", "", value),
    "thin spaces": lambda value: comma(f"{value:,.2f}").replace(".", "\u2009"),
    "thin spaces and a point": lambda value: f"{value:,.2f}".replace(",", "\u2009"),
    "narrow spaces": lambda value: comma(f"{value:,.2f}").replace(".", "\u202f"),
    "apostrophes": lambda value: f"{value:,.2f}".replace(",", "’"),
    "apostrophes and a comma": lambda value: comma(f"{value:,.2f}").replace(".", "'"),
    "exponents": lambda value: f"{value:.6E}",
    "exponents, comma": lambda value: comma(f"{value:.6E}"),
    "blank behind the minus": lambda value: f"{value:.2f}".replace("-", "- "),
    "unit": lambda value: f"{value:.2f} kWh",
    "Arabic": lambda value: f"{value:.2f}".translate(ARABIC),
    "full width": lambda value: f"{value:.2f}".translate(WIDE),
}
OTHERWISE = (
    "exponents",
    "exponents, comma",
    "blank behind the minus",
    "dash for minus",
    "brackets behind a currency",
    "brackets and a code",
)  # filled in another form that is read


def table_of(path, texts):
    path.write_text(
        "amount\tk\n" + "".join(f"{text}\t{'abc'[row % 3]}\n" for row, text in enumerate(texts)), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize("name", WAYS)
def test_numbers_are_read_as_they_are_meant_and_filled_as_they_are_written(tmp_path, name):
    values = np.random.default_rng(0).normal(0, 3000, 80).round(2)
    texts = [WAYS[name](value) for value in values]
    texts[7] = texts[30] = ""
    path = table_of(tmp_path / "t.tsv", texts)
    table = read_table(path)
    column = table.schema.columns[0]
    assert column.kind is ColumnKind.REAL
    seen = np.delete(np.arange(80), [7, 30])
    np.testing.assert_allclose(table.x[seen, 0].double().numpy() + column.origin, values[seen], rtol=1e-6)
    assert from_record(as_record(table.schema)) == table.schema
    with cell_file(tmp_path / "filled.tsv", text_table(path).layout) as file:
        for block in table_blocks(path, table.schema, rows=16):
            file.add(completed(block, torch.nan_to_num(block.x, nan=-234.5)), block.kept)
    again = [line.split("\t")[0] for line in (tmp_path / "filled.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    assert [again[row] for row in seen] == [texts[row] for row in seen]
    back = read_table(tmp_path / "filled.tsv", table.schema)
    np.testing.assert_allclose(back.x[[7, 30], 0].numpy(), -234.5)
    if name not in OTHERWISE:
        assert again[7] == WAYS[name](-234.5)


@pytest.mark.parametrize("dash", ["$ -", "$-", "-$", "-", "€ –"])
def test_a_dash_beside_money_is_a_gap_and_said(tmp_path, dash):
    """As spreadsheets show what is not there: it made a text of the whole column."""
    path = table_of(tmp_path / "t.tsv", [dash if row % 9 == 4 else f"${row * 37 % 89 / 4:.2f}" for row in range(80)])
    table = read_table(path)
    assert table.schema.columns[0].kind is ColumnKind.REAL
    assert torch.equal(table.x[:, 0].isnan(), torch.arange(80) % 9 == 4)
    (note,) = load(path).train.notes
    assert f"{dash!r} in 9 cells of amount" in note


def test_limits_are_numbers_that_are_not_known(tmp_path):
    """They made levels of the whole column, in silence."""
    texts = [
        "<0.5" if row % 7 == 0 else "> 9.5" if row % 11 == 0 else "" if row == 5 else f"{row * 37 % 89 / 10:.1f}"
        for row in range(80)
    ]
    path = table_of(tmp_path / "t.tsv", texts)
    table = read_table(path)
    assert table.schema.columns[0].kind is ColumnKind.REAL
    bounded = np.array(["<" in text or ">" in text for text in texts])
    assert table.x[:, 0].isnan().numpy().tolist() == [bool(one) or row == 5 for row, one in enumerate(bounded)]
    assert np.flatnonzero(table.gaps[:, 0]).tolist() == [5]
    (note,) = load(path).train.notes
    assert "'<0.5' in 12 cells of amount" in note
    assert "'> 9.5' in 6 cells of amount" in note
    filled = completed(table, torch.nan_to_num(table.x, nan=1.0)).column("amount").to_pylist()
    assert [one for one, other in zip(filled, texts, strict=True) if one != other] == ["1.0"]


def test_limits_among_few_numbers_are_levels_and_said(tmp_path):
    path = table_of(tmp_path / "t.tsv", [["0", "1", "2", ">2"][row % 4] for row in range(80)])
    table = read_table(path)
    assert table.schema.columns[0].levels == ("0", "1", "2", ">2")
    (note,) = load(path).train.notes
    assert "'>2' in 20 cells of amount, which is taken for levels" in note


@pytest.mark.parametrize("word", ["<LOD", "< LOQ", "<lod", "<MDL", ">RL"])
def test_limits_of_a_laboratory_are_numbers_that_are_not_known(tmp_path, word):
    texts = [word if row % 4 == 1 else f"{row * 37 % 89 / 10:.1f}" for row in range(80)]
    table = read_table(table_of(tmp_path / "t.tsv", texts))
    assert table.schema.columns[0].kind is ColumnKind.REAL
    assert torch.equal(table.x[:, 0].isnan(), torch.arange(80) % 4 == 1)
    assert completed(table, torch.nan_to_num(table.x, nan=1.0)).column("amount").to_pylist() == texts
    (note,) = load(tmp_path / "t.tsv").train.notes
    assert f"{word!r} in 20 cells of amount" in note


@pytest.mark.parametrize(
    "word", ["BDL", "trace", "not detected", "~0.5", "0.5*", "0.5 (e)", "[0.5]", "-1.#IND", "tbd", "12 CR"]
)
@pytest.mark.parametrize("form", ["{:.1f}", "{:+.2e}", "${:,.2f}", "{:.1f} %"])
def test_no_column_of_numbers_becomes_levels_or_is_left_out_in_silence(tmp_path, word, form):
    """Where a tenth of the cells or more are no numbers; fewer are refused."""
    texts = [
        f"{word}{row if word == '12 CR' else ''}" if row % 4 == 1 else form.format(row % 50 * 37.1)
        for row in range(200)
    ]
    path = table_of(tmp_path / "t.tsv", texts)
    (note,) = [note for note in load(path).train.notes if "no numbers among numbers" in note]
    assert "50 cells of amount" in note
    assert word.removeprefix("12") in note


@pytest.mark.parametrize(
    "texts", [["12", "12A", "B7"], ["00501", "10115", "x"], ["1", "2", "other"], ["2020-01-01", "2020-02-01"]]
)
def test_nothing_is_said_of_columns_that_are_no_numbers(tmp_path, texts):
    path = table_of(tmp_path / "t.tsv", [texts[row % len(texts)] for row in range(60)])
    assert not [note for note in load(path).train.notes if "among numbers" in note]


@pytest.mark.parametrize(
    "texts",
    [
        ["<=50K", ">50K"],
        ["(1)", "(2)", "(3)"],
        ["<18", "18-64", ">64"],
        ["10–20", "20–30"],
        ["1-", "1+", "2-"],
        ["00501", "10115"],
    ],
)
def test_levels_with_signs_are_levels(tmp_path, texts):
    table = read_table(table_of(tmp_path / "t.tsv", [texts[row % len(texts)] for row in range(60)]))
    assert table.schema.columns[0].levels == tuple(sorted(texts))
