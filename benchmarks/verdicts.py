"""How often each sentence about a synthetic table is said of fresh rows, of the very law of the data.

    python benchmarks/verdicts.py [DRAWS] [SEED] [LEARN]

For each of four kinds of table and three sizes, `DRAWS` triples of tables of one law (synthetic, training, held out)
are judged, and every accusation is counted. Printed are its share with the 99 % interval (Clopper & Pearson 1934)
beside the rate that is stated, 1 in 740, and how often its p-value is at most 0.01, which far fewer tables tell more
about; after every 10 draws, so that a run may be cut. Learners take nine tenths of the time: they judge one draw in
LEARN (8), of tables that have rows enough for the sentence. Exit status 1 where an interval lies above.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.stats import beta

from vael.evaluation.tabular.efficacy import quick_learners
from vael.evaluation.tabular.ranking import ALARM
from vael.evaluation.tabular.synthetic import JudgedTables, SyntheticQuality, SyntheticSettings, judge_synthetic
from vael.report.tabular.synthetic_verdict import quality_remarks
from vael.tables.schema import Column, ColumnKind, Schema

Law = Callable[[np.random.Generator, int], np.ndarray]
ACCUSES = {
    "two-sample": ("tells synthetic",),
    "efficacy": ("partly lost",),
    "columns": ("are off by",),
    "pairs": ("Associations of pairs differ",),
    "copies": ("has memorised rows",),
    "membership": ("can be told from others",),
    "constraints": ("break the rules",),
}


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
    "continuous": (
        Schema((Column("a", REAL), Column("b", REAL), Column("c", ColumnKind.POSITIVE), levels("d", 2))),
        continuous,
    ),
    "discrete": (Schema((levels("a", 3), levels("b", 4), levels("c", 2))), discrete),
    "repeated": (Schema((Column("a", REAL), Column("b", REAL), Column("n", ColumnKind.COUNT))), repeated),
    "gaps": (Schema((Column("a", REAL, missing=True), levels("b", 5), levels("c", 2))), gapped),
}
SIZES = ((60, 60, 60), (160, 400, 130), (260, 260, 260))  # synthetic, training, held out
REPORT = 10  # draws between two reports


def triple(kind: str, sizes: tuple[int, int, int], seed: int) -> JudgedTables:
    """Three tables of one law."""
    schema, law = KINDS[kind]
    r = np.random.default_rng(seed)
    return JudgedTables(schema, *(torch.from_numpy(law(r, rows).astype(np.float32)) for rows in sizes))


def judged(tables: JudgedTables, learn: bool) -> SyntheticQuality:
    """Everything that is found; the bound of a row is some function of the row."""
    bounds = [rows.nan_to_num().square().sum(1).neg() for rows in (tables.train, tables.holdout)]
    return judge_synthetic(
        tables, SyntheticSettings(learners=quick_learners if learn else None), bounds=(bounds[0], bounds[1])
    )


def accusations(quality: SyntheticQuality) -> list[str]:
    """What is said against a table."""
    said = {remark.what: remark.text for remark in quality_remarks(quality)}
    return [what for what, words in ACCUSES.items() if any(word in said.get(what, "") for word in words)]


def p_values(quality: SyntheticQuality) -> dict[str, float]:
    """By which each sentence accuses, times the number of looks that it takes."""
    near, skill = quality.closest, quality.efficacy and quality.efficacy.skill
    attacks = [one.found.p_value for one in (quality.closeness, quality.bound) if one is not None]
    columns = [one.p_value for one in quality.marginals if one.distance == one.distance]
    found = {
        "two-sample": quality.two_sample.found.p_value,
        "columns": len(columns) * min(columns, default=1.0),
        "pairs": quality.association_p_value,
        "copies": 2 * min(near.p_value, near.copies_p_value),
        "membership": 2 * min(attacks),
        "constraints": 1.0,
    }
    return found | ({"efficacy": skill.lost_p_value} if skill and skill.lost_p_value < 1 else {})


def interval(count: int, of: int) -> tuple[float, float]:
    """99 % of Clopper and Pearson."""
    low = float(beta.ppf(0.005, count, of - count + 1)) if count else 0.0
    return low, float(beta.ppf(0.995, count + 1, of - count))


@dataclass
class Counts:
    """Of each sentence: tables in which it could be said, was said, and was nearly said; and by kind of table."""

    judged: Counter[str] = field(default_factory=Counter)
    said: Counter[tuple[str, str]] = field(default_factory=Counter)
    one_percent: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, quality: SyntheticQuality) -> None:
        """One more table."""
        found = p_values(quality)
        self.judged.update(found.keys())
        self.said.update((kind, what) for what in accusations(quality))
        self.one_percent.update(what for what, p in found.items() if p <= 0.01)

    def report(self) -> int:
        """Print a line a sentence; 1 where one is said too often for chance."""
        worst = 0
        for what, of in sorted(self.judged.items()):
            count = sum(self.said[kind, what] for kind in KINDS)
            low, high = interval(count, of)
            by = ", ".join(f"{kind} {self.said[kind, what]}" for kind in KINDS if self.said[kind, what])
            shares = (
                f"{count / of:.5f}, 99 % interval {low:.5f} to {high:.5f}; stated {ALARM:.5f}; p <= 0.01 "
                f"{self.one_percent[what] / of:.4f}"
            )
            print(f"{what:12} {count:4} of {of:6,} tables: {shares}  {by}", flush=True)
            worst = max(worst, int(low > ALARM))
        return worst


def main(draws: int = 200, seed: int = 0, learn: int = 8) -> int:
    """Count, print, compare."""
    counts = Counts()
    for draw in range(draws):
        if draw and not draw % REPORT:
            print(f"after {draw} draws", flush=True)
            counts.report()
        for place, kind in enumerate(KINDS):
            for size, sizes in enumerate(SIZES):
                number = ((seed * 10 + size) * 10 + place) * 1_000_000 + draw
                counts.add(kind, judged(triple(kind, sizes, number), learn=size > 0 and draw % learn == 0))
    return counts.report()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
