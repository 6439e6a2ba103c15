"""Pythae 0.1.2 through its own training pipeline; a turn is one call of its train_step, an epoch."""

import json
import sys
import tempfile
import time

import numpy as np
import torch
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import nn

network, batch, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
x = np.load(path).astype(np.float32)
if network == "mlp":
    event, latent = (1, 28, 28), 20
    body, out = (
        nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU()),
        nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid()),
    )
    width, loss = 400, "bce"
else:
    x, event, latent, width, loss = x / 255, (3, 32, 32), 128, 4096, "mse"
    body = nn.Sequential(
        nn.Conv2d(3, 64, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(64, 128, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(128, 256, 4, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
    )
    out = nn.Sequential(
        nn.Linear(128, 4096),
        nn.Unflatten(1, (256, 4, 4)),
        nn.ReLU(),
        nn.ConvTranspose2d(256, 128, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 3, 4, 2, 1),
    )


class Encoder(BaseEncoder):
    def __init__(self):
        BaseEncoder.__init__(self)
        self.body, self.mean, self.log = body, nn.Linear(width, latent), nn.Linear(width, latent)

    def forward(self, given):
        h = self.body(given)
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log(h))


class Decoder(BaseDecoder):
    def __init__(self):
        BaseDecoder.__init__(self)
        self.out = out

    def forward(self, z):
        return ModelOutput(reconstruction=self.out(z).reshape(len(z), *event))


class Turns(TrainingCallback):
    def on_train_step_begin(self, training_config, **kwargs):
        if not sys.stdin.readline():
            raise SystemExit
        self.begun, self.used, self.steps = time.perf_counter(), time.process_time(), 0

    def on_train_step_end(self, training_config, **kwargs):
        self.steps += 1
        if self.steps == -(-len(train) // batch):
            speed = len(train) / (time.perf_counter() - self.begun)
            processor = len(train) / (time.process_time() - self.used)
            print(json.dumps({"examples_per_second": speed, "examples_per_processor_second": processor}), flush=True)


train = np.concatenate([x] * (1 if network == "conv" else 2))
model = VAE(
    VAEConfig(input_dim=event, latent_dim=latent, reconstruction_loss=loss), encoder=Encoder(), decoder=Decoder()
)
with tempfile.TemporaryDirectory() as folder:
    config = BaseTrainerConfig(
        output_dir=folder,
        num_epochs=100_000,
        per_device_train_batch_size=batch,
        learning_rate=1e-3,
        keep_best_on_train=False,
    )
    torch.manual_seed(0)
    print(json.dumps({"ready": True}), flush=True)
    TrainingPipeline(model=model, training_config=config)(train_data=train, callbacks=[Turns()])
