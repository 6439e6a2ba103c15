"""Texts of data where people see them: nothing in them becomes markup."""

import re
from html import escape

import numpy as np
import pytest

import vael
from vael.data import Column, ColumnKind, Schema
from vael.visible import html_table

EVIL = '<script>alert("x")</script>&\x1b[31m\u202e'


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, noise = tmp_path_factory.mktemp("<b>shown"), np.random.default_rng(0)
    lines = [f"{a:.2f},{'<i>x' if a > 0 else 'y&amp;'}" for a in noise.normal(size=60)]
    (folder / "<u>data.csv").write_text("<img src=x onerror=alert(1)>,b\n" + "\n".join(lines) + "\n")
    return vael.train(folder / "<u>data.csv", run=folder / "run", epochs=1, latent=2, hidden=(8,), callbacks=())


def test_a_table_escapes_what_it_shows():
    found = html_table(EVIL, [(EVIL, 12345, 0.5)], (EVIL,))
    assert "<script" not in found
    assert "\x1b" not in found
    assert "\u202e" not in found
    assert "&lt;script&gt;" in found
    assert "12,345" in found


@pytest.mark.parametrize("of", ["run", "splits", "schema", "evaluation"])
def test_records_show_themselves_in_notebooks(run, of):
    splits = run.splits()
    shown = {"run": run, "splits": splits, "schema": splits.train.schema}
    if of == "evaluation":
        shown[of] = vael.evaluate(run.model, splits.validation, importance_samples=5, seed=0)
    html = shown[of]._repr_html_()
    assert set(re.findall(r"</?([a-z]+)", html)) <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert not re.search(
        r"(?<!&lt;img )\bsrc=|href=|url\(|#[0-9a-f]{3}|https?:", html
    )  # nothing loaded, no own colours
    assert html.count("<tr>") == html.count("</tr>") >= 2


def test_what_is_shown_of_each_is_what_it_is(run):
    splits = run.splits()
    assert escape(str(run.folder)) in run._repr_html_()
    assert f"{run.spec.parameters:,}" in run._repr_html_()
    assert str(len(splits.train)) in splits._repr_html_()
    found = vael.evaluate(run.model, splits.validation, importance_samples=5, seed=0)
    assert f"{found.elbo:.2f}" in found._repr_html_()
    assert f"{found.log_likelihood:.2f} ± {found.standard_error:.2f}" in found._repr_html_()
    many = Column("n", ColumnKind.CATEGORICAL, levels=tuple(f"level {number}" for number in range(9)))
    assert "level 5, and 3 further levels" in Schema((many,))._repr_html_()
