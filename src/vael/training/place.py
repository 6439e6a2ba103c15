"""The folder that a run trains in: one process at a time, and the same folder until the end."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vael import files
from vael.errors import FormatError, StateError

if sys.platform != "win32":  # where folders cannot be locked
    import fcntl

UNLOCKABLE = frozenset(
    {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL}
)  # of file systems that know no locks
_mine = threading.local()  # folders that this thread holds already


@contextmanager
def held(folder: Path | None) -> Iterator[None]:
    """No other process, and no other thread, trains in `folder` until the block ends; the system lets go of it when the
    process dies.

    Nothing is written: the folder itself is locked, where its file system can. None is no folder.
    Errors: `StateError` where another trains in it.
    """
    known = getattr(_mine, "folders", set())
    where = None if folder is None else os.path.realpath(folder)
    if where is None or where in known or not os.path.isdir(where):
        yield
        return
    if sys.platform == "win32":
        yield
        return
    descriptor = files.descriptor_to_read(where)
    try:
        _lock(descriptor, where)
        _mine.folders = known | {where}
        yield
    finally:
        _mine.folders = getattr(_mine, "folders", set()) - {where}
        os.close(descriptor)


def _lock(descriptor: int, where: str) -> None:
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StateError(
            f"{where} is being trained by another process now; wait until it has ended, or stop it, or choose another "
            "folder"
        ) from error
    except OSError as error:
        if error.errno not in UNLOCKABLE:
            raise


class Place:
    """A folder by its identity on the disk, so that one that is removed, moved or exchanged while a run trains is
    noticed at the next write.
    """

    def __init__(self, folder: Path) -> None:
        files.make_folder(folder)
        self.folder, self.known = folder, os.stat(folder)

    def check(self) -> None:
        """Errors: `FileNotFoundError` where the folder is no longer the one that the run began in."""
        try:
            same = os.path.samestat(os.stat(self.folder), self.known)
        except OSError:
            same = False
        if not same:
            said = (
                "the run folder was removed, moved or exchanged while the run trained, so its results cannot be kept; "
                "train again, and leave it"
            )
            raise FileNotFoundError(errno.ENOENT, said, str(self.folder))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block that writes into the folder.

        Errors: `OSError` where that cannot be done any more: what was fine at the start is no wrong input.
        """
        self.check()
        try:
            yield
        except FormatError as error:
            raise OSError(errno.EIO, f"{error}; the run could be written to when it began", str(self.folder)) from error
        self.check()
