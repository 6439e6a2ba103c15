"""What `vael evaluate` and `report` take."""

from __future__ import annotations

from dataclasses import dataclass

from vael.cli.options.shared import BesideOptions, RunOptions, own_data, seed
from vael.options.declaring import flag, option
from vael.options.values import one_of, whole

IMPORTANCE_SAMPLES = 1000
TOGETHER = 256  # examples encoded at once
PROPOSALS = {
    "adaptive": "ADAPTIVE",
    "encoder": "ENCODER",
    "laplace": "FITTED",
}  # members of `vael.evaluation.Proposals`


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(RunOptions, BesideOptions):
    """What `vael evaluate` takes."""

    data: str | None = own_data()
    split: str | None = option(
        "NAME", "train, validation or test; default test", one_of("train", "validation", "test"), main=True
    )
    importance_samples: int | None = option("K", f"samples per example; default {IMPORTANCE_SAMPLES:,}", whole)
    proposal: str | None = option(
        "NAME",
        "what the samples are drawn from: adaptive (default), the encoder's posterior or, where its weights have a "
        "heavy tail, a Gaussian fitted to the example; encoder, the encoder's posterior only; laplace, a fitted "
        "Gaussian for every example",
        one_of(*PROPOSALS),
    )
    linear_classifier: bool = flag(
        "besides, fit a linear classifier to the codes of labelled training examples, and say how many of this split "
        "it tells right"
    )
    frechet: bool = flag(
        "besides, the Fréchet distance of draws from this split, in features of a classifier that is trained on the "
        "labelled training examples, with that of held-out examples beside it"
    )
    batch: int = option("N", "examples at once; the numbers do not depend on it", whole, default=TOGETHER)
    seed: int = seed("the estimate")
    threads: int | None = option("N", "threads of the processor", whole)


@dataclass(frozen=True, kw_only=True)
class ReportOptions(RunOptions):
    """What `vael report` takes."""

    importance_samples: int | None = option(
        "K", "samples of the estimate of log p(x); default 100 to 1,000 by cost", whole
    )
    seed: int = seed("pictures and estimate")
