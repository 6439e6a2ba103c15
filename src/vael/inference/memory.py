"""How many latents may be differentiated together: as many as a share of memory holds what their gradient needs."""

from __future__ import annotations

import torch
from torch import Tensor

from vael.inference.joint import LogJoint

MEMORY = 1 << 30  # bytes that a gradient may hold
TIMES = 4  # a Hessian's column holds what a slope keeps, the same of its derivative along the axis, and both in passing
MOST = 4096  # latents beyond which narrow networks gain nothing


def differentiable_at_once(about: LogJoint, memory: int = MEMORY) -> int:
    """Latents whose slope and curvature of log p(x, z) fit into `memory` bytes: 1 to `MOST`.

    Counted, not guessed: what autograd keeps of two latents less what it keeps of one, so that weights, which all
    latents share, are left out, and the work inside a density is not.
    """
    one, two = kept(about, 1), kept(about, 2)
    return max(1, min(MOST, memory // (TIMES * max(1, two - one))))


def kept(about: LogJoint, latents: int) -> int:
    """Bytes that autograd keeps for the slope of log p(x, z) at so many latents of the first example."""
    first = about.part(torch.zeros(1, dtype=torch.int64, device=about.own.mean.device))
    storages: dict[int, int] = {}

    def packed(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(packed, lambda value: value):
        z = first.own.mean.detach()[None].repeat(latents, 1, 1).requires_grad_()
        reached = first.at(z)  # kept until the storages are counted: what is freed early would be counted twice or not
        total = sum(storages.values())
        del reached
    return total
