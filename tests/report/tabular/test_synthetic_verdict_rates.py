"""Sentences about synthetic tables keep their rates: what accuses is rare for fresh rows of any kind, and what is
planted is seen.
"""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import binom

from vael.errors import SupportError
from vael.evaluation.tabular.associations import association_p_value
from vael.evaluation.tabular.efficacy import efficacy, learnable_target
from vael.evaluation.tabular.marginals import marginals
from vael.evaluation.tabular.privacy import bound_attack, closeness_attack, closest_records
from vael.evaluation.tabular.signs import sign_p_value
from vael.evaluation.tabular.two_sample import two_sample_test
from vael.report.tabular.synthetic_verdict import judged_skill
from vael.tables.schema import Column, ColumnKind, Schema

REAL, COUNT, DATE = ColumnKind.REAL, ColumnKind.COUNT, ColumnKind.DATE


def levels(name, count):
    return Column(name, ColumnKind.CATEGORICAL, levels=tuple(f"{name}{one}" for one in range(count)))


def repeated(r, rows):
    return np.c_[
        np.random.default_rng(7).normal(size=(60, 2))[np.minimum(r.geometric(0.08, rows) - 1, 59)], r.poisson(0.5, rows)
    ]


LAWS = {
    "continuous": (
        Schema((Column("a", REAL), Column("b", REAL))),
        lambda r, n: r.normal(size=(n, 2)) @ [[1, 0.7], [0, 1]],
    ),
    "discrete": (
        Schema((levels("a", 3), levels("b", 4), levels("c", 2))),
        lambda r, n: np.c_[r.integers(0, 3, n), r.integers(0, 4, n), r.random(n) < 0.2],
    ),
    "repeated": (Schema((Column("a", REAL), Column("b", REAL), Column("n", COUNT))), repeated),
}
SIZES = ((60, 60, 60), (200, 400, 100))
TABLES = 40  # of each kind and size


def p_values(kind, sizes, seed):
    """Those of every accusation of one triple of fresh tables; a bound is a function of the row."""
    schema, law = LAWS[kind]
    drawn, train, held = (
        torch.from_numpy(law(np.random.default_rng((seed, part)), n)).float() for part, n in enumerate(sizes)
    )
    near, columns = closest_records(schema, drawn, train, held), marginals(schema, drawn, held)
    return {
        "closer": near.p_value,
        "copies": near.copies_p_value,
        "closeness": closeness_attack(schema, drawn, train, held).found.p_value,
        "bound": bound_attack(-train.square().sum(1), -held.square().sum(1)).found.p_value,
        "columns": min(1.0, len(columns) * min(one.p_value for one in columns)),
        "pairs": association_p_value(schema, drawn, held) if min(sizes) > 100 or seed % 4 == 0 else 1.0,
    }


@pytest.mark.parametrize("kind", LAWS)
def test_p_values_of_accusations_are_no_smaller_than_chance_makes_them(kind):
    """P(p ≤ 0.05) ≤ 0.05: of 80 triples at most as many as a binomial law exceeds once in 10,000 (13)."""
    found = [p_values(kind, sizes, seed) for sizes in SIZES for seed in range(TABLES)]
    most = binom.isf(1e-4, len(found), 0.05)
    for name in found[0]:
        assert sum(one[name] <= 0.05 for one in found) <= most, name


def test_the_law_of_random_signs_is_exact():
    r = np.random.default_rng(0)
    for _ in range(10):
        weights, total = r.integers(0, 6, 8), int(r.integers(-12, 15))
        exact = np.mean([np.dot(signs, weights) >= total for signs in product((1, -1), repeat=8)])
        assert sign_p_value(weights, total) == pytest.approx(exact, abs=1e-9)
    assert sign_p_value(np.array([], dtype=int), 0) == 1.0
    with pytest.raises(SupportError, match="at least 0"):
        sign_p_value(np.array([-1]), 0)


def sales(r, rows, broken=""):
    """Price, quantity as a level, discount, total, day of order and of shipping, two countries, a number on a
    lattice, a city in its state.
    """
    price, quantity, discount = (
        np.exp(r.normal(3, 0.7, rows)).round(2),
        r.integers(0, 3, rows),
        r.choice([0, 0.05, 0.1], rows),
    )
    total = price * (quantity + 1) * (1 - discount)
    order = r.integers(18000, 19000, rows)
    order -= (order + 3) % 7 * ((order + 3) % 7 > 4)  # never on two days of the week
    lag, country, city = r.poisson(3, rows), r.integers(0, 3, rows), r.integers(0, 12, rows)
    number = r.integers(100_000, 900_000, rows)
    made = {
        "total": total * np.exp(r.normal(0, 0.08, rows)),
        "lag": lag - r.integers(0, 6, rows),
        "country": r.integers(0, 3, rows),
        "number": number // 8 * 8,
        "state": r.integers(0, 4, rows),
        "weekday": order + r.integers(0, 7, rows),
    }
    known = {"total": total, "lag": lag, "country": country, "number": number, "state": city // 3, "weekday": order}
    now = {name: made[name] if name == broken else known[name] for name in known}
    cells = (
        price,
        quantity,
        discount,
        now["total"].round(2),
        now["weekday"],
        now["weekday"] + now["lag"],
        country,
        now["country"],
        now["number"],
    )
    return torch.from_numpy(np.stack([*cells, city, now["state"]], 1).astype(float))


SALES = Schema(
    (
        Column("price", ColumnKind.POSITIVE, decimals=2),
        Column("quantity", ColumnKind.ORDINAL, levels=("1", "2", "3")),
        Column("discount", REAL, decimals=2),
        Column("total", ColumnKind.POSITIVE, decimals=2),
        Column("ordered", DATE),
        Column("shipped", DATE),
        Column("bill", ColumnKind.CATEGORICAL, levels=("AT", "CH", "DE")),
        Column("send", ColumnKind.CATEGORICAL, levels=("AT", "CH", "DE")),
        Column("number", COUNT, decimals=0),
        levels("city", 12),
        levels("state", 4),
    )
)
PLANTED = {
    "total": "less what a product of other numbers gives",
    "lag": "`shipped`",
    "country": "`bill` = `send`",
    "number": "`number`",
    "state": "`city` with `state`",
    "weekday": "weekday",
}


@pytest.mark.parametrize("broken", PLANTED)
def test_what_several_columns_give_away_together_is_seen(broken):
    """A formula of four columns, an order of dates, equal cells, a lattice, a combination of levels, a day of the
    week.
    """
    found = two_sample_test(
        SALES, sales(np.random.default_rng(1), 700, broken), sales(np.random.default_rng(2), 700), telling=False
    )
    assert found.found.deviations > 8
    assert PLANTED[broken] in found.clue


def test_whole_rows_of_one_law_are_not_told_apart_by_contrasts_either():
    """Of 8 pairs of tables the standardised AUC lies within 4, its mean within 4/√8: false alarms below 1 in 1,000."""
    found = [
        two_sample_test(
            SALES, *(sales(np.random.default_rng((seed, part)), 160) for part in (0, 1)), telling=False
        ).found
        for seed in range(8)
    ]
    assert max(abs(one.deviations) for one in found) < 4
    assert abs(np.mean([one.deviations for one in found])) < 4 / np.sqrt(8)


RARE = Schema((levels("label", 2), Column("amount", REAL), Column("hour", COUNT)))


def fraud(rows, seed, shuffled=False):
    r = np.random.default_rng(seed)
    odd = r.random(rows) < 0.02
    amount = np.exp(r.normal(3, 1, rows)).clip(0, 400) + 500 * odd
    return torch.from_numpy(
        np.c_[r.permutation(odd) if shuffled else odd, amount, r.integers(0, 24, rows)].astype(float)
    )


def test_a_rare_target_is_judged_by_how_well_it_is_told():
    """2 % of the rows, told exactly by the amount: accuracy can gain 0.02, the area under the curve all of it."""
    said = {}
    for shuffled in (False, True):
        found = efficacy(RARE, "label", fraud(1200, 1, shuffled), fraud(1200, 2), fraud(1500, 3))
        assert found.skill.real > 0.99
        assert found.skill.deviations > 8
        said[shuffled] = judged_skill(found.skill, "label", "")[1]
    assert "stand in" in said[False]
    assert "partly lost" in said[True]
    assert not any("Nothing can be learned" in text for text in said.values())


def test_a_target_without_any_relation_is_said_to_have_none_and_is_not_chosen():
    r = np.random.default_rng(5)
    schema = Schema((Column("a", REAL), levels("b", 2), levels("c", 3)))

    def rows(n):
        a = r.normal(size=n)
        return torch.from_numpy(np.c_[a, a + 0.3 * r.normal(size=n) > 0, r.integers(0, 3, n)].astype(float))

    train = rows(500)
    assert learnable_target(schema, train) == "b"
    skill = efficacy(schema, "c", rows(500), train, rows(500)).skill
    assert "Nothing can be learned" in judged_skill(skill, "c", "")[1]
    noise = torch.from_numpy(np.c_[r.normal(size=400), r.integers(0, 2, 400), r.integers(0, 3, 400)].astype(float))
    assert learnable_target(schema, noise) is None
