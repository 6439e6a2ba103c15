"""Which recipe gives the best model of dynamically binarised MNIST in so many seconds, by validation figures alone.

    VAEL_DATA=... python benchmarks/speedrun.py --seconds 300 [--only NAME,NAME] [--clock processor] [--runs FOLDER]
    VAEL_DATA=... python benchmarks/speedrun.py --seconds 300 --test NAME

Every candidate is one `vael train` command with --time-limit, printed before it runs; then its bound on the validation
split, and log p(x) of the first 500 of it with K = 500. `--clock processor` counts processor seconds of one thread in
place of the clock on the wall, so that a busy machine ranks candidates too (two quiet cores give some 1.7 times as
many as seconds pass); the final figure is that of `--test` on a quiet machine, K = 1000 on the whole test split.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import types

DATA = ["mnist", "--binarize", "dynamic"]
CANDIDATES: dict[str, list[str]] = {
    "default": [],
    "mixture prior": ["--prior", "mixture", "--set", "model.prior.components=500"],
    "wider": ["--hidden", "500,500"],
    "wider with mixture prior": ["--hidden", "500,500", "--prior", "mixture", "--set", "model.prior.components=500"],
    "hierarchy": ["--model", "hierarchical"],
    "hierarchy of 400": [
        *("--model", "hierarchical", "--set", "model.ladder.width=400", "--set", "model.ladder.latents=24,24"),
    ],
    "hierarchy of an hour": ["--model", "hierarchical-hour"],
    "hierarchy of an hour at rate 1e-3": ["--model", "hierarchical-hour", "--lr", "0.001"],
}


def processor_seconds() -> float:
    """Of this process and the compilers that it started."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def train(name: str, seconds: float, folder: pathlib.Path, clock: str) -> pathlib.Path:
    """The run of a candidate; one that is there already is taken as it is."""
    from vael.cli.main import main

    run = folder / f"{name.replace(' ', '-')}-{seconds:g}"
    if (run / "model.safetensors").exists():
        return run
    words = ["train", *DATA, "--time-limit", f"{seconds:g}", "--run", str(run), "--no-report", *CANDIDATES[name]]
    if clock == "processor":
        import vael.training.clock

        vael.training.clock.time = types.SimpleNamespace(perf_counter=processor_seconds)  # type: ignore[bad-assignment]
        words += ["--threads", "1"]
    print("vael", *words, flush=True)
    if status := main([*words, "--importance-samples", "2", "--quiet"]):
        sys.exit(status)
    return run


def judged(run: pathlib.Path, split: str, examples: int | None, samples: int) -> str:
    """Bound and log p(x) of a run, in nats."""
    import torch

    import vael
    from vael.evaluation import evaluate

    loaded = vael.load(run)
    source = loaded.split(split)[1]
    chosen = source if examples is None else source.subset(torch.arange(min(examples, len(source))))
    found = evaluate(loaded.model, chosen, split=split, importance_samples=samples)
    return (
        f"{split}: bound {found.elbo:.2f}, log p(x) {found.log_likelihood:.2f} ± {found.standard_error:.2f} "
        f"(K = {samples}, {len(chosen)} examples), k-hat {found.k_hat:.2f}, above 0.7 {found.k_hat_above_limit:.1%}"
    )


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--only", default=",".join(CANDIDATES))
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/speedrun"))
    parser.add_argument("--test", choices=list(CANDIDATES))
    asked = parser.parse_args()
    asked.runs.mkdir(parents=True, exist_ok=True)
    if asked.test:
        run = train(asked.test, asked.seconds, asked.runs, asked.clock)
        print(f"{asked.test}: {judged(run, 'test', None, 1000)}")
        return
    for name in (one.strip() for one in asked.only.split(",")):
        run = train(name, asked.seconds, asked.runs, asked.clock)
        print(f"{name}: {judged(run, 'validation', 500, 500)}", flush=True)


if __name__ == "__main__":
    program()
