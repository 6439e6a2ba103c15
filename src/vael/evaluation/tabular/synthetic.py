"""How good and how private a synthetic table is: every comparison of it with real rows, in one record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from vael.errors import ShapeError, SupportError
from vael.evaluation.tabular.associations import (
    MOST_COLUMNS,
    AssociationDistance,
    association_distance,
    association_p_value,
)
from vael.evaluation.tabular.efficacy import Efficacy, Learner, Task, efficacy, learnable_target, quick_learners
from vael.evaluation.tabular.marginals import MarginalDistance, marginals
from vael.evaluation.tabular.privacy import ClosestRecords, Membership, bound_attack, closeness_attack, closest_records
from vael.evaluation.tabular.two_sample import TwoSampleTest, two_sample_test
from vael.tables.constraints import Violation, violations
from vael.tables.schema import Schema

MOST = 20_000  # rows of each table that marginals and associations look at
FEWEST = 20
SMALL = 10_000  # rows up to which trees are grown by one thread: more wait for each other longer than they work


@dataclass(frozen=True)
class JudgedTables:
    """A synthetic table, the rows that the model was trained on, and rows that it never saw; in the units of the
    schema, NaN where missing.

    Errors: `ShapeError` for another width, or fewer than 20 rows in one of them.
    """

    schema: Schema
    synthetic: Float[Tensor, "drawn columns"]
    train: Float[Tensor, "seen columns"]
    holdout: Float[Tensor, "unseen columns"]

    def __post_init__(self) -> None:
        for name in ("synthetic", "train", "holdout"):
            shape = tuple(getattr(self, name).shape)
            if len(shape) != 2 or shape[1] != len(self.schema.columns) or shape[0] < FEWEST:
                raise ShapeError(
                    f"the {name} table has shape {shape}; expected at least {FEWEST} rows of "
                    f"{len(self.schema.columns)} columns, as in the schema"
                )


@dataclass(frozen=True)
class SyntheticSettings:
    """What is judged, and how long it may take."""

    target: str | None = None  # column to predict; None: see `learnable_target`
    learners: Callable[[Task], Sequence[Learner]] | None = (
        quick_learners  # None: nothing is predicted, which takes most of the time
    )
    seed: int = 0


@dataclass(frozen=True)
class SyntheticQuality:
    """Everything that was found.

    Floors are the same numbers of training against held-out rows: what equal laws have with so few rows.
    """

    rows: tuple[int, int, int]  # synthetic, training, held out
    violations: tuple[Violation, ...]
    marginals: tuple[MarginalDistance, ...]
    marginal_floor: tuple[MarginalDistance, ...]
    associations: AssociationDistance
    association_floor: AssociationDistance
    association_p_value: float  # P(associations so unlike those of the held-out rows | one law)
    two_sample: TwoSampleTest
    efficacy: Efficacy | None
    closest: ClosestRecords
    closeness: Membership
    bound: Membership | None
    notes: tuple[str, ...] = ()  # what was left out and why

    @property
    def attacks(self) -> tuple[Membership, ...]:
        """Those that were made on who was in the training data."""
        return (self.closeness,) if self.bound is None else (self.closeness, self.bound)

    @property
    def marginal(self) -> float:
        """Mean distance over columns."""
        return mean_distance(self.marginals)

    @property
    def marginal_floor_mean(self) -> float:
        """Mean floor over columns."""
        return mean_distance(self.marginal_floor)

    @property
    def worst(self) -> MarginalDistance | None:
        """The column whose distance is farthest above its floor; None where no column has one."""
        known = [
            (one.distance - floor.distance, place)
            for place, (one, floor) in enumerate(zip(self.marginals, self.marginal_floor, strict=True))
        ]
        known = [one for one in known if one[0] == one[0]]
        return self.marginals[max(known)[1]] if known else None


def mean_distance(distances: Sequence[MarginalDistance]) -> float:
    """Mean distance over the columns that have one; 0 where none has."""
    known = [one.distance for one in distances if one.distance == one.distance]
    return sum(known) / len(known) if known else 0.0


def judge_synthetic(
    tables: JudgedTables,
    settings: SyntheticSettings | None = None,
    *,
    bounds: tuple[Float[Tensor, " seen"], Float[Tensor, " unseen"]] | None = None,
) -> SyntheticQuality:
    """Compare a synthetic table with real rows in every way that this module knows; deterministic.

    `bounds` are the model's bounds on log p(x) of some training and some held-out rows, for the second membership
    check. Where nothing can be predicted (one column, a target of one value), `efficacy` is None and a note says why.
    """
    how = settings or SyntheticSettings()
    schema, x, seen, unseen = (
        tables.schema,
        *(rows[:MOST] for rows in (tables.synthetic, shuffled(tables.train, how.seed), tables.holdout)),
    )
    matched = seen[: max(len(x), FEWEST)]
    with threadpool_limits(1 if len(tables.train) <= SMALL else None, "openmp"):
        predicted, notes = _predicted(tables, how)
        told_apart = two_sample_test(schema, tables.synthetic, tables.holdout, seed=how.seed)
    if len(schema.columns) > MOST_COLUMNS:
        notes = (*notes, f"Associations are those of the first {MOST_COLUMNS} of {len(schema.columns)} columns.")
    return SyntheticQuality(
        rows=(len(tables.synthetic), len(tables.train), len(tables.holdout)),
        violations=violations(schema, tables.synthetic),
        marginals=marginals(schema, x, unseen),
        marginal_floor=marginals(schema, matched, unseen),
        associations=association_distance(schema, x, unseen),
        association_floor=association_distance(schema, matched, unseen),
        association_p_value=association_p_value(
            schema, shuffled(x, how.seed), shuffled(unseen, how.seed), seed=how.seed
        ),
        two_sample=told_apart,
        efficacy=predicted,
        closest=closest_records(schema, tables.synthetic, tables.train, tables.holdout, seed=how.seed),
        closeness=closeness_attack(schema, tables.synthetic, tables.train, tables.holdout, seed=how.seed),
        bound=None if bounds is None else bound_attack(*bounds),
        notes=notes,
    )


def _predicted(tables: JudgedTables, how: SyntheticSettings) -> tuple[Efficacy | None, tuple[str, ...]]:
    """A target that was asked for must work; one that was chosen here may not."""
    if how.learners is None:
        return None, ("Nothing was predicted: no learners were given.",)
    target = how.target or (
        learnable_target(tables.schema, tables.train, seed=how.seed)
        if len(tables.schema.columns) > 1
        else tables.schema.names[0]
    )
    if target is None:
        return None, (
            f"Nothing was predicted: trees predict no column from the others with {len(tables.train):,} training rows "
            "better than chance.",
        )
    try:
        found = efficacy(
            tables.schema, target, tables.synthetic, tables.train, tables.holdout, learners=how.learners, seed=how.seed
        )
    except (ShapeError, SupportError) as error:
        if how.target is not None:
            raise
        return None, (f"Nothing was predicted: {error}.",)
    return found, ()


def shuffled(rows: Float[Tensor, "rows columns"], seed: int) -> Float[Tensor, "rows columns"]:
    """The rows in another order, the same for the same seed: the first of a sorted table are not like the rest."""
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
