"""The command line: names to recipes."""

from vael.cli.main import main

__all__ = ["main"]
