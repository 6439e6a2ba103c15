"""The script of the live parts of the gallery, in one file that needs no server: docs/live and what it takes from the
page of `vael explore`.

`python docs/live_script.py FILE` writes it.
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from vael.explorer.bundle import PAGE, joined

HERE = Path(__file__).resolve().parent
NAME = "live.js"


def script() -> str:
    """All of it."""
    with TemporaryDirectory() as folder:
        for place in (*PAGE.glob("*.js"), *(HERE / "live").glob("*.js")):
            shutil.copy(place, folder)
        return joined(NAME, Path(folder))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    Path(sys.argv[1]).write_text(script(), "utf-8")
