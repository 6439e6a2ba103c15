"""`vael explore`."""

from __future__ import annotations

import json
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vael.cli.formats import PAGE
from vael.cli.options.shared import RunOptions
from vael.cli.telling import said, tell
from vael.counting import counted
from vael.options.declaring import flag, option
from vael.options.values import number, one_of, positive

if TYPE_CHECKING:
    from vael.explorer.keeping import KeptPage
    from vael.explorer.scene import Scene

GREYS = 255  # steps between black and white


@dataclass(frozen=True, kw_only=True)
class ExploreOptions(RunOptions):
    """What `vael explore` takes."""

    notes = (
        "The page is served on this machine only, to whoever has the token in its address; nothing leaves the machine. "
        "Ctrl-C stops it. With --export it is one file instead, which works without vael and without a connection."
    )
    split: str | None = option(
        "NAME",
        "train, validation or test: whose examples are shown; default test where there is one",
        one_of("train", "validation", "test"),
        main=True,
    )
    export: Path | None = option(
        "FILE.html", "write the page with model and examples into one file, and serve nothing", Path, written=True,
        main=True, formats=(PAGE,),
    )  # fmt: skip
    size: float | None = option(
        "MB", "with --export: megabytes the file may have, filled with examples; default 15", positive, main=True
    )
    without_examples: bool = flag("with --export: draws of the model instead of examples of the data", main=True)
    port: int | None = option("N", "port; default any that is free", number(int, 1, most=65535), main=True)
    no_browser: bool = flag("print the address and open nothing", main=True)


def explore(options: ExploreOptions) -> int:
    """A page over a finished run, until it is stopped, or in a file."""
    from vael import explorer, specs
    from vael.explorer.serving import refuse_missing

    _refuse_contradictions(options)
    if options.export is None:
        refuse_missing()
    scene = explorer.scene_of(specs.load(options.run), options.split)
    if options.export is not None:
        return export(scene, options, options.export)

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


def _refuse_contradictions(options: ExploreOptions) -> None:
    """Errors: `StateError` for options of a file without one, and of a server with a file."""
    from vael.errors import StateError

    if options.export is not None:
        if options.port is not None:
            raise StateError("--port is for a page that is served, and --export writes one into a file; leave one out")
    elif options.size is not None or options.without_examples:
        given = "--size" if options.size is not None else "--without-examples"
        raise StateError(f"{given} says what a file holds; name the file by --export FILE.html, or leave it out")


def export(scene: Scene, options: ExploreOptions, path: Path) -> int:
    """The page in one file, and what is in it."""
    from vael import files
    from vael.cli.expecting import Expecting
    from vael.explorer.keeping import USUAL, kept_page

    judging = scene.strangeness
    with Expecting("Scoring", lambda: judging.measured, silent=options.json) as time:
        judging.watch = time.add
        found = kept_page(scene, options.size or USUAL, without_examples=options.without_examples)
        judging.watch = None
    files.write_bytes(path, found.content)
    record = {key: value for key, value in vars(found).items() if key != "content"}
    return said(options.json, {"path": str(path), "bytes": len(found.content), **record}, *told(scene, found, path))


def told(scene: Scene, found: KeptPage, path: Path) -> list[str]:
    """What a person has to know before the file is given away."""
    lines = [f"{path}: {len(found.content) / 1e6:.1f} MB; it opens in a browser without vael or a connection."]
    if found.drawn:
        lines.append(
            f"It shows {counted(found.examples, 'draw')} of the model and no examples of the data; the weights are in "
            "it, and what a model remembers of its data."
        )
    else:
        lines.append(
            f"It holds {found.examples:,} of the {counted(found.of, 'example')} of the {scene.name} split: whoever has "
            "the file has them. Leave them out with --without-examples; take in more with --size."
        )
    lines.append(
        "Its weights are those of the run, in float32."
        if not found.half
        else f"Large weights are rounded to float16, which moves what is decoded by up to {GREYS * found.error:.2g} of "
        f"{GREYS} (at the codes of examples); a larger --size keeps them exact."
    )
    if found.absent:
        lines.append(f"Not on this page, as it takes Python: {', '.join(found.absent)}.")
    return lines
