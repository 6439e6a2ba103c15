"""Figures of rows against the evaluation that is proven elsewhere, and against themselves in other company."""

import pytest
import torch

from vael.data import Column, ColumnKind, Kind, Schema, Source, statistics
from vael.errors import StateError
from vael.evaluation import evaluate
from vael.evaluation.rows import (
    CELLS_AT_ONCE,
    LATENTS_AT_ONCE,
    NUMBERS_AT_ONCE,
    ROWS_AT_ONCE,
    WIDEST,
    RowKeys,
    cell_keys,
    numbers_of_law,
    row_blocks,
    row_terms,
    rows_at_once,
    widest_convolution,
)
from vael.models import BernoulliHead, CategoricalHead, ColumnsHead, GaussianHead, GaussianMixture, LearnedScale
from vael.models.likelihoods.autoregressive import AutoregressiveHead
from vael.networks import seeded
from vael.recipes import autoencoder, convolutional, dense
from vael.recipes import table as table_model


def table(rows=300, gaps=False):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 5, generator=generator) @ torch.randn(5, 5, generator=generator)
    if gaps:
        x[torch.rand(x.shape, generator=generator) < 0.2] = torch.nan
    return Source("table", x, Kind.REAL, "", gaps=gaps)


def model_of(source):
    whole = Source("filled", torch.nan_to_num(source.x), Kind.REAL, "")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        known = statistics(whole)
        return dense((5,), GaussianHead(known, LearnedScale(5)), latent=2, hidden=(16,), statistics=known)


def all_rows(model, source, **how):
    parts = list(row_terms(model, source, **how))
    return torch.cat([part.distortion for part in parts]), torch.cat([part.divergence for part in parts])


def test_rows_agree_with_the_evaluation():
    """Mean over 300 rows of 512 common draws against 2,000 draws of its own for each row."""
    source = table()
    model = model_of(source)
    distortion, divergence = all_rows(model, source, samples=512)
    found = evaluate(model, source, importance_samples=2000)
    assert float(divergence.mean()) == pytest.approx(found.divergence, rel=1e-5)
    assert float(distortion.mean()) == pytest.approx(found.distortion, rel=5e-3)
    torch.testing.assert_close(-(distortion + divergence).double(), found.elbo_per_example, rtol=0.05, atol=0.3)


@pytest.mark.parametrize("gaps", [False, True])
def test_a_row_has_the_same_figures_alone_and_among_others(gaps):
    """To the last bit of float32: in any company, at any place."""
    source = table(9000, gaps=gaps)
    model = model_of(source)
    together = all_rows(model, source)
    order = torch.randperm(9000, generator=torch.Generator().manual_seed(1))
    for one, many in zip(all_rows(model, source.subset(order)), together, strict=True):
        assert torch.equal(one, many[order])
    for row in (0, 7, 8191, 8999):
        for one, many in zip(all_rows(model, source.subset(torch.tensor([row]))), together, strict=True):
            assert float(one[0]) == float(many[row])
    assert all(bool(torch.isfinite(part).all()) for part in together)


def test_blocks_of_images_cover_every_row_once():
    x = torch.rand(9000, 1, 4, 4, generator=torch.Generator().manual_seed(0)).round()
    source = Source("images", x.to(torch.uint8), Kind.BINARY, "")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = dense((1, 4, 4), BernoulliHead(), latent=2, hidden=(8,))
    parts = list(row_terms(model, source))
    assert [len(part.bound) for part in parts] == [8192, 808]
    again = torch.cat([part.bound for part in row_terms(model, source)])
    assert torch.equal(again, torch.cat([part.bound for part in parts]))


@pytest.mark.parametrize(
    ("event", "samples"), [((3,), 1), ((3, 64, 64), 1), ((3, 4000, 4000), 2), ((5,), 100), ((5,), 10**9)]
)
def test_a_block_is_the_largest_power_of_two_that_memory_bears(event, samples):
    size, cells = rows_at_once(event, samples), torch.Size(event).numel()
    allowed = max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // cells, LATENTS_AT_ONCE // samples))
    assert size.bit_count() == 1
    assert size <= allowed < 2 * size


@pytest.mark.parametrize("rows", [1, 8192, 8200])
def test_every_block_has_as_many_rows_and_what_fills_it_up_is_its_last_row(rows):
    source = table(rows)
    size, blocks = rows_at_once(source.event), list(row_blocks(model_of(table()), source))
    assert {len(block.batch) for block in blocks} == {size}
    assert sum(block.rows for block in blocks) == rows
    x = torch.cat([block.batch.x[: block.rows] for block in blocks])
    torch.testing.assert_close(x, source.x)
    for block in blocks:
        assert (block.batch.x[block.rows :] == block.batch.x[block.rows - 1]).all()
        assert (block.batch.index[block.rows :] == block.batch.index[block.rows - 1]).all()


def test_a_convolution_that_makes_nothing_of_an_example_asks_for_no_smaller_blocks():
    model = model_of(table())
    model.unused = torch.nn.Conv2d(1, 4, 3)
    assert widest_convolution(model, table()) == widest_convolution(model_of(table()), table()) == 0


def test_equal_rows_have_equal_keys_and_others_have_not():
    """Whatever a number is stored as: zeros of both signs, gaps of any bits, float32 and float64; keys are numbers of
    63 bits that use the whole range.
    """
    x = table(500).x
    keys = cell_keys(x)
    assert len(set(keys.tolist())) == 500
    assert 0 <= int(keys.min()) < 2**58 < 2**62 < int(keys.max())
    assert torch.equal(keys, cell_keys(x.double()))
    assert torch.equal(keys.flip(0), cell_keys(x.flip(0)))
    assert torch.equal(cell_keys(x.reshape(500, 5, 1)), keys)
    gap = torch.tensor([[0.0, torch.nan], [-0.0, -torch.nan]])
    assert len(set(cell_keys(gap).tolist())) == 1
    apart = cell_keys(torch.zeros(4, 2), [0, 1, 2, 0])
    assert len(set(apart.tolist())) == 3
    assert apart[0] == apart[3] == cell_keys(torch.zeros(1, 2))[0]


def test_keys_of_rows_count_equal_rows_before_them_over_all_blocks():
    x = torch.tensor([[1.0], [2.0], [1.0], [1.0], [2.0]])
    whole, parts = RowKeys(), RowKeys()
    keys = whole.of(x)
    assert len(set(keys.tolist())) == 5
    assert torch.equal(torch.cat([parts.of(x[:2]), parts.of(x[2:4]), parts.of(x[4:])]), keys)
    assert torch.equal(RowKeys().of(x[1:2]), keys[1:2])  # alone as among others
    assert torch.equal(RowKeys().of(x[2:3]), keys[:1])  # and the first of its kind wherever it stands


def test_a_block_of_wide_rows_has_no_more_parameters_of_laws_than_fit():
    """Of columns with many codes, and of cells with several parameters each; few columns are not cut up for it."""
    columns = [Column(f"c{place}", ColumnKind.CATEGORICAL, levels=tuple(map(str, range(500)))) for place in range(20)]
    schema = Schema((*columns, Column("x", ColumnKind.REAL)))
    with seeded(0):
        model = table_model((2,), ColumnsHead(schema), latent=2, hidden=(4,))
        grey = dense((1, 4, 4), CategoricalHead(200), latent=2, hidden=(4,))
        few = table_model((2,), ColumnsHead(Schema((columns[0],))), latent=2, hidden=(4,))
    numbers = 20 * 500 + 15
    assert numbers_of_law(model, (21,)) == numbers
    x = torch.zeros(3, 21)
    source = Source("t", x, Kind.MIXED, "", schema=schema, columns=schema.names)
    (block,) = row_blocks(model, source, samples=4)
    assert NUMBERS_AT_ONCE // 2 < len(block.batch) * 4 * numbers <= NUMBERS_AT_ONCE
    assert numbers_of_law(grey, (1, 4, 4)) == 200 * 16
    assert rows_at_once((1,), 4, 0, numbers_of_law(few, (1,))) == rows_at_once((1,), 4)


def test_a_block_of_what_convolutions_see_is_no_larger_than_their_widest_result_allows():
    """Whatever shape: a block is filled up to its size, so one picture costs what a whole block costs."""
    x = torch.randint(0, 256, (3, 3, 12, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    source = Source("images", x, Kind.INTEGER, "", 256)
    with seeded(0):
        head = AutoregressiveHead(256, width=16)
        model = convolutional((3, 12, 12), head, latent=2, channels=(8,))
    assert widest_convolution(model, source) == 50 * 12 * 12  # the raw numbers of five components, more than 16 planes
    (block,) = row_blocks(model, source, samples=4)
    assert block.rows == 3
    assert WIDEST // 2 < len(block.batch) * 4 * 50 * 12 * 12 <= WIDEST
    with seeded(0):
        plain = dense((3, 12, 12), BernoulliHead(), latent=2, hidden=(8,))
    assert widest_convolution(plain, source) == 0


def test_rows_of_a_model_that_knows_log_p_have_it_and_those_of_one_without_likelihood_their_error():
    """Log p(x) itself, though the terms are those of a bound; what an error costs, which bounds nothing."""
    source = table(20)
    mixture = GaussianMixture(2, 5)
    (found,) = row_terms(mixture, source)
    torch.testing.assert_close(found.bound, mixture.log_prob(source.x.double()))
    assert found.is_bound
    model = built_autoencoder()
    (found,) = row_terms(model, source)
    cost = (model.eval().reconstruct(source.batch(torch.arange(20))) - source.x).detach().square().sum(1)
    torch.testing.assert_close(found.distortion, cost, rtol=1e-4, atol=1e-5)
    assert torch.equal(found.objective, -found.distortion)
    assert not found.divergence.any()
    with pytest.raises(StateError, match="no likelihood, so it bounds nothing"):
        found.bound  # noqa: B018


def built_autoencoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return autoencoder((5,), latent=2, hidden=(4,))


def test_no_samples_are_refused():
    with pytest.raises(StateError, match="samples=0"):
        next(row_terms(model_of(table()), table(), samples=0))
