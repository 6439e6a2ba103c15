"""Buffers that training changes by other means than gradients: statistics of what passed through."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

import torch
from torch import Tensor, nn


class Moving(nn.Module, ABC):
    """Abstract module of which some buffers move in training.

    A forward pass changes none of them: it `stage`s what they are to become, and whoever takes the step calls `move` if
    the step was taken. So a step that is skipped, rehearsed or only looked at leaves no trace, and `moving` names what
    a checkpoint must hold.
    """

    moving: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.staged: dict[str, Tensor] = {}

    def stage(self, **buffers: Tensor) -> None:
        """What the buffers become if the step is taken; the last word counts."""
        self.staged = {name: value.detach() for name, value in buffers.items()}

    @torch.no_grad()
    def move(self) -> None:
        """Become what was staged."""
        for name, value in self.staged.items():
            getattr(self, name).copy_(value)
        self.staged = {}


def moving_parts(module: nn.Module) -> tuple[Moving, ...]:
    """Every part of `module` with buffers that move."""
    return tuple(part for part in module.modules() if isinstance(part, Moving))


def moving_buffers(module: nn.Module) -> dict[str, Tensor]:
    """The buffers that move, by their names in `module`."""
    parts = (
        (f"{prefix}.{name}" if prefix else name, getattr(part, name))
        for prefix, part in module.named_modules()
        if isinstance(part, Moving)
        for name in part.moving
    )
    return dict(parts)
