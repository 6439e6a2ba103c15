"""Series in windows that overlap: every step is answered for once, by the window in which it is far from the ends."""

import numpy as np
import pytest

from vael.data import Windowing
from vael.data.covering import cover, following
from vael.data.series import read_sequences
from vael.tables.schema_file import from_record
from vael.tables.writing import moments_as, numbers_as, written_cells


def series(path, lengths):
    steps = [(name, t) for name, length in enumerate(lengths) for t in range(length)]
    rows = [f"{name},{t},{1000 * name + t + 0.5 * (t % 2)}" for name, t in steps]
    path.write_text("\n".join(["id,t,a", *rows]) + "\n")
    return read_sequences(path, Windowing(time="t", id="id", window=8))


@pytest.mark.parametrize("overlap", [0, 4, 7])
@pytest.mark.parametrize("lengths", [(40,), (41, 8, 3, 23)])
def test_windows_give_the_steps_back(tmp_path, lengths, overlap):
    found = series(tmp_path / "s.csv", lengths)
    windows = cover(found, found.series, overlap=overlap)
    assert sorted(windows.steps[windows.steps >= 0]) == list(range(sum(lengths)))
    values = windows.source.x.numpy()
    np.testing.assert_array_equal(windows.steps_of(values)[:, 0], np.concatenate([one.x[:, 0] for one in found.series]))
    for window, begin in enumerate(windows.begins):
        seen = ~np.isnan(values[window, :, 0])
        at = begin + np.flatnonzero(seen)
        times = list(map(float, windows.beside(found, at)["t"].to_pylist()))
        assert times == list(np.floor(values[window, seen, 0]) % 1000)
        name, time = divmod(int(values[window, 0, 0]), 1000)
        assert windows.told(found, window, 0) == f"{name} {time}"


def test_a_step_is_as_far_from_the_ends_of_its_window_as_half_of_the_overlap(tmp_path):
    found = series(tmp_path / "s.csv", (64,))
    windows = cover(found, found.series, overlap=4)
    for step in range(64):
        window, place = np.argwhere(windows.steps == step)[0]
        first, last = window == 0, window == len(windows.steps) - 1
        assert place >= (0 if first else 2)
        assert place < (8 if last else 6)


MONTHS = np.datetime64("2000-01") + np.arange(240)
DAYS = np.datetime64("2019-01-01") + np.arange(450)
HALF_HOURS = np.datetime64("2019-01-01T00:00") + 30 * np.arange(150)
CALENDARS = {  # times as they are written, all of them as people would go on with them
    "months": [str(one) for one in MONTHS],
    "first days of months": [f"{one}-01" for one in MONTHS],
    "last days of months": [str((one + 1).astype("datetime64[D]") - 1) for one in MONTHS],
    "a day of months": [f"{one}-28" for one in MONTHS],
    "quarters": [f"{1970 + n // 4} Q{n % 4 + 1}" for n in range(150)],
    "last days of quarters": [str((one + 1).astype("datetime64[D]") - 1) for one in MONTHS[2::3]],
    "last days of years": [f"{1900 + n}-12-31" for n in range(60)],
    "days": [str(one) for one in DAYS],
    "days in another order": [f"{str(one)[8:]}.{str(one)[5:7]}.{str(one)[:4]}" for one in DAYS],
    "weeks": [str(one) for one in DAYS[::7]],
    "working days": [str(one) for one in DAYS[np.is_busday(DAYS)]],
    "half hours in UTC": [f"{one}:00Z".replace("T", " ") for one in HALF_HOURS],
    "half hours elsewhere": [f"{one}:00+05:30" for one in HALF_HOURS],
    "years": [str(1900 + n) for n in range(60)],
    "every fifth year": [str(1700 + 5 * n) for n in range(60)],
    "shares of a year": [f"{1949 + n / 12:.3f}" for n in range(150)],
    "shares of a year in two digits": [f"{1949 + n / 12:.2f}" for n in range(150)],
    "quarters of a year": [f"{1949 + n / 4:.2f}" for n in range(150)],
    "tenths": [f"{n / 10:.1f}" for n in range(150)],
}


@pytest.mark.parametrize("name", CALENDARS)
def test_times_go_on_as_they_are_written(tmp_path, name):
    """Wherever a series ends: in a short month, before a weekend, in the middle of a year."""
    times = CALENDARS[name]
    for end in (40, 41, 44, 45, 46):
        rows = [f"{time},{n % 7}.5" for n, time in enumerate(times[:end])]
        (tmp_path / "s.csv").write_text("\n".join(["t,a", *rows]) + "\n")
        found = read_sequences(tmp_path / "s.csv", Windowing(time="t", window=4))
        column = from_record(found.windowing.columns, "run.json").columns[0]
        ahead = following(found.series[0], 14, column) + column.origin
        written = (moments_as if column.kind.name == "DATE" else numbers_as)(column, ahead, np.isnan(ahead))
        assert written_cells(column, written) == times[end : end + 14]
        irregular = any("not equally long" in note for note in found.notes)
        assert irregular == (name == "working days")
