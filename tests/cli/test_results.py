"""What commands write of rows of a table is in the units of their columns: nothing of the origin that is taken off for
a model, no codes of levels.
"""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch

from vael.cli.results import elements
from vael.data import read_table
from vael.specs import Run
from vael.tables.reading import exact

NOISE = np.random.default_rng(0)
TABLE = pa.table(
    {
        "year": NOISE.integers(2019, 2022, 40),
        "order": NOISE.integers(10**9, 10**9 + 500, 40),
        "day": np.datetime64("2020-01-01") + NOISE.integers(0, 500, 40),
        "tree": NOISE.choice(["oak", "ash"], 40),
        "height": NOISE.normal(10, 2, 40).round(2),
    }
)


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".npy"])
def test_rows_are_written_in_the_units_of_their_columns(ending, tmp_path):
    """`vael reconstruct` wrote years as 0 to 2 and days as those since the first."""
    known = read_table(TABLE)
    data = SimpleNamespace(row_schema=known.schema, columns=known.schema.names)
    run = object.__new__(Run)
    object.__setattr__(run, "spec", SimpleNamespace(data=data))
    path, result = tmp_path / f"rows{ending}", elements(run, known.x)
    if ending == ".npy":
        result.array(path)
        origins = torch.tensor([column.origin for column in known.schema.columns], dtype=torch.float64)
        np.testing.assert_allclose(np.load(path), exact(known) + origins * torch.tensor([1, 1, 1, 0, 1]))
        return
    result.table(path)
    assert torch.equal(exact(read_table(path, known.schema)), exact(known))
