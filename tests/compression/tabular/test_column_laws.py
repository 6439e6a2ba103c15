"""Columns of a table as laws of whole numbers: they sum to one, agree with the densities of the model, and cost
what they say.
"""

import math

import numpy as np
import pytest
import torch

from vael import models, recipes
from vael.compression import TableLevel, compress, decompress, table_contents
from vael.compression.bits_back import decode, encode
from vael.compression.container import FRONT
from vael.compression.stack import Stack
from vael.compression.tabular.column_laws import (
    ColumnRows,
    NumberMass,
    States,
    count_states,
    level_shares,
    log_cells,
    number_grids,
)
from vael.compression.tabular.grids import ASIDE, MISSING, WIDEST, grids_of
from vael.compression.tabular.tables import Original, rebuilt, unpacked
from vael.data import Column, ColumnKind, Schema
from vael.errors import FormatError, ShapeError, SupportError
from vael.probability import diagonal_gaussian
from vael.tables.writing import arrow_cells

K = ColumnKind
SCHEMA = Schema(
    (
        Column("visits", K.COUNT, minimum=0.0, maximum=40.0, decimals=0, missing=True),
        Column("height", K.REAL, minimum=1.2, maximum=2.1, decimals=2),
        Column("price", K.POSITIVE, minimum=0.5, maximum=900.0, decimals=1, spikes=(9.9,)),
        Column("paid", K.COUNT, minimum=0.0, maximum=5000.0, decimals=0, spikes=(0.0,)),
        Column("since", K.DATE, minimum=18262.0, maximum=18990.0, origin=18262.0, decimals=0, pattern="%Y-%m-%d"),
        Column("where", K.CATEGORICAL, levels=("east", "north"), rare=(("isle 1", 3), ("isle 2", 1))),
        Column("grade", K.ORDINAL, levels=("low", "middle", "high"), missing=True),
        Column("member", K.BOOLEAN, levels=("no", "yes")),
    )
)
ROWS = 600


def sample(rows=ROWS, seed=0):
    """Rows as a matrix, some cells missing."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, rows)
    x = np.stack(
        [
            rng.poisson(3 + 8 * group),
            np.round(1.4 + 0.2 * group + 0.05 * rng.standard_normal(rows), 2).clip(1.2, 2.1),
            np.where(rng.random(rows) < 0.3, 9.9, np.round(np.exp(rng.normal(group, 1)).clip(0.5, 900), 1)),
            np.where(rng.random(rows) < 0.6, 0, rng.integers(1, 5000, rows)),
            rng.integers(0, 729, rows),
            rng.integers(0, 3, rows),
            group,
            rng.integers(0, 2, rows),
        ],
        axis=1,
    ).astype(np.float32)
    x[rng.random(rows) < 0.2, 0] = np.nan
    x[rng.random(rows) < 0.1, 6] = np.nan
    return torch.from_numpy(x)


@pytest.fixture(scope="module")
def model():
    """An untrained model whose laws are already those of the columns in the data."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head, shown = models.ColumnsHead(SCHEMA, sample=sample()), models.ColumnsInput(SCHEMA, sample())
        posterior = models.GaussianPosterior(
            torch.nn.Sequential(shown, torch.nn.Linear(shown.features, 6)), sees_gaps=True
        )
        return models.VAE(
            models.StandardNormal(3), models.Decoder(torch.nn.Linear(3, head.raw_numbers), head), posterior
        ).eval()


@pytest.fixture(scope="module")
def law(model):
    """Five rows of the model's columns in float64."""
    z = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        return model.double().decode((z,), None)


GRIDS = grids_of(SCHEMA)


def contents(x):
    """A matrix as a table."""
    return table_contents(Original("t", arrow_cells(SCHEMA, x)), SCHEMA)


def test_grids_hold_the_range_of_training_and_more():
    assert [grid.rate for grid in GRIDS[:5]] == [1, 100, 10, 1, 1]
    assert [grid.first for grid in GRIDS[:5]] == [0, 120 - 106, 1, 0, 18262 - 744]
    assert GRIDS[5].texts == ("east", "north", "isle 1", "isle 2")
    found = GRIDS[1].symbols(np.array([1.2, 2.1, 1.234, np.nan, -np.inf, 1e30]))
    assert found.tolist() == [106, 196, ASIDE, MISSING, ASIDE, ASIDE]
    assert GRIDS[1].values(found)[:2].tolist() == [1.2, 2.1]
    assert np.array_equal(GRIDS[4].shown(np.array([744, MISSING], np.int32)), [0.0, np.nan], equal_nan=True)
    assert GRIDS[5].shown(np.array([3, 1], np.int32)).tolist() == [2, 1]
    for free in (
        Column("x", K.REAL, minimum=0.0, maximum=1.0),
        Column("y", K.REAL, decimals=2),
        Column("z", K.DATE, pattern="%Y"),
    ):
        assert grids_of(Schema((free,)))[0].free
    huge = Column("x", K.REAL, minimum=0.0, maximum=1e9, decimals=6)
    assert grids_of(Schema((huge,)))[0].free
    seconds = grids_of(Schema((Column("t", K.DATE, minimum=19000.25, maximum=19400.0, pattern="%Y-%m-%d %H:%M:%S"),)))[
        0
    ]
    assert seconds.values(seconds.symbols(np.array([19000.25]))).tolist() == [19000.25]
    assert seconds.size <= WIDEST


def test_the_mass_of_all_steps_is_one(law):
    """Up to what lies beyond the grid, which is next to nothing for these columns."""
    mass, numbers = NumberMass(law, number_grids(GRIDS), 5), number_grids(GRIDS)
    cells = np.arange(5 * len(numbers.place))
    size = (1 << numbers.depth)[cells % len(numbers.place)]
    whole = mass(cells, np.zeros(len(cells), np.int64), size)
    assert (whole <= 1 + 1e-9).all()
    assert (whole > 0.9).all()
    cell = 3  # `paid` of the first row, step by step
    steps = np.arange(int(size[cell]))
    assert mass(np.full(len(steps), cell), steps, steps + 1).sum() == pytest.approx(whole[cell], rel=1e-9)


def test_counts_have_the_model_s_own_probabilities_and_decimals_those_of_its_density(law):
    numbers = number_grids(GRIDS)
    x = torch.nan_to_num(sample(5, seed=2)).double()
    model = law.log_prob(x)[0].numpy()
    steps = np.stack(
        [
            GRIDS[place].symbols(np.round(x[:, place].numpy() + GRIDS[place].column.origin, 2))
            for place in numbers.place
        ],
        axis=1,
    )
    cells = np.arange(steps.size)
    found = np.log(NumberMass(law, numbers, 5, exact=True)(cells, steps.ravel(), steps.ravel() + 1)).reshape(
        steps.shape
    )
    assert np.allclose(found[:, [0, 3]], model[:, [0, 3]], atol=1e-6)  # counts: the very same
    assert np.allclose(found[:, 1], model[:, 1] + math.log(0.01), atol=0.02)  # density times the width of a step
    assert np.allclose(found[:, 4], model[:, 4], atol=0.02)
    spike = x[:, 2].numpy() == np.float32(9.9)
    assert spike.any()
    assert (found[spike, 2] >= model[spike, 2]).all()  # a spike, and what of the density lies in its step
    assert np.allclose(found[spike, 2], model[spike, 2], atol=0.1)


def test_rare_levels_share_the_probability_of_their_code(law):
    shares = level_shares(law, GRIDS, 5, exact=True)[5]
    codes = law.log_probs[0, :, 0, :3].exp().numpy()
    assert np.allclose(shares[:, :2], codes[:, :2])
    assert np.allclose(shares[:, 2:], codes[:, 2:] * [0.75, 0.25])


def test_rows_cost_what_they_are_worth(law):
    """Pushed under their law they add -log₂ P bits, within 0.1 % and a word, and come back."""
    symbols = contents(sample(5, seed=3)).array
    symbols[0, 2], symbols[1] = ASIDE, [MISSING, ASIDE, ASIDE, ASIDE, ASIDE, ASIDE, MISSING, ASIDE]
    counts = count_states(symbols)
    rows, stack = ColumnRows(law, GRIDS, counts, 5), Stack(40)
    before = stack.bits
    rows.push(stack, symbols)
    ideal = -(log_cells(law, GRIDS, symbols) + States(counts, 5).log_prob(symbols)).sum() / math.log(2)
    assert stack.bits - before == pytest.approx(ideal, rel=1e-3, abs=1.0)
    assert np.array_equal(rows.pop(stack), symbols)
    stack.finished()


def test_gaps_cost_their_conditional_entropy():
    """Two columns that are missing together cost one: 2,000 rows, 30 % missing, 0.881 bits a row, against 1.763
    apart.
    """
    rng = np.random.default_rng(0)
    gone = rng.random(2000) < 0.3
    symbols = np.where(np.stack([gone, np.zeros(2000, bool), gone], 1), MISSING, 0).astype(np.int32)
    counts = count_states(symbols)
    assert counts[1] == ()
    nats = -States(counts, 2000).log_prob(symbols).sum() / 2000
    share = gone.mean()
    assert nats == pytest.approx(-share * math.log(share) - (1 - share) * math.log(1 - share), rel=1e-9)
    with pytest.raises(FormatError, match="counts of gaps"):
        States(((1, 2),), 3)


def test_tables_cost_the_bound_and_come_back(model):
    given = contents(sample())
    level = TableLevel(model, SCHEMA, given.layout.gaps, batch=128)
    coded = encode(level, given.array)
    assert np.array_equal(decode(level, coded.words, coded.kept, coded.groups), given.array)
    assert coded.net == pytest.approx(coded.ideal / math.log(2), rel=0.002)
    table = rebuilt(unpacked(given.beside, "t", len(given.array)), given.array, SCHEMA)
    assert table.equals(arrow_cells(SCHEMA, sample()))


def test_the_ideal_is_a_draw_of_the_bound(model):
    """Latents drawn from q by torch: 40 rows × 200 draws, means within 4 standard errors of the model's own terms."""
    schema_rows = sample(40, seed=4)
    given = contents(schema_rows)
    level = TableLevel(model, SCHEMA, given.layout.gaps, batch=64)
    q = level._infer(given.array)
    z = q.sample((200,))[:, :40]
    grid = [(np.round(one.numpy() * level.bins)).astype(np.int32) for one in z]
    draws = np.stack([level.ideal(given.array, (one,)) for one in grid])
    states = States(given.layout.gaps, 40).log_prob(given.array)
    with torch.no_grad():
        law = level.model.decode((z,), None)
    observed = ~torch.isnan(schema_rows)
    cells = torch.where(observed, law.log_prob(torch.nan_to_num(schema_rows).double()), torch.zeros(()).double())
    width = torch.tensor([0.0, math.log(0.01), math.log(0.1), 0.0, 0.0, 0.0, 0.0, 0.0]).double()
    spike = schema_rows[:, 2] == 9.9
    cells[..., 1:3] += width[1:3]
    cells[:, spike, 2] -= width[2]
    rare = given.array[:, 5] >= 2
    chosen = np.where(given.array[:, 5] == 2, math.log(0.75), math.log(0.25))
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    wide = diagonal_gaussian(q.base_dist.loc[:40], q.base_dist.scale[:40])
    own = (wide.log_prob(z) - prior - cells.sum(-1)).detach().numpy() - np.where(rare, chosen, 0.0) - states
    error = (draws - own).std(0) / math.sqrt(200)
    assert (
        np.abs((draws - own).mean(0)) < 4 * error + 0.12
    ).all()  # 0.12: a step under a density and a spike is not its width times its middle


def test_other_likelihoods_and_other_counts_are_refused(model):
    with torch.random.fork_rng(devices=[]):
        other = recipes.dense((8,), models.GaussianHead(), latent=2, hidden=(4,))
    with pytest.raises(ShapeError, match="one for each"):
        TableLevel(model, SCHEMA, ((),))
    level = TableLevel(other, SCHEMA, ((),) * 8, batch=4)
    with pytest.raises(SupportError, match="--likelihood columns"):
        level.likelihood(1, np.zeros((2, 2), np.int32))


@pytest.fixture(scope="module")
def whole(model):
    given = contents(sample(80, seed=5))
    return given, compress(TableLevel(model, SCHEMA, given.layout.gaps, batch=16), given, "mark", block=30)


def opened(content, model):
    return decompress(
        content, "t.vael", "mark", lambda header: TableLevel(model, SCHEMA, header.layout.gaps, **header.settings)
    )


def test_ten_thousand_corruptions_of_a_table_are_all_found(whole, model):
    """Bits and bytes changed anywhere, stretches zeroed, cut out or doubled, ends cut off."""
    given, done = whole
    rng, content = np.random.default_rng(0), done.content
    assert done.raw == ()
    back = opened(content, model)
    assert np.array_equal(back.array, given.array)
    assert back.beside == given.beside
    for kind in rng.integers(0, 5, 10_000):
        a, b = sorted(int(place) for place in rng.integers(0, len(content) + 1, 2))
        b = max(b, a + 1)
        torn = {
            0: lambda a=a, b=b: (
                content[: a % len(content)]
                + bytes([content[a % len(content)] ^ (1 << int(rng.integers(8)))])
                + content[a % len(content) + 1 :]
            ),
            1: lambda a=a, b=b: content[:a] + bytes(b - a) + content[b:],
            2: lambda a=a, b=b: content[:a] + content[b:],
            3: lambda a=a, b=b: content[:b] + content[a:],
            4: lambda a=a, b=b: content[:a],
        }[int(kind)]()
        if torn == content:
            continue
        with pytest.raises(FormatError):
            opened(torn, model)


def test_damage_beside_the_blocks_is_named(whole, model):
    content = bytearray(whole[1].content)
    _, _, length = FRONT.unpack_from(content)
    content[FRONT.size + length + 16 + 40] ^= 1
    with pytest.raises(FormatError, match="beside the blocks"):
        opened(bytes(content), model)
    with pytest.raises(FormatError, match="it is cut short"):
        unpacked(b"nothing", "t.vael", 1)
