"""Importance-weighted autoencoders of Burda, Grosse & Salakhutdinov (2016), one stochastic layer, at a share of the
schedule: one command, one table.

    VAEL_DATA=... python benchmarks/burda.py [--fraction 0.1] [--rows vae-1 iwae-5 iwae-50] [--time-limit SECONDS]
    [--runs FOLDER] [--batch 20] [--importance-samples 5000] [--test N] [--seed 0]

Dynamically binarised MNIST; 200-200 tanh on both sides, 50 latents; Adam with ε 1e-4 at 1e-3 × 10^(-i/7) for 3^i
passes, i = 0 ... 7, of which a share is done, each rate for that share of its passes; batch 20, no averaged weights, no
clipping to speak of. The last weights are judged on the test split: -log p(x) by importance sampling from the encoder,
as in the paper, and latents in use (variance of the posterior mean above 0.01). Published are the numbers of the whole
schedule, 3,280 passes: ordering and latents in use are what a share can show.

With `--runs` every row is kept: what is finished is not done again, what was interrupted goes on. `--time-limit` is for
the training of each row; the schedule is then brought to its end within it.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from vael import recipes
from vael.data import Binarize, Splits, load, statistics
from vael.data.facts import facts_from
from vael.evaluation.evaluate import evaluate_encoder
from vael.inference import Adam, GradientAscent, Guard, Optimizer
from vael.models import VAE
from vael.models.parts import VAEPart
from vael.networks import seeded
from vael.objectives import ELBO, ImportanceWeighted, Objective
from vael.training import Settings, run
from vael.training.settings import Keep

PASSES = sum(3**i for i in range(8))


def rates(progress: float) -> float:
    """The learning rate at a share of training, in units of the first: 10^(-i/7) for 3^i of the passes."""
    done, ends = progress * PASSES, 0
    for stage in range(8):
        ends += 3**stage
        if done < ends:
            return 10 ** (-stage / 7)
    return 0.1


@dataclass(frozen=True)
class Row:
    """One model of a table, and what was published of it."""

    objective: Objective
    samples: int
    published: str


@dataclass(frozen=True)
class Protocol:
    """What all models of a table have in common."""

    title: str
    data: str
    binarize: Binarize | None
    model: Callable[[str], VAEPart]  # by the name of the row
    optimizer: Optimizer
    passes: int
    batch: int
    schedule: Callable[[float], float]
    rows: Mapping[str, Row]
    usual: tuple[str, ...]  # rows, where none are named
    keep: Keep = Keep.LAST


@dataclass(frozen=True)
class Outcome:
    """What a row gave."""

    passes: float
    seconds: float  # of training, processor time of this process; of what was done now
    negative_log_likelihood: float
    standard_error: float | None
    bound: float
    active: int
    importance_samples: int
    examples: int


PAPER = Protocol(
    "784-200-200-50 tanh, Adam ε 1e-4, dynamically binarised MNIST (Burda, Grosse & Salakhutdinov 2016, table 1)",
    "mnist",
    Binarize.DYNAMIC,
    lambda name: recipes.BURDA,
    Adam(1e-3, epsilon=1e-4),
    PASSES,
    20,
    rates,
    {
        "vae-1": Row(ELBO(), 1, "86.76, 19 in use"),
        "vae-5": Row(ELBO(), 5, "86.47, 20 in use"),
        "vae-50": Row(ELBO(), 50, "86.35, 20 in use"),
        "iwae-5": Row(ImportanceWeighted(), 5, "85.54, 22 in use"),
        "iwae-50": Row(ImportanceWeighted(), 50, "84.78, 25 in use"),
    },
    ("vae-1", "iwae-5", "iwae-50"),
)


def model_of(part: VAEPart, data: Splits, seed: int) -> VAE:
    """The model with its output at the mean of the data, weights from the seed."""
    with seeded(seed):
        return part.build(facts_from(data.train, statistics(data.train)))


def outcome(protocol: Protocol, name: str, data: Splits, asked: argparse.Namespace) -> Outcome:
    """Train a row, or go on with it, and judge it on the test split."""
    row, folder = protocol.rows[name], asked.runs and asked.runs / f"{name}-{asked.fraction:g}-{asked.seed}"
    model = model_of(protocol.model(name), data, asked.seed)
    how = GradientAscent(
        model,
        row.objective,
        samples=row.samples,
        optimizer=protocol.optimizer,
        guard=Guard(clip=1e6, spike=1e9),
        ema=0.0,
    )
    settings = Settings(
        epochs=max(1, round(protocol.passes * asked.fraction)),
        batch=asked.batch or protocol.batch,
        seed=asked.seed,
        time_limit=asked.time_limit,
        schedule=protocol.schedule,
        precision=torch.float32,
        keep=protocol.keep,
    )
    begun = time.process_time()
    resume = folder is not None and (folder / "checkpoint").exists()
    fit = run(how, data, settings, folder=folder, resume=resume)
    seconds = time.process_time() - begun
    if fit.interrupted:
        raise KeyboardInterrupt
    test = data.test.subset(torch.arange(min(asked.test or len(data.test), len(data.test))))
    found = evaluate_encoder(fit.model, test, importance_samples=asked.importance_samples, seed=asked.seed)
    passes = fit.steps * settings.batch / len(data.train)
    return Outcome(
        passes,
        seconds,
        -found.log_likelihood,
        found.standard_error,
        found.elbo,
        found.active_units,
        found.importance_samples,
        found.examples,
    )


def told(name: str, row: Row, found: Outcome) -> str:
    """A line of the table."""
    error = "" if found.standard_error is None else f" ± {found.standard_error:.2f}"
    own = f"{found.negative_log_likelihood:.2f}{error} | {-found.bound:.2f} | {found.active}"
    return f"| {name} | {own} | {found.passes:,.0f} | {found.seconds:,.0f} | {row.published} |"


def table(protocol: Protocol, words: list[str] | None, about: str | None) -> None:
    """Print the table of a protocol, row by row as they are finished."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--rows", nargs="+", choices=protocol.rows, default=list(protocol.usual))
    parser.add_argument("--time-limit", type=float)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--importance-samples", type=int, default=5000)
    parser.add_argument("--test", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default=protocol.data)
    asked = parser.parse_args(words)
    if not 0 < asked.fraction <= 1 or not math.isfinite(asked.fraction):
        parser.error(f"--fraction {asked.fraction:g}: expected a share of the schedule, above 0 and at most 1")
    data = load(asked.data, binarize=protocol.binarize) if protocol.binarize else load(asked.data)
    print(f"{protocol.title}; {asked.fraction:g} of {protocol.passes:,} passes, seed {asked.seed}")
    print(f"\n| row | −log p(x), K = {asked.importance_samples:,} | −bound | in use | passes | s | published, whole |")
    print("|---|---:|---:|---:|---:|---:|---|", flush=True)
    for name in asked.rows:
        kept = asked.runs and asked.runs / f"{name}-{asked.fraction:g}-{asked.seed}.json"
        if kept and kept.exists():
            found = Outcome(**json.loads(kept.read_text()))
        else:
            found = outcome(protocol, name, data, asked)
            if kept:
                kept.write_text(json.dumps(asdict(found)))
        print(told(name, protocol.rows[name], found), flush=True)


if __name__ == "__main__":
    table(PAPER, None, __doc__)
