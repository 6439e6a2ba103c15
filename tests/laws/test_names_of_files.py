"""Names that lead to no file that can be read: one clear refusal from every command, for every input, and soon."""

import contextlib
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vael import specs
from vael.cli import main
from vael.cli.main import COMMANDS
from vael.errors import FormatError
from vael.options.declaring import options_of

SOON = 60  # seconds, far more than any of these takes, after which a command is taken to wait without end
TINY = (
    *("--epochs", "1", "--latent", "2", "--hidden", "4", "--precision", "float32"),
    *("--no-report", "--no-compile", "--importance-samples", "2"),
)
GIVEN = [
    (name, one)
    for name in COMMANDS
    for one in options_of(COMMANDS[name].record(name))
    if one.option.called and name not in ("push", "pull")
]
LONG = "x" * 300
FIFO = hasattr(os, "mkfifo")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    noise = np.random.default_rng(0)
    lines = [f"{a:.2f},{b:.2f},{'uw'[number % 2]}\n" for number, (a, b) in enumerate(noise.normal(0, 1, (60, 2)))]
    (folder / "t.csv").write_text("a,b,k\n" + "".join(lines))
    assert main(["train", str(folder / "t.csv"), "--run", str(folder / "run"), *TINY]) == 0
    for ending in ("", ".csv", ".csv.gz", ".parquet", ".npy", ".npz", ".png", ".zip") if FIFO else ():
        os.mkfifo(folder / f"pipe{ending}")
    return folder


@contextlib.contextmanager
def soon():
    """What has not ended by then does so with a `TimeoutError`."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def late(number, frame):
        raise TimeoutError("it waits without end")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SOON)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def words(name, one, value, place):
    """A command line with a value for one input, and what must be given beside it."""
    known = {each.name: each for each in options_of(COMMANDS[name].record(name))}
    usual = {"run": place / "run", "data": place / "t.csv", "action": "info", "output": place / "out.csv"}
    if name in ("train", "sweep"):
        usual |= {"run": place / "new"}
    if name == "classify" or one.name == "labels":
        usual |= {"model": "semi-supervised"}
    given = {key: usual[key] for key in usual if key in known} | {one.name: value}
    ordered = sorted(given, key=lambda key: not known[key].option.placed)  # arguments first
    called = {key: [] if known[key].option.placed else [known[key].names[0]] for key in ordered}
    return [name, *(word for key in ordered for word in (*called[key], str(given[key])))]


def refused(capsys, line):
    capsys.readouterr()
    with soon():
        status = main(line)
    said = capsys.readouterr().err
    assert status == 2, (line, said)
    assert "unexpected" not in said, (line, said)
    return said


@pytest.mark.parametrize(("name", "one"), GIVEN, ids=[f"{name}-{one.name}" for name, one in GIVEN])
def test_a_name_longer_than_any_file_can_have_is_refused(name, one, place, capsys):
    for value in (LONG, f"{LONG}.csv", "y/" * 3000 + "z.csv"):
        assert len(refused(capsys, words(name, one, value, place))) < 7000
    assert not (place / "new").exists()


@pytest.mark.skipif(not FIFO, reason="needs named pipes")
@pytest.mark.parametrize(("name", "one"), GIVEN, ids=[f"{name}-{one.name}" for name, one in GIVEN])
def test_a_pipe_is_refused_and_not_waited_for(name, one, place, capsys):
    for path in sorted(place.glob("pipe*")):
        refused(capsys, words(name, one, path, place))
    assert not (place / "new").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_a_name_without_a_last_part_is_refused(name, place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    assert "is a folder" in refused(capsys, ["impute", "run", name])
    assert "extension" in refused(capsys, ["impute", "run", "t.csv", "-o", name, "--multiple", "2"])


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_what_cannot_be_kept_by_its_name_is_refused_and_named(place, capsys):
    latin = place / os.fsdecode("caf\xe9".encode("latin-1"))
    pictures = place / "pictures"
    try:
        latin.mkdir()
    except OSError:
        pytest.skip("a disk that has names in UTF-8 alone")
    (latin / "t.csv").write_bytes((place / "t.csv").read_bytes())
    latin.with_suffix(".csv").write_bytes((place / "t.csv").read_bytes())
    os.rename(place / "run", latin / "run")
    pictures.mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(pictures / f"{latin.name}.png")
    try:
        for data in (latin / "t.csv", latin.with_suffix(".csv"), pictures):
            said = refused(capsys, ["train", str(data), "--run", str(place / "new"), *TINY])
            assert "caf\\xe9" in said
            assert "rename" in said
        said = refused(capsys, ["train", "--from", str(latin / "run"), "--run", str(place / "new"), "--epochs", "1"])
        assert "caf\\xe9" in said
        assert main(["encode", str(latin / "run"), str(latin / "t.csv"), "-o", str(latin / "codes.csv")]) == 0
    finally:
        os.rename(latin / "run", place / "run")
    assert not (place / "new").exists()


@pytest.mark.skipif(not FIFO, reason="needs named pipes")
def test_a_run_reads_no_pipe_from_python_either(place):
    run = specs.load(place / "run")
    with soon(), pytest.raises(FormatError, match="is a pipe"):
        run.score(Path(place / "pipe.csv"))
