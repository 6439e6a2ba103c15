"""Models of frames given earlier frames, judged by what they say of them, step by step and several steps ahead."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Batch, Source
from vael.evaluation.estimation import Estimation
from vael.evaluation.judgement import Judgement, KeyFigure
from vael.models import Predicts
from vael.probability import PerExample

DRAWS = 100


@dataclass(frozen=True)
class Horizon:
    """What is said so many steps ahead, mean over windows and over all times at which it can be asked."""

    steps: int
    log_likelihood: float  # log p(x_t+steps | x_1 ... x_t) a frame, importance-weighted, nats
    bound: float


@dataclass(frozen=True, kw_only=True)
class PredictionJudgement(Judgement):
    """Log p(x_t | x_1 ... x_t-1), summed over the frames of a window, and of frames farther ahead."""

    draws: int
    log_likelihood: float  # Σ_t log p(x_t | x_1 ... x_t-1), nats a window
    standard_error: float | None  # over windows
    bound: float  # of the same sum
    horizons: tuple[Horizon, ...]
    log_likelihood_per_example: Float[Tensor, " examples"]

    @property
    def figures(self) -> tuple[KeyFigure, ...]:
        told = (
            f"Σ log p(x_t | x_1 ... x_t-1) over the frames of a window, importance-weighted, K = {self.draws}; ± is "
            "one standard error over windows"
        )
        figures = [
            KeyFigure("one_step", "one step", self.log_likelihood, "nats", told, standard_error=self.standard_error),
            KeyFigure("one_step_bound", "bound", self.bound, "nats", "on the same sum"),
        ]
        for one in self.horizons:
            what = f"log p(x_t+{one.steps} | x_1 ... x_t) of a frame; its bound {one.bound:.2f}"
            figures.append(KeyFigure(f"ahead_{one.steps}", f"{one.steps} ahead", one.log_likelihood, "nats", what))
        return tuple(figures)


def horizons_of(model: Predicts, frames: int) -> list[int]:
    """One, two, four ... steps ahead, as far as jumps go, and the farthest."""
    most = min(model.farthest, frames)
    return sorted({2**power for power in range(most.bit_length()) if 2**power <= most} | {most})


def judge_prediction(
    model: Predicts, source: Source, parts: list[Batch], how: Estimation, draws: int = DRAWS
) -> PredictionJudgement:
    """What is said of each frame given those before it, and of frames farther ahead, mean over all windows.

    Weights are those of `Predicts.log_ahead`, so that each is a lower bound in expectation; noise is a function of
    (seed, window).
    """
    begun = time.perf_counter()
    every = horizons_of(model, source.event[0])
    logs: dict[int, list[Tensor]] = {steps: [] for steps in every}
    bounds: dict[int, list[Tensor]] = {steps: [] for steps in every}
    for batch in parts:
        for steps in every:
            log_w = model.log_ahead(batch, steps, draws, PerExample(how.seed + steps, batch.rows)).double().cpu()
            logs[steps].append(log_w.logsumexp(0) - math.log(draws))
            bounds[steps].append(log_w.mean(0))
    each = {steps: torch.cat(found) for steps, found in logs.items()}
    below = {steps: torch.cat(found) for steps, found in bounds.items()}
    whole = each[1].sum(1)
    return PredictionJudgement(
        data=source.name,
        split=how.split,
        examples=len(source),
        seed=how.seed,
        seconds=time.perf_counter() - begun,
        estimator="each frame given those before it, and frames farther ahead given those up to a time; the model "
        "bounds these, and has no other log p(x) of a series than the sum of the first",
        notes=source.notes,
        draws=draws,
        log_likelihood=float(whole.mean()),
        standard_error=float(whole.std() / math.sqrt(len(whole))) if len(whole) > 1 else None,
        bound=float(below[1].sum(1).mean()),
        horizons=tuple(Horizon(steps, float(each[steps].mean()), float(below[steps].mean())) for steps in every),
        log_likelihood_per_example=whole,
    )
