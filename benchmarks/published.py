"""Published results reproduced on real data, one command each; every one prints its table.

    VAEL_DATA=... python benchmarks/published.py flax|altosaar|altosaar-sampled|lecture|lecture-grey [--seed 0] [--runs
    FOLDER]

Training follows the publication, not vael's defaults: its optimiser at a constant rate, no averaged weights, no
clipping to speak of. The reference of altosaar climbs the sum over a batch and starts from PyTorch's own weights: so
does its row, with ε divided by the batch.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import nn

from vael.data import Binarize, Splits, load, statistics
from vael.evaluation import evaluate
from vael.inference import AdamW, GradientAscent, Guard, Optimizer, RMSprop
from vael.models import VAE, BernoulliHead, CrossEntropyHead, Head
from vael.networks import seeded
from vael.objectives import ELBO, Objective, SampledELBO
from vael.recipes import dense
from vael.training import Callback, Constant, Row, Settings, run


@dataclass(frozen=True)
class Experiment:
    """A publication's protocol."""

    title: str
    data: Callable[[], Splits]
    latent: int
    hidden: tuple[int, ...]
    optimizer: Optimizer
    settings: Settings
    importance_samples: int
    expected: str
    head: Callable[[], Head] = BernoulliHead
    objective: Objective = field(default_factory=ELBO)
    default_weights: bool = False  # weights start as PyTorch's layers do by themselves


class Steps(Callback):
    """Prints the validation curve as it grows."""

    def row(self, row: Row) -> None:
        if row.split == "validation":
            print(
                f"  step {row.step:6d}  validation ELBO {row.elbo:9.3f}  ({row.examples_per_second:,.0f} examples/s "
                f"judged, {row.seconds:.0f} s)",
                flush=True,
            )


def settings(batch: int, **how: object) -> Settings:
    return Settings(batch=batch, schedule=Constant(), **how)


EXPERIMENTS = {
    "flax": Experiment(
        "784-500-20, Adam 1e-3, batch 128, 10 epochs, static binarised MNIST (flax examples/vae)",
        lambda: load("binarized-mnist"),
        20,
        (500,),
        AdamW(1e-3),
        settings(128, epochs=10),
        1000,
        "test -ELBO about 104",
    ),
    "altosaar": Experiment(
        "784-256-256-128, centred RMSprop 1e-3, batch 128, 65,000 steps, best on validation, static binarised MNIST "
        "(altosaar, README)",
        lambda: load("binarized-mnist"),
        128,
        (256, 256),
        RMSprop(1e-3, epsilon=1e-8 / 128, centered=True),
        settings(128, epochs=167),
        128,
        "validation ELBO / log p(x) -112.57 / -107.01 at 5k, -108.49 / -102.62 at 10k, -106.23 / -100.04 at 20k, "
        "-104.10 / -97.68 at 40k steps; "
        "test -103.31 / -97.10 (128 samples)",
        default_weights=True,
    ),
    "lecture": Experiment(
        "784-256-2, RMSprop 1e-3, batch 256, 50 epochs, dynamically binarised MNIST (the lectures' network)",
        lambda: load("mnist", binarize=Binarize.DYNAMIC),
        2,
        (256,),
        RMSprop(1e-3, decay=0.9, epsilon=1e-7),
        settings(256, epochs=50),
        1000,
        "no number is given",
    ),
    "lecture-grey": Experiment(
        "the same with cross-entropy on grey values: a training criterion, no likelihood",
        lambda: load("mnist"),
        2,
        (256,),
        RMSprop(1e-3, decay=0.9, epsilon=1e-7),
        settings(256, epochs=50),
        1000,
        "no number is given",
        head=lambda: CrossEntropyHead(largest=255.0),
    ),
}
EXPERIMENTS["altosaar-sampled"] = replace(
    EXPERIMENTS["altosaar"], objective=SampledELBO(), title="the same with all three log terms sampled (SGVB-A)"
)


def model_of(experiment: Experiment, splits: Splits, seed: int) -> VAE:
    with seeded(seed):
        head = experiment.head()
        known = None if isinstance(head, BernoulliHead) else statistics(splits.train)
        model = dense(
            splits.train.event,
            head,
            latent=experiment.latent,
            hidden=experiment.hidden,
            activation="relu",
            statistics=known,
        )
        if experiment.default_weights:
            for layer in model.modules():
                if isinstance(layer, nn.Linear):
                    layer.reset_parameters()
        return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=EXPERIMENTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=pathlib.Path)
    options = parser.parse_args()
    experiment = EXPERIMENTS[options.name]
    print(f"{experiment.title}\npublished: {experiment.expected}")
    splits = experiment.data()
    ascent = GradientAscent(
        model_of(experiment, splits, options.seed),
        experiment.objective,
        optimizer=experiment.optimizer,
        guard=Guard(clip=1e6, spike=1e9),
        ema=0.0,
    )
    begun = time.perf_counter()
    folder = options.runs / options.name if options.runs else None
    fit = run(ascent, splits, experiment.settings, folder=folder, callbacks=[Steps()])
    found = evaluate(fit.model, splits.test, importance_samples=experiment.importance_samples, seed=options.seed)
    said = {
        "experiment": options.name,
        "seed": options.seed,
        "steps": fit.steps,
        "training_seconds": round(fit.seconds, 1),
        "best_step": fit.best_step,
        "validation_elbo": round(fit.best_elbo, 3),
        "test_elbo": round(found.elbo, 3),
        "test_log_likelihood": found.log_likelihood,
        "standard_error": found.standard_error,
        "importance_samples": found.importance_samples,
        "examples": found.examples,
        "all_seconds": round(time.perf_counter() - begun, 1),
    }
    json.dump(said, sys.stdout)
    print()


if __name__ == "__main__":
    main()
