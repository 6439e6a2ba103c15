"""What becomes of the learning rate as training goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vael.errors import StateError


@dataclass(frozen=True)
class WarmupCosine:
    """From 0 to 1 in a line over the first `warmup` share of training, then along a cosine to `final` (Loshchilov &
    Hutter 2017).
    """

    warmup: float = 0.02
    final: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise StateError(
                f"warm-up of the learning rate over {self.warmup} of training: expected a share of at least 0 and "
                "below 1"
            )

    def __call__(self, progress: float) -> float:
        if progress < self.warmup:
            return max(progress, 1e-4) / self.warmup
        share = min((progress - self.warmup) / (1 - self.warmup), 1.0)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class Constant:
    """The same rate from the first step to the last."""

    def __call__(self, progress: float) -> float:
        return 1.0
