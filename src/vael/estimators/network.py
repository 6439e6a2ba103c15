"""The model under every estimator: how large it is, how it is made, how it is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Kind, Schema, Source, Splits, statistics
from vael.data.facts import Facts, facts_from, unknown_moments
from vael.data.source import Transform, Variates
from vael.domains.table import columns, table
from vael.errors import StateError
from vael.inference.parts import AdamWPart, GradientAscentPart
from vael.models import VAE
from vael.models.likelihoods.parts import ColumnsPart, GaussianPerChannelPart
from vael.models.parts import VAEPart
from vael.networks import seeded
from vael.networks.parts import DensePart
from vael.objectives.parts import ELBOPart
from vael.specs.leaves import with_leaf
from vael.specs.recipes import networks
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
FEW = 5000  # rows with gaps below which all are learned from, as benchmarks/imputation.py does, and for so long:
FILL_BATCH, FILL_EPOCHS = 32, 150


@dataclass(frozen=True)
class Effort:
    """How to train; None: by the number of rows."""

    epochs: int | None
    batch: int | None
    learning_rate: float
    seed: int


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
    def standardised(self) -> bool:
        """Whether they are plain numbers, not the codes of columns of several kinds."""
        return self.schema is None

    @property
    def holed(self) -> bool:
        """Whether they are numbers of which some may be missing."""
        return self.gaps and self.standardised

    @property
    def few(self) -> bool:
        """Whether gaps are to be filled in so few rows of numbers that all of them are needed to learn from."""
        return self.holed and len(self.x) < FEW

    @property
    def facts(self) -> Facts:
        """What parts need to know of them: numbers are standardised already, so they are seen as they are."""
        source = self.source()
        return facts_from(source, None if self.standardised else statistics(source))


@dataclass(frozen=True)
class Design:
    """The parts of a run on rows: what is fitted, and how."""

    model: VAEPart
    algorithm: GradientAscentPart


def built(part: VAEPart, facts: Facts, seed: int = 0) -> VAE:
    """The model of a part, its weights drawn from `seed`."""
    with seeded(seed):
        return part.build(facts)


def unseen(features: int, gaps: bool, schema: Schema | None) -> Facts:
    """What is known of rows of which only the model is there."""
    if schema is None:
        return Facts("X", (features,), Kind.REAL, None, gaps=gaps)
    return Facts("X", (features,), Kind.MIXED, unknown_moments((features,)), schema=schema, gaps=gaps)


def designed(rows: Rows, latent: int | None, hidden: Sequence[int] | None, how: Effort, least: int = 1) -> Design:
    """The recipe that suits the rows, in the sizes asked for, else in those that are recommended for a table of this
    size, with `least` latents where columns and rows allow it.

    The bound is the ELBO of the cells that were seen; of few rows with gaps that of importance weights (Mattei &
    Frellsen 2019).
    """
    columns_of, rate = rows.x.shape[1], how.learning_rate
    usual, likelihood = networks.gapped(), GaussianPerChannelPart(channels=columns_of)
    model = VAEPart.model_validate(with_leaf(usual.model, "likelihood", likelihood))
    if rows.schema is not None:
        advice, rate = columns(rows.source(), rows.schema), rate / 2
        of_columns = advice.likelihood if isinstance(advice.likelihood, ColumnsPart) else ColumnsPart(tables=())
        model = VAEPart(latent=int(str(advice.leaves["latent"])), network=advice.network, likelihood=of_columns)
    elif not rows.gaps:
        choice = table(rows.source())
        model = model.model_copy(update={"latent": choice.leaves["latent"], "network": choice.network})
    enough = max(model.latent, min(least, columns_of, len(rows.x) // ROWS_PER_LATENT))
    sizes = {"latent": int(latent or enough)}
    network = model.network if hidden is None else DensePart(hidden=tuple(int(width) for width in hidden))
    model = model.model_copy(update={**sizes, "network": network})
    if rows.few:
        climb = with_leaf(usual.algorithm, "optimizer.learning_rate", how.learning_rate / 2)
        return Design(model, GradientAscentPart.model_validate(climb))
    optimizer = AdamWPart(learning_rate=rate, weight_decay=WEIGHT_DECAY)
    return Design(model, GradientAscentPart(objective=ELBOPart(warmup=WARMUP), optimizer=optimizer, average=EMA))


def splits_of(rows: Rows, seed: int) -> Splits:
    """Rows to climb on and rows set aside to know when to stop; a few rows serve for both."""
    whole = rows.source(HiddenCells(HIDDEN_SHARE) if rows.holed and not rows.few else None)
    if len(rows.x) < LEAST_HELD_OUT or rows.few:
        return Splits(whole, whole, None)
    order = torch.randperm(len(rows.x), generator=torch.Generator().manual_seed(seed))
    aside = min(MOST_HELD_OUT, max(1, round(HELD_OUT * len(rows.x))))
    return Splits(whole.subset(order[aside:].sort().values), whole.subset(order[:aside].sort().values), None)


def settings_of(how: Effort, rows: Rows) -> Settings:
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


def trained(rows: Rows, design: Design, how: Effort) -> tuple[VAE, Fit, Splits]:
    """A model fitted to rows, its weights those of the best bound on the rows set aside; how training went; and on
    which rows.
    """
    splits, model = splits_of(rows, how.seed), built(design.model, rows.facts, how.seed)
    fit = run(design.algorithm.build(model, splits.train), splits, settings_of(how, rows))
    return model.double().eval(), fit, splits
