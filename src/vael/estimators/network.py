"""The model under every estimator: how large it is, how it is made, how it is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vael.data import Kind, Source, Splits
from vael.data.source import Transform, Variates
from vael.errors import StateError
from vael.inference import AdamW, GradientAscent
from vael.models import VAE, Decoder, GaussianHead, GaussianPosterior, LearnedScale, StandardNormal
from vael.networks import Dense
from vael.networks.gaps import Gaps
from vael.objectives import ELBO, Beta, Objective
from vael.recommendation import table
from vael.training import Fit, Settings, run

EPOCHS = 20  # at least
STEPS = 3000  # at least, where `most_epochs` does not forbid it
MOST_EPOCHS = 300
PATIENCE = 0.2  # of the epochs, without a better bound on the rows set aside
LEAST_PATIENCE = 10
WARMUP = 0.2  # of the epochs
HELD_OUT, LEAST_HELD_OUT, MOST_HELD_OUT = 0.1, 20, 5000  # share, rows from which on rows are set aside, and how many at most
HIDDEN_SHARE = 0.1  # of the cells, hidden anew at each step where the model is to cope with gaps
WEIGHT_DECAY = 0.01
EMA = 0.99  # of the weights that are judged and kept: short, because many tables are learned in a few hundred steps
LEAST_WIDTH = 128  # of hidden layers where cells are missing: the encoder has as many tasks as there are sets of seen cells


@dataclass(frozen=True)
class Sizes:
    """Everything that a network of the estimators is made from."""

    features: int
    latent: int
    hidden: tuple[int, ...]
    gaps: bool = False


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
    """Each cell becomes missing with the given probability, anew at each step: the encoder learns what it can tell from a part of a row."""

    stochastic = True

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, x: Tensor, noise: Variates | None) -> Tensor:
        if noise is None:
            raise StateError("cells are hidden at random, so noise is needed")
        return torch.where(noise.uniform((1, *x.shape), x)[0] < self.probability, torch.nan, x)


def build(sizes: Sizes, seed: int = 0) -> VAE:
    """p(z) = N(0, I), p(x | z) = N(μ(z), diag σ²) with one learned σ for each column, q(z | x) = N(m(x), diag s²(x)); weights from `seed`."""
    cells, law = sizes.features * (2 if sizes.gaps else 1), GaussianHead(UnitScale(sizes.features), LearnedScale(sizes.features))
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        encode: nn.Module = Dense((cells,), (2 * sizes.latent,), sizes.hidden, nn.SiLU)
        decode = Dense((sizes.latent,), (sizes.features,), sizes.hidden[::-1], nn.SiLU)
    encode = nn.Sequential(Gaps(), encode) if sizes.gaps else encode
    return VAE(StandardNormal(sizes.latent), Decoder(decode, law), GaussianPosterior(encode, sees_gaps=sizes.gaps))


def sized(x: Float[Tensor, "rows columns"], latent: int | None, hidden: Sequence[int] | None, gaps: bool) -> Sizes:
    """The sizes asked for, else those that are recommended for a table of this size. Errors: `StateError` for a size below 1."""
    advised = table(Source(name="X", x=x, kind=Kind.REAL, fingerprint="")).arguments
    usual = tuple(max(int(width), LEAST_WIDTH if gaps else 1) for width in advised["hidden"])  # type: ignore[attr-defined]
    chosen = Sizes(x.shape[1], latent or int(str(advised["latent"])), usual if hidden is None else tuple(hidden), gaps)
    if (latent is not None and latent < 1) or not all(int(width) >= 1 for width in chosen.hidden):
        raise StateError(f"n_components={latent} and hidden_layer_sizes={hidden}: expected whole numbers of at least 1, or None")
    return replace(chosen, latent=int(chosen.latent), hidden=tuple(int(width) for width in chosen.hidden))


def splits_of(x: Float[Tensor, "rows columns"], gaps: bool, seed: int) -> Splits:
    """Rows to climb on and rows set aside to know when to stop; a few rows serve for both."""
    transform = {"transform": HiddenCells(HIDDEN_SHARE)} if gaps else {}
    whole = Source(name="X", x=x, kind=Kind.REAL, fingerprint="", gaps=gaps, **transform)  # type: ignore[arg-type]
    if len(x) < LEAST_HELD_OUT:
        return Splits(whole, whole, None)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    aside = min(MOST_HELD_OUT, max(1, round(HELD_OUT * len(x))))
    return Splits(whole.subset(order[aside:].sort().values), whole.subset(order[:aside].sort().values), None)


def settings_of(how: Training, rows: int) -> Settings:
    """Length, batch and patience by the number of rows."""
    batch = how.batch or (256 if rows >= 20_000 else min(128, max(16, 2 ** int(math.log2(max(rows, 16) / 16)))))
    steps = math.ceil(rows / min(batch, rows))
    epochs = how.epochs or min(MOST_EPOCHS, max(EPOCHS, math.ceil(STEPS / steps)))
    patience = max(LEAST_PATIENCE, round(PATIENCE * epochs))
    return Settings(epochs=epochs, batch=batch, seed=how.seed, patience=patience, device="cpu", precision=torch.float32, compiled=False)


def trained(x: Float[Tensor, "rows columns"], sizes: Sizes, how: Training) -> tuple[VAE, Fit]:
    """A model fitted to standardised rows, its weights those of the best bound on the rows set aside; and how training went.

    The bound is the ELBO over the cells that were seen (Mattei & Frellsen 2019, with one draw).
    """
    splits, model = splits_of(x, sizes.gaps, how.seed), build(sizes, how.seed)
    optimizer = AdamW(learning_rate=how.learning_rate, weight_decay=WEIGHT_DECAY)
    ascent = GradientAscent(model, cast(Objective, ELBO(Beta(1.0, WARMUP))), optimizer=optimizer, ema=EMA)
    fit = run(ascent, splits, settings_of(how, len(splits.train)))
    return model.double().eval(), fit
