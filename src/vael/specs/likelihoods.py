"""Likelihoods by name: from what run.json says to a head and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from vael.data import Statistics
from vael.errors import FormatError
from vael.models import BernoulliHead, Head
from vael.specs.spec import DataSpec, Value


@dataclass(frozen=True)
class Likelihood:
    """A head that can be asked for by name. `make(data, known, **arguments)` builds it."""

    summary: str
    kind: type[Head]
    make: Callable[..., Head]
    arguments: tuple[str, ...] = ()  # attributes of the head that `make` takes back


LIKELIHOODS = {
    "bernoulli": Likelihood("cells 0 and 1, on logits", BernoulliHead, lambda data, known: BernoulliHead()),
}


def blank(event: tuple[int, ...]) -> Statistics:
    """Statistics of nothing, where weights that will be loaded hold the real ones."""
    return Statistics(mean=torch.zeros(event), std=torch.ones(event), minimum=0.0, maximum=1.0)


def make(name: str, data: DataSpec, known: Statistics, arguments: Mapping[str, Value]) -> Head:
    """The head of a likelihood's name. Errors: `FormatError` for an unknown name or arguments that it does not take."""
    if name not in LIKELIHOODS:
        raise FormatError(f"no likelihood is called {name!r}; there are {', '.join(LIKELIHOODS)}")
    try:
        return LIKELIHOODS[name].make(data, known, **arguments)
    except TypeError as error:
        raise FormatError(f"the likelihood {name} does not take the arguments {dict(arguments)} ({error})") from error


def defaults(name: str, data: DataSpec) -> dict[str, Value]:
    """The arguments of a likelihood that was asked for by its name alone."""
    return arguments_of(LIKELIHOODS[name], LIKELIHOODS[name].make(data, blank(data.event)))


def arguments_of(known: Likelihood, head: Head) -> dict[str, Value]:
    """What a head was made with."""
    return {name: getattr(head, name) for name in known.arguments}


def describe(head: Head, data: DataSpec) -> tuple[str, dict[str, Value]]:
    """Name and arguments of a head. Errors: `FormatError` for one that has no name."""
    for name, known in LIKELIHOODS.items():
        if type(head) is known.kind:
            return name, arguments_of(known, head)
    raise FormatError(f"{type(head).__name__} has no name, so it cannot stand in run.json; train it in Python without a run folder")
