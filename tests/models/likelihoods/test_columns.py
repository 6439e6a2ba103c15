"""Laws of the columns of a table: normalised, sampled as they say, exact with gaps; and a model of them that learns
what is there.
"""

import math
import pickle
from dataclasses import replace

import pytest
import torch

from vael.data import Batch, Column, ColumnKind, Kind, Schema, Source
from vael.errors import ShapeError, SupportError
from vael.models import ColumnsHead, ColumnsInput, heaped
from vael.probability import draw
from vael.recipes import table

SCHEMA = Schema(
    (
        Column("real", ColumnKind.REAL, minimum=-30.0, maximum=30.0),
        Column("heavy", ColumnKind.REAL, minimum=-1e6, maximum=1e6, spikes=(0.0,)),
        Column("positive", ColumnKind.POSITIVE, minimum=1e-3, maximum=1e4),
        Column("count", ColumnKind.COUNT, minimum=0.0, maximum=60.0, decimals=0, spikes=(7.0, 12.0)),
        Column("year", ColumnKind.COUNT, minimum=1990.0, maximum=2020.0, decimals=0, origin=1990.0),
        Column("level", ColumnKind.CATEGORICAL, levels=("a", "b", "c", "d")),
        Column("bit", ColumnKind.BOOLEAN, levels=("no", "yes"), missing=True),
        Column("grade", ColumnKind.ORDINAL, levels=("low", "middle", "high")),
        Column(
            "day", ColumnKind.DATE, origin=18_000.0, minimum=18_000.0, maximum=19_000.0, decimals=0, pattern="%Y-%m-%d"
        ),
    )
)


def rows(count=2000, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal():
        return torch.randn(count, generator=generator)

    def uniform():
        return torch.rand(count, generator=generator)

    heavy = torch.where(uniform() < 0.3, torch.zeros(count), normal().sinh() * 50)
    whole = torch.where(uniform() < 0.2, torch.full((count,), 7.0), (uniform() * 30).floor())
    columns = [
        normal() * 5,
        heavy,
        (normal() * 2).exp(),
        whole,
        (uniform() * 31).floor().clamp(max=30),
        (uniform() * 4).floor(),
        (uniform() < 0.2).float(),
        (uniform() * 3).floor(),
        (uniform() * 1000).floor(),
    ]
    return torch.stack(columns, 1)


def head_and_raw(seed=1, wild=1.0):
    head = ColumnsHead(SCHEMA, components=3, sample=rows())
    raw = wild * torch.randn(1, 1, head.raw_numbers, generator=torch.Generator().manual_seed(seed))
    return head, raw


def density_of(head, raw, place, points):
    """p_j at many points of one column, the others anywhere."""
    x = rows(1).repeat(len(points), 1)
    x[:, place] = points
    with torch.no_grad():
        return head(raw.expand(1, len(points), -1)).log_prob(x)[0, :, place].double().exp()


@pytest.mark.parametrize("seed", range(4))
def test_probabilities_sum_to_one(seed):
    head, raw = head_and_raw(seed, wild=2.0)
    for place, points in (
        (3, torch.arange(0.0, 4000.0)),
        (5, torch.arange(4.0)),
        (6, torch.arange(2.0)),
        (7, torch.arange(3.0)),
    ):
        assert float(density_of(head, raw, place, points).sum()) == pytest.approx(1, abs=2e-5)
    years = density_of(head, raw, 4, torch.arange(-1990.0, 6000.0))  # whole numbers from 0 on, less the origin
    assert float(years.sum()) == pytest.approx(1, abs=2e-5)


def test_levels_have_a_free_share_each_and_those_in_order_stand_between_thresholds():
    """log softmax of the raw numbers of a column of levels; σ(θ_k - f) - σ(θ_{k-1} - f) of one whose levels have an
    order, f its first raw number and θ rising.
    """
    head, raw = head_and_raw(3)
    with torch.no_grad():
        head.thresholds.copy_(torch.tensor([[-0.7, 0.4, 0.0, 0.0]]))
        shares = head(raw).log_probs[0, 0].exp()
        own = (head.start_at + head.gain * raw)[0, 0, -3 * 4 :].view(3, 4)
    for column, levels in ((0, 4), (1, 2)):
        torch.testing.assert_close(shares[column, :levels], own[column, :levels].softmax(0))
    below = [1 / (1 + math.exp(float(own[2, 0]) - one)) for one in (-0.7, -0.7 + math.log1p(math.exp(0.4)) + 1e-3)]
    expected = [below[0], below[1] - below[0], 1 - below[1]]
    assert shares[2, :3].tolist() == pytest.approx(expected, rel=1e-4)
    assert float(shares[1, 2:].sum() + shares[2, 3:].sum()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_densities_integrate_to_one_with_their_spikes(seed):
    head, raw = head_and_raw(seed)
    warp = head.scales.warp()
    numbers = {0: 0, 1: 1, 2: 2, 8: 5}
    y = torch.linspace(-60, 60, 200_001, dtype=torch.float64)
    values = warp.double().inverse(y[:, None].expand(-1, len(head.scales.columns)))  # each column by itself
    slopes = -warp.double().log_slope(values)
    x, inside = rows(1).repeat(len(y), 1), {}
    for place, number in numbers.items():
        v, slope = values[:, number], slopes[:, number]
        inside[place] = (slope < 60) & (v.abs() < 1e30) & (v.abs() > (1e-28 if place == 2 else -1))
        x[inside[place], place] = v[inside[place]].float()
    with torch.no_grad():
        densities = head(raw.expand(1, len(y), -1)).log_prob(x)[0].double().exp()
    for place, number in numbers.items():
        within = inside[place]
        density = torch.zeros_like(y)
        density[within] = densities[within, place] * slopes[within, number].exp()
        spike = float(density_of(head, raw, 1, torch.zeros(1))) if place == 1 else 0.0
        at = values[:, number].float() == 0 if place == 1 else torch.zeros(len(y), dtype=torch.bool)
        density[at] = 0.0
        assert float(torch.trapezoid(density, y)) + spike == pytest.approx(1, abs=2e-3)


def test_draws_follow_the_law():
    """40,000 draws: shares of codes, of spikes and of whole numbers within 5 standard errors (false alarm below
    1e-4 in all).
    """
    head, raw = head_and_raw(5, wild=0.7)
    law = head(raw)
    x = draw(law, 40_000, torch.Generator().manual_seed(0)).reshape(40_000, -1)
    for place, points in ((5, range(4)), (6, range(2)), (7, range(3)), (3, (7, 12, 3)), (1, (0,))):
        for point in points:
            share = float((x[:, place] == point).double().mean())
            exact = float(density_of(head, raw, place, torch.tensor([float(point)])))
            assert abs(share - exact) <= 5 * math.sqrt(exact * (1 - exact) / 40_000) + 1e-4
    kept = torch.stack([x.min(0).values, x.max(0).values])
    for place, column in enumerate(SCHEMA.columns):
        if column.minimum is not None:
            assert column.minimum - column.origin <= float(kept[0, place])
            assert float(kept[1, place]) <= column.maximum - column.origin
    assert torch.equal(x[:, 3], x[:, 3].round())
    mean = law.mean[0, 0].index_copy(0, law.numbers.place, law.expectation[0, 0])
    for place in (0, 3, 4, 8):
        error = float(x[:, place].double().std()) / 200
        assert abs(float(x[:, place].double().mean()) - float(mean[place])) <= 5 * error + 0.02 * float(
            x[:, place].std()
        )


def test_the_start_is_each_columns_own_law():
    x = rows(20_000, seed=3)
    head = ColumnsHead(SCHEMA, sample=rows(10_000))
    with torch.no_grad():
        cells = head(torch.zeros(1, len(x), head.raw_numbers)).log_prob(x)[0]
    entropy = {"level": math.log(4), "bit": -0.2 * math.log(0.2) - 0.8 * math.log(0.8), "grade": math.log(3)}
    for name, exact in entropy.items():
        assert float(-cells[:, SCHEMA.names.index(name)].mean()) == pytest.approx(exact, abs=0.02)
    gaussian = math.log(5) + 0.5 * math.log(2 * math.pi * math.e)
    assert (
        abs(float(-cells[:, 0].mean()) - gaussian) < 0.025 + 0.01
    )  # 5 standard errors of 20,000 rows, and what a finite mixture may lack


def test_few_whole_numbers_have_a_free_probability_each():
    """Teeth that no smooth law has: the start is the histogram itself, other whole numbers stay possible, and all
    sums to one.
    """
    generator = torch.Generator().manual_seed(0)
    hours = torch.where(
        torch.rand(10_000, generator=generator) < 0.6,
        torch.tensor(40.0),
        (torch.rand(10_000, generator=generator) * 12).floor() * 5,
    )
    many = (torch.rand(10_000, generator=generator) * 5000).floor()
    schema = Schema(
        (
            Column("hours", ColumnKind.COUNT, minimum=0.0),
            Column("pay", ColumnKind.COUNT, minimum=0.0),
            Column("x", ColumnKind.REAL),
        )
    )
    x = torch.stack((hours, many, torch.randn(10_000, generator=generator)), 1)
    x[:5, 0] = torch.nan
    tables = heaped(schema, x)
    assert tables == (12, 0, 0)
    assert heaped(schema, x[:, 1:].new_zeros(0, 3)) == ()
    head = ColumnsHead(schema, sample=x, tables=tables)
    with torch.no_grad():
        law = head(torch.zeros(1, 6000, head.raw_numbers))
        cells = law.log_prob(torch.stack((torch.arange(6000.0), torch.arange(6000.0), torch.zeros(6000)), 1))[
            0
        ].double()
    assert float(cells[:, 0].exp().sum()) == pytest.approx(1, abs=1e-4)
    for value in range(0, 60, 5):
        assert float(cells[value, 0].exp()) == pytest.approx(float((hours[5:] == value).float().mean()), abs=1e-3)
    assert 0 < float(cells[41, 0].exp()) < 1e-3
    loaded = ColumnsHead(schema, tables=tables)
    loaded.load_state_dict(head.state_dict())
    assert torch.equal(loaded(torch.zeros(1, 6000, head.raw_numbers)).log_probs, law.log_probs)
    assert torch.equal(loaded.scales.spikes.nan_to_num(-1), head.scales.spikes.nan_to_num(-1))


def test_columns_without_spikes_cost_nothing_for_those_with():
    """Two of six columns of numbers have spikes, two at most: the network gives 2 × 3 numbers for them, not 6 × 3."""
    head = ColumnsHead(SCHEMA, components=3)
    assert head.raw_numbers == 3 * 3 * 6 + 2 * 3 + 3 * 4


def test_gradients_are_finite_where_parameters_and_cells_are_wild():
    head = ColumnsHead(SCHEMA, sample=rows())
    for size in (1.0, 30.0, 300.0):
        raw = (size * torch.randn(2, 50, head.raw_numbers, generator=torch.Generator().manual_seed(0))).requires_grad_()
        x = rows(50)
        x[0], x[1, 0], x[1, 1], x[1, 3] = 0.0, 1e9, -1e9, 1e6
        cells = head(raw).log_prob(x)
        cells.sum().backward()
        assert bool(torch.isfinite(cells).all())
        assert bool(torch.isfinite(raw.grad).all())


def test_the_balance_leaves_the_bound_and_evens_the_gradients():
    x = rows(4000)
    head = ColumnsHead(SCHEMA, sample=x)
    plain = ColumnsHead(SCHEMA, sample=x)
    plain.gain.fill_(1.0)
    owner = head._owners()

    def lengths(of):
        raw = torch.zeros(1, len(x), of.raw_numbers, requires_grad=True)
        of(raw).log_prob(x).sum().backward()
        return torch.zeros(len(SCHEMA.columns)).index_add(0, owner, raw.grad[0].square().mean(0)).sqrt()

    before, after = lengths(plain), lengths(head)
    assert float(after.max() / after.min()) < float(before.max() / before.min())
    raw = torch.randn(1, 7, head.raw_numbers, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(head(raw / head.gain).log_prob(x[:7]), plain(raw).log_prob(x[:7]), rtol=1e-4, atol=1e-4)


def small(gaps=False):
    """Two columns of levels with a joint law that can be written out, and the entropy of it."""
    joint = torch.tensor([[0.4, 0.05, 0.05], [0.02, 0.03, 0.45]])
    generator = torch.Generator().manual_seed(0)
    code = torch.multinomial(joint.flatten(), 4000, replacement=True, generator=generator)
    x = torch.stack((code // 3, code % 3), 1).float()
    if gaps:
        x[torch.rand(x.shape, generator=generator) < 0.3] = torch.nan
    schema = Schema(
        (
            Column("a", ColumnKind.BOOLEAN, levels=("0", "1"), missing=gaps),
            Column("b", ColumnKind.CATEGORICAL, levels=("x", "y", "z"), missing=gaps),
        )
    )
    return joint, Source("small", x, Kind.MIXED, "", schema=schema, columns=("a", "b"), gaps=gaps)


@pytest.mark.parametrize("gaps", [False, True])
def test_a_model_learns_a_joint_law_and_never_passes_it(gaps):
    """log p of a two-column table: above independence by most of the mutual information, not above the truth (4,000
    rows).
    """
    from vael.inference import AdamW, GradientAscent
    from vael.objectives import ImportanceWeighted
    from vael.training import Settings, run

    joint, source = small(gaps)
    from vael.data import Splits, statistics

    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = ColumnsHead(source.schema, sample=source.x)
        model = table((2,), head, latent=2, hidden=(32,), statistics=statistics(source))
    algorithm = GradientAscent(model, ImportanceWeighted(), samples=8, optimizer=AdamW(learning_rate=1e-2))
    run(algorithm, Splits(source, source, None), Settings(epochs=12 if gaps else 6, batch=128, seed=0, compiled=False))
    every = torch.cartesian_prod(torch.arange(2.0), torch.arange(3.0))
    with torch.no_grad():
        z = draw(model.prior(None), 20_000, torch.Generator().manual_seed(1))[:, None]
        law = model.decode((z.expand(-1, 1, -1),))
        shares = torch.stack([law.log_prob(row[None]).double().sum(-1).exp().mean() for row in every]).view(2, 3)
    assert float(shares.sum()) == pytest.approx(1, abs=1e-5)
    independent = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    apart = float((joint.double() * (joint.double() / shares).log()).sum())
    mutual = float((joint * (joint / independent).log()).sum())
    assert 0 <= apart < 0.2 * mutual


def test_what_is_shown_of_gaps_does_not_depend_on_what_stands_there():
    shown = ColumnsInput(SCHEMA, rows())
    x = rows(6)
    x[1, 3] = x[2, 5] = x[3, 0] = torch.nan
    found = shown(x)
    assert found.shape == (6, shown.features)
    assert bool(torch.isfinite(found).all())
    assert torch.equal(found[:, -9:] == 0, torch.isnan(x))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = table((9,), ColumnsHead(SCHEMA, sample=rows()), latent=3, hidden=(16,))
    batch = Batch(x=x, observed=~torch.isnan(x))
    other = replace(batch, x=torch.where(batch.observed, x, torch.full_like(x, 3.0)))
    first, second = (model.terms(one, generator=torch.Generator().manual_seed(0)) for one in (batch, other))
    assert torch.equal(first.log_likelihood, second.log_likelihood)
    assert torch.equal(first.divergence, second.divergence)


def test_other_columns_are_refused():
    head = ColumnsHead(SCHEMA, sample=rows())
    with pytest.raises(SupportError, match="have none"):
        head.check(Source("plain", rows(), Kind.REAL, ""))
    with pytest.raises(ShapeError, match="gives 5 numbers"):
        head(torch.zeros(1, 2, 5))


@pytest.mark.slow
def test_the_bound_of_adult_beats_independent_columns():
    """8,192 rows of Adult, 6 epochs: the bound of 2,000 validation rows is at least one nat above the fitted law of
    independent columns.
    """
    import os

    from vael.data import Splits, load, statistics
    from vael.inference import AdamW, GradientAscent
    from vael.objectives import ELBO
    from vael.training import Settings, run

    if "VAEL_DATA" not in os.environ:
        pytest.skip("Adult lies under VAEL_DATA")
    splits = load("adult")
    train, held_out = splits.train.subset(torch.arange(8192)), splits.validation.subset(torch.arange(2000))
    known = statistics(train)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = ColumnsHead(train.schema, sample=known.sample)
        model = table(train.event, head, latent=8, hidden=(64, 64), statistics=known)
    algorithm = GradientAscent(model, ELBO(), optimizer=AdamW(learning_rate=2e-3, weight_decay=0.01))
    run(algorithm, Splits(train, held_out, None), Settings(epochs=6, batch=128, seed=0, compiled=False))
    batch = held_out.batch(torch.arange(len(held_out)))
    with torch.no_grad():
        terms = model.terms(batch, generator=torch.Generator().manual_seed(0))
        bound = float((terms.log_likelihood.mean(0) - terms.divergence.sum(0).mean(0)).mean())
        cells = head(torch.zeros(1, len(held_out), head.raw_numbers)).log_prob(torch.nan_to_num(batch.x))[0]
    independent = float(torch.where(torch.isnan(batch.x), torch.zeros_like(cells), cells).sum(1).mean())
    assert independent < -33.0  # the fitted law of each column, not a weak opponent
    assert independent > -34.0
    assert bound > independent + 1.0


@pytest.mark.parametrize(
    ("kind", "values", "share", "right"),
    [
        (ColumnKind.REAL, (-999.0,), 0.2, (-4.0, 4.0)),
        (ColumnKind.REAL, (-999.0,), 0.8, (-999.0, -999.0)),
        (ColumnKind.COUNT, (9999.0,), 0.3, (0.0, 9.0)),
        (ColumnKind.COUNT, (-99.0, 777.0), 0.3, (0.0, 9.0)),
        (ColumnKind.COUNT, (-99.0,), 0.9, (-99.0, -99.0)),
    ],
)
def test_a_point_estimate_is_a_value_that_a_cell_could_have(kind, values, share, right):
    """Stand-ins beside numbers about 0 or 0 ... 9: at each latent, and over latents together, never between the
    stand-in and the rest.
    """
    random = torch.Generator().manual_seed(0)
    whole = kind is ColumnKind.COUNT
    cells = (
        torch.randint(0, 10, (400,), generator=random).float()
        if whole
        else torch.randn(400, generator=random).clamp(-4, 4)
    )
    cells[torch.rand(400, generator=random) < share] = values[0]
    cells[:20] = torch.tensor(values[-1])
    schema = Schema(
        (Column("v", kind, minimum=float(cells.min()), maximum=float(cells.max()), spikes=() if whole else values),)
    )
    head = ColumnsHead(schema, sample=cells[:, None], tables=heaped(schema, cells[:, None]))
    law = head(torch.randn(20, 3, head.raw_numbers, generator=random) * 0.1)
    found = torch.cat((law.mean.flatten(), law.mean_under(torch.full((20, 3), 0.05)).flatten()))
    assert bool(((found >= right[0]) & (found <= right[1])).all())
    assert bool((law.expectation < right[0]).all() or (law.expectation > right[1]).any() or share > 0.5)
    again = ColumnsHead(schema, tables=heaped(schema, cells[:, None]))
    again.load_state_dict(head.state_dict())
    assert torch.equal(again.scales.among, head.scales.among)  # what the values say is found again with the weights


def test_the_law_of_a_column_starts_where_its_likelihood_is_largest(monkeypatch):
    """Two clouds far apart: 40 steps gain at least 0.2 nats a cell over components side by side, and the gradient
    of the means is near 0.
    """
    generator = torch.Generator().manual_seed(0)
    schema = Schema((Column("x", ColumnKind.REAL), Column("y", ColumnKind.REAL)))
    cells = torch.randn(600, 2, generator=generator)
    cells[:, 0] = torch.where(torch.arange(600) % 3 == 0, 9 + 0.3 * cells[:, 0], cells[:, 0])
    cells[::7, 1] = torch.nan

    def fit():
        head = ColumnsHead(schema, components=4, sample=cells)
        with torch.no_grad():
            found = head(torch.zeros(1, 600, head.raw_numbers)).log_prob(torch.nan_to_num(cells))[0]
        return [float(found[~torch.isnan(cells[:, place]), place].mean()) for place in (0, 1)]

    fitted = fit()
    monkeypatch.setattr("vael.models.likelihoods.columns.FITTING", 0)
    plain = fit()
    assert fitted[0] > plain[0] + 0.2
    assert fitted[1] > plain[1] - 0.02
    assert fitted[1] == pytest.approx(-0.5 * math.log(2 * math.pi * math.e), abs=0.08)  # the entropy of N(0, 1)


def test_a_copy_by_pickle_is_the_same_head():
    """joblib and pools of processes copy fitted models so."""
    schema = Schema(
        (Column("x", ColumnKind.REAL, spikes=(0.0,)), Column("k", ColumnKind.CATEGORICAL, levels=("a", "b")))
    )
    x = torch.stack([torch.linspace(-1, 1, 60), torch.arange(60) % 2.0], 1)
    head = ColumnsHead(schema, 3, x)
    copy = pickle.loads(pickle.dumps(head))
    copy.load_state_dict(head.state_dict())
    raw = torch.randn(1, 4, head.raw_numbers, generator=torch.Generator().manual_seed(0))
    assert torch.equal(copy(raw).log_prob(x[:4]), head(raw).log_prob(x[:4]))
