"""The quality page: complete, self-contained, the same for the same tables, and its sentences follow from the
numbers.
"""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from vael.evaluation.tabular.synthetic import JudgedTables, SyntheticQuality, judge_synthetic
from vael.report.tabular.synthetic import QualityInput, write_quality
from vael.report.tabular.synthetic_verdict import quality_remarks
from vael.report.verdict import Tone
from vael.tables.schema import Column, ColumnKind, Schema

SCHEMA = Schema(
    (
        Column("size <m>", ColumnKind.REAL, missing=True),
        Column("colour", ColumnKind.CATEGORICAL, levels=("red", "green", "blue"), rare=(("mauve", 1),)),
        Column("old", ColumnKind.BOOLEAN, levels=("no", "yes")),
    )
)


def law(rows: int, seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    size = rng.normal(size=rows)
    old = size + 0.5 * rng.normal(size=rows) > 0
    size[:3] = np.nan
    return torch.tensor(np.stack([size, rng.integers(0, 4, rows), old], 1), dtype=torch.float32)


@pytest.fixture(scope="module")
def good() -> tuple[JudgedTables, SyntheticQuality]:
    tables = JudgedTables(SCHEMA, law(600, 1), law(600, 2), law(600, 3))
    return tables, judge_synthetic(tables, bounds=(torch.linspace(-1, 1, 300), torch.linspace(-1, 1, 300)))


def tones(quality: SyntheticQuality) -> dict[str, Tone]:
    return {remark.what: remark.tone for remark in quality_remarks(quality)}


def test_the_page_holds_everything_and_loads_nothing(
    good: tuple[JudgedTables, SyntheticQuality], tmp_path: Path
) -> None:
    record = QualityInput(*good, "Synthetic <rows>", (("run", "runs/<one>"),))
    text = write_quality(tmp_path / "page.html", record).read_text()
    for said in (
        "Synthetic &lt;rows&gt;",
        "runs/&lt;one&gt;",
        "real-vs-synthetic AUC",
        "closer to training rows",
        "constraints broken",
        "membership attack",
    ):
        assert said in text
    assert text.count("<svg") == 5
    assert not re.search(r'(src|href)="(?!#|data:)', text)
    names: list[str] = re.findall(r' id="([^"]+)"', text)
    assert len(names) == len(set(names))
    HTMLParser().feed(text)
    write_quality(tmp_path / "again.html", record)
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "page.html").read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["again.html", "page.html"]


def test_a_perfect_table_is_praised(good: tuple[JudgedTables, SyntheticQuality]) -> None:
    assert set(tones(good[1]).values()) == {Tone.GOOD}


def test_what_is_wrong_is_said_first_and_by_name() -> None:
    train, holdout = law(300, 2), law(300, 3)
    bad = train.clone()
    bad[:, 1] = 5.0
    quality = judge_synthetic(
        JudgedTables(SCHEMA, bad, train, holdout), bounds=(torch.linspace(0, 2, 300), torch.linspace(-1, 1, 300))
    )
    said = quality_remarks(quality)
    assert said[0].tone is Tone.WARNING
    assert tones(quality)["constraints"] is tones(quality)["two-sample"] is tones(quality)["membership"] is Tone.WARNING
    text = " ".join(one.text for one in said)
    assert "`colour`" in text
    assert "is no level of the column" in text
    assert "Keep the model itself to yourself" in text or "Do not hand the table out" in text


def test_few_rows_are_not_called_a_good_table() -> None:
    tables = JudgedTables(SCHEMA, *(law(24, seed) for seed in range(3)))
    quality = judge_synthetic(tables)
    assert tones(quality)["two-sample"] is Tone.PLAIN
    assert "24 rows are too few" in {remark.what: remark.text for remark in quality_remarks(quality)}["two-sample"]
    apart = judge_synthetic(replace(tables, synthetic=tables.synthetic + torch.tensor([9.0, 0.0, 0.0])))
    assert apart.two_sample.found.auc > 0.95  # leaves of twenty rows would see nothing here


def test_what_a_classifier_half_sees_is_not_praised(good: tuple[JudgedTables, SyntheticQuality]) -> None:
    """An AUC of 0.735 on 18 and 18 rows is 2.4 deviations from chance: neither told apart nor alike."""
    quality = good[1]
    doubtful = replace(quality.two_sample.found, auc=0.735, positives=18, negatives=18, null_error=0.098)
    half = replace(quality, two_sample=replace(quality.two_sample, found=doubtful))
    assert tones(half)["two-sample"] is Tone.PLAIN
    assert "AUC 0.735, +2.4 standard deviations from 1/2, on 36 rows" in (
        text := {remark.what: remark.text for remark in quality_remarks(half)}["two-sample"]
    )
    assert "chance alone reaches 0.794" in text


def test_copies_are_a_warning() -> None:
    train = law(300, 2)
    quality = judge_synthetic(JudgedTables(SCHEMA, train.clone(), train, law(300, 3)))
    assert tones(quality)["copies"] is tones(quality)["membership"] is Tone.WARNING


def test_a_lost_dependence_is_named(good: tuple[JudgedTables, SyntheticQuality]) -> None:
    tables, _ = good
    broken = tables.synthetic.clone()
    broken[:, 2] = broken[torch.randperm(600, generator=torch.Generator().manual_seed(0)), 2]
    quality = judge_synthetic(replace(tables, synthetic=broken))
    text = {remark.what: remark.text for remark in quality_remarks(quality)}
    assert "most for `size <m>` and `old`" in text["pairs"]
    assert "partly lost" in text["efficacy"]


def test_where_nothing_can_be_learned_nothing_is_praised(good: tuple[JudgedTables, SyntheticQuality]) -> None:
    quality = good[1]
    found = quality.efficacy
    assert found is not None
    for ceiling, words in ((0.55, "Nothing can be learned"), (0.7, "nothing is learned for certain")):
        hopeless = replace(
            quality, efficacy=replace(found, skill=replace(found.skill, real=0.5, deviations=0.4, ceiling=ceiling))
        )
        assert words in {remark.what: remark.text for remark in quality_remarks(hopeless)}["efficacy"]
    assert "efficacy" not in tones(replace(quality, efficacy=None))


def test_one_column_has_a_page_too(tmp_path: Path) -> None:
    schema = Schema((SCHEMA.columns[0],))
    tables = JudgedTables(schema, *(law(40, seed)[:, :1] for seed in range(3)))
    text = write_quality(tmp_path / "p.html", QualityInput(tables, judge_synthetic(tables))).read_text()
    assert text.count("<svg") == 3
    assert "Nothing was predicted" in text
