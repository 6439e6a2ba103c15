"""Where the files of a named data set are: `$VAEL_DATA/<name>` first, then the cache."""

from __future__ import annotations

import os
from pathlib import Path

from vael.data.named import Named, key
from vael.errors import FormatError


def cache() -> Path:
    """The folder that downloads go to: `$VAEL_CACHE`, else `vael` in the user's folder for such things."""
    own = os.environ.get("VAEL_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vael"


def folder_of(item: Named) -> Path:
    """The folder with the files of a named data set. Errors: `FormatError` where it is nowhere and cannot be had."""
    found = located(item)
    if found is None:
        raise FormatError(f"{item.name} is neither in the folder that VAEL_DATA names nor in {cache()}; put its original files into one of them")
    return found


def located(item: Named) -> Path | None:
    """The folder where a data set lies on this machine, if it does; `digits` needs none."""
    own = os.environ.get("VAEL_DATA")
    for root in (Path(own) if own else None, cache()):
        if root is not None and root.is_dir():
            for folder in sorted(root.iterdir()):
                if key(folder.name) == key(item.name) and folder.is_dir():
                    return folder
    return None if item.files else Path()
