"""A small classifier, trained in seconds, whose last hidden layer gives features in which samples and data can be
compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vael.data import Source, statistics
from vael.errors import StateError
from vael.networks import Dense, Standardize, seeded
from vael.probability import PerExample

AT_ONCE = 512  # examples judged together


@final
class Classifier(nn.Module):
    """Fully connected; logits of the classes, and what the last hidden layer says."""

    def __init__(self, scale: Standardize, network: Dense) -> None:
        super().__init__()
        self.scale, self.network = scale, network

    def features(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch features"]:
        """The last hidden layer, before the logits."""
        return self.network.body(self.scale(x).flatten(1))

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch classes"]:
        return self.network(self.scale(x))


@dataclass(frozen=True)
class ClassifierSettings:
    """Sizes of the hidden layers (the last is how many features there will be) and how long it trains."""

    hidden: Sequence[int] = (128, 32)
    epochs: int = 5
    batch: int = 100
    learning_rate: float = 2e-3
    seed: int = 0


def labels_of(source: Source) -> Tensor:
    """The labels. Errors: `StateError` where there are none."""
    if source.label is None:
        raise StateError(
            f"{source.name} has no labels, so no classifier can be trained or judged on it; take data with labels"
        )
    return source.label


def train_classifier(source: Source, settings: ClassifierSettings | None = None) -> Classifier:
    """A classifier of `source` by cross-entropy and Adam; the same source, settings and machine give the same weights.

    Errors: `StateError` where there are no labels or only one class.
    """
    how, labels = settings or ClassifierSettings(), labels_of(source)
    classes = int(labels.max()) + 1
    if classes < 2:
        raise StateError(f"{source.name} has labels of one class only; a classifier needs at least two")
    found = statistics(source)
    std = found.std.float().square().mean().sqrt().expand(found.std.shape)
    with seeded(how.seed):
        model = Classifier(Standardize(found.mean.float(), std), Dense(source.event, (classes,), how.hidden, nn.SiLU))
    _climb(model, source, how)
    return model.eval().requires_grad_(False)


def _climb(model: Classifier, source: Source, how: ClassifierSettings) -> None:
    optimizer = torch.optim.Adam(model.parameters(), how.learning_rate)
    generator, labels = torch.Generator().manual_seed(how.seed), labels_of(source)
    for epoch in range(how.epochs):
        for index in torch.randperm(len(source), generator=generator).split(how.batch):
            batch = source.batch(index, PerExample(how.seed + epoch, index))
            optimizer.zero_grad()
            functional.cross_entropy(model(batch.x), labels[index]).backward()
            optimizer.step()


@torch.no_grad()
def accuracy(model: Classifier, source: Source, seed: int = 0) -> float:
    """Share of the examples whose class has the largest logit. Errors: `StateError` where there are no labels."""
    labels, right = labels_of(source), 0
    for index in torch.arange(len(source)).split(AT_ONCE):
        right += int((model(source.batch(index, PerExample(seed, index)).x).argmax(1) == labels[index]).sum())
    return right / len(source)


@torch.no_grad()
def classifier_features(model: Classifier, x: Float[Tensor, "examples *event"]) -> Float[Tensor, "examples features"]:
    """`Classifier.features` of any number of examples, a few at a time."""
    return torch.cat([model.features(part) for part in x.split(AT_ONCE)])
