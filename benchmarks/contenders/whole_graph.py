"""The whole step as one graph, written by hand for 784-400-20: gather, noise, forward, backward in bf16, and Adam."""

import json
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import grad_and_value

from vael.process import tuned
from vael.training.device import has_bf16_units

network, batch, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if network != "mlp":
    sys.exit("the graph is written for one dense network")
process = tuned()  # until the end of the process
process.__enter__()
half = has_bf16_units(torch.device("cpu"))
x = torch.from_numpy(np.load(path)).flatten(1)
torch.manual_seed(0)
layers = (nn.Linear(784, 400), nn.Linear(400, 40), nn.Linear(20, 400), nn.Linear(400, 784))
weights = [p.detach() for layer in layers for p in layer.parameters()]
first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))


def loss(p, given, noise):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        hidden = F.relu(F.linear(given, p[0], p[1]))
        mean, log_variance = F.linear(hidden, p[2], p[3]).float().chunk(2, 1)
        z = mean + (0.5 * log_variance).exp() * noise
        out = F.linear(F.relu(F.linear(z, p[4], p[5])), p[6], p[7]).float()
    reconstruction = F.binary_cross_entropy_with_logits(out, given, reduction="sum")
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
    return (reconstruction + divergence) / len(given)


def step(x, rows, weights, first, second, steps):
    gradients, value = grad_and_value(loss)(weights, x[rows].float(), torch.randn(len(rows), 20))
    steps = steps + 1
    for w, g, m, v in zip(weights, gradients, first, second, strict=True):
        m.lerp_(g, 0.1)
        v.mul_(0.999).addcmul_(g, g, value=0.001)
        w.sub_(1e-3 * (m / (1 - 0.9**steps)) / ((v / (1 - 0.999**steps)).sqrt() + 1e-8))
    return value, steps


graph = torch.compile(step, fullgraph=True, dynamic=False)
steps = torch.zeros(())


@torch.no_grad()
def epoch() -> int:
    global steps
    order = torch.randperm(len(x))
    whole = len(x) // batch
    for k in range(whole):
        _, steps = graph(x, order[k * batch : (k + 1) * batch], weights, first, second, steps)
    return whole * batch


epoch()
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    begun, used, seen = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < float(line):
        seen += epoch()
    seconds, processor = time.perf_counter() - begun, time.process_time() - used
    print(
        json.dumps({"examples_per_second": seen / seconds, "examples_per_processor_second": seen / processor}),
        flush=True,
    )
