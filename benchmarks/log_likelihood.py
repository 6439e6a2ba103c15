"""Speed and memory of log p(x) by importance sampling: vael against Pythae's `get_nll`, in one run.

    python benchmarks/log_likelihood.py [--rounds 5] [--examples 20] [--importance-samples 5000] [--threads N]
    [--pythae-python PATH]

The network is 784-400-20 with Bernoulli cells, float32, random weights: they do not change the time. Each contender is
a process of its own that waits for its turn; turns are taken in rounds, so a machine that slows down slows everybody.
Printed are medians over rounds with their range, the peak of resident memory, and the ratio. Pythae lives in an
environment of its own (`pip install torch==2.13.0 pythae==0.1.2`); without `--pythae-python` only vael is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack


def vael_turn(examples: int, samples: int):
    """Function that evaluates log p(x) once."""
    import torch

    from vael import recipes
    from vael.data import Kind, Source
    from vael.evaluation import evaluate
    from vael.models import BernoulliHead

    x = (torch.rand(examples, 1, 28, 28, generator=torch.Generator().manual_seed(0)) < 0.13).to(torch.uint8)
    model = recipes.dense((1, 28, 28), BernoulliHead(), latent=20, hidden=(400,), activation="relu")
    source = Source(name="random", x=x, kind=Kind.BINARY, fingerprint="")
    return lambda: evaluate(model, source, importance_samples=samples)


def pythae_turn(examples: int, samples: int):
    """`get_nll` as it is shipped, with its default batch of 100 draws."""
    import torch
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from torch import nn

    class Encoder(BaseEncoder):
        def __init__(self):
            BaseEncoder.__init__(self)
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU())
            self.mean, self.log = nn.Linear(400, 20), nn.Linear(400, 20)

        def forward(self, given):
            h = self.body(given)
            return ModelOutput(embedding=self.mean(h), log_covariance=self.log(h))

    class Decoder(BaseDecoder):
        def __init__(self):
            BaseDecoder.__init__(self)
            self.body = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())

        def forward(self, z):
            return ModelOutput(reconstruction=self.body(z).reshape(len(z), 1, 28, 28))

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder(), decoder=Decoder())
    x = (torch.rand(examples, 1, 28, 28, generator=torch.Generator().manual_seed(0)) < 0.13).float()
    return lambda: model.get_nll(x, n_samples=samples)


def contend(name: str, examples: int, samples: int, threads: int) -> None:
    """The process of a contender: one line in, one turn, one line out."""
    import torch

    process = ExitStack()  # until the end of the process
    torch.set_num_threads(threads)
    if name == "vael":
        from vael.process import tuned  # as a training run does

        process.enter_context(tuned())
    turn = {"vael": vael_turn, "pythae": pythae_turn}[name](examples, samples)
    turn()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"ready": before}), flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        turn()
        seconds, peak = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"examples_per_second": examples / seconds, "peak_mib": peak / 1024}), flush=True)


def answer(process: subprocess.Popen) -> dict:
    """The next line of a contender that is a JSON object."""
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise SystemExit(f"{process.args[0]} ended without an answer; run {' '.join(process.args)} to see why")


def measure(given: argparse.Namespace) -> dict[str, list[dict]]:
    """Answers of every contender, round by round."""
    interpreters = {"vael": sys.executable} | ({"pythae": given.pythae_python} if given.pythae_python else {})
    sizes = [
        f"--examples={given.examples}",
        f"--importance-samples={given.importance_samples}",
        f"--threads={given.threads}",
    ]
    running = {
        name: subprocess.Popen(
            [python, __file__, "--contend", name, *sizes], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name, python in interpreters.items()
    }
    for process in running.values():
        answer(process)
    found: dict[str, list[dict]] = {name: [] for name in running}
    for _ in range(given.rounds):
        for name, process in running.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            found[name].append(answer(process))
    for process in running.values():
        process.stdin.close()
        process.wait()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--importance-samples", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--pythae-python")
    parser.add_argument("--contend", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contend:
        return contend(given.contend, given.examples, given.importance_samples, given.threads)
    found = measure(given)
    medians = {}
    for name, rounds in found.items():
        speeds = [r["examples_per_second"] for r in rounds]
        medians[name] = statistics.median(speeds)
        peak = max(r["peak_mib"] for r in rounds)
        print(
            f"{name:8s} {medians[name]:8.1f} examples/s [{min(speeds):.1f} to {max(speeds):.1f}]   peak memory "
            f"{peak:,.0f} MiB"
        )
    if "pythae" in medians:
        ratio = medians["vael"] / medians["pythae"]
        print(
            f"ratio    {ratio:8.2f}   K = {given.importance_samples:,}, {given.threads} threads, {given.rounds} rounds"
        )


if __name__ == "__main__":
    main()
