"""Rows keep what names them, wherever they go: through splits, subsets, and back together."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from vael.cli import main
from vael.data import load
from vael.data.keys import Keys, counted_keys, joined_keys, with_keys
from vael.data.matching import joined


def table(rows=60):
    random = np.random.default_rng(0)
    return pa.table(
        {
            "id": [f"case-{number:03}" for number in range(rows)],
            "x": random.normal(size=rows).round(6),
            "score": random.normal(size=rows).round(6),
            "kind": random.choice(["a", "b"], rows),
        }
    )


def test_rows_of_a_table_keep_their_identifiers_through_every_split(tmp_path):
    original = table()
    pa.parquet.write_table(original, tmp_path / "t.parquet")
    splits = load(tmp_path / "t.parquet", test=20, validation=10)
    values = original.column("x").to_numpy().astype(np.float32)
    column = splits.train.columns.index("x")
    for source in (splits.train, splits.validation, splits.test, splits.train.subset(torch.tensor([5, 2, 9]))):
        assert source.named.columns["id"].to_pylist() == [f"case-{row - 1:03}" for row in source.named.rows]
        np.testing.assert_array_equal(
            source.batch(torch.arange(len(source))).x[:, column].numpy(), values[source.named.rows - 1]
        )


def test_joined_splits_are_in_the_order_of_the_data():
    digits = load("digits")
    back = joined(digits)
    np.testing.assert_array_equal(back.named.rows, np.arange(1, 1798) if len(back) == 1797 else digits.test.named.rows)
    np.testing.assert_array_equal(digits.train.named.rows.shape, digits.train.label.shape)


def test_files_are_named_beside_their_class(tmp_path):
    random = np.random.default_rng(0)
    for number in range(40):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (4, 4), dtype=np.uint8)).save(
            tmp_path / "ab"[number % 2] / f"{number:02}.png"
        )
    source = load(tmp_path).test
    names, labels = source.named.columns["file"].to_pylist(), source.label_texts(torch.arange(len(source)))
    assert [name.split("/")[0] for name in names] == labels


def test_a_name_that_two_columns_have_is_told_apart():
    found = with_keys(
        Keys(np.arange(1, 3), {"score": pa.array([7, 8]), "row": pa.array([1, 1])}),
        ["a", ""],
        {"score": pa.array([0.5, 0.25])},
    )
    assert found.column_names == ["row", "score (data)", "row (data)", "label", "score"]
    assert found.column("score").to_pylist() == [0.5, 0.25]


def test_parts_without_common_names_have_none_together():
    assert joined_keys([counted_keys(2), None]) is None
    assert joined_keys([]) is None
    assert joined_keys([counted_keys(2), Keys(np.array([5]), {"file": pa.array(["a"])})]) is None
    assert joined_keys([counted_keys(2), Keys(np.array([5]))]).rows.tolist() == [1, 2, 5]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_scores_and_codes_name_the_rows_that_they_are_of(tmp_path, ending, capsys):
    original = table(240)
    pa.parquet.write_table(original, tmp_path / "t.parquet")
    run = str(tmp_path / "run")
    quick = [
        "--epochs",
        "1",
        "--hidden",
        "8",
        "--latent",
        "2",
        "--precision",
        "float32",
        "--no-compile",
        "--no-report",
        "--importance-samples",
        "2",
    ]
    assert main(["train", str(tmp_path / "t.parquet"), "--run", run, *quick]) == 0
    for command, result in (("score", "score"), ("encode", "z1")):
        for data in ([], [str(tmp_path / "t.parquet")]):
            assert main([command, run, *data, "-o", str(tmp_path / f"o.{ending}")]) == 0
            path = tmp_path / f"o.{ending}"
            found = pa.parquet.read_table(path) if ending == "parquet" else pa.csv.read_csv(path)
            assert found.column_names[:2] == ["row", "id"]
            assert found.num_rows == (240 if data else 24)
            assert found.column("id").to_pylist() == [f"case-{row - 1:03}" for row in found.column("row").to_pylist()]
            assert np.isfinite(found.column(result).to_numpy()).all()
    capsys.readouterr()
