"""Flows by name."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vael.models.flows.layers import Autoregressive, Coupling, FlowLayer, Layers
from vael.networks.parts import Widths
from vael.parts import Part
from vael.probability.flows.maps import AffineMap, MonotoneMap, SplineMap

Bins = Annotated[int, Field(ge=2, le=256)]


class FlowPart(Part):
    """Abstract: an invertible map of vectors, layer by layer."""

    family: ClassVar[str] = "flow"
    home: ClassVar[str] = "vael.models.flows"
    layers: Annotated[int, Field(ge=1, le=64)] = 4
    hidden: Widths = (64,)  # of the network of each layer
    map: Literal["affine", "spline"] = "affine"  # of each number
    bins: Bins = 8  # of a spline

    @abstractmethod
    def layer(self, features: int, each: MonotoneMap, context: int, number: int) -> FlowLayer:
        """The layer of this number, from 0."""

    def build(self, features: int, context: int = 0) -> Layers:
        """Layers over vectors of `features` numbers, given `context` numbers."""
        each: dict[str, MonotoneMap] = {"affine": AffineMap(), "spline": SplineMap(self.bins)}
        return Layers(self.layer(features, each[self.map], context, number) for number in range(self.layers))


class CouplingPart(FlowPart):
    """Every other number says how the rest is mapped: quick to draw from and to judge (RealNVP, neural spline)."""

    kind: Literal["coupling"] = "coupling"

    def layer(self, features: int, each: MonotoneMap, context: int, number: int) -> FlowLayer:
        return Coupling(features, each, self.hidden, context=context, odd=bool(number % 2))


class MaskedAutoregressivePart(FlowPart):
    """Each number is mapped as those before it say: quick to judge, number by number to draw from (MAF)."""

    kind: Literal["autoregressive"] = "autoregressive"
    inverted: ClassVar[bool] = False

    def layer(self, features: int, each: MonotoneMap, context: int, number: int) -> FlowLayer:
        return Autoregressive(
            features, each, self.hidden, context=context, backwards=bool(number % 2), inverted=self.inverted
        )


class InverseAutoregressivePart(MaskedAutoregressivePart):
    """`autoregressive` the other way round: quick to draw from, number by number to judge (IAF)."""

    kind: Literal["inverse-autoregressive"] = "inverse-autoregressive"  # type: ignore[bad-override]
    inverted: ClassVar[bool] = True
