"""Which recipe gives the best model of dynamically binarised MNIST in so many seconds, by validation figures alone.

    VAEL_DATA=... python benchmarks/speedrun.py --seconds 300 [--only NAME,NAME] [--seed 0] [--clock processor]
    [--runs FOLDER]
    VAEL_DATA=... python benchmarks/speedrun.py --seconds 300 --test NAME [--images N]

Every candidate is one `vael train` command with --time-limit, printed before it runs; then bound and log p(x) of the
first 500 images of the validation split with K = 500, and for all but the first how much better it is than the first,
with the error of the difference on the same images: from the means of 25 parts of 20 images. `--clock processor` counts
processor seconds of one thread in place of the clock on the wall, so that a busy machine ranks candidates too (two
quiet cores give some 1.7 times as many as seconds pass); the final figure is that of `--test` on a quiet machine, K =
1000 on the whole test split.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

DATA = ["mnist", "--binarize", "dynamic"]
CANDIDATES: dict[str, list[str]] = {
    "default": [],
    "independent pixels": ["--model", "dense"],
    "two levels": ["--model", "hierarchical"],
    "one weight of a feature": ["--set", "model.likelihood.features=1"],
    "eight weights of features": ["--set", "model.likelihood.features=8"],
    "decoder of 128": ["--hidden", "128,300"],
    "batch 128": ["--batch", "128"],
    "mixture prior": ["--prior", "mixture", "--set", "model.prior.components=500"],
    "wider hierarchy": ["--model", "hierarchical", "--set", "model.ladder.width=600"],
    "hierarchy of three levels": ["--model", "hierarchical", "--set", "model.ladder.latents=16,16,16"],
    "hierarchy at rate 4e-3": ["--model", "hierarchical", "--lr", "0.004"],
    "hierarchy of an hour": ["--model", "hierarchical-hour"],
    "hierarchy of an hour at rate 1e-3": ["--model", "hierarchical-hour", "--lr", "0.001"],
}


def processor_seconds() -> float:
    """Of this process and the compilers that it started."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def train(name: str, asked: argparse.Namespace) -> pathlib.Path:
    """The run of a candidate; one that is there already is taken as it is."""
    from vael.cli.main import main

    seconds, seed = asked.seconds, asked.seed
    run = asked.runs / f"{name.replace(' ', '-')}-{seconds:g}{f'-seed-{seed}' if seed else ''}"
    if (run / "model.safetensors").exists():
        return run
    words = ["train", *DATA, "--time-limit", f"{seconds:g}", "--run", str(run), "--no-report", *CANDIDATES[name]]
    words += ["--seed", str(seed)] if seed else []
    if asked.clock == "processor":
        import vael.training.clock

        vael.training.clock.time = types.SimpleNamespace(perf_counter=processor_seconds)  # type: ignore[bad-assignment]
        words += ["--threads", "1"]
    print("vael", *words, flush=True)
    if status := main([*words, "--importance-samples", "2", "--quiet"]):
        sys.exit(status)
    return run


def judged(run: pathlib.Path, split: str, samples: int, images: int | None = None) -> str:
    """Bound and log p(x) of a run over a whole split, or so many of it at random, in nats."""
    import torch

    import vael
    from vael.evaluation import evaluate

    loaded = vael.load(run)
    source = loaded.split(split)[1]
    if images is not None:
        source = source.subset(torch.randperm(len(source), generator=torch.Generator().manual_seed(0))[:images])
    found = evaluate(loaded.model, source, split=split, importance_samples=samples)
    return (
        f"{split}: bound {found.elbo:.2f}, log p(x) {found.log_likelihood:.2f} ± {found.standard_error:.2f} "
        f"(K = {samples}, {len(source)} examples), k-hat {found.k_hat:.2f}, above 0.7 {found.k_hat_above_limit:.1%}"
    )


def by_parts(run: pathlib.Path, samples: int, parts: int = 25, size: int = 20) -> tuple[Tensor, str]:
    """Mean log p(x) of each part of the first examples of the validation split, in nats, and what is told of them."""
    import torch

    import vael
    from vael.evaluation import evaluate

    loaded = vael.load(run)
    source = loaded.split("validation")[1]
    found = [
        evaluate(loaded.model, source.subset(part), split="validation", importance_samples=samples)
        for part in torch.arange(parts * size).split(size)
    ]
    means = torch.tensor([part.log_likelihood for part in found], dtype=torch.float64)
    bound, above = (
        sum(map(value, found)) / parts for value in (lambda one: one.elbo, lambda one: one.k_hat_above_limit)
    )
    return means, (
        f"validation: bound {bound:.2f}, log p(x) {means.mean():.2f} ± {error(means):.2f} (K = {samples}, "
        f"{parts * size} examples), k-hat above 0.7 {above:.1%}"
    )


def error(values: Tensor) -> float:
    """The standard error of a mean."""
    return float(values.std() / len(values) ** 0.5)


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--only", default=",".join(CANDIDATES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/speedrun"))
    parser.add_argument("--test", choices=list(CANDIDATES))
    parser.add_argument("--images", type=int)
    asked = parser.parse_args()
    asked.runs.mkdir(parents=True, exist_ok=True)
    if asked.test:
        print(f"{asked.test}: {judged(train(asked.test, asked), 'test', 1000, asked.images)}")
        return
    first = None
    for name in (one.strip() for one in asked.only.split(",")):
        means, told = by_parts(train(name, asked), 500)
        first = means if first is None else first
        gain = means - first
        ahead = "" if means is first else f"; better than the first by {gain.mean():.2f} ± {error(gain):.2f}"
        print(f"{name}: {told}{ahead}", flush=True)


if __name__ == "__main__":
    program()
