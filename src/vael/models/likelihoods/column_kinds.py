"""What the likelihood of a column is, by its kind: one row of `KINDS` for each.

Columns of numbers share one law, a mixture of logistics beside spikes, and a `NumberScale` says how a kind is taken.
Columns of levels share their raw numbers, one for each code, and the `LevelLink` of a kind makes log-probabilities of
them. A kind more is a row here, and a class where it takes another link.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from vael.tables.schema import Column, ColumnKind

IMPOSSIBLE = -1e4  # a logit of what cannot be


@dataclass(frozen=True)
class NumberScale:
    """How numbers are taken: those above 0 by their logarithm, whole ones by the mass from one half to the next."""

    logarithmic: bool = False
    whole: bool = False


class LevelLink(ABC):
    """Abstract: raw numbers of columns with levels to log-probabilities of their codes."""

    has_thresholds = False  # numbers of each column beside those that the network gives, the same for all rows

    @abstractmethod
    def log_probs(
        self,
        logits: Float[Tensor, "samples batch columns codes"],
        valid: Bool[Tensor, "columns codes"],
        thresholds: Float[Tensor, "columns codes"],
    ) -> Float[Tensor, "samples batch columns codes"]:
        """Log p of every code; of those that a column has not `IMPOSSIBLE`, or as little."""

    @abstractmethod
    def begin(self, share: Float[Tensor, " codes"]) -> Float[Tensor, " numbers"]:
        """Where codes are as frequent as this: logits of the codes, or the first thresholds."""


class SoftmaxLink(LevelLink):
    """P(y = k) = exp l_k / Σ_j exp l_j, one raw number for each code."""

    def log_probs(self, logits: Tensor, valid: Tensor, thresholds: Tensor | None = None) -> Tensor:
        return F.log_softmax(torch.where(valid, logits, torch.full_like(logits, IMPOSSIBLE)), dim=-1)

    def begin(self, share: Tensor) -> Tensor:
        return share.log() - share.log().mean()


class CumulativeLink(LevelLink):
    """P(y ≤ k) = σ(θ_k - f), θ rising: one raw number f, and thresholds of its own for all rows (McCullagh 1980)."""

    has_thresholds = True

    def log_probs(self, logits: Tensor, valid: Tensor, thresholds: Tensor) -> Tensor:
        """Log [σ(θ_k - f) - σ(θ_{k-1} - f)], the outer two open."""
        steps = torch.cat((thresholds[:, :1], F.softplus(thresholds[:, 1:]) + 1e-3), 1)
        upper = steps.cumsum(1) - logits[..., :1]
        last = valid & ~F.pad(valid[:, 1:], (0, 1))
        below = torch.where(last, torch.zeros_like(upper), F.logsigmoid(upper))  # log P(y ≤ k)
        lower = F.pad(upper[..., :-1], (1, 0), value=-50.0)
        above = F.logsigmoid(-lower)  # log P(y > k - 1)
        inside = torch.log(-torch.expm1(-(upper - lower).clamp(min=1e-6)))
        mass = torch.where(last, above, below + above + inside)
        return torch.where(valid, mass, torch.full_like(mass, IMPOSSIBLE))

    def begin(self, share: Tensor) -> Tensor:
        at = torch.logit(share.cumsum(0)[:-1].clamp(1e-4, 1 - 1e-4))
        return torch.cat((at[:1], torch.log(torch.expm1((at[1:] - at[:-1] - 1e-3).clamp(min=1e-2)))))


SOFTMAX, CUMULATIVE = SoftmaxLink(), CumulativeLink()
KINDS: dict[ColumnKind, NumberScale | LevelLink] = {
    ColumnKind.REAL: NumberScale(),
    ColumnKind.POSITIVE: NumberScale(logarithmic=True),
    ColumnKind.COUNT: NumberScale(whole=True),
    ColumnKind.DATE: NumberScale(),
    ColumnKind.ORDINAL: CUMULATIVE,
    ColumnKind.CATEGORICAL: SOFTMAX,
    ColumnKind.BOOLEAN: SOFTMAX,
}


def form_of(column: Column) -> NumberScale | None:
    """How the numbers of a column are taken; None for a column of levels."""
    return form if isinstance(form := KINDS[column.kind], NumberScale) else None


def link_of(column: Column) -> LevelLink:
    """What makes log-probabilities of a column's raw numbers; of numbers, which have none, the plainest."""
    return link if isinstance(link := KINDS[column.kind], LevelLink) else SOFTMAX


def is_whole(column: Column) -> bool:
    """Whether the cells of a column are whole numbers."""
    form = form_of(column)
    return form is not None and form.whole
