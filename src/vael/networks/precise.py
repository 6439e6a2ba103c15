"""Blocks in which networks compute as exactly as densities are stated."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def in_float32(x: Tensor) -> AbstractContextManager[object]:
    """A block whose products are as exact as their factors, whatever networks around it do."""
    # a device without numbers has no precision of products either
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)
