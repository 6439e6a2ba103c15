"""Series in windows that overlap: every step is answered for once, by the window in which it is far from the ends."""

import numpy as np
import pytest

from vael.data import Windowing
from vael.data.covering import cover
from vael.data.series import read_sequences


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
