"""About how many rows a file has, before it is read."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vael.data.tabular import about_rows


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv.gz", "rows.parquet", "rows.npy", "rows.png"])
def test_about_how_many_rows_a_file_has(tmp_path, name):
    path, x = tmp_path / name, np.arange(300.0).reshape(100, 3)
    if name == "rows.npy":
        np.save(path, x)
    elif name == "rows.parquet":
        pq.write_table(pa.table({"a": x[:, 0]}), path)
    else:
        text = "a,b,c\n" + "".join(",".join(map(str, row)) + "\n" for row in x)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert about_rows(path) == (None if name == "rows.png" else 100)
