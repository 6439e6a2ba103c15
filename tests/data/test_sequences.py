"""Sequences: read by time, cut into windows, split so that no row is in two splits; what cannot be read is refused."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from vael.data import Kind, Windowing, load_sequences, statistics
from vael.data.sequences import starts, windows
from vael.data.series import read_sequences
from vael.errors import FormatError, ShapeError, StateError, SupportError, VaelError

DAY = np.datetime64("2021-03-01")


def table(path, columns):
    """A CSV file from columns of texts."""
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def days(count, step=1):
    return [str(DAY + step * n) for n in range(count)]


def numbered(path, series=1, length=200, shuffled=True):
    """Series in which every number is the row's own: 1000 × series + step + ½."""
    names = [f"s{n}" for n in range(series) for _ in range(length)]
    values = [str(1000 * n + t + 0.5) for n in range(series) for t in range(length)]
    columns = {"id": names, "date": days(length) * series, "a": values, "b": [f"-{v}" for v in values]}
    order = np.random.default_rng(0).permutation(len(names)) if shuffled else range(len(names))
    return table(path, {name: [column[i] for i in order] for name, column in columns.items()})


def rows_in(source):
    return set(source.x[..., 0].flatten().long().tolist())


@pytest.mark.parametrize("series", [1, 3, 12])
def test_windows_are_in_the_order_of_time_and_no_row_is_in_two_splits(tmp_path, series):
    how = Windowing(time="date", id="id", window=8, stride=3)
    splits = load_sequences(numbered(tmp_path / "s.csv", series), how)
    parts = [splits.train, splits.validation, splits.test]
    for part in parts:
        assert part.event == (8, 2)
        assert part.kind is Kind.REAL
        assert (part.x[:, 1:, 0] - part.x[:, :-1, 0] == 1).all()
        assert (part.x[..., 1] == -part.x[..., 0]).all()
        assert len(part.named.columns["begin"]) == len(part.named.columns["id"]) == len(part)
    sets = [rows_in(part) for part in parts]
    assert not any(one & other for place, one in enumerate(sets) for other in sets[:place])
    assert all(len(part) * 8 == len(rows) for part, rows in zip(parts[1:], sets[1:], strict=True))  # these overlap not
    assert len(splits.train) * 8 > len(sets[0])
    if series == 12:
        names = [{value // 1000 for value in rows} for rows in sets]
        assert not any(one & other for place, one in enumerate(names) for other in names[:place])
    else:
        assert all(value % 1000 < 160 for value in sets[0])
        assert all(value % 1000 >= 176 for value in sets[2])


def test_a_parquet_file_gives_the_same_as_text(tmp_path):
    path = numbered(tmp_path / "s.csv")
    typed = pa.table(
        {
            "id": ["s0"] * 200,
            "date": pa.array([(DAY + n).item() for n in range(200)]),
            "a": np.arange(200) + 0.5,
            "b": -np.arange(200) - 0.5,
        }
    )
    parquet.write_table(typed, tmp_path / "s.parquet")
    how = Windowing(time="date", id="id", window=8, stride=3)
    one, other = (load_sequences(file, how) for file in (path, tmp_path / "s.parquet"))
    assert one.train.fingerprint == other.train.fingerprint
    assert one.test.fingerprint == other.test.fingerprint


def test_later_data_are_read_by_what_was_settled(tmp_path):
    path = numbered(tmp_path / "s.csv")
    settled = load_sequences(path, Windowing(time="date", id="id")).train.windowing
    assert settled.window
    assert settled.columns
    again = load_sequences(path, Windowing.model_validate_json(settled.model_dump_json()))
    assert again.train.windowing == settled
    whole = read_sequences(path, settled)
    source = windows(whole, whole.series, settled.window, whole=True)
    assert rows_in(source) == set(range(200))


@pytest.mark.parametrize(("steps", "window", "stride"), [(10, 4, 4), (8, 4, 4), (9, 4, 3), (3, 4, 2), (4, 4, 9)])
def test_where_windows_begin(steps, window, stride):
    found = starts(steps, window, stride, True)
    covered = {t for begin in found for t in range(begin, begin + window)}
    if stride <= window:
        assert set(range(steps)) <= covered
    assert all(begin + window <= max(steps, window) for begin in starts(steps, window, stride, False))


def test_gaps_are_elements_that_were_not_seen_and_moments_are_by_channel(tmp_path):
    values = [f"{n % 5}" if n % 7 else ["", "NaN", "NA"][n % 3] for n in range(300)]
    other = [f"{100 + 10 * (n % 3)}" for n in range(300)]
    splits = load_sequences(table(tmp_path / "g.csv", {"t": days(300), "a": values, "b": other}), Windowing(time="t"))
    batch = splits.train.batch(torch.arange(3))
    assert splits.train.gaps
    assert splits.test.gaps
    assert torch.equal(batch.observed, ~batch.x.isnan())
    assert bool(batch.observed[..., 1].all())
    assert not bool(batch.observed[..., 0].all())
    found = statistics(splits.train)
    assert found.mean.shape == splits.train.event
    assert (found.mean == found.mean[:1]).all()
    seen = splits.train.x.flatten(0, 1)
    torch.testing.assert_close(found.mean[0], seen.nanmean(0))
    torch.testing.assert_close(found.std[0, 1], seen[:, 1].std(correction=0))


def test_series_shorter_than_a_window_are_filled_up_with_what_was_not_seen(tmp_path):
    lengths = [5, *[12] * 11]
    columns = {
        "id": [f"s{n}" for n, length in enumerate(lengths) for _ in range(length)],
        "t": [str(t) for length in lengths for t in range(length)],
        "a": [str(t + 0.5) for length in lengths for t in range(length)],
    }
    splits = load_sequences(table(tmp_path / "s.csv", columns), Windowing(time="t", id="id", window=8))
    parts = [splits.train, splits.validation, splits.test]
    assert all(part.gaps for part in parts)
    short = [part for part in parts if bool(part.x.isnan().any())]
    assert len(short) == 1
    assert int(short[0].x.isnan().sum()) == 3
    assert any("shorter than a window" in note for note in short[0].notes)


@pytest.mark.parametrize("gap", ["", "NA"])
def test_a_series_may_be_called_as_other_tables_call_what_is_missing(tmp_path, gap):
    """Namibia by its code, and a treatment that is none; where numbers have the word for what is missing it is that."""
    columns = {
        "land": [name for name in ("NA", "DE", "FR") for _ in range(40)],
        "drug": [name for name in ("none", "A", "B") for _ in range(40)],
        "t": [str(t) for _ in range(3) for t in range(40)],
        "a": [gap if t == 5 else f"{t}.5" for _ in range(3) for t in range(40)],
    }
    how = Windowing(time="t", id="land", window=8, apart=("drug",))
    if gap:
        with pytest.raises(SupportError, match=r"40 rows .*without 'land'"):
            read_sequences(table(tmp_path / "s.csv", columns), how)
        return
    found = read_sequences(table(tmp_path / "s.csv", columns), how)
    assert [(one.name, one.beside) for one in found.series] == [("NA", ("none",)), ("DE", ("A",)), ("FR", ("B",))]


def test_steps_that_are_not_equal_are_said_and_months_are_equal(tmp_path):
    months = [f"{1990 + n // 12}-{n % 12 + 1:02d}-01" for n in range(200)]
    values = [f"{n * 0.37:.2f}" for n in range(200)]
    weeks = days(200)
    jump = [*days(100), *[str(DAY + 130 + n) for n in range(100)]]
    found = {
        name: load_sequences(
            table(tmp_path / f"{name}.csv", {"t": times, "a": values}), Windowing(time="t")
        ).train.notes
        for name, times in (("months", months), ("days", weeks), ("jump", jump))
    }
    said = {name: [note for note in notes if "not equally long" in note] for name, notes in found.items()}
    assert not said["months"]
    assert not said["days"]
    assert "1 of 199" in said["jump"][0]


def test_arrays(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 12, 3))
    x[2, 3, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    splits = load_sequences(tmp_path / "x.npy", Windowing())
    assert splits.train.event == (12, 3)
    assert splits.train.windowing.window == 12
    assert splits.train.kind is Kind.REAL
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 30
    cut = load_sequences(tmp_path / "x.npy", Windowing(window=5, stride=2))
    assert len(cut.train) == 4 * len(splits.train)
    for name, cells, kind, levels in (
        ("bits", (x > 0).astype(np.uint8), Kind.BINARY, None),
        ("levels", np.random.default_rng(1).integers(0, 6, (30, 12, 3)), Kind.INTEGER, 6),
        ("below", np.random.default_rng(1).integers(-3, 6, (30, 12, 3)), Kind.REAL, None),
    ):
        np.save(tmp_path / f"{name}.npy", cells)
        found = load_sequences(tmp_path / f"{name}.npy", Windowing()).train
        assert (found.kind, found.levels) == (kind, levels)


def refused(path, how, error, *words):
    with pytest.raises(VaelError) as caught:
        load_sequences(path, how)
    assert type(caught.value) is error
    for word in words:
        assert word in str(caught.value)


def test_what_cannot_be_read_is_refused_by_name(tmp_path):
    numbers = [str(n * 0.5) for n in range(200)]
    good = table(tmp_path / "good.csv", {"date": days(200), "a": numbers})
    refused(good, Windowing(), StateError, "--sequence COLUMN", "date, a")
    refused(good, Windowing(time="dates"), ShapeError, "'dates'", "did you mean 'date'")
    refused(good, Windowing(time="date", id="shop"), ShapeError, "'shop'")
    refused(good, Windowing(time="date", window=150), StateError, "200 steps", "--window")
    text = table(tmp_path / "t.csv", {"date": days(200), "a": numbers, "place": ["x", "y"] * 100})
    refused(text, Windowing(time="date"), SupportError, "'place'", "--id")
    named = table(tmp_path / "u.csv", {"date": days(200), "a": numbers, "note": [f"text {n}" for n in range(200)]})
    refused(named, Windowing(time="date"), SupportError, "'note'")
    words = table(tmp_path / "w.csv", {"when": ["soon", "later"] * 100, "a": numbers})
    refused(words, Windowing(time="when"), SupportError, "neither a date nor a number", "'soon'")
    twice = table(tmp_path / "d.csv", {"date": days(100) * 2, "a": numbers})
    refused(twice, Windowing(time="date"), SupportError, "rows 1 and 101", "2021-03-01", "--id")
    nowhen = table(tmp_path / "n.csv", {"date": [*days(199), ""], "a": numbers})
    refused(nowhen, Windowing(time="date"), SupportError, "200", "without 'date'")
    noid = table(tmp_path / "i.csv", {"id": ["a"] * 199 + [""], "date": days(200), "a": numbers})
    refused(noid, Windowing(time="date", id="id"), SupportError, "without 'id'")
    short = table(tmp_path / "short.csv", {"date": days(20), "a": numbers[:20]})
    refused(short, Windowing(time="date"), StateError, "20 steps", "--window")
    (tmp_path / "x.txt.zip").write_bytes(b"PK")
    refused(tmp_path / "none.csv", Windowing(time="date"), FormatError)
    np.save(tmp_path / "flat.npy", np.zeros((30, 5)))
    refused(tmp_path / "flat.npy", Windowing(), ShapeError, "(30, 5)", "[examples, time, channels]")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(30, 5, 1)))
    refused(tmp_path / "x.npy", Windowing(time="date"), StateError, "no columns date")
    refused(tmp_path / "x.npy", Windowing(window=9), StateError, "5 steps")
    np.save(tmp_path / "inf.npy", np.full((30, 5, 1), np.inf))
    refused(tmp_path / "inf.npy", Windowing(), SupportError, "finite")


def test_an_archive_of_series_keeps_its_labels_and_its_splits(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 6, 2)).astype(np.float32)
    y = np.arange(30) % 3
    parts = {"train": slice(0, 18), "valid": slice(18, 24), "test": slice(24, 30)}
    arrays = {name: x[part] for name, part in parts.items()} | {f"y_{name}": y[part] for name, part in parts.items()}
    np.savez(tmp_path / "s.npz", **arrays)
    splits = load_sequences(tmp_path / "s.npz", Windowing(window=3))
    for source, part in zip((splits.train, splits.validation, splits.test), parts.values(), strict=True):
        assert torch.equal(source.x.reshape(-1, 6, 2), torch.from_numpy(x[part]))
        assert source.named.rows.tolist() == [row + 1 for row in range(30)[part] for _ in range(2)]
        assert source.label.tolist() == [label for label in y[part].tolist() for _ in range(2)]
    tested = read_sequences(tmp_path / "s.npz", Windowing()).tested
    assert np.array_equal(np.stack([one.x for one in tested.series]), x[24:])
    with pytest.raises(StateError, match="its own test split"):
        load_sequences(tmp_path / "s.npz", Windowing(), test=0.2)
    np.savez(tmp_path / "other.npz", train=x, test=x[:, :5])
    with pytest.raises(ShapeError, match="give all the same"):
        load_sequences(tmp_path / "other.npz", Windowing())
    np.savez(tmp_path / "few.npz", train=x[:2], valid=x[2:4], test=x[4:6])  # too few to set any aside
    assert len(load_sequences(tmp_path / "few.npz", Windowing()).train) == 2
