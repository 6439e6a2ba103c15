"""The default level for tables: a law for each column, cells that are missing or kept beside left out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vael.compression.laws import CodingLaw
from vael.compression.level import Symbols
from vael.compression.safe import FINE_BINS, FloatLevel
from vael.compression.tabular.column_laws import ColumnRows, Counts, States, log_cells
from vael.compression.tabular.grids import WIDEST, grids_of
from vael.counting import counted
from vael.data import Batch, Schema
from vael.errors import ShapeError, SupportError
from vael.models import Model
from vael.probability.columns import Columns

ROWS = 512  # in one call of a network


class TableLevel(FloatLevel):
    """Rows of a table: a symbol a cell (`CodingGrid`), `MISSING` or `ASIDE` where the model is shown a gap; `counts`
    says how often those are.

    Which cells there are is coded by how often a column has them where the column before has, levels by their
    probabilities, a number by the mass of its step under the column's law. Errors: `SupportError` for a likelihood that
    is not one of columns, `ShapeError` for counts of another table and sizes below 1.
    """

    def __init__(
        self, model: Model, schema: Schema, counts: Counts, *, batch: int = ROWS, bins: int = FINE_BINS
    ) -> None:
        if len(counts) != len(schema.columns):
            raise ShapeError(
                f"{counted(len(counts), 'count')} of gaps for {counted(len(schema.columns), 'column')}; expected "
                "one for each"
            )
        self.grids, self.counts = grids_of(schema), counts
        self.cells, self.levels = len(schema.columns), WIDEST
        super().__init__(model, batch=batch, bins=bins)

    def _batch(self, x: Symbols) -> Batch:
        cells = self._shown(x)
        return Batch(x=cells, observed=~torch.isnan(cells))

    def _shown(self, x: Symbols) -> Tensor:
        return torch.from_numpy(
            self._padded(
                np.stack([grid.shown(x[:, place]) for place, grid in enumerate(self.grids)], axis=1), self.cells
            )
        )

    def _law(self, law: Distribution, examples: int) -> CodingLaw:
        return ColumnRows(columns_of(law), self.grids, self.counts, examples)

    def _log_prob(self, law: Distribution, x: Symbols) -> np.ndarray:
        return log_cells(columns_of(law), self.grids, x) + States(self.counts, len(x)).log_prob(x)


def columns_of(law: Distribution) -> Columns:
    """Errors: `SupportError` for another law."""
    if not isinstance(law, Columns):
        raise SupportError(
            f"{type(law).__name__} is no law of a table's columns; train with a likelihood for each column "
            "(--likelihood columns)"
        )
    return law
