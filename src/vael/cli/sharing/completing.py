"""`vael completion`: a script by which a shell completes commands and options."""

from __future__ import annotations

import argparse
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vael.cli.options.parser import Parser, UsageError
from vael.cli.options.shared import CommandOptions
from vael.errors import StateError
from vael.nearest import hint
from vael.options.declaring import argument, options_of

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, kw_only=True)
class CompletionOptions(CommandOptions):
    """What `vael completion` takes."""

    notes: ClassVar[str] = (
        "bash: vael completion bash > ~/.local/share/bash-completion/completions/vael\n"
        "zsh: vael completion zsh > a file _vael in a folder of $fpath\n"
        "fish: vael completion fish > ~/.config/fish/completions/vael.fish\n"
        "The script is complete in itself: no Python runs when TAB is pressed."
    )
    shell: str = argument("SHELL", f"one of {', '.join(SHELLS)}")


def completion(options: CompletionOptions) -> int:
    """Print the script."""
    if options.shell not in SHELLS:
        raise UsageError(f"expected one of {', '.join(SHELLS)}; got {options.shell!r}{hint(options.shell, SHELLS)}")
    found = script(options.shell)
    print(json.dumps({"shell": options.shell, "script": found}) if options.json else found)
    return 0


def script(shell: str) -> str:
    """What a shell reads. Errors: `StateError` where `shtab` is not installed."""
    if importlib.util.find_spec("shtab") is None:
        raise StateError("completion is written by shtab, which is not installed: pip install 'vael[completion]'")
    import shtab

    return shtab.complete(whole(), shell)


def whole() -> argparse.ArgumentParser:
    """One parser of all commands, which nobody reads a command line with."""
    import shtab

    from vael.cli.main import COMMANDS

    root = argparse.ArgumentParser("vael", description="Train, judge and use variational autoencoders.")
    root.add_argument("-V", "--version", action="store_true", help="print the version")
    commands = root.add_subparsers()
    for name, command in COMMANDS.items():
        record = command.record(name)
        parser = Parser(name, command.summary, record)
        named = {option: one.option for one in options_of(record) for option in one.names}
        for action in parser._actions:
            how = named.get(action.option_strings[0] if action.option_strings else "--" + action.dest.replace("_", "-"))
            if how is not None and (how.read is Path or how.called or how.written):  # the value is a file or folder
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        commands.add_parser(name, help=command.summary, parents=[parser], add_help=False, conflict_handler="resolve")
    return root
