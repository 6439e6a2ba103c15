"""What a model says of rows, before anything is made of it: terms, codes, how surprising each cell is, and how far the
nearest rows of training are.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from vael.data import Batch, Source
from vael.evaluation import row_blocks
from vael.evaluation.rows import terms_of_rows
from vael.models import ColumnsHead, ColumnsInput, Decodes, Head, head_of
from vael.models.core import Levels
from vael.models.vae import filled
from vael.probability import PerExample


@dataclass(frozen=True)
class Measured:
    """What a model says of some rows, one entry a row."""

    distortion: Float[Tensor, " rows"]
    divergence: Float[Tensor, " rows"]
    objective: Float[Tensor, " rows"]  # log p(x) or a bound on it, else minus the error's cost
    code: Float[Tensor, "rows latents"]  # mean of q(z | x)
    surprise: Float[Tensor, "rows *event"]  # -log p(x_j | z) at that mean, or its error's cost; 0 for a missing cell
    background: Float[Tensor, " rows"]  # what a simple code needs
    cells: Float[Tensor, "rows places"]  # the row itself, in units of spread; a gap in the middle

    def some(self, kept: Tensor) -> Measured:
        """These rows of them."""
        return Measured(*(getattr(self, name)[kept] for name in Measured.__dataclass_fields__))

    def belonging(self, contamination: float, least: int) -> Measured:
        """All but the strangest of them, of whom there is this share; at least so many."""
        if not contamination:
            return self
        kept = max(least, round(len(self.objective) * (1 - contamination)))
        return self.some(torch.argsort(self.objective, descending=True)[:kept].sort().values)


class Measuring:
    """A model, asked about rows: the same draws for all of them, and each in the space of some rows of training.
    `watch` is told how many more rows were asked about.
    """

    def __init__(
        self, model: Decodes, train: Source, samples: int, seed: int, watch: Callable[[int], None] | None = None
    ) -> None:
        self.model, self.samples, self.seed, self.watch = model.eval(), samples, seed, watch
        self.head = head_of(model)
        self.space = RowSpace(train, self.head)

    def all(self, source: Source) -> Measured:
        """What it says of every row."""
        parts = list(self.blocks(source))
        return Measured(*(torch.cat([getattr(part, name) for part in parts]) for name in Measured.__dataclass_fields__))

    def blocks(self, source: Source) -> Iterator[Measured]:
        """What it says of every row, a block at a time."""
        for block in row_blocks(self.model, source, self.seed, self.samples):
            batch = block.batch
            with torch.inference_mode():
                said, latents = terms_of_rows(self.model, batch, self.samples, self.seed), self.model.latents(batch)
                found = (
                    said.distortion,
                    said.divergence,
                    said.objective,
                    self.model.encode(batch),
                    self._surprise(batch, latents),
                    self._background(batch),
                    self.space(batch),
                )
            if self.watch is not None:
                self.watch(block.rows)
            yield Measured(*(part[: block.rows] for part in found))

    def column_surprise(self, source: Source) -> Float[Tensor, "rows columns"]:
        """By how many nats each cell is surprising in its own column; 0 for a gap."""
        blocks = row_blocks(self.model, source, self.seed, 1)
        return torch.cat([self._column_surprise(block.batch)[: block.rows] for block in blocks])

    def _surprise(self, batch: Batch, means: Levels) -> Tensor:
        x = filled(batch.x, batch.observed)
        cells = -self.model.decode(means, batch.context).log_prob(x)[0]
        if cells.dim() == 1:
            return cells[:, None]
        return cells if batch.observed is None else torch.where(batch.observed, cells, torch.zeros_like(cells))

    def _column_surprise(self, batch: Batch) -> Tensor:
        """-log p of each cell by the distribution that its column had before the networks learned anything; 0 where
        it is missing.
        """
        x = filled(batch.x, batch.observed)
        with torch.no_grad():
            cells = -self.head(x.new_zeros(1, len(x), self.head.raw_numbers)).log_prob(x)[0]  # type: ignore[union-attr]
        return cells if batch.observed is None else torch.where(batch.observed, cells, torch.zeros_like(cells))

    def _background(self, batch: Batch) -> Tensor:
        """What a simple code needs for each row in nats: columns by their own laws, whole numbers by zlib, real
        numbers as standard normal ones.
        """
        x = filled(batch.x, batch.observed)
        if isinstance(self.head, ColumnsHead):
            return self._column_surprise(batch).sum(1)
        if not x.shape[1:] or bool((x != x.round()).any()) or float(x.max()) > 255 or float(x.min()) < 0:
            return 0.5 * x.flatten(1).square().sum(1)
        lengths = [len(zlib.compress(row.tobytes(), 9)) for row in x.flatten(1).to(torch.uint8).numpy()]
        return torch.tensor(lengths, dtype=x.dtype) * 8 * float(np.log(2))


class RowSpace:
    """Where rows stand: columns of kinds as an encoder is shown them, other columns and the cells of images by their
    spread.

    Columns have a spread each, one that never varies has 1; the cells of an image have one in common, or dark corners
    would count most.
    """

    def __init__(self, train: Source, head: Head | None) -> None:
        self.shown, x = None, train.batch(torch.arange(len(train)), PerExample(0, torch.arange(len(train)))).x
        if isinstance(head, ColumnsHead):
            self.shown = ColumnsInput(head.schema, sample=x)
            return
        seen = ~torch.isnan(x)
        count = seen.sum(0).clamp(min=1)
        self.middle = torch.nan_to_num(x).sum(0) / count
        variance = torch.where(seen, (x - self.middle).square(), torch.zeros_like(x)).sum(0) / count
        spread = (variance if variance.dim() == 1 else variance.mean()).sqrt()
        self.spread = torch.where(spread > 1e-9, spread, torch.ones_like(spread))

    def __call__(self, batch: Batch) -> Float[Tensor, "rows places"]:
        gaps = torch.isnan(batch.x) if batch.observed is None else ~batch.observed
        if self.shown is not None:
            return self.shown(batch.x.masked_fill(gaps, torch.nan))
        return (
            torch.where(gaps, torch.zeros_like(batch.x), (batch.x - self.middle) / self.spread)
            .flatten(1)
            .clamp(-1e6, 1e6)
        )


NEIGHBOURS = 5
LOOKED_UP = 256  # rows at once
FEW_CELLS = 256  # up to which the surprise of every cell is a place in the space of neighbours


class Neighbourhood:
    """Rows of training that belong, as places; how far other rows are from them."""

    def __init__(self, reference: Measured) -> None:
        self.deviation = reference.code.std(0, correction=0).clamp(min=1e-6)
        cells = reference.surprise.flatten(1)
        self.least, self.roughness = cells.min(0).values, cells.std(0, correction=0).clamp(min=1e-6)
        self._codes = _Nearest(self._place(reference))
        self._rows = _Nearest(reference.cells.double().numpy())

    def of_codes(self, measured: Measured) -> np.ndarray:
        """Distance from the fifth nearest in the space of codes and surprises."""
        return self._codes(self._place(measured))

    def of_rows(self, measured: Measured) -> np.ndarray:
        """Distance from the fifth nearest as rows stand."""
        return self._rows(measured.cells.double().numpy())

    def _place(self, measured: Measured) -> np.ndarray:
        """A row in the space of neighbours: its code in units of the codes' spread, and the root of the surprise of its
        cells.

        The root of a Gaussian's surprise is the distance of a cell from what was expected. Of many cells only their sum
        counts.
        """
        code, cells = measured.code / self.deviation, measured.surprise.flatten(1)
        if cells.shape[1] > FEW_CELLS:
            cells = cells.sum(1, keepdim=True)
            least, roughness = self.least.sum(), self.roughness.square().sum().sqrt()
        else:
            least, roughness = self.least, self.roughness
        return torch.cat((code, ((cells - least).clamp(min=0) / roughness).sqrt()), 1).double().numpy()


class _Nearest:
    """Rows of training as places; distances from the fifth nearest, in blocks of one size: what is near another row
    does not round its distance.

    Distances are computed anew from the differences: a search by products of matrices leaves 1e-8 between a row and its
    copy, which would be much where most rows have copies.
    """

    def __init__(self, places: np.ndarray) -> None:
        self.places, self.index = places, NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(places))).fit(places)

    def __call__(self, places: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [self._of_block(places[start : start + LOOKED_UP]) for start in range(0, len(places), LOOKED_UP)]
        )

    def _of_block(self, block: np.ndarray) -> np.ndarray:
        whole = np.concatenate((block, np.repeat(block[-1:], LOOKED_UP - len(block), axis=0)))
        near = np.asarray(self.index.kneighbors(whole, return_distance=False))[: len(block)]
        return np.sqrt(np.stack([((block - self.places[place]) ** 2).sum(1) for place in near.T])).max(0)
