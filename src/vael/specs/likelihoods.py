"""Likelihoods by name: from what run.json says to a head and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from vael.data import Statistics
from vael.errors import FormatError, StateError
from vael.models import Head, heads
from vael.specs.spec import DataSpec, Value

Build = Callable[..., Head]


@dataclass(frozen=True)
class Likelihood:
    """A head that can be asked for by name. `make(data, statistics, **arguments)` builds it."""

    kind: type[Head]
    summary: str
    make: Build
    arguments: tuple[str, ...] = ()  # attributes of the head that `make` takes back
