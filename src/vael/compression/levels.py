"""Levels of care by the name that stands in a file."""

from __future__ import annotations

from collections.abc import Mapping

from vael.compression.level import Level
from vael.compression.safe import SafeLevel
from vael.errors import FormatError
from vael.models import Model


def make_level(
    name: str, model: Model, event: tuple[int, ...], levels: int, settings: Mapping[str, int] | None = None
) -> Level:
    """The level of a name for a model whose cells are 0 ... levels - 1; `settings` as a file gives them, None for the
    usual ones.

    Errors: `FormatError` for a name or settings that are not known; those of the level.
    """
    if name != SafeLevel.name:
        raise FormatError(
            f"no level of compression is called {name!r}; there are {SafeLevel.name}: use the vael that wrote the file"
        )
    try:
        return SafeLevel(model, event, levels, **dict(settings or {}))
    except TypeError as error:
        raise FormatError(
            f"the level {name} does not take the settings {dict(settings or {})} ({error}); use the vael that wrote it"
        ) from error
