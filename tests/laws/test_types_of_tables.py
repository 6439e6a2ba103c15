"""What a table is, it stays: the type, the zone and every digit of its cells, of each Arrow type that a table may
have.
"""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from scipy import stats

from vael.data import Column, ColumnKind, Schema, read_table
from vael.models import ColumnsHead
from vael.probability import draw_wide
from vael.tables.constraints import enforced
from vael.tables.inference import infer_schema
from vael.tables.reading import exact
from vael.tables.schema_file import as_record, from_record
from vael.tables.values.arrow_types import type_named
from vael.tables.values.decimals import decimals_of
from vael.tables.writing import arrow_cells, completed, write_rows

ROWS = 60
NOISE = np.random.default_rng(0)
SECONDS = NOISE.integers(16 * 10**8, 17 * 10**8, ROWS)
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
WHOLE = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
REAL = (pa.float16(), pa.float32(), pa.float64(), pa.decimal128(10, 2), pa.decimal256(50, 3))
ZONES = (None, "UTC", "+02:00", "America/New_York")
TEXTS = (pa.string(), pa.large_string())
LEVELS = tuple(
    pa.dictionary(index, pa.string(), ordered=ordered)
    for index in (pa.int8(), pa.uint16(), pa.int32())
    for ordered in (False, True)
)


def columns() -> dict[str, pa.Array]:
    """A column of every type, by its name."""
    found = {str(kind): pa.array(NOISE.integers(0, 9, ROWS)).cast(kind) for kind in WHOLE}
    found |= {str(kind): pa.array(NOISE.normal(50, 9, ROWS).round(1)).cast(kind) for kind in REAL}
    for unit, rate in UNITS.items():
        found |= {
            str(kind): pa.array(SECONDS * rate).cast(kind) for kind in (pa.timestamp(unit, tz=zone) for zone in ZONES)
        }
        found[f"duration[{unit}]"] = pa.array(SECONDS % 1000).cast(pa.duration(unit))
    for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")):
        ticks = pa.array(SECONDS % 86_400 * UNITS[kind.unit])
        found[str(kind)] = ticks.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64()).cast(kind)
    for kind in (
        pa.time32("ms"),
        pa.time64("us"),
        *(pa.timestamp(unit, zone) for unit in ("ms", "us") for zone in ZONES),
    ):
        ticks = SECONDS * UNITS[kind.unit] + NOISE.integers(0, UNITS[kind.unit], ROWS)
        ticks = pa.array(ticks if pa.types.is_timestamp(kind) else ticks % (86_400 * UNITS[kind.unit]))
        found[f"{kind} with fractions"] = ticks.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64()).cast(kind)
    found |= {
        str(kind): pa.array(SECONDS // 86_400).cast(pa.int32()).cast(pa.date32()).cast(kind)
        for kind in (pa.date32(), pa.date64())
    }
    words = ["small", "medium", "large"]
    found |= {str(kind): pa.array([words[code] for code in NOISE.integers(0, 3, ROWS)], kind) for kind in TEXTS}
    for kind in LEVELS:
        codes = pa.array(NOISE.integers(0, 3, ROWS)).cast(kind.index_type)
        found[str(kind)] = pa.DictionaryArray.from_arrays(codes, pa.array(words), ordered=kind.ordered)
    numbers = pa.DictionaryArray.from_arrays(pa.array(NOISE.integers(0, 3, ROWS)).cast(pa.int8()), pa.array([5, 7, 11]))
    days = [
        int((dt.date(2019, 1, 1) + dt.timedelta(int(day))).strftime("%Y%m%d")) for day in NOISE.integers(0, 1500, ROWS)
    ]
    return found | {
        "bool": pa.array(NOISE.random(ROWS) < 0.5),
        "levels of numbers": numbers,
        "levels of moments": pa.DictionaryArray.from_arrays(
            pa.array(NOISE.integers(0, 3, ROWS)).cast(pa.int8()), pa.array(SECONDS[:3]).cast(pa.timestamp("us"))
        ),
        "digits": pa.array(days, pa.int32()),
    }


COLUMNS = columns()


@pytest.mark.parametrize("name", COLUMNS)
def test_cells_come_out_as_they_went_in(name, tmp_path):
    """Type and cells of what is written are those that were read: as new rows, in the gaps of a table, and as text
    that is read again.
    """
    table = pa.table({name: COLUMNS[name], "beside": NOISE.normal(size=ROWS)})
    found = read_table(table)
    schema = found.schema
    assert from_record(as_record(schema)) == schema
    made = arrow_cells(schema, enforced(schema, exact(found)))
    assert made.schema.types == table.schema.types
    assert made.to_pylist() == table.to_pylist()
    gap = np.arange(ROWS) < 7
    gappy = table.set_column(
        0, name, table.column(0).take(pc.if_else(pa.array(gap), pa.scalar(None, pa.int64()), pa.array(np.arange(ROWS))))
    )
    whole = completed(read_table(gappy, schema), enforced(schema, exact(found)))
    assert whole.schema.types == table.schema.types
    assert whole.to_pylist() == table.to_pylist()
    write_rows(tmp_path / "text.csv", schema, enforced(schema, exact(found)))
    near = 1e-6 if name in ("float", "halffloat") else 1e-15  # such cells are written with the decimals of the column
    torch.testing.assert_close(exact(read_table(tmp_path / "text.csv", schema)), exact(found), rtol=near, atol=1e-9)
    write_rows(tmp_path / "typed.parquet", schema, enforced(schema, exact(found)))
    pa.parquet.write_table(table, tmp_path / "came.parquet")
    assert (
        pa.parquet.read_schema(tmp_path / "typed.parquet").types
        == pa.parquet.read_schema(tmp_path / "came.parquet").types
    )


def test_every_type_of_a_table_has_a_name_or_is_left_out_and_said():
    for kind in {column.type for column in COLUMNS.values()}:
        assert type_named(str(kind)) == kind
    odd = pa.table(
        {
            "list": [[1]] * 9,
            "bytes": [b"x"] * 9,
            "none": pa.nulls(9),
            "record": [{"a": 1}] * 9,
            "x": NOISE.normal(size=9),
        }
    )
    assert infer_schema(odd)[0].left_out == ("list", "bytes", "none", "record")


@pytest.mark.parametrize("kind", WHOLE)
def test_numbers_beyond_a_type_are_kept_within_it(kind):
    ends = np.iinfo(kind.to_pandas_dtype())
    column = Column("x", ColumnKind.REAL, decimals=0, type=str(kind))
    cells = torch.tensor([[-1e30], [1e30], [float(ends.max)], [float(ends.min)]], dtype=torch.float64)
    assert arrow_cells(Schema((column,)), cells)["x"].to_pylist() == [ends.min, ends.max, ends.max, ends.min]


def test_decimals_are_told_in_every_width():
    """Of float32 and of numbers of 10^12 with cents; of more digits than there are, none is told."""
    cents = NOISE.integers(10**3, 10**4, 300) / 100
    assert decimals_of(cents.astype(np.float32).astype(float), pa.float32()) == 2
    assert decimals_of(NOISE.random(300).round(3).astype(np.float32).astype(float), pa.float32()) == 3
    assert decimals_of(NOISE.integers(10**12, 5 * 10**12, 300) + NOISE.integers(0, 100, 300) / 100) == 2
    assert decimals_of(cents * 3 - cents * 2 + 0.1 + 0.2 - 0.3) == 2  # computed, not typed in
    assert decimals_of(NOISE.random(300)) is None
    assert decimals_of(NOISE.random(300).astype(np.float32).astype(float), pa.float32()) is None


DIGITS = {  # numbers of 9 to 15 digits, and moments to the second
    "order numbers": NOISE.integers(10**8, 10**9, 2000).astype(float),
    "fifteen digits": NOISE.integers(10**14, 10**15, 2000).astype(float),
    "turnover": NOISE.integers(10**12, 5 * 10**12, 2000) + NOISE.integers(0, 100, 2000) / 100,
    "small": NOISE.random(2000).round(10),
}


@pytest.mark.parametrize("name", DIGITS)
def test_last_digits_of_samples_are_on_no_lattice(name):
    """The last two digits of 20,000 draws are uniform, as those of the data: χ² of 100 cells, a false alarm in 10^6
    for each column.
    """
    schema = infer_schema(pa.table({"x": DIGITS[name]}))[0]
    x = read_table(pa.table({"x": DIGITS[name]}), schema).x
    head = ColumnsHead(schema, 3, x)
    with torch.no_grad():
        drawn = draw_wide(head(torch.zeros(1, 1, head.raw_numbers)), 20_000, torch.Generator().manual_seed(0))[:, 0, 0]
    assert drawn.dtype == torch.float64
    made = arrow_cells(schema, enforced(schema, drawn))["x"].to_numpy()
    ends = (
        schema.columns[0].minimum,
        schema.columns[0].maximum,
    )  # where draws beyond the range of the data are moved to
    made = made[(made > ends[0]) & (made < ends[1])]
    assert len(made) > 15_000
    last = np.round(made * 10.0 ** (schema.columns[0].decimals or 0)).astype(np.int64) % 100
    assert stats.chisquare(np.bincount(last, minlength=100)).pvalue > 1e-6


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.decimal128(20, 1), pa.string()])
def test_digits_below_those_of_float64_are_drawn(kind):
    """The last two digits of numbers of 18 are uniform (χ² of 100 cells, a false alarm in 10^6); ends and stand-ins
    stay as they are, and what is drawn is the same for the same seed and row.
    """
    numbers = [int(one) for one in NOISE.integers(10**17, 9 * 10**17, 6000)]
    table = pa.table({"x": pa.array([str(one) for one in numbers]).cast(kind)})
    found = read_table(table)
    made = arrow_cells(found.schema, enforced(found.schema, exact(found)), 3)["x"]
    assert made.type == kind
    drawn = np.array([int(float(one)) if isinstance(one, float) else int(one) for one in made.to_pylist()])
    assert np.abs(drawn - np.array(numbers)).max() <= 128
    assert stats.chisquare(np.bincount(drawn % 100, minlength=100)).pvalue > 1e-6
    block = arrow_cells(found.schema, enforced(found.schema, exact(found))[4000:], 3, np.arange(4001, 6001))
    assert block["x"].to_pylist() == made.to_pylist()[4000:]


def test_moments_keep_their_seconds_beside_the_end_of_the_calendar():
    """Seconds of draws are uniform although a stand-in lies 8,000 years off (χ² of 60 cells, a false alarm in
    10^6); it comes back exactly.
    """
    moments = [dt.datetime(2020, 1, 1) + dt.timedelta(seconds=int(one)) for one in NOISE.integers(0, 10**8, 900)]
    end = dt.datetime(9999, 12, 31, 23, 59, 59)
    table = pa.table({"until": pa.array([*moments, *[end] * 600], pa.timestamp("us")), "x": NOISE.normal(size=1500)})
    found = read_table(table)
    head = ColumnsHead(found.schema, 3, found.x)
    with torch.no_grad():
        law = head(torch.zeros(1, 1, head.raw_numbers))
        drawn = draw_wide(law, 20_000, torch.Generator().manual_seed(0))[:, 0, 0]
    cells = arrow_cells(found.schema, enforced(found.schema, drawn))["until"].to_pylist()
    usual = [one for one in cells if one.year < 9999]
    assert {one for one in cells if one.year == 9999} == {end}
    assert abs(1 - len(usual) / len(cells) - 0.4) < 0.03
    assert min(moments) <= min(usual)
    assert max(usual) <= max(moments)
    usual = [one for one in usual if min(moments) < one < max(moments)]
    assert stats.chisquare(np.bincount([one.second for one in usual], minlength=60)).pvalue > 1e-6


def test_a_run_of_another_type_fills_a_table_in_the_types_of_the_table():
    """What is filled has the type of its neighbours, whatever the model was trained on."""
    schema = read_table(
        pa.table({"x": pa.array([1.25, 2.5, 4.75] * 9), "k": ["a", "b", "b"] * 9, "n": [1, 5, 9] * 9})
    ).schema
    came = pa.table(
        {
            "x": pa.array([1.25, None, 4.75], pa.float32()),
            "k": pa.array(["a", None, "b"]).dictionary_encode(),
            "n": [1.0, 5.0, None],
        }
    )
    whole = completed(read_table(came, schema), torch.tensor([[0.0, 0.0, 1.0], [2.5, 1.0, 5.0], [0.0, 0.0, 9.0]]))
    assert whole.schema.types == came.schema.types
    assert whole.to_pylist() == [
        {"x": 1.25, "k": "a", "n": 1.0},
        {"x": 2.5, "k": "b", "n": 5.0},
        {"x": 4.75, "k": "b", "n": 9.0},
    ]
