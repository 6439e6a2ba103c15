"""Names and levels are shown as they are, whatever a drawing library, a terminal or a page would make of their
letters.
"""

import pyarrow as pa
import pyarrow.parquet
import pytest

from vael.report.style import as_label, inlined, new_figure, rendered, styled
from vael.visible import visible, visible_lines

TEXTS = [
    "$",
    "$a$",
    "$x_1^",
    r"$\frac{1}$",
    r"a\$b$",
    "_under",
    "__",
    "<b>&amp;</b>",
    "--><script>",
    "[red]x[/red]",
    "\x1b[31mred\x1b[0m",
    "a\nb\tc",
    "\u202eright to left",
    "שלום",
    "😀",
    "x" * 300,
    "{0}",
    "%s",
    "",
    " ",
    "\x00",
    "\ufffe",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_figure_takes_any_text(text):
    with styled():
        figure = new_figure(2.0, 1.5)
        axes = figure.add_subplot()
        axes.bar([0], [1], label=as_label(text))
        axes.set_xticks([0], [as_label(text)])
        axes.set(title=as_label(text), ylabel=text.replace("\x00", ""))
        axes.legend()
        assert [one.get_text() for one in axes.get_legend().get_texts()] == [as_label(text)] * bool(as_label(text))
        page = inlined(rendered(figure, "svg"), "figure", crisp=False)
    assert "<script" not in page
    assert len(as_label(text)) <= 25


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_other_files_of_a_figure_take_all_of_these_texts(kind):
    """All at once: a figure takes longer to set up than its texts to draw."""
    with styled():
        figure = new_figure(6.0, 6.0)
        axes = figure.add_subplot()
        for place, text in enumerate(TEXTS):
            axes.bar([place], [1], label=as_label(text))
            axes.text(place, 0.5, as_label(text))
        axes.set_xticks(range(len(TEXTS)), list(map(as_label, TEXTS)))
        axes.set(title=as_label("".join(TEXTS)), ylabel="".join(TEXTS).replace("\x00", ""))
        axes.legend()
        assert rendered(figure, kind).startswith({"png": b"\x89PNG", "pdf": b"%PDF"}[kind])


def test_texts_move_no_cursor():
    shown = visible("".join(TEXTS))
    assert not any(ord(letter) < 32 or letter == "\u202e" for letter in shown)
    assert visible("Größe $x$ שלום 😀") == "Größe $x$ שלום 😀"
    assert visible_lines("a\n\tb\x1b[0m") == "a\n\tb\ufffd[0m"


def test_data_info_shows_no_escapes(tmp_path, capsys):
    from vael.cli.main import main

    table = pa.table(
        {"\x1b[31mred": [float(row % 7) + 0.5 for row in range(60)], "k": ["\x1b]0;title\x07", "b", "c"] * 20}
    )
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    assert main(["data", "info", str(tmp_path / "t.parquet")]) == 0
    assert "\x1b" not in capsys.readouterr().out
