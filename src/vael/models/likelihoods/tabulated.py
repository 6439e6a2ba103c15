"""The head of levels that share a few laws, all of them learned."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.source import Source
from vael.models.likelihoods.heads import Head
from vael.models.likelihoods.support import whole_numbers
from vael.probability import TabulatedMixture

FARTHEST = 8.0  # nats that a component may start below the nearest one, so that the gradient still reaches it
# of the table over its parameters: steps that suit a network's weights would take long over logits that are to span ten
# nats
GAIN = 3.0
FLOOR = (
    2.0**-12
)  # share of every law that is spread over all levels: no level can be so rare that one cell spoils a batch
STANDS_OUT = 4.0  # nats by which black and white start above the bell next to them


class TabulatedMixtureHead(Head):
    """Integers 0 ... levels - 1: raw numbers are logits over `components` laws that are shared by all cells and learned
    with the weights.

    The laws are free over the levels, so a level that stands out costs no more than it must; they start as bells side
    by side. Logits are unbounded. Little suits better where all cells speak the same few words, as black, white and the
    edges of a scanned digit.
    """

    discrete = True

    def __init__(self, levels: int = 256, components: int = 8) -> None:
        super().__init__()
        self.levels, self.components = levels, components
        self.channels_per_cell = components
        self.table = nn.Parameter(bells(levels, components) / GAIN)

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        return TabulatedMixture(raw.unflatten(2, (self.components, -1)).movedim(2, -1), self.laws.to(raw.dtype))

    @property
    def laws(self) -> Float[Tensor, "components levels"]:
        """Logarithms of the shared laws."""
        return ((1 - FLOOR) * (GAIN * self.table).softmax(1) + FLOOR / self.levels).log()

    def start(self, mean: Tensor, std: Tensor) -> Tensor:
        width = (self.levels - 1) / self.components
        centre = centres(self.levels, self.components).view(-1, *[1] * mean.dim())
        near = -0.5 * ((centre - mean) / std.clamp(min=width / 2)).square()
        return (near - near.amax(0)).clamp(min=-FARTHEST).flatten(0, 1)

    def check(self, source: Source) -> None:
        whole_numbers(source, self.levels, "the mixture of tabulated laws")


def centres(levels: int, components: int) -> Tensor:
    """Where the laws start: evenly from the lowest to the highest level."""
    return torch.linspace(0, levels - 1, components)


def bells(levels: int, components: int) -> Tensor:
    """Logits `[components, levels]` of double-exponential bells about `centres`, each as wide as their distance;
    the outer two peak at the ends.
    """
    distance = (torch.arange(levels) - centres(levels, components)[:, None]).abs()
    logits = -distance * (2 * components / levels)
    logits[0, 0] += STANDS_OUT
    logits[-1, -1] += STANDS_OUT
    return logits
