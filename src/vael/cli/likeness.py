"""How near draws of a model are to data: the part of `vael evaluate` that measures the Fréchet distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vael.applications.generation import samples
from vael.data import Source
from vael.errors import StateError
from vael.evaluation import (
    ClassifierSettings,
    FrechetDistance,
    accuracy,
    classifier_features,
    frechet_distance,
    train_classifier,
)
from vael.models import Samples, needs
from vael.probability import PerExample
from vael.report.gather import spread
from vael.specs import Run

MOST = 5000  # draws, and held-out examples
STEPS = 3000  # of the classifier, at least five epochs


@dataclass(frozen=True)
class Likeness:
    """The distance of draws from data in the features of a classifier, and how good that classifier is."""

    distance: FrechetDistance
    accuracy: float  # of the classifier, on the examples that the draws are compared with
    held_out: int  # examples of the floor

    @property
    def lines(self) -> tuple[str, ...]:
        """For a person."""
        found = self.distance
        line = (
            f"  Fréchet {found.squared:15.4g}   squared distance of {found.sampled.examples:,} draws from "
            f"{found.test.examples:,} examples in {found.features}, {len(found.test.mean)} numbers; "
            f"{self.held_out:,} real examples that trained neither model are at {found.floor:.4g}; no Inception "
            "features, so not comparable with published figures"
        )
        return (line, *(f"  warning: {one}" for one in found.warnings))

    @property
    def record(self) -> dict[str, object]:
        """As fields of `--json`."""
        found = self.distance
        return {
            "frechet": {
                "features": found.features,
                "dimensions": len(found.test.mean),
                "squared_distance": found.squared,
                "floor": found.floor,
                "draws": found.sampled.examples,
                "examples": found.test.examples,
                "held_out": self.held_out,
                "classifier_accuracy": self.accuracy,
                "warnings": list(found.warnings),
            }
        }


def likeness(run: Run, shown: Source, seed: int) -> Likeness:
    """Draws from p(x) against `shown`, in the last hidden layer of a classifier of the training examples, which is
    trained for it; the floor is the validation split against `shown`, as many examples as there are draws.

    Errors: `StateError` for a model that draws nothing or is conditioned on something, for examples without
    labels, and for the splits that the classifier and the floor are made of.
    """
    model, splits = needs(run.model, Samples, "measuring how near draws are to data"), run.splits()
    train, held_out = splits.train, splits.validation
    if run.spec.data.condition is not None:
        raise StateError(
            "the Fréchet distance is between draws from p(x) and data, but this model draws at a condition; leave it "
            "out (--frechet)"
        )
    if train.label is None or shown.label is None or bool((train.label < 0).any()):
        raise StateError(
            f"the Fréchet distance is measured in features of a classifier of labelled examples, but {shown.name} has "
            "no label for each; leave it out (--frechet), or give data with labels"
        )
    if shown.fingerprint in (train.fingerprint, held_out.fingerprint):
        raise StateError(
            "the Fréchet distance is to examples that neither trained a model nor give its floor, but the training or "
            "the validation split was asked for; take the test split (leave --split out), or other data with labels"
        )
    epochs = max(5, STEPS * ClassifierSettings.batch // len(train))
    classifier = train_classifier(train, ClassifierSettings(epochs=epochs, seed=seed))
    few = min(MOST, len(held_out))
    index = spread(len(held_out), few)
    kept = held_out.batch(index, PerExample(seed, index)).x
    whole = torch.arange(len(shown))
    real = torch.cat([shown.batch(one, PerExample(seed, one)).x for one in whole.split(512)])
    share = accuracy(classifier, shown, seed)
    sets = (classifier_features(classifier, x) for x in (samples(model, few, seed), real, kept))
    named = f"the last hidden layer of a classifier that is right for {share:.1%} of them"
    return Likeness(frechet_distance(*sets, features=named), share, few)
