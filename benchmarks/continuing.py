"""Which learning rate a run should go on with that begins with the weights of a finished one: one command, one table.

    VAEL_DATA=... python benchmarks/continuing.py [--rows again more other] [--seeds 3] [--factors 1 0.3 0.1 0.03]

A first run as `vael train` has it, then `vael train --from` it with a share of its learning rate, as long as the first
and with the divergence not warmed up. `again`: on the same data; `more`: the first run on a third of the training
examples, on the other two thirds then; `other`: the first on digits 0 to 4 (on the first quarter of the table sorted by
its first column), then on the others. Printed for each: the bound on the validation split in nats before the first
step, after the first epoch and at its best, less that before the first step; means over seeds, ± standard error.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes, load_digits

import vael


def examples(name: str) -> tuple[np.ndarray, np.ndarray]:
    """All examples, in an order fixed here, and what they are sorted by where the two halves are to differ."""
    known = load_digits() if name == "digits" else load_diabetes(scaled=False)
    order = np.random.default_rng(0).permutation(len(known.target))
    x = known.images.astype(np.uint8) if name == "digits" else known.data.astype(np.float32)
    return x[order], (known.target if name == "digits" else known.data[:, 0])[order]


def halves(name: str, how: str, place: Path) -> tuple[Path, Path | None]:
    """The data of the first run and of the second; None for the same."""
    x, by = examples(name)
    first, second = place / f"{name}-{how}-1.npy", place / f"{name}-{how}-2.npy"
    cut = np.arange(len(x)) < len(x) // 3 if how == "more" else by <= (4 if name == "digits" else np.quantile(by, 0.25))
    np.save(first, x if how == "again" else x[cut])
    if how == "again":
        return first, None
    np.save(second, x[~cut])
    return first, second


def gains(name: str, how: str, seed: int, factors: list[float]) -> dict[float, tuple[float, float, float]]:
    """By share of the learning rate: the bound before the first step, after the first epoch, and at its best."""
    quiet = {"callbacks": (), "threads": 1, "precision": "float32", "compile": False}
    with tempfile.TemporaryDirectory() as folder:
        first, second = halves(name, how, Path(folder))
        run = vael.train(first, run=Path(folder) / "first", seed=seed, **quiet)
        rate = run.spec.algorithm.optimizer.learning_rate
        begun = vael.train(second, from_=run.folder, time_limit=1e-6, callbacks=()).history[-1].elbo
        found = {}
        for factor in factors:
            again = vael.train(second, from_=run.folder, lr=rate * factor, callbacks=())
            bounds = [row.elbo for row in again.history if row.split == "validation" and row.step]
            found[factor] = begun, bounds[0], max(bounds)
    return found


def main() -> None:
    """Train all of them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["digits", "diabetes"])
    parser.add_argument("--rows", nargs="+", default=["again", "more", "other"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--factors", nargs="+", type=float, default=[1.0, 0.3, 0.1, 0.03])
    options = parser.parse_args()
    for name in options.data:
        for how in options.rows:
            all_of = [gains(name, how, seed, options.factors) for seed in range(options.seeds)]
            for factor in options.factors:
                before, epoch, best = (np.array([one[factor][k] for one in all_of]) for k in range(3))
                told = [f"{part.mean():+8.2f} ± {error(part)}" for part in (epoch - before, best - before)]
                print(f"{name:9} {how:6} x {factor:<5} before {before.mean():9.2f}   {'   '.join(told)}", flush=True)


def error(values: np.ndarray) -> str:
    """The standard error of a mean."""
    return f"{statistics.stdev(values) / len(values) ** 0.5:.2f}" if len(values) > 1 else "-"


if __name__ == "__main__":
    main()
