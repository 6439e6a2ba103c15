"""Sequences that are made, not measured: digits that move in a frame."""

from __future__ import annotations

import hashlib

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data.source import Kind, Source, Splits
from vael.errors import ShapeError


def moving_digits(
    digits: Splits,
    *,
    examples: int = 2000,
    frames: int = 16,
    side: int = 16,
    speed: float = 1.5,
    generator: torch.Generator,
) -> Splits:
    """A digit that flies straight and bounces off the edges of a dark frame, `[frames, side, side]` cells of 0 or 1.

    Each sequence takes an image of the same split of `digits` (`load("digits")`; of the first channel, bright above
    half of the largest value), a place and a direction at random, and a speed between half of `speed` and `speed` cells
    a frame. `examples` sequences are for training, a tenth of that for validation and for test; without a test split of
    digits there is none. The frames stand where an image has channels, so a likelihood of binary cells takes them as
    they are.

    Errors: `ShapeError` for a frame no larger than the digits, and for fewer than 10 sequences or 2 frames.
    """
    height, width = digits.train.event[-2:]
    if side <= max(height, width) or examples < 10 or frames < 2:
        raise ShapeError(
            f"{examples} sequences of {frames} frames of side {side} from digits of {height} x {width}; expected at "
            "least 10 sequences of at least "
            "2 frames, each larger than a digit"
        )
    counts = (examples, examples // 10, examples // 10)
    splits = (digits.train, digits.validation, digits.test)
    train, validation, test = (
        None if source is None else _sequences(source, count, frames, side, speed, generator)
        for source, count in zip(splits, counts, strict=True)
    )
    if train is None or validation is None:
        raise ShapeError("digits without training or validation examples were given; expected both")
    return Splits(train, validation, test, origin=f"made from {digits.train.name}")


def _sequences(source: Source, count: int, frames: int, side: int, speed: float, generator: torch.Generator) -> Source:
    row = torch.randint(len(source), (count,), generator=generator)
    stored = row if source.rows is None else source.rows[row]
    cells = source.x[stored][:, 0]
    largest = 1 if source.levels is None else source.levels - 1
    drawn = torch.rand(count, 4, generator=generator)
    digit = cells > largest / 2
    angle, pace = 2 * torch.pi * drawn[:, 2], speed * (1 + drawn[:, 3]) / 2
    height, width = digit.shape[1:]
    time = torch.arange(frames)
    down = bounced(drawn[:, :1] * (side - height) + (pace * angle.sin())[:, None] * time, float(side - height))
    across = bounced(drawn[:, 1:2] * (side - width) + (pace * angle.cos())[:, None] * time, float(side - width))
    x = _placed(digit, down, across, side)
    fingerprint = hashlib.sha256(x.numpy().tobytes()).hexdigest()
    label = None if source.label is None else source.label[row]
    return Source("moving digits", x, Kind.BINARY, fingerprint, label=label, label_names=source.label_names)


def bounced(place: Float[Tensor, "*any"], room: float) -> Float[Tensor, "*any"]:
    """A straight way folded into [0, room]: what is left of it after every bounce."""
    return room - (place.remainder(2 * room) - room).abs()


def _placed(digit: Tensor, down: Tensor, across: Tensor, side: int) -> Tensor:
    """Every digit `[count, height, width]` at its places `[count, frames]`, rounded to cells."""
    count, frames = down.shape
    height, width = digit.shape[1:]
    rows = down.round().long()[:, :, None] + torch.arange(height)
    columns = across.round().long()[:, :, None] + torch.arange(width)
    x = torch.zeros(count, frames, side, side, dtype=torch.uint8)
    example, frame = torch.arange(count)[:, None, None, None], torch.arange(frames)[None, :, None, None]
    x[example, frame, rows[:, :, :, None], columns[:, :, None, :]] = (
        digit[:, None].to(torch.uint8).expand(count, frames, height, width)
    )
    return x
