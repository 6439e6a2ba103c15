"""The one place that writes files: each is whole at the end or as it was before, and no link, device or other person's
file is written over.

A file is made under a name that nobody can guess, in the folder of its target, exclusively and without following links,
and takes the target's place when all is written. A target that is a link is refused, and so is a link on the way to it
within a run folder, because a folder that came from somebody else can hold links to files of yours. Pipes and character
devices are written through.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from vael.errors import FormatError, StateError

RUN = "run.json"  # marks a folder as a run's
PARTS_OF_A_RUN = frozenset(
    {RUN, "model.safetensors", "metrics.jsonl", "left-out.json", "portable.safetensors", "checkpoint"}
)
NEW = (
    os.O_CREAT
    | os.O_EXCL
    | os.O_RDWR
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})  # no fault of the name that was given
THROUGH = {
    ("/", "dev"),
    ("/", "proc"),
}  # folders whose links (/dev/stdout, /dev/fd/63) stand for what the caller gave to the process
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFBLK: "a disk",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFIFO: "a pipe",
}
COPIED = 1 << 20  # bytes at once

_kept: ContextVar[tuple[Path, ...]] = ContextVar(
    "kept", default=()
)  # files that are read, and must not be written over


class _Target(io.FileIO):
    """A file descriptor whose errors name the target, and not the file under a temporary name."""

    def __init__(self, descriptor: int, target: Path) -> None:
        super().__init__(descriptor, "r+")
        self.target = target

    def write(self, content: object, /) -> int | None:  # type: ignore[override]
        with telling(self.target):
            return super().write(content)  # type: ignore[arg-type]


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """What the operating system refuses, as an error about `path`: an `OSError` for a full or failing disk, else a
    `FormatError` with the way out.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL or error.errno is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise FormatError(_refusal(path, error)) from error


def _refusal(path: Path, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"no permission to write {path} ({error.strerror}); choose another folder or file, or change its "
            "permissions"
        )
    if error.errno == errno.ENAMETOOLONG:
        return f"{_shortened(path)}: the name is too long for the disk; choose a shorter one"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{path} cannot be written, because a part of its path is a file and no folder; choose another folder"
    if error.errno == errno.ELOOP:
        return f"{path} leads through links that are not followed; give the file or folder itself"
    return f"{path} cannot be written ({error.strerror}); choose another folder or file"


def _shortened(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 120 else f"{text[:60]}...{text[-40:]}"


@dataclass(frozen=True)
class _Place:
    """Where something goes: the mode and the owner of the file that is there, or None; `through` for a pipe or a
    device.
    """

    path: Path
    known: os.stat_result | None = None
    through: bool = False


def check_target(path: Path | str) -> None:
    """Whether a file can be written at `path`, before any work.

    Errors: `FormatError` naming what is in the way, `StateError` for what is read.
    """
    place = _place(Path(path))
    above = next((folder for folder in place.path.absolute().parents if folder.exists()), None)
    if place.through or above is None:
        return
    if not above.is_dir():
        raise FormatError(f"{path} cannot be written, because {above} is a file and no folder; choose another folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise FormatError(
            f"no permission to write {path}: {above} is a folder that does not let you; choose another, or change its "
            "permissions"
        )
    longest = max((len(os.fsencode(part)) for part in place.path.parts), default=0)
    if hasattr(os, "pathconf") and longest > os.pathconf(above, "PC_NAME_MAX"):
        raise FormatError(_refusal(place.path, OSError(errno.ENAMETOOLONG, "")))


def _place(path: Path) -> _Place:
    """What is at `path`, if a file may be put there. Errors: `FormatError`, `StateError`."""
    with telling(path):
        found = _status(path)
        ours = found is not None and stat.S_ISLNK(found.st_mode) and path.absolute().parts[:2] in THROUGH
        found = os.stat(path) if ours else found
        _refuse_links(path)
    if found is None:
        return _Place(path)
    _refuse_kept(path, found)
    kind = stat.S_IFMT(found.st_mode)
    if kind in (stat.S_IFCHR, stat.S_IFIFO) or (ours and kind == stat.S_IFREG):
        return _Place(path, found, through=True)
    if kind == stat.S_IFLNK:
        raise FormatError(
            f"{path} is a link (to {os.readlink(path)}), and links are not written through; give the file itself, or "
            "remove the link"
        )
    if kind != stat.S_IFREG:
        raise FormatError(
            f"{path} is {KINDS.get(kind, 'no regular file')}, so no file can be written there; give the name of a file"
        )
    if not os.access(path, os.W_OK):
        raise FormatError(
            f"no permission to write {path}, which is write-protected; choose another file, or change its permissions"
        )
    return _Place(path, found)


def _status(path: Path) -> os.stat_result | None:
    """What is at `path` itself, not where a link leads. Errors: `FormatError` for what no file can be called."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
    except ValueError as error:  # a NUL, or a letter that the disk cannot store
        raise FormatError(f"{str(path)!r} is no name that a file can have ({error}); give another") from error


def _refuse_links(path: Path) -> None:
    """Errors: `FormatError` for a link among the folders between the outermost run folder that holds `path` and
    `path` itself.
    """
    above = [folder for folder in path.parents if (folder / RUN).is_file()]
    between = [] if not above else [folder for folder in path.parents if len(folder.parts) > len(above[-1].parts)]
    linked = next((folder for folder in between if folder.is_symlink()), None)
    if linked is not None:
        raise FormatError(
            f"{linked} in the run folder {above[-1]} is a link (to {os.readlink(linked)}), and links in a run folder "
            "are not followed; remove it"
        )


def refuse_links(path: Path) -> None:
    """Errors: `FormatError` for a link at `path`, or on the way to it within a run folder: before another program
    writes there, or what is there is given away.
    """
    _refuse_links(path / "anything")


def _refuse_kept(path: Path, found: os.stat_result) -> None:
    for kept in _kept.get():
        with suppress(OSError):
            if os.path.samestat(found, os.stat(kept)):
                raise StateError(
                    f"{path} is what the result is made from, and would be written over; give another name for the "
                    "result"
                )


def known_ending(path: Path, endings: Collection[str]) -> str:
    """How the name of a file ends, which says what is written. Errors: `FormatError` for none of those possible."""
    found = path.suffix.lower()
    if found not in endings:
        raise FormatError(
            f"{path}: the file's extension says what is written, and it must be {', '.join(endings)}, not "
            f"{found or 'missing'}"
        )
    return found


def same(first: Path, second: Path) -> bool:
    """Whether two names are those of one file or folder: by what lies on the disk, or, where one is not there yet,
    by where it would be.
    """
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        return os.path.realpath(first) == os.path.realpath(second)


def refuse_part_of_run(path: Path) -> None:
    """Errors: `StateError` for a result in the place of a file that a run is made of."""
    place = Path(os.path.realpath(path.parent)) / path.name
    for folder in place.parents:
        first = place.relative_to(folder).parts[0]
        if first.lower() in PARTS_OF_A_RUN and (folder / RUN).is_file():
            raise StateError(f"{path} is a part of the run in {folder}; give another name for the result")


def refuse_twice(paths: Iterable[Path]) -> None:
    """Errors: `StateError` for two results of one name, also of names that differ only in case, which are one on
    many disks.
    """
    known: list[Path] = []
    for path in paths:
        place = Path(os.path.realpath(path.parent)) / path.name
        for other in known:
            names = str(place).casefold(), str(other).casefold()
            if names[0] == names[1] or same(place, other) or place in other.parents or other in place.parents:
                raise StateError(f"two results would be written to {path}; give each a name of its own")
        known.append(place)


@contextmanager
def keeping(inputs: Iterable[Path | str]) -> Iterator[None]:
    """Inside, writing over any of these files is refused with a `StateError`, whatever name leads to it."""
    token = _kept.set((*_kept.get(), *(Path(one) for one in inputs)))
    try:
        yield
    finally:
        _kept.reset(token)


@contextmanager
def written(path: Path | str, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to be written, which takes the place of `path` when all is there; a failure leaves `path` as it was and
    nothing beside it.

    Folders that are missing are made. A new file has the permissions that the process gives new files, one that
    replaces another has those of the other. `durable`: it survives a loss of power from then on. A pipe or a device
    gets everything at the end, if all went well. Errors: `FormatError` for a name where no file can be written,
    `OSError` for a full disk.
    """
    place = _place(Path(path))
    with _through(place) if place.through else _replaced(place, durable) as file:
        yield file


@contextmanager
def _replaced(place: _Place, durable: bool) -> Iterator[BinaryIO]:
    path, made = place.path, _folders(place.path.parent)
    temporary, raw = path.parent / f".{secrets.token_hex(16)}.tmp", None
    try:
        with telling(path):
            raw = _Target(os.open(temporary, NEW, 0o666), path)
            _like(raw.fileno(), place.known)
        buffered = io.BufferedRandom(raw)
        yield cast(BinaryIO, buffered)
        buffered.flush()
        with telling(path):
            if durable:
                os.fsync(raw.fileno())
            raw.close()
            os.replace(temporary, path)
            made = []
            if durable:
                _keep_folder(path.parent)
    finally:
        if raw is not None:
            raw.close()  # and not the buffer, which would try once more to write what did not fit
        temporary.unlink(missing_ok=True)
        _unmake(made)


def _like(descriptor: int, known: os.stat_result | None) -> None:
    """Give a new file the permissions of the one that it replaces, and its owner where that may be done."""
    if known is None or not hasattr(os, "fchmod"):
        return
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (known.st_uid, known.st_gid):
        with suppress(OSError):
            os.fchown(descriptor, known.st_uid, known.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(known.st_mode) & 0o777)


def _folders(folder: Path) -> list[Path]:
    """Make the folders that are missing; those that were made, the innermost first."""
    missing = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    with telling(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return missing


def make_folder(folder: Path | str) -> None:
    """A folder for files that a person may put there as well, with those above it. Errors: `FormatError`."""
    _folders(Path(folder))


def claim_folder(folder: Path | str) -> bool:
    """Make a folder that was not there, for this process alone; False where there is something of that name already.

    Errors: `FormatError`.
    """
    _folders(Path(folder).parent)
    with telling(Path(folder)):
        try:
            os.mkdir(folder)
        except FileExistsError:
            return False
    return True


def descriptor_to_read(path: Path | str) -> int:
    """A descriptor to read by, of a file or a folder, that does not wait for the writer of a pipe.

    Errors: `OSError`, `ValueError`.
    """
    flags = (getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
    return os.open(path, os.O_RDONLY | sum(flags))


def _unmake(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _keep_folder(folder: Path) -> None:
    """Make a change of names in a folder last, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _through(place: _Place) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as spool:
        yield cast(BinaryIO, spool)
        spool.seek(0)
        with telling(place.path), open(_opened_through(place.path), "wb") as file:
            shutil.copyfileobj(spool, file, COPIED)


def _opened_through(path: Path) -> int:
    """A descriptor of a pipe or a device.

    Errors: `FormatError` for a pipe that nobody reads, which would be waited for without end.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise FormatError(
                f"{path} is a pipe that nobody reads; start its reader first, or give the name of a file"
            ) from error
        raise
    os.set_blocking(descriptor, True)
    return descriptor


def scratch() -> BinaryIO:
    """A file without a name, gone with the process: for what memory would not hold. Errors: `OSError`."""
    return cast(BinaryIO, tempfile.TemporaryFile())


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def write_bytes(path: Path | str, content: bytes, *, durable: bool = True) -> None:
    """Write a file, whole or not at all. Errors: as `written`."""
    with written(path, durable=durable) as file:
        file.write(content)


def append(path: Path | str, content: bytes) -> None:
    """Add to the end of a file, all of `content` or nothing; one that has a second name on the disk keeps its content
    under that name.

    Errors: as `written`.
    """
    place = _place(Path(path))
    if place.known is None or place.through or place.known.st_nlink > 1:
        write_bytes(
            path, (b"" if place.known is None or place.through else place.path.read_bytes()) + content, durable=False
        )
        return
    with telling(place.path):
        descriptor = os.open(
            place.path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        )
        with open(descriptor, "ab", buffering=0) as file:
            before = os.fstat(descriptor).st_size
            try:
                _write_all(file, content)
            except BaseException:
                os.ftruncate(descriptor, before)
                raise


def _write_all(file: io.RawIOBase | io.FileIO, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


@contextmanager
def new_folder(path: Path | str) -> Iterator[Path]:
    """A folder to be filled, which is at `path` when all is there: a folder that was not there, or was empty.

    Errors: `StateError` for one that holds something, `FormatError` for a file or a link.
    """
    path = Path(path)
    check_folder(path)
    made = _folders(path.parent)
    temporary = path.parent / f".{secrets.token_hex(16)}.tmp"
    try:
        with telling(path):
            os.mkdir(temporary)
        yield temporary
        with telling(path):
            if os.name == "nt" and path.is_dir():
                path.rmdir()  # there a folder does not take the place of an empty one
            os.replace(temporary, path)
        made = []
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _unmake(made)


def check_folder(path: Path) -> None:
    """Whether a new folder can be at `path`.

    Errors: `StateError` for one that holds something, `FormatError` for a file or a link.
    """
    with telling(path):
        found = _status(path)
        _refuse_links(path)
    if found is None:
        return
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFDIR:
        raise FormatError(
            f"{path} is {KINDS.get(kind, 'a file')}, and no folder can be made there; give the name of a new folder"
        )
    if any(path.iterdir()):
        raise StateError(f"{path} is there already and holds other files; give the name of a new folder")
