"""What a file that is written holds: the one place where its ending says so."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from vael.errors import FormatError


class Ending(Enum):
    """How a result is written; the value are the endings of such files."""

    PICTURE = (".png",)
    GIF = (".gif",)
    PAGE = (".html",)
    ARRAY = (".npy",)
    TEXT = (".csv", ".tsv", ".txt", ".data")
    TYPED = (".parquet",)


COLUMNS = (".csv", ".parquet")
ROWS = (".npy", *COLUMNS)
FILMS = (*Ending.GIF.value, *Ending.PAGE.value)
TABLES = (*Ending.TEXT.value, *Ending.TYPED.value)
AS_FILM, AS_TABLE = (Ending.GIF, Ending.PAGE), (Ending.TEXT, Ending.TYPED)

OF = {ending: form for form in Ending for ending in form.value}


def ending_of(path: Path) -> Ending | None:
    """What a file of that name holds; None where the name does not say."""
    return OF.get(path.suffix.lower())


def known_ending(path: Path, endings: tuple[str, ...]) -> None:
    """Refuse a file that could not be written before any work is done. Errors: `FormatError`."""
    if path.suffix.lower() not in endings:
        raise FormatError(
            f"{path}: the file's extension says what is written, and it must be {', '.join(endings)}, not "
            f"{path.suffix or 'missing'}"
        )
