"""The model under every estimator: how large it is, how it is made, how it is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Kind, Schema, Source, Splits, statistics
from vael.data.facts import facts_from
from vael.data.source import Transform, Variates
from vael.errors import StateError
from vael.inference import AdamW, GradientAscent
from vael.models import VAE, ColumnsHead, GaussianHead, LearnedScale
from vael.models.families import LikelihoodPart
from vael.networks import seeded
from vael.networks.parts import DensePart, NetworkPart
from vael.objectives import ELBO, Beta, ImportanceWeighted
from vael.recipes import dense, gapped
from vael.recipes import table as of_table
from vael.recommendation import columns, table
from vael.training import Fit, Settings, run

EPOCHS = 20  # at least
STEPS = 3000  # at least, where `most_epochs` does not forbid it
MOST_EPOCHS = 300
PATIENCE = 0.2  # of the epochs, without a better bound on the rows set aside
LEAST_PATIENCE = 10
WARMUP = 0.2  # of the epochs
HELD_OUT, LEAST_HELD_OUT, MOST_HELD_OUT = (
    0.1,
    20,
    5000,
)  # share, rows from which on rows are set aside, and how many at most
HIDDEN_SHARE = 0.1  # of the cells, hidden anew at each step where the model is to cope with gaps
ROWS_PER_LATENT = 50
WEIGHT_DECAY = 0.01
EMA = 0.99  # of the weights that are judged and kept: short, because many tables are learned in a few hundred steps
FEW = 5000  # rows with gaps below which all are learned from, as benchmarks/imputation.py does, with its settings:
FILL_LATENT, FILL_HIDDEN, FILL_BATCH, FILL_EPOCHS, FILL_DECAY, FILL_SAMPLES = 10, (128,), 32, 150, 0.1, 20


@dataclass(frozen=True)
class Sizes:
    """Everything that a network of the estimators is made from."""

    features: int
    latent: int
    hidden: tuple[int, ...]
    gaps: bool = False
    tables: tuple[
        int, ...
    ] = ()  # of a frame with a schema: for each column of numbers, how many of its values have a free probability


@dataclass(frozen=True)
class Training:
    """How to train; None: by the number of rows."""

    epochs: int | None
    batch: int | None
    learning_rate: float
    seed: int


class UnitScale:
    """Moments of standardised columns, as a head asks for them."""

    def __init__(self, features: int) -> None:
        self.mean, self.std = torch.zeros(features), torch.ones(features)


class HiddenCells(Transform):
    """Each cell becomes missing with the given probability, anew at each step: the encoder learns what it can tell
    from a part of a row.
    """

    stochastic = True

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, x: Tensor, noise: Variates | None) -> Tensor:
        if noise is None:
            raise StateError("cells are hidden at random, so noise is needed")
        return torch.where(noise.uniform((1, *x.shape), x)[0] < self.probability, torch.nan, x)


@dataclass(frozen=True)
class Rows:
    """Rows to be modelled: standardised numbers, or the codes of a table with a schema; NaN is a gap."""

    x: Float[Tensor, "rows columns"]
    gaps: bool = False
    schema: Schema | None = None

    def source(self, transform: Transform | None = None) -> Source:
        """As a source of examples."""
        kind, names = (Kind.REAL, ()) if self.schema is None else (Kind.MIXED, self.schema.names)
        whole = Source(name="X", x=self.x, kind=kind, fingerprint="", gaps=self.gaps, schema=self.schema, columns=names)
        return whole if transform is None else replace(whole, transform=transform)

    @property
    def few(self) -> bool:
        """Whether gaps are to be filled in so few rows of numbers that all of them are needed to learn from."""
        return self.gaps and self.schema is None and len(self.x) < FEW


@dataclass(frozen=True)
class Plan:
    """Sizes, and the laws of the columns of a schema as the rows have them: fitted once, because that takes a part
    of a second.
    """

    sizes: Sizes
    laws: ColumnsHead | None = None


def build(plan: Plan, seed: int = 0, rows: Rows | None = None, schema: Schema | None = None) -> VAE:
    """A recipe for numbers (one learned σ for each column), for numbers with gaps, or for the columns of a schema;
    weights from `seed`.

    The laws of a schema are those of the plan, else they begin at `rows`, where they are given.
    """
    sizes = plan.sizes
    event, how = (sizes.features,), {"latent": sizes.latent, "hidden": sizes.hidden}
    with seeded(seed):
        if schema is not None:
            known = None if rows is None else statistics(rows.source())
            head = plan.laws or ColumnsHead(schema, sample=None if known is None else known.sample, tables=sizes.tables)
            return of_table(event, head, statistics=known, **how)
        law = GaussianHead(UnitScale(sizes.features), LearnedScale(sizes.features))
        return (gapped if sizes.gaps else dense)(event, law, **how)


def widths_of(network: NetworkPart) -> tuple[int, ...]:
    """Hidden sizes of a dense network."""
    return network.hidden if isinstance(network, DensePart) else ()


def laws_of(rows: Rows, schema: Schema, likelihood: LikelihoodPart) -> ColumnsHead | None:
    """The distributions of columns, begun at the rows; None for a likelihood of another kind."""
    head = likelihood.build(facts_from(rows.source(), statistics(rows.source())))
    return head if isinstance(head, ColumnsHead) else None


def planned(rows: Rows, latent: int | None, hidden: Sequence[int] | None, least: int = 1) -> Plan:
    """The sizes asked for, else those that are recommended for a table of this size, with `least` latents where
    columns and rows allow it.
    """
    size, advised, laws = FILL_LATENT, FILL_HIDDEN, None
    if rows.schema is not None:
        advice = columns(rows.source(), rows.schema)
        size, advised = advice.model.latent, widths_of(advice.network)
        laws = laws_of(rows, rows.schema, advice.likelihood)
    elif not rows.gaps:
        choice = table(rows.source())
        size, advised = int(str(choice.leaves["latent"])), widths_of(choice.network)
    widths = advised if hidden is None else hidden
    enough = max(size, min(least, rows.x.shape[1], len(rows.x) // ROWS_PER_LATENT))
    sizes = Sizes(
        rows.x.shape[1],
        int(latent or enough),
        tuple(int(width) for width in widths),
        rows.gaps,
        laws.tables if laws else (),
    )
    return Plan(sizes, laws)


def splits_of(rows: Rows, seed: int) -> Splits:
    """Rows to climb on and rows set aside to know when to stop; a few rows serve for both."""
    whole = rows.source(HiddenCells(HIDDEN_SHARE) if rows.gaps and rows.schema is None and not rows.few else None)
    if len(rows.x) < LEAST_HELD_OUT or rows.few:
        return Splits(whole, whole, None)
    order = torch.randperm(len(rows.x), generator=torch.Generator().manual_seed(seed))
    aside = min(MOST_HELD_OUT, max(1, round(HELD_OUT * len(rows.x))))
    return Splits(whole.subset(order[aside:].sort().values), whole.subset(order[:aside].sort().values), None)


def settings_of(how: Training, rows: Rows) -> Settings:
    """Length, batch and patience by the number of rows."""
    count = len(rows.x)
    usual = (
        FILL_BATCH
        if rows.few
        else 256
        if count >= 20_000
        else min(128, max(16, 2 ** int(math.log2(max(count, 16) / 16))))
    )
    batch = how.batch or usual
    steps = math.ceil(count / min(batch, count))
    epochs = how.epochs or min(
        MOST_EPOCHS, max(FILL_EPOCHS if rows.few else EPOCHS, 0 if rows.few else math.ceil(STEPS / steps))
    )
    patience = None if rows.few else max(LEAST_PATIENCE, round(PATIENCE * epochs))
    return Settings(
        epochs=epochs,
        batch=batch,
        seed=how.seed,
        patience=patience,
        device="cpu",
        precision=torch.float32,
        compiled=False,
    )


def trained(rows: Rows, plan: Plan, how: Training) -> tuple[VAE, Fit, Splits]:
    """A model fitted to rows, its weights those of the best bound on the rows set aside; how training went; and on
    which rows.

    The bound is the ELBO of the cells that were seen; of few rows with gaps that of importance weights (Mattei &
    Frellsen 2019), on all rows.
    """
    splits, model = splits_of(rows, how.seed), build(plan, how.seed, rows, rows.schema)
    if rows.few:
        optimizer = AdamW(learning_rate=how.learning_rate / 2, weight_decay=FILL_DECAY)
        ascent = GradientAscent(model, ImportanceWeighted(), samples=FILL_SAMPLES, optimizer=optimizer)
    else:
        optimizer = AdamW(
            learning_rate=how.learning_rate / (1 if rows.schema is None else 2), weight_decay=WEIGHT_DECAY
        )
        ascent = GradientAscent(model, ELBO(Beta(1.0, WARMUP)), optimizer=optimizer, ema=EMA)
    fit = run(ascent, splits, settings_of(how, rows))
    return model.double().eval(), fit, splits
