"""Rows a second that are scored (bound of each row) and encoded in memory, by networks of random weights: they do not
change the time.

    python benchmarks/scoring.py [--threads 2] [--rounds 4]

30 numeric columns with the network that `vael train` takes for 100,000 rows (15 latents, 128-128), and MNIST-sized
binary images with 784-400-20: with ReLU, as in the other systems' examples (and in `speed.py`), and with SiLU, which
`vael train` takes. The best of several rounds, beside the machine's matrix peak in the same run.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack

import torch

from vael.data import Kind, Source, statistics
from vael.evaluation import row_batches, row_terms
from vael.models import BernoulliHead, GaussianHead, LearnedScale
from vael.process import tuned
from vael.recipes import dense


def best(function, rows: int, rounds: int) -> float:
    """Rows a second of the fastest round."""
    found = 0.0
    for _ in range(rounds):
        begun = time.perf_counter()
        function()
        found = max(found, rows / (time.perf_counter() - begun))
    return found


def scored(model, source: Source, samples: int) -> None:
    for _ in row_terms(model, source, samples=samples):
        pass


def encoded(model, source: Source) -> None:
    with torch.inference_mode():
        for batch in row_batches(model, source):
            model.encode(batch)


def peak(size: int = 2048) -> float:
    """GFLOP/s of a float32 matrix product."""
    a = torch.randn(size, size)
    return best(lambda: a @ a, 2 * size**3, 8) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    asked = parser.parse_args()
    process = ExitStack()  # until the end of the process
    process.enter_context(tuned())
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    table = Source("table", torch.randn(400_000, 30) @ torch.randn(30, 30), Kind.REAL, "")
    known = statistics(table)
    images = Source("images", (torch.rand(60_000, 1, 28, 28) < 0.13).to(torch.uint8), Kind.BINARY, "")
    models = {
        "30 columns, 15 latents, 128-128": (
            dense((30,), GaussianHead(known, LearnedScale(30)), latent=15, hidden=(128, 128), statistics=known),
            table,
        ),
        "MNIST, 784-400-20": (
            dense((1, 28, 28), BernoulliHead(), latent=20, hidden=(400,), activation="relu"),
            images,
        ),
        "MNIST, 784-400-20, SiLU": (dense((1, 28, 28), BernoulliHead(), latent=20, hidden=(400,)), images),
    }
    print(f"matrix peak {peak():.0f} GFLOP/s, {asked.threads} threads\n")
    print("| rows/s | bound, 1 sample | bound, 2 samples | codes |\n|---|---:|---:|---:|")
    for name, (model, source) in models.items():
        model.eval()
        rates = [best(lambda n=n, m=model, s=source: scored(m, s, n), len(source), asked.rounds) for n in (1, 2)]
        rates.append(best(lambda m=model, s=source: encoded(m, s), len(source), asked.rounds))
        print(f"| {name} | {' | '.join(f'{rate:,.0f}' for rate in rates)} |", flush=True)


if __name__ == "__main__":
    main()
