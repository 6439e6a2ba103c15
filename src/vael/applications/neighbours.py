"""Distances to the nearest rows of training: in the space of codes and surprises, and as rows stand."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors

from vael.applications.measuring import Measured

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
