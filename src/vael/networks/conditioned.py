"""Networks that see a vector c beside their input."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Conditioned(nn.Module):
    """`network` of x and c: c beside the elements of a vector, or as constant planes beside the channels of an image.

    `inputs` is what x goes through first; with `flat` whatever it gives becomes a vector.
    """

    def __init__(self, inputs: nn.Module, network: nn.Module, *, flat: bool) -> None:
        super().__init__()
        self.inputs, self.network, self.flat = inputs, network, flat

    def forward(self, x: Float[Tensor, "batch *event"], context: Float[Tensor, "*batch features"]) -> Tensor:
        given = self.inputs(x)
        given = given.flatten(1) if self.flat else given
        c = context.to(given.dtype).expand(given.shape[0], -1)  # not len(), which a traced graph would fix
        planes = c.view(*c.shape, *[1] * (given.dim() - 2)).expand(-1, -1, *given.shape[2:])
        return self.network(torch.cat([given, planes], 1))
