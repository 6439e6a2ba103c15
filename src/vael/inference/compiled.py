"""Forward, backward and the length of the gradient as one compiled graph.

The same formulas as the eager step with the same noise, drawn outside the graph and handed in; rounding may differ. The
update stays outside: it is bound by memory, and in the graph it took as long as PyTorch's fused AdamW.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call

from vael.data import Batch
from vael.errors import StateError
from vael.inference.algorithm import Moment
from vael.inference.bound import Bound
from vael.inference.graphs import compiled
from vael.inference.steps import AscentState, Climb, Gradients, length
from vael.probability import Noise, Recorded, Replayed

FIELDS = ("x", "weight", "context", "observed")  # of a batch: what a step reads


class FlatBound:
    """What a batch gives, as a function of tensors alone, for batches of one shape.

    What noise it takes is learnt by running the forward pass once.
    """

    def __init__(self, bound: Bound, names: Sequence[str], batch: Batch) -> None:
        self.bound, self.names = bound, [f"model.{name}" for name in names]
        self.shape = batch.x.shape
        recorder = Recorded(_Zeros())
        with torch.no_grad():
            bound(batch, 0.0, recorder)
        self.requests = recorder.requests
        self.fields = [name for name in FIELDS if name == "weight" or getattr(batch, name) is not None]

    def inputs(self, batch: Batch, moment: Moment) -> list[Tensor]:
        """The batch, and the noise of the step.

        Errors: `StateError` for a batch of another shape than the first.
        """
        if batch.x.shape != self.shape:
            raise StateError(
                f"a step compiled for batches of shape {tuple(self.shape)} got {tuple(batch.x.shape)}; pad the batch "
                "with weight 0"
            )
        noise, like = moment.noise, batch.x
        whole = batch if batch.weight is not None else replace(batch, weight=like.new_ones(len(batch)))
        drawn = [
            noise.normal(shape, like) if kind == "normal" else noise.uniform(shape, like)
            for kind, shape in self.requests
        ]
        return [*(getattr(whole, name) for name in self.fields), *drawn]

    def climb(self, parameters: Sequence[Tensor], given: Sequence[Tensor], progress: Tensor, share: Tensor) -> Climb:
        """Which way is up; `share` is one over the examples of the batch."""
        fields = len(self.fields)
        batch = Batch(**dict(zip(self.fields, given[:fields], strict=True)))
        with torch.enable_grad():
            leaves = [p.detach().requires_grad_() for p in parameters]
            named = dict(zip(self.names, leaves, strict=True))
            surrogate, totals = functional_call(self.bound, named, (batch, progress, Replayed(given[fields:])))
            gradients = torch.autograd.grad(-surrogate * share, leaves)
        return Climb(surrogate.detach(), totals.detach(), gradients)


class CompiledGradients(Gradients):
    """Compiled for one shape of batch, when it is first called."""

    def __init__(self, bound: Bound, state: AscentState) -> None:
        self.bound, self.names = bound, state.names
        self.parameters = [p.detach() for p in state.parameters]  # the same memory
        self.flat: FlatBound | None = None

    def __call__(self, batch: Batch, moment: Moment) -> Climb:
        flat = self.flat or FlatBound(self.bound, self.names, batch)
        scalars = torch.tensor([moment.progress, 1.0 / moment.examples], device=batch.x.device)
        inputs = [*self.parameters, scalars, *flat.inputs(batch, moment)]
        if self.flat is None:
            self.flat, self.graph = flat, compiled(partial(self._graph, flat), inputs)
        with torch.no_grad():
            surrogate, totals, norm, *gradients = self.graph(*inputs)
        return Climb(surrogate, totals, gradients, norm)

    def _graph(self, flat: FlatBound, *tensors: Tensor) -> list[Tensor]:
        count = len(self.parameters)
        progress, share = tensors[count].unbind()
        climb = flat.climb(tensors[:count], tensors[count + 1 :], progress, share)
        return [climb.surrogate, climb.totals, length(climb.gradients), *climb.gradients]


class _Zeros(Noise):
    """A source that gives zeros, to learn what is asked for."""

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return torch.zeros(tuple(shape), dtype=like.dtype, device=like.device)

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return torch.zeros(tuple(shape), dtype=like.dtype, device=like.device)
