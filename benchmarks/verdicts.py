"""How often each sentence about a synthetic table is said of fresh rows, of the very law of the data.

    python benchmarks/verdicts.py [TABLES] [SEED]

For each kind of table, `TABLES` triples of tables of one law (synthetic, training, held out) are judged, and every accusation is
counted. Prints the share with its 99 % interval (Clopper & Pearson 1934) beside the rate that is stated, 1 in 740; exit status 1 where
the interval lies above.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import beta

from vael.data.schema import Column, ColumnKind, Schema
from vael.evaluation.ranking import ALARM
from vael.evaluation.synthetic import Tables, judge_synthetic
from vael.report.synthetic_verdict import quality_remarks

Law = Callable[[np.random.Generator, int], np.ndarray]
ACCUSES = {
    "two-sample": ("tells synthetic",), "efficacy": ("partly lost",), "columns": ("are off by",), "pairs": ("Associations of pairs differ",),
    "copies": ("has memorised rows",), "membership": ("can be told from others",), "constraints": ("break the rules",),
}  # fmt: skip


def levels(name: str, count: int) -> Column:
    """A column of `count` levels."""
    return Column(name, ColumnKind.CATEGORICAL, levels=tuple(f"{name}{one}" for one in range(count)))


def continuous(r: np.random.Generator, rows: int) -> np.ndarray:
    """Correlated numbers and a class that follows from one of them."""
    z = r.normal(size=(rows, 2))
    return np.c_[z[:, 0], z[:, 0] + z[:, 1], np.exp(z[:, 1]), z[:, 0] + r.normal(size=rows) > 0]


def discrete(r: np.random.Generator, rows: int) -> np.ndarray:
    """Few levels, so that most rows have copies."""
    a = r.integers(0, 3, rows)
    return np.c_[a, (a + r.integers(0, 2, rows)) % 4, r.random(rows) < 0.3]


def repeated(r: np.random.Generator, rows: int) -> np.ndarray:
    """Sixty machines, some much commoner than others, and one number that varies."""
    states = np.random.default_rng(7).normal(size=(60, 2)).round(2)
    which = np.minimum(r.geometric(0.08, rows) - 1, 59)
    return np.c_[states[which], r.poisson(0.5, rows)]


def gapped(r: np.random.Generator, rows: int) -> np.ndarray:
    """Heavy tails, gaps, a rare class."""
    x = np.c_[r.standard_t(2, rows).round(1), r.integers(0, 5, rows), r.random(rows) < 0.06].astype(float)
    x[r.random(rows) < 0.2, 0] = np.nan
    return x


REAL = ColumnKind.REAL
KINDS: dict[str, tuple[Schema, Law]] = {
    "continuous": (Schema((Column("a", REAL), Column("b", REAL), Column("c", ColumnKind.POSITIVE), levels("d", 2))), continuous),
    "discrete": (Schema((levels("a", 3), levels("b", 4), levels("c", 2))), discrete),
    "repeated": (Schema((Column("a", REAL), Column("b", REAL), Column("n", ColumnKind.COUNT))), repeated),
    "gaps": (Schema((Column("a", REAL, missing=True), levels("b", 5), levels("c", 2))), gapped),
}
SIZES = ((60, 60, 60), (300, 700, 150), (500, 500, 500))  # synthetic, training, held out


def triple(kind: str, sizes: tuple[int, int, int], seed: int) -> Tables:
    """Three tables of one law."""
    schema, law = KINDS[kind]
    r = np.random.default_rng(seed)
    return Tables(schema, *(torch.from_numpy(law(r, rows).astype(np.float32)) for rows in sizes))


def accusations(tables: Tables) -> list[str]:
    """What is said against a table; the bound of a row is some function of the row."""
    bounds = [rows.nan_to_num().square().sum(1).neg() for rows in (tables.train, tables.holdout)]
    said = {remark.what: remark.text for remark in quality_remarks(judge_synthetic(tables, bounds=(bounds[0], bounds[1])))}
    return [what for what, words in ACCUSES.items() if any(word in said.get(what, "") for word in words)]


def interval(count: int, of: int) -> tuple[float, float]:
    """99 % of Clopper and Pearson."""
    low = float(beta.ppf(0.005, count, of - count + 1)) if count else 0.0
    return low, float(beta.ppf(0.995, count + 1, of - count))


def main(tables: int = 60, seed: int = 0) -> int:
    """Count, print, compare."""
    found: Counter[tuple[str, str]] = Counter()
    judged: Counter[str] = Counter()
    for kind in KINDS:
        for size, sizes in enumerate(SIZES):
            for draw in range(tables):
                number = ((seed * 10 + size) * 10 + list(KINDS).index(kind)) * 1_000_000 + draw
                found.update((kind, what) for what in accusations(triple(kind, sizes, number)))
                judged[kind] += 1
    worst = 0
    for what in ACCUSES:
        count, of = sum(found[kind, what] for kind in KINDS), sum(judged.values())
        low, high = interval(count, of)
        by = ", ".join(f"{kind} {found[kind, what]}" for kind in KINDS if found[kind, what])
        print(f"{what:12} {count:4} of {of:6,} tables: {count / of:.5f}, 99 % interval {low:.5f} to {high:.5f}; stated {ALARM:.5f}  {by}")
        worst = max(worst, int(low > ALARM))
    return worst


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
