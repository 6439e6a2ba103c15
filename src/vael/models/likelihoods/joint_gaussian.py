"""A Gaussian decoder with a full covariance matrix, Σ_θ(z)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vael.data.source import Source
from vael.errors import ShapeError
from vael.models.likelihoods.heads import LOG_SCALE, Head, Moments, units
from vael.models.likelihoods.support import real_numbers
from vael.models.posteriors.correlated import numbers_of
from vael.probability import JointGaussian, bounded

MOST_CELLS = 512  # a factor of 512 × 512 is 1 MiB an example and draw


class JointGaussianHead(Head):
    """Real cells that depend on each other given z: p(x | z) = N(μ_θ(z), Σ_θ(z)) over a whole example, Σ = S L Lᵀ S.

    The network gives d (d + 3) / 2 numbers for the d cells of an example: d means and d log-deviations in units of the
    data, then what lies below the diagonal of L row by row (a few raw numbers at the end are unused where d is even).
    Column j of L is σ_j times a column with 1 on the diagonal, log σ is bounded smoothly to (-6, 3), and S holds the
    scales of the data, so Σ is positive definite for any numbers. The law has batch shape `[samples, batch]` and events
    of the shape of an example: cells cannot be left out by a mask.

    Memory and time grow as d² and more: for tables and small images. Errors: `ShapeError` for more than 512 cells.
    """

    couples = True

    def __init__(self, event: Sequence[int], moments: Moments | None = None) -> None:
        super().__init__()
        self.event, self.cells = tuple(event), math.prod(event)
        if not 1 <= self.cells <= MOST_CELLS:
            raise ShapeError(
                f"a full covariance over {self.cells} cells of shape {self.event}; expected 1 to {MOST_CELLS}, since "
                "it has a number for each "
                "pair; use a Gaussian with a variance for each cell"
            )
        self.channels_per_cell = math.ceil(numbers_of(self.cells) / self.cells)
        shift, scale = (torch.zeros(self.event), torch.ones(self.event)) if moments is None else units(moments)
        below = torch.tril_indices(self.cells, self.cells, -1)
        self.register_buffer("shift", shift.flatten())
        self.register_buffer("scale", scale.flatten().clone())
        self.register_buffer("below", below[0] * self.cells + below[1], persistent=False)

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        d = self.cells
        loc, log_scale, below = raw.flatten(2)[..., : numbers_of(d)].split((d, d, d * (d - 1) // 2), dim=-1)
        shear = raw.new_zeros(*raw.shape[:2], d * d).index_copy(-1, self.below, below).unflatten(-1, (d, d))
        shear = shear + torch.eye(d, dtype=raw.dtype, device=raw.device)
        tril = self.scale[:, None] * shear * bounded(log_scale, *LOG_SCALE).exp()[..., None, :]
        return JointGaussian(self.shift + self.scale * loc, tril, self.event)

    def check(self, source: Source) -> None:
        """Errors: `ShapeError` for examples of another shape, besides those of real numbers."""
        real_numbers(source, "a density over real numbers")
        if source.event != self.event:
            raise ShapeError(
                f"{source.name} has examples of shape {source.event}, but the covariance is over cells of shape "
                f"{self.event}"
            )
