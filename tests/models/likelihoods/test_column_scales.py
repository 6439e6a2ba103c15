"""Columns of numbers are brought to mean 0 and deviation 1, by maps that are straight where nothing lies far out."""

import math

import pytest
import torch

from vael.models.likelihoods.column_scales import ColumnScales
from vael.tables.schema import Column, ColumnKind, Schema


def normal(rows=4000):
    return torch.randn(rows, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


COLUMNS = {
    "even": (Column("a", ColumnKind.REAL), 300 + 7 * normal()),
    "heavy": (Column("b", ColumnKind.REAL), torch.sinh(4 * normal())),
    "positive": (Column("c", ColumnKind.POSITIVE), (3 + 2 * normal()).exp()),
    "spiked": (Column("d", ColumnKind.REAL, spikes=(-999.0,)), torch.where(normal() > 1, -999.0, 5 + normal())),
    "gaps": (Column("e", ColumnKind.REAL), torch.where(normal() < 0, math.nan, 5 * normal())),
}


def scales(column, cells):
    return ColumnScales(Schema((column,)), cells[:, None].float())


@pytest.mark.parametrize(("column", "cells"), COLUMNS.values(), ids=COLUMNS)
def test_what_was_seen_has_mean_0_and_deviation_1(column, cells):
    warp = scales(column, cells).warp()
    cells = cells[~cells.isnan() & (cells != -999.0)]
    g = warp.double()(cells[:, None])[:, 0]
    assert float(g.mean()) == pytest.approx(0, abs=1e-4)
    assert float(g.std(correction=0)) == pytest.approx(1, abs=1e-4)
    steepest, flattest = warp.double().log_slope(cells[:, None]).aminmax()
    bent = float(flattest - steepest)
    assert bent < 1e-3 if column.name in "ade" else bent > 2  # heavy tails and magnitudes alone


def test_a_column_that_never_varies_keeps_its_unit():
    warp = scales(Column("x", ColumnKind.REAL), torch.full((9,), 42.0)).warp()
    assert float(warp(torch.tensor([[42.0]]))) == pytest.approx(0, abs=1e-6)
    assert float(warp(torch.tensor([[43.0]]))) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("sample", [None, torch.full((4, 1), math.nan)])
def test_a_column_of_which_nothing_is_known_is_bent_about_zero(sample):
    v = torch.linspace(-3, 3, 7)[:, None]
    found = ColumnScales(Schema((Column("x", ColumnKind.REAL),)), sample).warp()
    torch.testing.assert_close(found(v), torch.asinh(v))
