"""Codes of which few numbers are not zero."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vael.errors import ShapeError


class TopK(nn.Module):
    """The k largest numbers of each code stay, all others become 0: the k-sparse code (Makhzani & Frey 2014).

    Only what stays has a gradient. Equal numbers at the edge are decided so that exactly k stay. Errors: `ShapeError`
    for k below 1 or above the size of the code.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        if k < 1:
            raise ShapeError(f"a code of which k = {k} numbers stay says nothing; expected k of at least 1")
        self.k = k

    def forward(self, code: Float[Tensor, "batch features"]) -> Float[Tensor, "batch features"]:
        """The k largest numbers of each code, 0 elsewhere. Errors: `ShapeError` for more than there are."""
        if self.k > code.shape[-1]:
            raise ShapeError(
                f"k = {self.k} numbers are to stay of a code of {code.shape[-1]}; expected k of at most "
                f"{code.shape[-1]}"
            )
        kept = code.topk(self.k, dim=-1)
        return torch.zeros_like(code).scatter(-1, kept.indices, kept.values)
