"""Weights drawn from a seed, whatever else draws random numbers in the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode


class seeded(TorchDispatchMode):
    """A block in which everything that would be drawn from PyTorch's global generator in this thread comes from a
    generator of its own.

    The numbers are those that `torch.manual_seed(seed)` would give on the processor, but the global generator is
    neither read nor moved, so that models may be built in several threads at once, each from its own seed.

    >>> with seeded(0):
    ...     layer = torch.nn.Linear(2, 3)
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """PyTorch's own question: no, because hiding this class from its compiler, which no model is built by, loads
        the compiler, a second of every command.
        """
        return False

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        drawing = with_generator(func)
        if drawing is not None and given.get("generator") is None:
            given["generator"] = self.generator
        return (drawing or func)(*args, **given)


@cache
def with_generator(func: OpOverload) -> Callable[..., Any] | None:
    """The form of an operation that takes a generator: itself, or its twin that takes one besides; None for what
    draws nothing.
    """
    names = arguments(func)
    if "generator" in names:
        return func
    packet = func.overloadpacket
    twins = (getattr(packet, name) for name in packet.overloads())
    return next(
        (
            twin
            for twin in twins
            if "generator" in arguments(twin) and [n for n in arguments(twin) if n != "generator"] == names
        ),
        None,
    )


def arguments(func: OpOverload) -> list[str]:
    """The names of what an operation takes."""
    return [argument.name for argument in func._schema.arguments]
