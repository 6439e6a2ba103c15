"""What fills gaps computes nothing for rows and cells without any, and rows have their answers wherever they stand."""

import pytest
import torch

from vael.applications.imputation import Exact, Wanted, Weighing, impute
from vael.data import Batch, Kind, Source
from vael.evaluation import RowKeys
from vael.models import ColumnsHead
from vael.probability.row_mixture import RowMixture
from vael.recipes import table
from vael.tables.schema import Column, ColumnKind, Schema

SCHEMA = Schema(
    (
        Column("k", ColumnKind.CATEGORICAL, levels=("a", "b", "c"), missing=True),
        Column("x", ColumnKind.REAL, minimum=-9.0, maximum=9.0, missing=True),
        Column("n", ColumnKind.COUNT, minimum=0.0, maximum=9.0, missing=True),
        Column("y", ColumnKind.REAL, minimum=-9.0, maximum=9.0, spikes=(0.0,), missing=True),
    )
)
SAMPLES = 24
FIELDS = ("x", "deviation", "low", "high", "draws", "effective_samples")


def rows(count, gaps):
    """Rows of which the first `gaps` have one or two."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(count, 4, generator=random)
    x[:, 0] = torch.randint(3, (count,), generator=random)
    x[:, 2] = torch.randint(9, (count,), generator=random)
    x[(torch.arange(count) % 3 == 0) & (torch.arange(count) % 4 != 1), 3] = 0.0  # no two rows are seen alike
    for row in range(gaps):
        x[row, [row % 4, 0]] = torch.nan
    return x


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # MKL rounds a row of a float32 product by its place where there are fewer than 12 outputs of inputs that are no
        # multiple of 4 (seen on AMD); models that vael chooses have no layer so narrow
        return table((4,), ColumnsHead(SCHEMA, sample=rows(300, 0)), latent=2, hidden=(16,)).eval()


def filled(model, x, **how):
    parts = list(impute(model, Source("rows", x, Kind.MIXED, "", gaps=True, schema=SCHEMA), samples=SAMPLES, **how))
    return [torch.cat([getattr(part, name) for part in parts], dim=1 if name == "draws" else 0) for name in FIELDS]


@pytest.mark.parametrize("draws", [0, 2])
def test_rows_without_a_gap_are_not_decoded_and_others_once(model, draws):
    """Latents that are decoded, counted: those of rows with gaps, each once, and of one row that says how many numbers
    its law has; multiple imputations have candidates of their own.
    """
    decoded = []
    hook = model.likelihood.register_forward_hook(lambda layer, given, out: decoded.append(given[0].shape[:2].numel()))
    try:
        for gaps in (0, 16, 32):
            decoded.clear()
            filled(model, rows(400, gaps), draws=draws)
            once = gaps * SAMPLES
            assert sum(decoded) == (once + (once + gaps * draws if draws else 0) + 1 if gaps else 0)
    finally:
        hook.remove()


@pytest.mark.parametrize("fitted", [False, True])
def test_a_row_has_the_same_bits_wherever_it_stands(model, fitted):
    """Whole blocks in two orders, rows without gaps among them."""
    x = rows(96, 64)
    order = torch.randperm(96, generator=torch.Generator().manual_seed(3))
    first, second = (filled(model, part, draws=2, fitted=fitted) for part in (x, x[order]))
    for name, one, other in zip(FIELDS, first, second, strict=True):
        assert torch.equal(one[:, order] if name == "draws" else one[order], other), name


def test_what_was_seen_is_as_it_came_and_certain(model):
    x = rows(50, 20)
    found, deviation, low, high, draws, effective = filled(model, x, draws=2)
    seen = ~x.isnan()
    for values in (found, low, high, *draws):
        assert torch.equal(values[seen].float(), x[seen])
        assert not bool(values.isnan().any())
    assert not bool(deviation[seen].any())
    assert bool((effective[20:] == SAMPLES).all())


def test_fewer_rows_are_filled_together_where_a_row_has_more_numbers(model, monkeypatch):
    """Memory is that of so many numbers, however many columns there are."""
    whole, x = filled(model, rows(96, 64)), rows(96, 64)
    monkeypatch.setattr(
        "vael.applications.imputation.NUMBERS_AT_ONCE", 2 * 16 * SAMPLES * model.likelihood.head.raw_numbers
    )
    kept = Weighing(model, model, Wanted(SAMPLES, 0, 0.9, 0), RowKeys())
    assert kept.at_once(Batch(x=x[:1], observed=~x[:1].isnan())) in (16, 32)
    for one, other in zip(filled(model, x), whole, strict=True):
        assert torch.equal(one, other)


def test_rows_filled_together_by_a_mixture_fit_into_memory():
    few, many = (
        Exact(
            RowMixture(torch.ones(1), torch.zeros(1, size), torch.eye(size).double()[None]),
            Wanted(1, 0, 0.9, 0),
            RowKeys(),
        )
        for size in (4, 400)
    )
    x = torch.zeros(1, 4)
    assert many.at_once(Batch(x=x)) * 400**2 <= 2**25 < few.at_once(Batch(x=x)) * 5**2
