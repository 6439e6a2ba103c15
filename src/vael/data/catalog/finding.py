"""Where the files of a named data set are: `$VAEL_DATA/<name>` first, then the cache, then wherever they can be
fetched from.
"""

from __future__ import annotations

import os
from pathlib import Path

from vael.data.catalog.downloading import fetch
from vael.data.catalog.named import Named, key


def cache() -> Path:
    """The folder that downloads go to: `$VAEL_CACHE`, else `vael` in the user's folder for such things."""
    own = os.environ.get("VAEL_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vael"


def folder_of(item: Named) -> Path:
    """The folder with the files of a named data set, which are fetched into the cache where they lie nowhere yet.

    Errors: `FormatError` where they can neither be found nor fetched.
    """
    found = located(item)
    return fetch(item, cache()) if found is None else found


def located(item: Named) -> Path | None:
    """The folder where a data set lies on this machine, whole as far as the cache is concerned; a data set of the
    install needs none.
    """
    if not item.files:
        return Path()
    own = os.environ.get("VAEL_DATA")
    given = _inside(Path(own), item) if own else None
    if given is not None:
        return given
    kept = _inside(cache(), item)
    return kept if kept is not None and any(kept.iterdir()) and not _unfinished(kept, item) else None


def _inside(root: Path, item: Named) -> Path | None:
    folders = [
        path
        for place in (root, root / "tabular")
        if place.is_dir()
        for path in sorted(place.iterdir())
        if path.is_dir()
    ]
    return next((folder for folder in folders if key(folder.name) == key(item.name)), None)


def _unfinished(folder: Path, item: Named) -> bool:
    """Whether some, but not all, of the files that can be fetched are there: a download that was cut off."""
    there = [(folder / file.name).is_file() for file in item.files if file.url]
    return any(there) and not all(there)
