"""Images of which it is known what they were made from: to see which latent found which factor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data.source import Kind, Source, Splits
from vael.errors import ShapeError


@dataclass(frozen=True)
class Factors:
    """Images and the numbers each was drawn from; `train` and `test` have a row for every image of the split."""

    splits: Splits
    names: tuple[str, ...]
    train: Float[Tensor, "examples factors"]
    test: Float[Tensor, "tested factors"]


def discs(examples: int, *, side: int = 16, generator: torch.Generator) -> Factors:
    """White discs on black, `side` × `side` cells: place across, place down and radius are independent and uniform.

    The first 80 % are for training, then 10 % for validation and 10 % for test. Errors: `ShapeError` for fewer than 10
    images or a side below 8.
    """
    if examples < 10 or side < 8:
        raise ShapeError(f"{examples} images of side {side}: expected at least 10 of side at least 8")
    factors = torch.rand(examples, 3, generator=generator)
    radius = side * (0.1 + 0.12 * factors[:, 2])
    centre = radius[:, None] + factors[:, :2] * (side - 2 * radius[:, None])
    cells = torch.arange(side) + 0.5
    across, down = (cells - centre[:, :1]).square(), (cells - centre[:, 1:]).square()
    images = (across[:, None, :] + down[:, :, None] <= radius.square()[:, None, None]).to(torch.uint8)[:, None]
    parts = images.split([examples - 2 * (examples // 10), examples // 10, examples // 10])
    train, validation, test = (
        Source("discs", part, Kind.BINARY, f"discs-{side}-{generator.initial_seed()}-{len(part)}-{k}")
        for k, part in enumerate(parts)
    )
    return Factors(
        Splits(train, validation, test), ("across", "down", "radius"), factors[: len(train)], factors[-len(test) :]
    )
