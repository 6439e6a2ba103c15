"""What a model is held against: no model at all, said before anything else, and real examples that are compared with
draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from vael import domains
from vael.applications.generation import samples
from vael.data import Source
from vael.data.source import spread
from vael.errors import StateError
from vael.evaluation import (
    ClassifierSettings,
    Evaluation,
    Judgement,
    accuracy,
    classifier_features,
    frechet_distance,
    train_classifier,
)
from vael.models import Samples, needs
from vael.probability import PerExample
from vael.report import ReportInput
from vael.report.record import TrivialModel
from vael.report.verdict import fallen
from vael.specs import Run

CERTAIN = 2.0  # standard errors; the model's own, which is more than that of a difference on the same examples
WITHIN = " ON THESE EXAMPLES, by less than two standard errors"


@dataclass(frozen=True)
class Against:
    """What is reached without a model, and what a model of it reaches; nats per example."""

    reached: float
    trivial: TrivialModel
    error: float | None = None  # standard error of what is reached, over examples, where it is known
    fall: float | None = None  # of the bound on validation after its best, where the model overfits

    @property
    def is_worse(self) -> bool:
        """Whether the model is no better than none."""
        return not self.reached > self.trivial.log_likelihood

    @property
    def lines(self) -> tuple[str, ...]:
        """What must be said first; nothing of a model that is better."""
        if not self.is_worse:
            return ()
        error = self.error
        certain = error is None or self.reached + CERTAIN * error < self.trivial.log_likelihood
        told = "" if error is None else f" ± {error:.2f}"
        return (
            f"WORSE THAN NO MODEL{'' if certain else WITHIN}: {self.reached:.2f}{told} nats per example, where "
            f"{self.trivial.what} reach "
            f"{self.trivial.log_likelihood:.2f}; train {self._how}, before anything is done with this model",
        )

    @property
    def _how(self) -> str:
        if self.fall is None:
            return "longer (--time-limit, or --resume with more --epochs), or on more data"
        return (
            "on more data, or a smaller network (--hidden, --channels), and not longer, as the validation bound has "
            f"fallen by {self.fall:.2f} since its best"
        )


def against_trivial(run: Run, judged: Evaluation | Judgement, shown: Source, seed: int = 0) -> Against | None:
    """The estimate of log p(x), else its bound, beside the best of what needs no model: all values equally likely, and
    the baseline of the kind of data. None where there is no likelihood, or nothing to compare it with.
    """
    if not isinstance(judged, Evaluation) or not judged.is_bound:
        return None
    reached = judged.elbo if judged.log_likelihood is None else judged.log_likelihood
    splits = run.splits()
    record = ReportInput(run.model, replace(splits, test=shown), seed=seed, view=domains.of(splits.train))
    found = (uniform(shown), record.view.baseline(record))
    known = [one for one in found if one is not None and math.isfinite(one.log_likelihood)]
    if not known or not math.isfinite(reached):
        return None
    error = None if judged.log_likelihood is None else judged.standard_error
    validation = [row.elbo for row in run.history if row.split == "validation"]
    return Against(reached, max(known, key=lambda one: one.log_likelihood), error, fallen(validation))


def uniform(source: Source) -> TrivialModel | None:
    """All values of an element equally likely; None where there is no end of values."""
    if source.highest is None:
        return None
    levels = source.highest + 1
    return TrivialModel(-math.prod(source.event) * math.log(levels), f"{levels:,.0f} equally likely values")


def as_fields(found: Against | None) -> dict[str, object]:
    """What `--json` says of it."""
    if found is None:
        return {}
    return {
        "trivial_log_likelihood": found.trivial.log_likelihood,
        "trivial": found.trivial.what,
        "worse_than_trivial": found.is_worse,
    }


MOST = 5000  # draws, and held-out examples
STEPS = 3000  # of the classifier, at least five epochs


@dataclass(frozen=True)
class BesideNumbers:
    """What stands beside the numbers of a model: for a person, and as fields of `--json`."""

    lines: tuple[str, ...]
    record: dict[str, object]


def likeness(run: Run, shown: Source, seed: int) -> BesideNumbers:
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
    found = frechet_distance(*sets, features=named)
    line = (
        f"  Fréchet {found.squared:15.4g}   squared distance of {found.sampled.examples:,} draws from "
        f"{found.test.examples:,} examples in {found.features}, {len(found.test.mean)} numbers; {few:,} real examples "
        f"that trained neither model are at {found.floor:.4g}; no Inception features, so not comparable with published "
        "figures"
    )
    record = {
        "features": found.features,
        "dimensions": len(found.test.mean),
        "squared_distance": found.squared,
        "floor": found.floor,
        "draws": found.sampled.examples,
        "examples": found.test.examples,
        "held_out": few,
        "classifier_accuracy": share,
        "warnings": list(found.warnings),
    }
    return BesideNumbers((line, *(f"  warning: {one}" for one in found.warnings)), {"frechet": record})
