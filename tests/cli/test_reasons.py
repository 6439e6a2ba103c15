"""What is called usual of a column: of values that are quantities, whatever stands in beside them."""

import numpy as np
import pyarrow as pa
import pytest

from vael.cli.reasons import usual_of
from vael.data import load_table

ROWS = 500
NUMBERS = np.random.default_rng(0).normal(size=ROWS).round(3)
DAYS = np.datetime64("2020-01-01") + np.random.default_rng(1).integers(0, 900, ROWS)
STAND_INS = (-999.0, 9999.0, -99.0, 1e6)


def train_of(column):
    return load_table(
        pa.table({"a": pa.array(column), "b": pa.array(NUMBERS[::-1].copy())}), validation=1, test=1
    ).train


def middle(values):
    return np.quantile(values.astype(float), [0.05, 0.95])


@pytest.mark.parametrize("share", [0.002, 0.004, 0.02, 0.4])
@pytest.mark.parametrize("stand_in", STAND_INS)
@pytest.mark.parametrize("whole", [False, True])
def test_usual_numbers_are_those_of_the_cells_that_are_quantities(stand_in, share, whole):
    values = np.round(NUMBERS * 5) if whole else NUMBERS.copy()
    values[np.random.default_rng(2).permutation(ROWS)[: int(share * ROWS)]] = stand_in
    train = train_of(values.astype(np.int64) if whole else values)
    seen = train.x[:, 0].double().numpy() + train.schema.columns[0].origin
    said, *beside = usual_of(train)[0].split(", or ")
    low, high = map(float, said.split(" to "))
    rounding = 0.5 if whole else 0.0006
    assert np.abs(np.array([low, high]) - middle(seen[np.abs(seen - stand_in) > 1])).max() <= rounding
    assert [float(one) for one in beside] == (
        [stand_in] if share > 0.003 else []
    )  # two cells far from all others are a spike


@pytest.mark.parametrize("share", [0.002, 0.004, 0.3])
def test_usual_dates_are_those_that_happened(share):
    days = DAYS.copy()
    days[: int(share * ROWS)] = np.datetime64("9999-12-31")
    train = train_of(days.astype("datetime64[D]"))
    said = usual_of(train)[0]
    low, high = np.array(said.partition(",")[0].split(" to "), "datetime64[D]").astype(float)
    seen = train.x[:, 0].double().numpy() + train.schema.columns[0].origin
    assert np.abs(np.array([low, high]) - middle(seen[seen < 1e6])).max() <= 1
    assert ("or 9999-12-31" in said) == (share > 0.003)


def test_a_zero_that_many_have_is_named_beside_and_one_among_the_others_is_not():
    zeros = np.where(np.arange(ROWS) % 2, 0.0, np.abs(NUMBERS) + 1.0)
    assert usual_of(train_of(zeros))[0].endswith(", or 0.000")
    among = np.where(np.arange(ROWS) % 2, 0.0, NUMBERS)
    assert "or" not in usual_of(train_of(among))[0]


def test_groups_of_numbers_and_few_numbers_are_all_usual():
    assert usual_of(train_of(np.where(np.arange(ROWS) % 4, NUMBERS, NUMBERS + 1000)))[0].split(" to ")[1] > "1000"
    assert usual_of(train_of(np.arange(ROWS) % 2 * 10.0))[0] == "0 to 10"
    assert usual_of(train_of(np.full(ROWS, 7)))[0] == "7 to 7"
