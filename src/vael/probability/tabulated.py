"""Mixtures of laws that stand in one table: cells share the laws and differ in how much they take of each."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import constraints

from vael.errors import ShapeError
from vael.probability.observation import Law, chosen, several_levels
from vael.probability.sampling import Noise, register_draw


class TabulatedMixture(Law):
    """P(x) = Σ_k π_k T_k(x) over integers 0 ... levels - 1, held as floats: the rows T_k of a table are shared by all
    cells, π_k is a cell's own.

    `logits` `[*batch, components]` and `table` `[components, levels]` need not be normalised; both are by softmax. A
    row can have all its mass on one level, so that levels which stand out (the black and the white of scanned ink) are
    met exactly.

    Errors: `ShapeError` where the table has another number of rows than the logits have components.
    """

    of_arguments: ClassVar[dict[str, constraints.Constraint]] = {
        "logits": constraints.real_vector,
        "table": constraints.real_vector,
    }

    def __init__(self, logits: Tensor, table: Tensor) -> None:
        if table.dim() != 2 or table.shape[0] != logits.shape[-1]:
            raise ShapeError(
                f"a table of shape {tuple(table.shape)} for mixtures of {logits.shape[-1]} components; expected "
                "[components, levels]"
            )
        several_levels(table.shape[-1])
        self.logits, self.table = F.log_softmax(logits, dim=-1), F.log_softmax(table, dim=-1)
        super().__init__(logits.shape[:-1])

    @property
    def levels(self) -> int:
        """Number of levels."""
        return self.table.shape[-1]

    @property
    def mean(self) -> Tensor:
        values = torch.arange(self.levels, dtype=self.table.dtype, device=self.table.device)
        return self.logits.exp() @ (self.table.exp() @ values)

    def log_prob(self, value: Tensor) -> Tensor:
        codes = value.round().clamp(0, self.levels - 1).long()
        return torch.logsumexp(self.logits + F.embedding(codes, self.table.mT), dim=-1)


@register_draw(TabulatedMixture)
def _tabulated(law: TabulatedMixture, shape: torch.Size, noise: Noise) -> Tensor:
    which = chosen(law.logits, noise.uniform(shape, law.logits))
    return chosen(law.table[which], noise.uniform(shape, law.logits)).to(law.logits.dtype)
