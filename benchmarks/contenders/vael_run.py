"""vael with everything on: its own loop with progress, metrics, averaged weights, guard, checkpoints."""

import json
import pathlib
import sys
import tempfile
import time
from dataclasses import replace

import numpy as np
import torch

from vael.data import Kind, Source, Splits
from vael.inference import GradientAscent
from vael.models import BernoulliHead
from vael.recipes import convolutional, dense
from vael.training import Callback, Settings, run

network, batch, path, how = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
x = torch.from_numpy(np.load(path))
torch.manual_seed(0)
if network == "mlp":
    model, kind, levels = (
        dense((1, 28, 28), BernoulliHead(), latent=20, hidden=(400,), activation="relu"),
        Kind.BINARY,
        None,
    )
else:
    from vael.models import FixedScale, GaussianHead

    model = convolutional(
        (3, 32, 32), GaussianHead(spread=FixedScale(25.5)), latent=128, channels=(64, 128, 256), activation="relu"
    )
    kind, levels = Kind.INTEGER, 256
repeat = 1 if network == "conv" else 4  # an epoch of a turn's length
train = Source("benchmark", x.repeat(repeat, 1, 1, 1), kind, "benchmark", levels=levels)


class Turns(Callback):
    """Ends each epoch by waiting for the next turn; the wait is not in the epoch's time."""

    def row(self, row):
        if row.split == "train":
            if self.told:
                processor = len(train) / (time.process_time() - self.used)
                said = {"examples_per_second": row.examples_per_second, "examples_per_processor_second": processor}
                print(json.dumps(said), flush=True)
            else:
                print(json.dumps({"ready": True}), flush=True)
            self.told = True
            if not sys.stdin.readline():
                raise SystemExit
        self.used = time.process_time()  # with the validation of 128 examples before an epoch begins

    told, used = False, 0.0


few = Source("benchmark", x[:128], kind, "benchmark", levels=levels)
# a checkpoint takes 0.03 s once a minute, but turns are so far apart that each would have one
settings = Settings(epochs=100_000, batch=batch, checkpoint_every=1e4)
if how == "eager":
    settings = replace(settings, compiled=False, precision=torch.float32)
with tempfile.TemporaryDirectory() as folder:
    run(GradientAscent(model), Splits(train, few, None), settings, folder=pathlib.Path(folder), callbacks=[Turns()])
