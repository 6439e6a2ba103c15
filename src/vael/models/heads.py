"""From a network's raw output to a distribution over cells, float32 or better whatever the network ran in.

A head asks for `channels_per_cell` raw numbers for each channel of the data: a decoder for x of shape `[channels, *space]` gives
`[channels_per_cell * channels, *space]`. Every bound on a parameter stands in the head's docstring.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution


class Head(nn.Module, ABC):
    """Abstract: raw numbers to a cell-wise distribution of x."""

    channels_per_cell: int = 1

    @abstractmethod
    def forward(self, raw: Tensor) -> Distribution:
        """`raw` is `[samples, batch, channels_per_cell * channels, *space]`; the law has batch shape `[samples, batch, *event]`."""


def at_least_float32(raw: Tensor) -> Tensor:
    """Half-precision numbers widened; float32 and float64 as they are."""
    return raw.float() if raw.dtype in (torch.bfloat16, torch.float16) else raw


class BernoulliHead(Head):
    """Binary cells: raw numbers are logits."""

    def forward(self, raw: Tensor) -> Distribution:
        return Bernoulli(logits=raw, validate_args=False)
