"""`vael explore`."""

from __future__ import annotations

import json
import webbrowser
from dataclasses import dataclass

from vael.cli.options.declaring import flag, option
from vael.cli.options.shared import RunOptions
from vael.cli.options.values import number, one_of
from vael.cli.telling import tell


@dataclass(frozen=True, kw_only=True)
class ExploreOptions(RunOptions):
    """What `vael explore` takes."""

    notes = (
        "The page is served on this machine only, to whoever has the token in its address; nothing leaves the machine. "
        "Ctrl-C stops it."
    )
    split: str | None = option(
        "NAME",
        "train, validation or test: whose examples are shown; default test where there is one",
        one_of("train", "validation", "test"),
        main=True,
    )
    port: int | None = option("N", "port; default any that is free", number(int, 1, most=65535), main=True)
    no_browser: bool = flag("print the address and open nothing", main=True)


def explore(options: ExploreOptions) -> int:
    """A page over a finished run, until it is stopped."""
    from vael import explorer, specs
    from vael.explorer.serving import refuse_missing

    refuse_missing()
    scene = explorer.scene_of(specs.load(options.run), options.split)

    def ready(address: str) -> None:
        if options.json:
            print(json.dumps({"address": address}), flush=True)
        else:
            tell(f"Exploring {options.run}; Ctrl-C stops it. The page, for this machine only:")
            print(address, flush=True)  # in one piece, however wide the terminal is
        if not options.no_browser:
            webbrowser.open_new_tab(address)

    explorer.serve(scene, options.port, ready)
    return 0
