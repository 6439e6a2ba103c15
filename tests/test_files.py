"""Every file is whole or as it was; nothing is written over through a link, a device, a guessed name, or over what
a result is made from.
"""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from vael import files
from vael.errors import FormatError, StateError, VaelError
from vael.tables.as_text.output import cell_file, row_file

CONTENT = b"new content " * 1000
needs_links = pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX systems")


def by_rows(ending):
    def write(path):
        with row_file(path.with_suffix(ending), ("a", "b")) as file:
            file.add(np.random.default_rng(0).standard_normal((2000, 2)))

    return write


def by_cells(path):
    with cell_file(path.with_suffix(".csv")) as file:
        file.add(pa.table({"a": [str(number) for number in range(2000)]}))


WRITERS = {
    "bytes": (lambda path: files.write_bytes(path.with_suffix(".bin"), CONTENT), ".bin"),
    "append": (lambda path: files.append(path.with_suffix(".bin"), CONTENT), ".bin"),
    "npy": (by_rows(".npy"), ".npy"),
    "csv": (by_rows(".csv"), ".csv"),
    "parquet": (by_rows(".parquet"), ".parquet"),
    "cells": (by_cells, ".csv"),
}
EACH = pytest.mark.parametrize("name", WRITERS)


@pytest.fixture
def victim(tmp_path):
    """A person's file outside of the folder that is written to."""
    path = tmp_path / "victim"
    path.write_bytes(b"precious")
    return path


@pytest.fixture
def folder(tmp_path):
    """A run folder that came from somebody else."""
    path = tmp_path / "run"
    path.mkdir()
    (path / "run.json").write_text("{}")
    return path


def inside(folder):
    """Everything in a folder, as names."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@EACH
def test_a_file_is_new_or_replaces_one_and_keeps_its_permissions(name, tmp_path):
    write, ending = WRITERS[name]
    target = tmp_path / f"x{ending}"
    write(target)
    made = target.read_bytes()
    assert inside(tmp_path) == [target.name]
    if os.name != "nt":
        mask = os.umask(0)
        os.umask(mask)
        assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask
        target.chmod(0o640)
    write(target)
    assert target.read_bytes() == (made * 2 if name == "append" else made)
    if os.name != "nt":
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
    write(tmp_path / "deep" / "er" / f"x{ending}")
    assert (tmp_path / "deep" / "er" / f"x{ending}").read_bytes() == made


@needs_links
@EACH
def test_no_link_is_followed(name, folder, victim):
    """As the target, as a folder on the way within a run, as a second name on the disk."""
    write, ending = WRITERS[name]
    (folder / f"x{ending}").symlink_to(victim)
    with pytest.raises(FormatError, match="is a link"):
        write(folder / f"x{ending}")
    (folder / f"nowhere{ending}").symlink_to(folder.parent / "not-there")
    with pytest.raises(FormatError, match="is a link"):
        write(folder / f"nowhere{ending}")
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "run.json").write_text(
        "{}"
    )  # a run folder itself, so that the first folder with one is not the one to look from
    (folder / "figures").symlink_to(elsewhere)
    for target in (folder / "figures" / f"y{ending}", folder / "figures" / "new" / f"y{ending}"):
        with pytest.raises(FormatError, match="figures in the run folder"):
            write(target)
    os.link(victim, folder / f"second{ending}")
    write(folder / f"second{ending}")
    assert victim.read_bytes() == b"precious"
    assert victim.stat().st_nlink == 1
    assert not (folder.parent / "not-there").exists()
    assert inside(elsewhere) == ["run.json"]


@needs_links
def test_a_person_may_keep_folders_behind_links(tmp_path):
    """Links above the run folder, and on the way to a file in no run folder, are the person's own."""
    (tmp_path / "disk" / "run").mkdir(parents=True)
    (tmp_path / "disk" / "run" / "run.json").write_text("{}")
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    (tmp_path / "latest").symlink_to(tmp_path / "runs" / "run")
    files.write_bytes(tmp_path / "runs" / "run" / "figures" / "x", CONTENT)
    files.write_bytes(tmp_path / "latest" / "y", CONTENT)
    files.write_bytes(tmp_path / "runs" / "z", CONTENT)
    assert inside(tmp_path / "disk") == ["run", "run/figures", "run/figures/x", "run/run.json", "run/y", "z"]


def test_temporary_names_are_not_guessed(tmp_path, monkeypatch):
    """Two processes of one number, and what lies under the name already: the file is made exclusively."""
    seen = []
    real = os.open

    def watched(path, flags, *rest, **more):
        if flags & os.O_CREAT:
            seen.append((Path(path), flags))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", watched)
    for _ in range(2):
        files.write_bytes(tmp_path / "x", CONTENT)
    (first, flags), (second, _) = seen
    assert first != second
    assert first.parent == tmp_path
    assert flags & os.O_EXCL
    assert flags & getattr(os, "O_NOFOLLOW", 0) == getattr(os, "O_NOFOLLOW", 0)
    monkeypatch.setattr(files.secrets, "token_hex", lambda count: "known")
    planted, other = tmp_path / ".known.tmp", tmp_path / "other"
    if os.name != "nt":
        planted.symlink_to(other)
        with pytest.raises(FormatError):
            files.write_bytes(tmp_path / "x", b"more")
        assert not other.exists()
        assert (tmp_path / "x").read_bytes() == CONTENT


@needs_links
@EACH
def test_a_pipe_is_written_through_and_stays_one(name, tmp_path):
    write, ending = WRITERS[name]
    target, plain = tmp_path / f"pipe{ending}", tmp_path / f"plain{ending}"
    os.mkfifo(target)
    with pytest.raises(FormatError, match="nobody reads"):
        write(target)
    came = []
    reader = threading.Thread(target=lambda: came.append(target.read_bytes()))
    reader.start()
    for _ in range(2000):  # until the reader is there
        try:
            write(target)
            break
        except FormatError:
            threading.Event().wait(0.005)
    reader.join()
    write(plain)
    assert came == [plain.read_bytes()]
    assert stat.S_ISFIFO(target.lstat().st_mode)
    assert inside(tmp_path) == [target.name, plain.name]


@needs_links
@EACH
def test_a_device_is_written_through_and_stays_one(name, tmp_path):
    """A device of its own, made here with the numbers of the null device; where that may not be done there is
    nothing to test.
    """
    write, ending = WRITERS[name]
    target = tmp_path / f"null{ending}"
    try:
        os.mknod(target, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.close(os.open(target, os.O_WRONLY))
    except OSError:
        pytest.skip("this user may not make devices here")
    write(target)
    assert stat.S_ISCHR(target.lstat().st_mode)
    assert inside(tmp_path) == [target.name]


@needs_links
def test_standard_output_is_a_file_like_any_other(tmp_path):
    code = "from vael import files; files.write_bytes('/dev/stdout', b'content')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"content"
    with open(tmp_path / "out", "wb") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_bytes() == b"content"


@EACH
def test_a_name_where_no_file_can_be_is_refused_and_nothing_is_left(name, tmp_path):
    write, ending = WRITERS[name]
    (tmp_path / f"folder{ending}").mkdir()
    (tmp_path / "file").write_bytes(b"content")
    before = inside(tmp_path)
    wrong = {
        tmp_path / f"folder{ending}": "is a folder",
        tmp_path / "file" / f"x{ending}": "file and no folder",
        tmp_path / "file" / "deep" / f"x{ending}": "file and no folder",
        tmp_path / f"{'n' * 300}{ending}": "too long",
        tmp_path / "new" / f"{'n' * 300}{ending}": "too long",
        tmp_path / f"a\0b{ending}": "no name that a file can have",
    }
    for path, said in wrong.items():
        for check in (write, files.check_target):
            with pytest.raises(VaelError, match=said):
                check(path)
        assert inside(tmp_path) == before
    longest = tmp_path / f"{'n' * (255 - len(ending))}{ending}"
    write(longest)
    assert longest.is_file()


@needs_links
@EACH
def test_what_must_not_be_written_is_refused(name, tmp_path, monkeypatch):
    """As a user without rights; for root, who may do all, the answer of the system is taken from there."""
    write, ending = WRITERS[name]
    target = tmp_path / "locked" / f"x{ending}"
    target.parent.mkdir()
    target.write_bytes(b"content")
    real, denied = os.access, {target}
    monkeypatch.setattr(os, "access", lambda path, *how, **more: Path(path) not in denied and real(path, *how, **more))
    with pytest.raises(FormatError, match="write-protected"):
        write(target)
    denied.add(target.parent)
    with pytest.raises(FormatError, match="does not let you"):
        files.check_target(target.with_name("new"))

    def refused(path, *how, **more):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(FormatError, match=r"no permission to write .*new"):
        write(target.with_name(f"new{ending}"))
    assert target.read_bytes() == b"content"
    assert inside(tmp_path) == ["locked", f"locked/x{ending}"]


@needs_links
@EACH
@pytest.mark.parametrize("limit", [0, 5000])
def test_a_full_disk_leaves_everything_as_it_was(name, limit, tmp_path):
    """The size that a file may have is limited, which the system says as it says that a disk is full."""
    write, ending = WRITERS[name]
    target = tmp_path / f"x{ending}"
    target.write_bytes(b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write(target)
        with pytest.raises(OSError, match="File too large"):
            write(tmp_path / "new" / f"y{ending}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, former)
    assert caught.value.filename == str(target)  # and not the temporary one
    assert caught.value.errno == errno.EFBIG
    assert target.read_bytes() == b"before"
    assert inside(tmp_path) == [target.name]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError, ValueError])
def test_whatever_ends_the_writing_leaves_nothing(tmp_path, kind):
    (tmp_path / "x").write_bytes(b"before")

    def broken(path):
        with files.written(path) as file:
            file.write(CONTENT)
            raise kind

    def broken_folder(path):
        with files.new_folder(path) as made:
            files.write_bytes(made / "a" / "b", CONTENT)
            raise kind

    for path in (tmp_path / "x", tmp_path / "new" / "y"):
        with pytest.raises(kind):
            broken(path)
    with pytest.raises(kind):
        broken_folder(tmp_path / "more" / "folder")
    assert inside(tmp_path) == ["x"]
    assert (tmp_path / "x").read_bytes() == b"before"


def test_a_new_folder_is_there_whole_and_replaces_only_an_empty_one(tmp_path, victim):
    for target in (tmp_path / "new", tmp_path / "empty", tmp_path / "deep" / "er"):
        if target.name == "empty":
            target.mkdir()
        with files.new_folder(target) as made:
            files.write_bytes(made / "a", CONTENT)
            assert not target.exists() or not inside(target)
        assert inside(target) == ["a"]
    with pytest.raises(StateError, match="holds other files"), files.new_folder(tmp_path / "new"):
        pass
    with pytest.raises(FormatError, match="give the name of a new folder"), files.new_folder(victim):
        pass
    if os.name != "nt":
        (tmp_path / "none").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "none")
        with pytest.raises(FormatError, match="is a link"), files.new_folder(tmp_path / "link"):
            pass


@EACH
def test_what_a_result_is_made_from_is_not_written_over(name, tmp_path):
    write, ending = WRITERS[name]
    target = tmp_path / f"x{ending}"
    target.write_bytes(b"data")
    with files.keeping([target, tmp_path / "not-there"]):
        with pytest.raises(StateError, match="made from"):
            write(tmp_path / "." / target.name)
        if os.name != "nt":
            os.link(target, tmp_path / f"second{ending}")
            with pytest.raises(StateError, match="made from"):
                write(tmp_path / f"second{ending}")
        write(tmp_path / f"other{ending}")
    assert target.read_bytes() == b"data"
    write(target)
    assert target.read_bytes() != b"data"


@pytest.mark.parametrize("durable", [True, False])
def test_what_is_durable_is_on_the_disk_before_it_takes_its_name_and_so_is_the_name(tmp_path, monkeypatch, durable):
    done, replace = [], os.replace

    def kept(descriptor):
        known = os.fstat(descriptor)
        done.append("name kept" if stat.S_ISDIR(known.st_mode) else known.st_size)

    def named(*paths):
        done.append("named")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", kept)
    monkeypatch.setattr(os, "replace", named)
    files.write_bytes(tmp_path / "a.bin", CONTENT, durable=durable)
    assert done == ([len(CONTENT), "named", "name kept"] if durable else ["named"])
