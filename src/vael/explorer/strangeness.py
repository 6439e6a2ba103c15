"""How strange examples are, as `vael score` has it, and what makes them so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vael.applications.anomaly import REFERENCE, AnomalyDetector
from vael.applications.attribution import regional
from vael.data import Source, Splits
from vael.errors import SupportError
from vael.explorer.looks import Looks, PictureLooks, RowLooks
from vael.models import Decodes

REASONS, LEAST = 3, 0.1  # that are told of an example, and nats that each must be above its usual


@dataclass
class Strangeness:
    """The examples of a split, judged."""

    model: Decodes
    splits: Splits
    source: Source
    looks: Looks
    lock: threading.RLock
    watch: Callable[[int], None] | None = None  # told how many more examples were measured

    @cached_property
    def detector(self) -> AnomalyDetector:
        """What `vael score` judges examples by."""
        with self.lock:
            if self.watch is not None:
                self.watch(0)  # what came before takes no part in the time
            return AnomalyDetector(self.model, self.splits.train, self.splits.validation, watch=self.watch)

    @property
    def measured(self) -> int:
        """How many examples are measured for the scores: those that others are compared with, and all of them."""
        return min(len(self.splits.train), REFERENCE) + 2 * len(self.splits.validation) + len(self.source)

    @cached_property
    def scores(self) -> tuple[list[float], list[float]]:
        """Score and p-value of every example."""
        with self.lock:
            judged = list(self.detector.judge(self.source))
        score, p_value = (torch.cat([getattr(one, name) for one in judged]) for name in ("score", "p_value"))
        return score.tolist(), p_value.tolist()

    @property
    def explains(self) -> bool:
        """Whether reasons can be told of examples of this kind."""
        return isinstance(self.looks, RowLooks | PictureLooks)

    @property
    def unit(self) -> str:
        """Of reasons; none of what an error costs."""
        return " nats" if self.model.states_likelihood else ""

    def reasons(self, chosen: Sequence[int]) -> dict[str, Any]:
        """What is more surprising than usual in some examples, the most surprising first, with by how many nats (or, of
        a model without likelihood, by how much larger an error): columns, steps of series, squares of pictures.

        Of pictures beside it `maps`, hexadecimal bytes of each, a byte for a pixel: 0 as usual or less, 255 `most` nats
        more, the most that there is in any of them. Errors: `SupportError` for other kinds of examples.
        """
        return self.of(self.surprise(chosen))

    def surprise(self, chosen: Sequence[int]) -> Float[Tensor, "examples *event"]:
        """By how much each element of some examples is more surprising than usual. Errors: as `reasons`."""
        if not self.explains:
            raise SupportError("reasons are told of pictures, of rows of columns and of series alone")
        part = self.source.subset(torch.tensor(list(chosen)))
        with self.lock:
            found = torch.cat([one.reasons for one in self.detector.judge(part)])
            return self.detector.explain(part, found)

    def of(self, surprise: Float[Tensor, "examples *event"]) -> dict[str, Any]:
        """What `reasons` tells of examples with this `surprise`."""
        if surprise.shape[1:] != self.source.event:  # of a likelihood that says nothing of single elements
            return {"reasons": [[] for _ in surprise]}
        if isinstance(self.looks, PictureLooks):
            return {"reasons": self.told(*regional(surprise)), "unit": self.unit, **mapped(surprise)}
        return {"reasons": self.told(surprise.flatten(1), self.names(surprise))}

    def names(self, surprise: Tensor) -> tuple[str, ...]:
        """What to call the elements of a row, or of a series step by step."""
        columns = self.looks.schema.names if isinstance(self.looks, RowLooks) else ()
        steps = surprise[0].numel() // len(columns)
        return tuple(f"{name}{f' at step {step + 1}' * (steps > 1)}" for step in range(steps) for name in columns)

    def told(self, surprise: Float[Tensor, "examples parts"], names: tuple[str, ...]) -> list[list[str]]:
        """The most surprising parts of each example in words."""
        most = surprise.topk(min(REASONS, surprise.shape[1]), 1)
        pairs = zip(most.values.tolist(), most.indices.tolist(), strict=True)
        return [
            [f"{names[place]} +{value:.1f}{self.unit}" for value, place in zip(*one, strict=True) if value >= LEAST]
            for one in pairs
        ]


def mapped(surprise: Float[Tensor, "images channels height width"]) -> dict[str, Any]:
    """Where pictures are more surprising than usual, all on one scale."""
    maps = surprise.sum(1).clamp(min=0)
    most = float(maps.max())
    shown = (maps / max(most, 1e-9) * 255).round().to(torch.uint8).cpu().numpy()
    return {"maps": [one.tobytes().hex() for one in shown], "most": most}
