"""The hand-written loop: data in memory, gather by index, fused Adam, no DataLoader, nothing recorded."""

import json
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

network, batch, path, how = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
if how == "tuned":
    from vael.process import tuned

    process = tuned()  # until the end of the process
    process.__enter__()
x = torch.from_numpy(np.load(path)).float()
torch.manual_seed(0)
if network == "mlp":
    x = x.flatten(1)
    encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))
else:
    x = x / 255
    encoder = nn.Sequential(
        nn.Conv2d(3, 64, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(64, 128, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(128, 256, 4, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4096, 256),
    )
    decoder = nn.Sequential(
        nn.Linear(128, 4096),
        nn.Unflatten(1, (256, 4, 4)),
        nn.ReLU(),
        nn.ConvTranspose2d(256, 128, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 3, 4, 2, 1),
    )
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)


def epoch() -> None:
    order = torch.randperm(len(x))
    for k in range(0, len(x), batch):
        given = x[order[k : k + batch]]
        mean, log_variance = encoder(given).chunk(2, 1)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        out = decoder(z)
        if network == "mlp":
            reconstruction = F.binary_cross_entropy_with_logits(out, given, reduction="sum")
        else:
            reconstruction = F.mse_loss(out, given, reduction="sum") / (2 * 0.1**2)
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        loss = (reconstruction + divergence) / len(given)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    begun, used, seen = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < float(line):
        epoch()
        seen += len(x)
    seconds, processor = time.perf_counter() - begun, time.process_time() - used
    print(
        json.dumps({"examples_per_second": seen / seconds, "examples_per_processor_second": seen / processor}),
        flush=True,
    )
