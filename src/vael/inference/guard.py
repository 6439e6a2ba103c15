"""Which gradients are clipped and which steps are skipped, relative to a running norm: no threshold depends on the
scale of the loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Guard:
    """Clip gradients longer than `clip` running norms; skip a step that is not finite or longer than `spike` running
    norms.

    The running norm follows a long gradient by at most a factor `clip` at a time, skipped or not, so no threshold can
    shut a run out for ever. The norm alone decides, since it is the same in every process that trains together. Its
    memory is `[running norm, steps seen, non-finite steps in a row]`.
    """

    clip: float = 4.0
    spike: float = 100.0
    decay: float = 0.98
    settle: int = 20  # steps before anything is called a spike
    patience: int = 100  # non-finite steps in a row before training is given up

    def start(self, device: torch.device) -> Float[Tensor, " 3"]:
        """Memory before the first step."""
        return torch.zeros(3, device=device)

    def __call__(self, norm: Tensor, memory: Float[Tensor, " 3"]) -> tuple[Tensor, Tensor]:
        """What the gradient is divided by, and 1.0 where the step is skipped; `memory` is updated in place.

        Thirty operations on single numbers: cheap for a GPU that runs ahead; a processor had better use `decide`.
        """
        running, seen, broken = memory.unbind()
        finite = torch.isfinite(norm)
        running = torch.where((seen == 0) & finite, norm, running)
        follow = torch.where(finite, torch.minimum(norm, self.clip * running), running)
        spike = (norm > self.spike * running) & (seen >= self.settle)
        scale = torch.where(
            finite, (norm / (self.clip * running).clamp(min=1e-30)).clamp(min=1.0), torch.ones_like(norm)
        )
        skip = (~finite | spike).to(norm.dtype)
        memory.copy_(
            torch.stack(
                (
                    torch.lerp(follow, running, self.decay),
                    seen + finite,
                    torch.where(finite, torch.zeros_like(broken), broken + 1),
                )
            )
        )
        return scale, skip

    def decide(self, norm: float, memory: list[float]) -> tuple[float, bool, list[float]]:
        """The same in plain numbers: divisor, whether to skip, and the memory afterwards."""
        running, seen, broken = memory
        if not math.isfinite(norm):
            return 1.0, True, [running, seen, broken + 1]
        running = norm if seen == 0 else running
        limit = self.clip * running
        spike = norm > self.spike * running and seen >= self.settle
        follow = min(norm, limit)
        return max(norm / max(limit, 1e-30), 1.0), spike, [follow + self.decay * (running - follow), seen + 1, 0.0]
