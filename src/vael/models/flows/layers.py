"""Invertible layers with weights, and stacks of them at a context."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call

from vael.networks import Perceptron, degrees, in_float32
from vael.probability.flows.flow import Bijection, Carried, Flow
from vael.probability.flows.maps import MonotoneMap


class FlowLayer(nn.Module, ABC):
    """Abstract: an invertible map of vectors whose weights are learned, at a context where there is one."""

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "*rows features"], context: Float[Tensor, "*some context"] | None, back: bool
    ) -> Carried:
        """From u to z, or `back` from z to u; with log |det| on that way."""


class Coupling(FlowLayer):
    """Every other number stays, and says how the rest is mapped (RealNVP: Dinh, Sohl-Dickstein & Bengio 2017; neural
    spline flow: Durkan et al. 2019). Quick in both directions. `odd` says which half stays; of one number none does.
    """

    def __init__(
        self, features: int, each: MonotoneMap, hidden: Sequence[int], *, context: int = 0, odd: bool = False
    ) -> None:
        super().__init__()
        stays = [place for place in range(features) if place % 2 == int(odd) and features > 1]
        moves = [place for place in range(features) if place not in set(stays)]
        self.each = each
        self.network = Perceptron(max(len(stays), 1), (len(moves), each.parameters), hidden, context)
        self.register_buffer("stays", torch.tensor(stays, dtype=torch.int64), persistent=False)
        self.register_buffer("moves", torch.tensor(moves, dtype=torch.int64), persistent=False)

    def forward(
        self, x: Float[Tensor, "*rows features"], context: Float[Tensor, "*some context"] | None, back: bool
    ) -> Carried:
        known = x.index_select(-1, self.stays) if len(self.stays) else torch.zeros_like(x[..., :1])
        raw = self.network(known, context)
        found = (self.each.inverse if back else self.each.forward)(x.index_select(-1, self.moves), raw)
        return Carried(x.index_copy(-1, self.moves, found.value), found.log_slope.sum(-1))


class Autoregressive(FlowLayer):
    """Each number is mapped in a way that the numbers before it say, the first in front or, `backwards`, the last.

    Masked autoregressive (Papamakarios, Pavlakou & Murray 2017): what is known are the numbers of z, so that going back
    and the density take one pass, and drawing as many as there are numbers. `inverted`, inverse autoregressive (Kingma
    et al. 2016): those of u, so that drawing takes one pass.
    """

    def __init__(
        self,
        features: int,
        each: MonotoneMap,
        hidden: Sequence[int],
        *,
        context: int = 0,
        backwards: bool = False,
        inverted: bool = False,
    ) -> None:
        super().__init__()
        self.each, self.backwards, self.inverted = each, backwards, inverted
        known = degrees(features, hidden, backwards=backwards)
        self.network = Perceptron(features, (features, each.parameters), hidden, context, known)

    def forward(
        self, x: Float[Tensor, "*rows features"], context: Float[Tensor, "*some context"] | None, back: bool
    ) -> Carried:
        one_pass = self.each.forward if self.inverted else self.each.inverse
        other = self.each.inverse if self.inverted else self.each.forward
        if back != self.inverted:
            found = one_pass(x, self.network(x, context))
            return Carried(found.value, found.log_slope.sum(-1))
        return self._in_turn(x, context, other)

    def _in_turn(self, x: Tensor, context: Tensor | None, mapped: Callable) -> Carried:
        """Number by number, each once those before it are known."""
        features = x.shape[-1]
        places, found = torch.arange(features, device=x.device), torch.zeros_like(x)
        for place in reversed(range(features)) if self.backwards else range(features):
            raw = self.network(found, context)[..., place, :]
            number = mapped(x[..., place], raw).value
            found = torch.where(places == place, number[..., None], found)
        return Carried(found, mapped(x, self.network(found, context)).log_slope.sum(-1))


@dataclass(frozen=True)
class LayerAt(Bijection):
    """A layer at a context."""

    layer: FlowLayer
    context: Float[Tensor, "*some context"] | None = None
    held: bool = False  # whether no gradient is taken of its weights

    def forward(self, u: Float[Tensor, "*rows features"]) -> Carried:
        return self._carried(u, back=False)

    def inverse(self, z: Float[Tensor, "*rows features"]) -> Carried:
        return self._carried(z, back=True)

    def without_gradient(self) -> LayerAt:
        return LayerAt(self.layer, None if self.context is None else self.context.detach(), held=True)

    def at_rows(self, which: Tensor) -> LayerAt:
        return LayerAt(self.layer, None if self.context is None else self.context[which], self.held)

    def _carried(self, x: Tensor, back: bool) -> Carried:
        if self.context is not None:
            x = x.expand(*torch.broadcast_shapes(x.shape[:-1], self.context.shape[:-1]), -1)
        with in_float32(x):
            if not self.held:
                return self.layer(x, self.context, back)
            weights = {name: weight.detach() for name, weight in self.layer.named_parameters()}
            return functional_call(self.layer, weights, (x, self.context, back))


class Layers(nn.ModuleList):
    """Invertible layers one after another."""

    def after(self, base: Distribution, context: Float[Tensor, "*some context"] | None = None) -> Flow:
        """The distribution of what they make of a draw from `base`."""
        return Flow(base, [LayerAt(cast("FlowLayer", layer), context) for layer in self])
