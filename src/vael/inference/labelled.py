"""Gradient ascent where few examples have a label: every step sees some of them, none counts more for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from vael.data import Batch, Source
from vael.errors import StateError
from vael.inference.algorithm import Algorithm, Info, Moment, World
from vael.inference.gradient import GradientAscent
from vael.inference.parts import GradientAscentPart
from vael.inference.steps import AscentState
from vael.models import Classifies, Model, has
from vael.objectives.labelled import LabelledELBOPart
from vael.objectives.parts import ELBOPart, ObjectivePart
from vael.probability import Noise

QUARTER = 4  # a batch has a quarter more rows where labels are rarer than that


class LabelledAscent(Algorithm[Model, AscentState]):
    """`ascent`, with as many labelled examples in each step as a quarter of its batch, where labels are rarer.

    Labelled and other examples are two strata. The batch is that of the loop; in it labelled examples count nothing,
    and M others, drawn at random from all labelled ones of the data, are put beside it. Each of these counts
    N_l B / (N M), so that together they count as much as the labelled ones to be expected in a batch of B: what is
    climbed is what it would be without, in expectation, with less noise. Where labels are no rarer, the batch stays as
    it is. Validation is given no labels: weights are chosen by the bound on log p(x).
    """

    def __init__(self, ascent: GradientAscent, data: Source) -> None:
        self.ascent, self.data, self.model = ascent, data, ascent.model
        label = data.label
        self.rows = torch.empty(0, dtype=torch.int64) if label is None else (label >= 0).nonzero()[:, 0]
        self.warmup = ascent.warmup

    @property
    def learning_rate(self) -> float | None:
        return self.ascent.learning_rate

    @property
    def is_bound(self) -> bool:
        return self.ascent.is_bound

    def init(self, data: Source, world: World) -> AscentState:
        """As gradient ascent. Errors: `StateError` in several processes."""
        if world.size > 1:
            raise StateError("labelled examples are put beside batches in one process only; train in one process")
        return self.ascent.init(data, world)

    def step(self, state: AscentState, batch: Batch, moment: Moment) -> Info:
        return self.ascent.step(state, self.stratified(batch, moment), moment)

    def stratified(self, batch: Batch, moment: Moment) -> Batch:
        """The batch with labelled examples beside it, and the weights of all."""
        more, rows = max(1, len(batch) // QUARTER), self.rows
        if not len(rows) or len(rows) * QUARTER >= len(self.data) or batch.label is None:
            return batch
        chosen = self._chosen(more, moment.noise, batch.x)
        beside = self.data.batch(rows[chosen].to(self.data.x.device), moment.noise)
        weight = torch.ones_like(batch.x[:, :1].flatten(1)[:, 0]) if batch.weight is None else batch.weight
        own = torch.where(batch.label >= 0, torch.zeros_like(weight), weight)
        each = len(rows) * moment.examples / (len(self.data) * more)
        return joined(replace(batch, weight=own), replace(beside, weight=own.new_full((more,), each)))

    def _chosen(self, more: int, noise: Noise, like: Tensor) -> Int64[Tensor, " more"]:
        uniform = noise.uniform((1, more), like.new_zeros((), dtype=torch.float32))[0]
        return (uniform * len(self.rows)).long().clamp(max=len(self.rows) - 1).cpu()

    @torch.no_grad()
    def bound(self, state: AscentState, batch: Batch, noise: Noise) -> Info:
        return self.ascent.bound(state, replace(batch, label=None), noise)

    def weights(self, state: AscentState) -> dict[str, Tensor]:
        return self.ascent.weights(state)

    def skipped(self, state: AscentState) -> int:
        return self.ascent.skipped(state)

    def check(self, state: AscentState) -> None:
        self.ascent.check(state)


def joined(first: Batch, second: Batch) -> Batch:
    """The rows of both, of every field that both have."""
    both = {one.name: (getattr(first, one.name), getattr(second, one.name)) for one in fields(first)}
    found: Mapping[str, Tensor] = {
        name: torch.cat((a, b.to(a.device)))
        for name, (a, b) in both.items()
        if isinstance(a, Tensor) and isinstance(b, Tensor)
    }
    return replace(first, **found)


class LabelledAscentPart(GradientAscentPart):
    """Gradient ascent in which every step sees labelled examples, however few there are."""

    kind: Literal["labelled-ascent"] = "labelled-ascent"  # type: ignore[bad-override]
    objective: ObjectivePart = LabelledELBOPart()

    def check(self, model: Model, data: Source) -> None:
        """Errors: `StateError` for an objective other than the bound, and for a model that learns no classes."""
        if not isinstance(self.objective, (LabelledELBOPart, ELBOPart)):
            raise StateError(
                f"a model of classes climbs its own bound, not {self.objective.name}, which would take latents that "
                "are summed out; choose another objective (--objective semi-supervised)"
            )
        if not has(model, Classifies):
            raise StateError(
                f"{type(model).__name__} learns no classes; take gradient ascent (algorithm gradient-ascent), or a "
                "semi-supervised model"
            )

    def build(self, model: Model, data: Source) -> Algorithm:
        return LabelledAscent(super().build(model, data), data)  # type: ignore[bad-argument-type]
