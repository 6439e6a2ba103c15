"""What a network is shown of an example in which cells are missing."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Gaps(nn.Module):
    """x with NaN where a cell is missing -> `[batch, 2 * features]`: `inner(x)` with 0 in the gaps, then 1 where a cell
    was seen and 0 where not. Unless `flat`, both stand side by side on the last axis: `[batch, ..., 2 * channels]`.

    `inner` works cell by cell (a `Standardize`): what it gives in a gap is replaced, so a gap looks like a cell at its
    mean.
    """

    def __init__(self, inner: nn.Module | None = None, *, flat: bool = True) -> None:
        super().__init__()
        self.flat = flat
        self.inner = inner or nn.Identity()

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *features"]:
        seen = ~torch.isnan(x)
        known = torch.where(seen, self.inner(torch.nan_to_num(x)), torch.zeros_like(x))
        if not self.flat:
            return torch.cat((known, seen.to(x.dtype)), dim=-1)
        return torch.cat((known.flatten(1), seen.to(x.dtype).flatten(1)), dim=1)
