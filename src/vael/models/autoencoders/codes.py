"""Laws over codes on grids: uniform, or each code given those before it; exact, and trained like any model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional

from vael.data.batch import Batch
from vael.errors import ShapeError, StateError, SupportError
from vael.models.capabilities import ExactLikelihood, Samples
from vael.models.core import EVERYTHING, Levels, Terms, exact_terms
from vael.models.likelihoods.heads import at_least_float32
from vael.networks import GatedPixelCNN
from vael.probability import Noise, as_noise


@dataclass(frozen=True)
class CodeGrid:
    """`height` × `width` positions with a code below `size` at each."""

    height: int
    width: int
    size: int

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or self.size < 2:
            raise ShapeError(
                f"a grid of {self.height} x {self.width} codes below {self.size}; expected at least 1 x 1 codes below "
                "at least 2"
            )

    @property
    def positions(self) -> int:
        """How many codes the grid holds."""
        return self.height * self.width


class CodePrior(ABC):
    """Abstract law of the codes of one or more grids, the coarsest first."""

    grids: tuple[CodeGrid, ...]

    @abstractmethod
    def log_codes(self, codes: Sequence[Int64[Tensor, "batch _ _"]]) -> Float[Tensor, "levels batch"]:
        """Log p(c_1), log p(c_2 | c_1), ... in nats."""

    @abstractmethod
    def draw_codes(self, samples: int, generator: torch.Generator | Noise) -> Levels:
        """Codes of every level, `[samples, height, width]` each."""

    def split(self, flat: Tensor) -> Levels:
        """Codes of all levels side by side, `[batch, positions]`, as grids.

        Errors: `ShapeError` for another number of positions.
        """
        counts = [grid.positions for grid in self.grids]
        if flat.shape[1:] != (sum(counts),):
            raise ShapeError(
                f"codes of shape {tuple(flat.shape[1:])} per example, but the grids have {sum(counts)} positions in all"
            )
        return tuple(
            part.unflatten(1, (grid.height, grid.width))
            for part, grid in zip(flat.split(counts, dim=1), self.grids, strict=True)
        )


class UniformCodes(nn.Module, CodePrior):
    """Every code equally likely at every position: log p = -positions × log size."""

    def __init__(self, grids: Sequence[CodeGrid]) -> None:
        super().__init__()
        self.grids = tuple(grids)
        self.register_buffer("like", torch.zeros(()), persistent=False)

    def log_codes(self, codes: Sequence[Int64[Tensor, "batch _ _"]]) -> Float[Tensor, "levels batch"]:
        rates = [grid.positions * math.log(grid.size) for grid in self.grids]
        return -torch.tensor(rates, dtype=self.like.dtype, device=self.like.device)[:, None].expand(-1, len(codes[0]))

    def draw_codes(self, samples: int, generator: torch.Generator | Noise) -> Levels:
        noise = as_noise(generator)
        sizes = [(1, samples, grid.height, grid.width) for grid in self.grids]
        return tuple(
            (noise.uniform(size, self.like)[0] * grid.size).long() for size, grid in zip(sizes, self.grids, strict=True)
        )


class AutoregressiveCodes(Samples, ExactLikelihood, CodePrior):
    """p(c) = Π_i p(c_i | c_<i) in reading order, level after level, each level knowing the one before it in full
    (PixelCNN prior).

    A model of its own, without latents: an example is the codes of all levels side by side, `[positions]`, the coarsest
    first, and its `log_likelihood` is log p(c) exactly, so `ELBO` and `Reconstruction` climb the same (van den Oord,
    Vinyals & Kavukcuoglu 2017, section 3.3; Razavi, van den Oord & Vinyals 2019, section 3.2). With one grid it serves
    for small images too, whose cells are its codes.
    """

    told = "log p(x), each value given those before it, exactly"
    gives_probabilities = True

    def __init__(self, grids: Sequence[CodeGrid], *, features: int = 16, channels: int = 32, layers: int = 4) -> None:
        super().__init__()
        self.grids = tuple(grids)
        self.embeddings = nn.ModuleList(nn.Embedding(grid.size, features) for grid in grids)
        self.networks = nn.ModuleList(
            GatedPixelCNN(features, grid.size, channels=channels, layers=layers, context=features if level else 0)
            for level, grid in enumerate(grids)
        )
        self.contexts = nn.ModuleList(nn.Conv2d(features, features, 3, padding=1) for _ in grids[1:])

    def logits(
        self, level: int, codes: Sequence[Int64[Tensor, "batch _ _"]]
    ) -> Float[Tensor, "batch size height width"]:
        """Of each code of a level, given those before it; what stands at or after a position does not reach it."""
        embedded = self.embeddings[level](codes[level]).movedim(-1, 1)
        return at_least_float32(self.networks[level](embedded, self._context(level, codes)))

    def _context(self, level: int, codes: Sequence[Tensor]) -> Tensor | None:
        if not level:
            return None
        grid = self.grids[level]
        coarse = self.embeddings[level - 1](codes[level - 1]).movedim(-1, 1)
        return self.contexts[level - 1](functional.interpolate(coarse, size=(grid.height, grid.width), mode="nearest"))

    def log_codes(self, codes: Sequence[Int64[Tensor, "batch _ _"]]) -> Float[Tensor, "levels batch"]:
        """Each code given those before it and the coarser grids.

        Errors: `SupportError` for codes that there are not.
        """
        for grid, given in zip(self.grids, codes, strict=True):
            if int(given.min()) < 0 or int(given.max()) >= grid.size:
                raise SupportError(
                    f"codes from {int(given.min())} to {int(given.max())}, but expected 0 to {grid.size - 1}"
                )
        found = [
            -functional.cross_entropy(self.logits(level, codes), codes[level], reduction="none")
            for level in range(len(self.grids))
        ]
        return torch.stack([each.flatten(1).sum(1) for each in found])

    def forward(
        self,
        batch: Batch,
        *,
        samples: int = 1,
        generator: torch.Generator | Noise,
        requires: frozenset[str] = EVERYTHING,
        posterior: tuple[Distribution, ...] | None = None,
        latent: Levels | None = None,
    ) -> Terms:
        """Log p(c), exactly; nothing is drawn, so all `samples` are alike.

        Errors: `StateError` for a mask or latents.
        """
        if batch.observed is not None or posterior is not None or latent is not None:
            raise StateError(
                "a model of codes has no latents and takes whole grids of codes; give it neither a mask nor a "
                "posterior nor latents"
            )
        return exact_terms(self.log_prob(batch.x), samples)

    def log_prob(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """Log p(c) of the codes of all levels side by side, exact, in nats."""
        return self.log_codes(self.split(x.flatten(1).round().long())).sum(0)

    @torch.no_grad()
    def draw_codes(self, samples: int, generator: torch.Generator | Noise) -> Levels:
        """Codes cell by cell, level by level, each from its law given those before it."""
        noise, like = as_noise(generator), next(self.parameters())
        codes = [
            torch.zeros(samples, grid.height, grid.width, dtype=torch.int64, device=like.device) for grid in self.grids
        ]
        for level, grid in enumerate(self.grids):
            points = noise.uniform((1, samples, grid.height, grid.width), like)[0]
            for row in range(grid.height):
                for column in range(grid.width):
                    cumulative = self.logits(level, codes)[:, :, row, column].softmax(1).cumsum(1)
                    point = points[:, row, column, None] * cumulative[:, -1:]
                    codes[level][:, row, column] = (point >= cumulative).sum(1).clamp(max=grid.size - 1)
        return tuple(codes)

    def sample(self, samples: int, *, generator: torch.Generator | Noise, context: Tensor | None = None) -> Tensor:
        """`[samples, positions]`, as the data are."""
        return torch.cat([codes.flatten(1) for codes in self.draw_codes(samples, generator)], 1).to(
            next(self.parameters()).dtype
        )
