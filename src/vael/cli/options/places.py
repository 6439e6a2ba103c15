"""What a command reads and what it writes, told apart before any work: no result takes the place of what it is made
from.

Every option that names a file or folder says in its declaration that it is read or written, which a test demands of
every command.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vael import files
from vael.cli.formats import Format, format_of
from vael.errors import StateError, VaelError
from vael.options.declaring import valued

RUN_FOLDER = "the run folder"


@dataclass(frozen=True)
class Read:
    """A file or folder that is read; what it is called in messages."""

    path: Path
    called: str


@dataclass(frozen=True)
class Write:
    """A file, or a folder of results, that would be written."""

    path: Path
    folder: bool = False


@dataclass(frozen=True)
class Places:
    """What a command line reads, and what it would write."""

    reads: tuple[Read, ...]
    writes: tuple[Write, ...]


@contextmanager
def kept_apart(places: Places) -> Iterator[None]:
    """Refuse what would be written over; inside, no file that is read can be, whatever it is called.

    Errors: `StateError`, `FormatError`.
    """
    reads = [found for one in places.reads for found in all_of(one)] if places.writes else []
    for target in places.writes:
        for one in reads:
            _refuse(target, one)
        files.refuse_part_of_run(target.path)
    files.refuse_twice(target.path for target in places.writes)
    for target in places.writes:
        if not (target.folder and target.path.is_dir()):
            files.check_target(target.path)
    with files.keeping(one.path for one in reads if one.path.is_file()):
        yield


def all_of(read: Read) -> list[Read]:
    """What is read, and what comes with it: the files of data that have a name, labels beside an array, the data
    that a run was trained on.
    """
    if read.called != RUN_FOLDER:
        return [read, *(Read(path, read.called) for path in data_at(str(read.path)))]
    return [read, *(Read(path, "the data that the run was trained on") for path in data_of_run(read.path))]


def data_of_run(folder: Path) -> list[Path]:
    """Where the data of a run lie, if the folder is one that can be read (if not, the command says so)."""
    from vael.specs.spec import read_spec

    if not (folder / files.RUN).is_file():
        return []
    try:
        return data_at(read_spec(folder).data.source)
    except VaelError:
        return []


def data_at(name: str) -> list[Path]:
    """The files or the folder of data with a name or a path, and the labels beside them."""
    from vael.data.catalog.finding import located
    from vael.data.catalog.named import known

    path, item = Path(name), known(name)
    if item is not None and not path.is_file():
        folder = located(item)
        return [] if folder is None else [path for path in folder.glob("*") if path.is_file() and item.files]
    beside = [path.parent / f"{path.stem}_labels.npy"] if path.is_file() else []
    return [one for one in (path, *beside) if one.exists()]


def _refuse(target: Write, read: Read) -> None:
    """Errors: `StateError` where writing `target` would change what is read."""
    if not read.path.is_dir():
        if files.same(target.path, read.path) and not (target.folder and _is_name(read.path)):
            raise StateError(
                f"{target.path} is {read.called}; give another name for the result, so that both are there"
            )
    elif read.called != RUN_FOLDER and _would_join(target, read.path):
        raise StateError(
            f"{target.path} lies in {read.path}, {read.called}, and would become a part of them; give a name in "
            "another folder"
        )


def _is_name(path: Path) -> bool:
    """Whether this names data rather than a file, so that a folder called the same hides nothing."""
    from vael.data.catalog.named import known

    return known(str(path)) is not None and not path.exists()


def _would_join(target: Write, folder: Path) -> bool:
    """Whether a file or a folder of results would be read as a part of the data in `folder`."""
    from vael.data.files.idx import is_idx
    from vael.data.files.images import ENDINGS, FOREIGN, image_files

    place, root = target.path.resolve(), folder.resolve()
    inside = place.relative_to(root).parts if place.is_relative_to(root) else ()
    if not inside or any(part.startswith(".") for part in inside):
        return False
    if target.folder:
        return bool(image_files(folder))  # there are pictures among the results, and all folders below are read
    return target.path.suffix.lower() in ENDINGS | FOREIGN | {".bin"} or is_idx(target.path)


def places_of(options: object) -> Places:
    """What the options of a command line read, and what they would write."""
    reads, writes = [], []
    for declared, value in valued(options):
        how = declared.option
        if how.called and value is not None:
            reads.append(Read(Path(str(value)), how.called))
        if how.written:
            usual = [] if value is None else [Path(str(value))]
            writes += [Write(path, how.folder) for path in (how.files(options) if how.files else usual)]
    return Places(tuple(reads), tuple(writes))


def formats_of(options: object, name: str) -> tuple[Format, ...]:
    """How the file that an option names can be written."""
    return next(declared.option.formats for declared, _ in valued(options) if declared.name == name)


def refuse_endings(options: object) -> None:
    """Errors: `FormatError` for a file that is not written as its name says."""
    for declared, value in valued(options):
        if isinstance(value, Path) and declared.option.formats:
            format_of(value, declared.option.formats)
