"""A posterior that is a normalising flow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.models.core import Conditional, Posterior, given
from vael.models.families import PosteriorPart
from vael.models.flows.layers import Layers
from vael.models.flows.parts import FlowPart, InverseAutoregressivePart
from vael.models.likelihoods.heads import at_least_float32
from vael.probability import bounded, diagonal_gaussian


class FlowPosterior(Posterior):
    """Encoder q(z | x): what invertible layers, given h(x), make of N(μ(x), diag σ²(x)) (Rezende & Mohamed 2015;
    inverse autoregressive: Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling 2016). Starts near the Gaussian.

    The network gives 2 × features + context numbers: μ, raw log σ (bounded smoothly to (-7, 3)), h. The density is
    exact.
    """

    def __init__(self, network: nn.Module, layers: Layers, features: int, *, sees_gaps: bool = False) -> None:
        super().__init__()
        self.network, self.layers, self.features, self.sees_gaps = network, layers, features, sees_gaps

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        numbers = at_least_float32(given(self.network, x, context))
        loc, raw, known = numbers[..., : self.features], numbers[..., self.features : 2 * self.features], None
        if numbers.shape[-1] > 2 * self.features:
            known = numbers[..., 2 * self.features :]
        return self.layers.after(diagonal_gaussian(loc, bounded(raw, -7.0, 3.0).exp()), known)


class FlowPosteriorPart(PosteriorPart):
    """What invertible layers, given the example, make of a Gaussian: a normalising flow."""

    kind: Literal["flow"] = "flow"
    flow: FlowPart = InverseAutoregressivePart(layers=2)
    context: Annotated[int, Field(ge=0, le=2**20)] = 32  # numbers that the encoder gives every layer

    def numbers(self, features: int) -> int:
        return 2 * features + self.context

    def build(self, network: nn.Module, features: int, *, sees_gaps: bool) -> Conditional:
        return FlowPosterior(network, self.flow.build(features, self.context), features, sees_gaps=sees_gaps)
