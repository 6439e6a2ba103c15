"""Matrix products that round the same way for every row of a block."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vael.models import VAE

# float64 numbers in a line of the cache: rows of whole lines are all aligned alike, so one kernel serves them all
WIDTH = 8


class SteadyLinear(nn.Module):
    """A linear layer whose sizes are filled up with zeros to whole lines of the cache.

    Measured with MKL: among rows of 5 numbers some differ in the last digit by their place in the block, among rows of
    8, 16, 24 ... none.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.outputs, self.missing = linear.out_features, -linear.in_features % WIDTH
        more = -linear.out_features % WIDTH
        self.register_buffer("weight", functional.pad(linear.weight.detach(), (0, self.missing, 0, more)))
        self.register_buffer("bias", functional.pad(linear.bias.detach(), (0, more)))

    def forward(self, x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "rows outputs"]:
        whole = functional.linear(
            functional.pad(x, (0, self.missing)), torch.as_tensor(self.weight), torch.as_tensor(self.bias)
        )
        return whole[:, : self.outputs].contiguous()


def steady(model: VAE) -> VAE:
    """A copy of a model with `SteadyLinear` in place of every linear layer."""
    copied = copy.deepcopy(model)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, SteadyLinear(child))
    return copied.eval()
