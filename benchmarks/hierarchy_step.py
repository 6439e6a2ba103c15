"""What a training step of a hierarchy costs against the sum of its networks, likelihood and optimiser measured alone.

    python benchmarks/hierarchy_step.py [--rounds 20] [--batch 256] [--precision bfloat16] [--compiled] [--profile]

Processor time of one thread, in turns, so that a busy machine slows all parts alike; printed are the least of the
rounds, the sum, and the step over the sum (the aim is at most 1.15). Networks are forward and backward through every
block at fixed latents, the likelihood forward and backward of log p(x | z) at fixed outputs, the optimiser AdamW's
fused update. With `--compiled` step, networks and likelihood are compiled graphs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call

from vael.data import Kind, Source
from vael.inference import AdamW, GradientAscent, Moment, World
from vael.models import BernoulliHead
from vael.models.hierarchical import HierarchicalVAE
from vael.networks import seeded
from vael.networks.ladder import DenseLadder
from vael.probability import Stream

EVENT = (1, 28, 28)
STEPS = 10  # in a turn


def model(sizes: tuple[int, ...], width: int) -> HierarchicalVAE:
    with seeded(0):
        ladder = DenseLadder(EVENT, EVENT, sizes, width)
        return HierarchicalVAE(torch.nn.Identity(), ladder, BernoulliHead(), torch.nn.Identity(), sees_gaps=False)


def networks(ladder: DenseLadder, names: list[str], precision: torch.dtype, *given: Tensor) -> list[Tensor]:
    """The gradients of a sum of everything that the blocks give at fixed latents."""
    weights, x, latents = given[: len(names)], given[len(names)], given[len(names) + 1 :]
    leaves = [one.detach().requires_grad_() for one in weights]

    class Blocks(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ladder = ladder

        def forward(self, x: Tensor) -> Tensor:
            found, h = torch.zeros(()), ladder.top().expand(len(x), -1)
            for level, (up, z) in enumerate(zip(ladder.seen(x), latents, strict=True)):
                found = found + ladder.prior(level, h).float().sum() + ladder.posterior(level, h, up).float().sum()
                h = ladder.below(level, h, z.to(h.dtype))
            return found + ladder.out(h).float().sum()

    with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        named = {f"ladder.{name}": leaf for name, leaf in zip(names, leaves, strict=True)}
        return list(torch.autograd.grad(functional_call(Blocks(), named, (x,)), leaves))


def likelihood(head: BernoulliHead, raw: Tensor, x: Tensor) -> list[Tensor]:
    """The gradient of Σ log p(x | z) in the decoder's outputs."""
    with torch.enable_grad():
        leaf = raw.detach().requires_grad_()
        return list(torch.autograd.grad(head(leaf[None]).log_prob(x).sum(), leaf))


def graph(function: Callable[..., list[Tensor]], inputs: list[Tensor], compiled: bool) -> Callable[[], object]:
    if compiled:
        from vael.inference.graphs import compiled as compile_graph

        function = compile_graph(function, inputs)

    def turn() -> None:
        with torch.no_grad():
            function(*inputs)

    return turn


def parts(batch: int, precision: torch.dtype, compiled: bool, sizes: tuple[int, ...], width: int):
    """Turns of the whole step and of its parts."""
    made, numbers = model(sizes, width), torch.Generator().manual_seed(0)
    x = (torch.rand(batch, *EVENT, generator=numbers) < 0.13).to(torch.uint8)
    data = Source("random", x, Kind.BINARY, "")
    ascent = GradientAscent(made, optimizer=AdamW(1e-3, weight_decay=0.1))
    state = ascent.init(data, World(precision=precision, compiled=compiled))
    examples, noise = data.batch(torch.arange(batch)), Stream(numbers)

    def step() -> None:
        ascent.step(state, examples, Moment(0.5, 1.0, noise, batch))

    ladder = made.ladder
    names = [name for name, _ in ladder.named_parameters()]
    weights = [p.detach().clone() for p in ladder.parameters()]
    latents = [torch.randn(batch, n, generator=numbers) for n in sizes]
    raw = torch.randn(batch, *EVENT, generator=numbers)
    trained = [p.clone().requires_grad_() for p in weights]
    adam = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.1, fused=True)
    for one in trained:
        one.grad = torch.randn(one.shape, generator=numbers)
    blocks = partial(networks, ladder, names, precision)
    return {
        "step": step,
        "networks": graph(blocks, [*weights, examples.x, *latents], compiled),
        "likelihood": graph(partial(likelihood, made.head), [raw, examples.x], compiled),
        "optimiser": lambda: adam.step(),
    }


def milliseconds(turn: Callable[[], object]) -> float:
    begun = time.process_time()
    for _ in range(STEPS):
        turn()
    return 1000 * (time.process_time() - begun) / STEPS


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--latents", default="16,32")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--profile", action="store_true", help="print the operations of ten steps by processor time")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    sizes = tuple(int(one) for one in asked.latents.split(","))
    turns = parts(asked.batch, getattr(torch, asked.precision), asked.compiled, sizes, asked.width)
    for turn in turns.values():  # what is slow only once
        turn()
    least = {name: milliseconds(turn) for name, turn in turns.items()}
    for _ in range(asked.rounds):
        least = {name: min(least[name], milliseconds(turn)) for name, turn in turns.items()}
    together = sum(one for name, one in least.items() if name != "step")
    for name, one in least.items():
        print(f"{name:>12}  {one:7.2f} ms of processor time")
    print(f"{'sum':>12}  {together:7.2f} ms; the step takes {least['step'] / together:.2f} times as long")
    if asked.profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            for _ in range(STEPS):
                turns["step"]()
        print(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=20))


if __name__ == "__main__":
    program()
