"""Training speed of vael against a hand-written PyTorch loop, Pythae and NumPyro, in one run.

    python benchmarks/speed.py [--rounds 5] [--pythae-python PATH] [--numpyro-python PATH] [--only mlp-128]

Every contender is a process that waits for its turn, trains for a second or more, and says how fast it was; turns are
taken in rounds, so a machine that slows down slows everybody. Printed are medians over the rounds, the range, and
ratios of the medians. Rivals live in environments of their own: `pip install torch==2.13.0 pythae==0.1.2` and `pip
install numpyro==0.22.0 jax==0.10.2`. The data are the training digits of MNIST (`VAEL_DATA`), made binary at one half;
where they are absent, random cells as dense.

On a machine with other work on it, examples per second of processor time with `--threads 1` say more than examples per
second: the time that others take is not in them, though what they do to the caches is.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).parent / "contenders"
CASES = {  # network, batch, examples in a turn
    "mlp-128": ("mlp", 128, 12_800),
    "mlp-1024": ("mlp", 1024, 20_480),
    "conv-128": ("conv", 128, 1_024),
}
CONTENDERS = {  # file, environment, arguments
    "minimal loop (a)": ("minimal.py", None, ["plain"]),
    "minimal loop, tuned": ("minimal.py", None, ["tuned"]),
    "whole graph, by hand": ("whole_graph.py", None, []),
    "vael eager": ("vael_run.py", None, ["eager"]),
    "vael automatic": ("vael_run.py", None, ["automatic"]),
    "Pythae 0.1.2": ("pythae_run.py", "pythae", []),
    "NumPyro SVI": ("numpyro_run.py", "numpyro", []),
}


def images(kind: str, count: int) -> np.ndarray:
    """Cells as uint8 `[count, *event]`."""
    root = pathlib.Path(os.environ.get("VAEL_DATA", "."))
    if kind == "mlp" and (root / "mnist").is_dir():
        from vael.data import load

        x = load("mnist").train.x[:count].numpy()
        return (x > 127).astype(np.uint8)
    generator = np.random.default_rng(0)
    if kind == "mlp":
        return (generator.random((count, 1, 28, 28)) < 0.13).astype(np.uint8)
    return generator.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


class Contender:
    """A process that trains when it is told to."""

    def __init__(self, command: list[str], threads: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.ready = self.answer() is not None

    def answer(self) -> dict | None:
        """The next line that is a JSON object; None when the process has ended."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        return None

    def turn(self, seconds: float) -> dict | None:
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def peak() -> float:
    """GFLOP/s of a float32 matrix product on all cores."""
    import time

    import torch

    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    seconds = []
    for _ in range(8):
        begun = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - begun)
    return 2 * 2048**3 / min(seconds) / 1e9


def compare(
    case: str, pythons: dict[str, str | None], rounds: int, threads: int, seconds: float, named: list[str]
) -> dict[str, list[dict]]:
    """What every contender said of every round."""
    network, batch, count = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "x.npy"
        np.save(data, images(network, count))
        running = {}
        for name, (file, environment, arguments) in CONTENDERS.items():
            python = pythons[environment] if environment else sys.executable
            if python is None or (named and name not in named):
                continue
            contender = Contender([python, str(HERE / file), network, str(batch), str(data), *arguments], threads)
            if contender.ready:
                running[name] = contender
            else:
                print(f"{case}: {name} did not start", file=sys.stderr)
        speeds: dict[str, list[dict]] = {name: [] for name in running}
        for turn in range(rounds + 1):
            for name, contender in running.items():
                said = contender.turn(seconds)
                if said is not None and turn:  # the first round warms up
                    speeds[name].append(said)
        for contender in running.values():
            contender.end()
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=list(CASES), action="append")
    parser.add_argument("--pythae-python")
    parser.add_argument("--numpyro-python")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=1.5, help="of a turn, for those that can be told")
    parser.add_argument("--contender", choices=list(CONTENDERS), action="append", help="only these")
    options = parser.parse_args()
    pythons = {"pythae": options.pythae_python, "numpyro": options.numpyro_python}
    print(f"float32 matrix peak {peak():.0f} GFLOP/s, {os.cpu_count()} cores, {options.threads} threads")
    for case in options.only or CASES:
        found = compare(case, pythons, options.rounds, options.threads, options.seconds, options.contender or [])
        for unit in ("examples_per_second", "examples_per_processor_second"):
            speeds = {name: [said[unit] for said in rounds] for name, rounds in found.items() if rounds}
            base = statistics.median(next(iter(speeds.values())))
            print(f"\n{case}: {unit.replace('_', ' ')}, median of {options.rounds} [range], ratio to the first")
            for name, figures in speeds.items():
                median = statistics.median(figures)
                print(f"  {name:22} {median:10,.0f} [{min(figures):,.0f} to {max(figures):,.0f}]  {median / base:5.2f}")


if __name__ == "__main__":
    main()
