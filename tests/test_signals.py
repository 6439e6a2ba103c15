"""Commands that are asked to end, or that nobody listens to any more."""

import errno
import importlib
import io
import os
import signal

import pytest

from vael.cli.telling import Unheard
from vael.signals import ENDING, ending_asks
from vael.training.loop import interruptible

doors = importlib.import_module("vael.cli.main")  # the name in the package is that of its function


@pytest.mark.parametrize("kind", ENDING)
def test_every_signal_that_ends_a_process_lets_training_write_a_checkpoint_first(kind):
    before = [signal.getsignal(one) for one in ENDING]
    with interruptible() as flag:
        assert not flag.is_set()
        signal.raise_signal(kind)
        assert flag.is_set()
        assert signal.getsignal(kind) == before[ENDING.index(kind)]  # a second one ends it after all
    assert [signal.getsignal(one) for one in ENDING] == before


@pytest.mark.parametrize("kind", ENDING)
def test_what_the_caller_has_ignored_stays_ignored(kind):
    former = signal.signal(kind, signal.SIG_IGN)
    try:
        with interruptible() as flag, doors.terminable() as came:
            signal.raise_signal(kind)
            assert not flag.is_set()
            assert not came.is_set()
        assert signal.getsignal(kind) == signal.SIG_IGN
    finally:
        signal.signal(kind, former)


def test_a_program_that_handles_a_signal_itself_has_its_handler_back():
    seen = []
    former = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with ending_asks(lambda number, frame: None):
            signal.raise_signal(signal.SIGTERM)
        assert not seen
        signal.raise_signal(signal.SIGTERM)
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, former)


@pytest.mark.parametrize("kind", ENDING)
@pytest.mark.parametrize("swallowed", [False, True])
def test_it_is_said_that_a_command_was_interrupted_and_nothing_else(kind, swallowed, monkeypatch, capsys):
    """Also where a library swallows it in the midst of an import and then fails by what it left undone."""

    def command(words):
        try:
            signal.raise_signal(kind)
        except KeyboardInterrupt:
            if not swallowed:
                raise
        raise AttributeError("module 'torch._dynamo' has no attribute 'exc'")

    monkeypatch.setattr(doors, "dispatch", command)
    assert doors.main(["score"]) == doors.INTERRUPTED
    assert capsys.readouterr().err == "vael: interrupted\n"


def unread_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True)


def test_training_goes_on_when_the_reader_of_its_lines_has_left(tmp_path, monkeypatch):
    """As with `vael train ... | head -1`: the run is finished, and the process ends well."""
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{i % 7}.5,{i % 5}\n" for i in range(60)))
    monkeypatch.chdir(tmp_path)
    with unread_pipe() as stream:
        monkeypatch.setattr("sys.stdout", stream)
        status = doors.main(["train", "t.csv", "--run", "r", "--epochs", "1", "--hidden", "4", "--no-report"])
        monkeypatch.undo()
    assert status == doors.DONE
    assert (tmp_path / "r" / "model.safetensors").exists()


def test_a_command_whose_output_is_all_that_it_makes_ends_when_the_reader_has_left(monkeypatch):
    with unread_pipe() as stream:
        monkeypatch.setattr("sys.stdout", stream)
        status = doors.main(["--help"])
        monkeypatch.undo()
    assert status == doors.FAILED


def test_only_a_reader_who_left_is_forgiven():
    class Full(io.StringIO):
        def write(self, text, /):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        Unheard(Full()).write("a line")
