"""A hierarchy of dense levels in whole numbers: every state, mean and scale of every level is an integer.

States and the numbers of distributions are in units of 2^-12. With p(z_l | z_<l) = N(μ, σ²) the posterior of a level is
N(μ + σ Δμ, (σ Δσ)²), of which σ, 1 / σ and 1 / Δσ are tabulated.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vael.compression.integers.integer_heads import IntegerHead, quantise_head
from vael.compression.integers.integer_laws import (
    RATE,
    RAW,
    Curve,
    IndependentNormals,
    IntegerGrid,
    Whole,
    function_grid,
    normal_curve,
    raw_numbers,
)
from vael.compression.integers.integer_model import VERSION, IntegerModel, Symbols, integer, part_of
from vael.compression.integers.integer_network import Affine, IntegerNetwork, read_network
from vael.compression.integers.quantising import RESULT_LIMIT, TABLE_BITS, exponent, quantise_network, whole
from vael.compression.laws import CodingLaw, Parts
from vael.data import Batch
from vael.errors import SupportError
from vael.models import posterior_levels, prior_levels
from vael.models.hierarchical import HierarchicalVAE
from vael.networks.ladder import DenseBlock, DenseLadder
from vael.probability import Stream

KIND = "ladder"
FINE, LOW, HIGH = 5, -24, 24  # raw log-deviations are told apart at multiples of 1/128 between these
HALF = 4  # bits that each of two rates is short of before they are multiplied


@dataclass(frozen=True)
class LatentUnits:
    """The grid of the latents: multiples of 2^-bits, from -reach to reach - 1 of them."""

    bits: int
    reach: int


@dataclass(frozen=True, eq=False)
class IntegerLadder(IntegerModel):
    """The networks `first`, `last` and, with the number of a level behind them, `up`, `down`, `prior`, `posterior` and
    `entry`; the tables `normal` (Φ), `scale` (σ), `rate` (1 / σ), `relative` (1 / Δσ), `top` (the state above all).
    """

    units: LatentUnits

    @property
    def facts(self) -> dict[str, object]:
        return {
            "version": VERSION,
            "kind": KIND,
            "event": list(self.event),
            "levels": self.levels,
            "sizes": list(self.sizes),
            "units": [self.units.bits, self.units.reach],
            "source": self.source,
            "head": {"kind": self.head.kind, **self.head.facts},
            "networks": {name: network.facts for name, network in self.networks.items()},
            "limits": {name: network.limit for name, network in self.networks.items()},
        }

    def posterior(self, x: Symbols) -> CodingLaw:
        seen = self._seen(torch.from_numpy(x.astype(np.float64)).view(len(x), *self.event))
        return Parts(
            lambda above: self._posterior_of(len(above), self._state(above, len(x)), seen[len(above)]), self.sizes
        )

    def prior(self, examples: int) -> CodingLaw:
        return Parts(lambda above: self._prior_of(len(above), self._state(above, examples)), self.sizes)

    def likelihood(self, z: Symbols) -> CodingLaw:
        h = self._state(np.split(z, np.cumsum(self.sizes)[:-1], axis=1), len(z))
        return self.head.law(integer(self.networks["last"](h)))

    def _seen(self, x: Tensor) -> list[Tensor]:
        """What the way up gives to each level, the top first."""
        h, found = self.networks["first"](x), []
        for level in reversed(range(len(self.sizes))):
            h = added(h, self.networks[f"up.{level}"](h))
            found.append(h)
        return found[::-1]

    def _state(self, above: list[np.ndarray], examples: int) -> Tensor:
        """The state that latents of the levels above make."""
        h = torch.from_numpy(self.tables["top"]).double().expand(examples, -1)
        for level, z in enumerate(above):
            h = added(h, self.networks[f"entry.{level}"](torch.from_numpy(z.astype(np.float64))))
            h = added(h, self.networks[f"down.{level}"](h))
        return h

    def _moments(self, level: int, h: Tensor) -> tuple[Whole, Whole, Whole]:
        """Mean of the prior in units of 2^-12, its deviation and one over it in units of 2^-24."""
        loc, wide = np.split(integer(self.networks[f"prior.{level}"](h)), 2, axis=1)
        return loc, self._read("scale", wide), self._read("rate", wide)

    def _prior_of(self, level: int, h: Tensor) -> IndependentNormals:
        loc, _, rate = self._moments(level, h)
        return self._normals(loc, rate)

    def _posterior_of(self, level: int, h: Tensor, seen: Tensor) -> IndependentNormals:
        loc, scale, rate = self._moments(level, h)
        raw = integer(self.networks[f"posterior.{level}"](torch.cat((h, seen), 1)))
        shift, wider = np.split(raw, 2, axis=1)
        moved = loc + ((scale * shift) >> RATE)
        return self._normals(moved, ((rate >> HALF) * (self._read("relative", wider) >> HALF)) >> (RATE - 2 * HALF))

    def _read(self, table: str, raw: Whole) -> Whole:
        return IntegerGrid(self.tables[table], LOW << (RAW - FINE), FINE)(raw)

    def _normals(self, loc: Whole, rate: Whole) -> IndependentNormals:
        furthest = 4 * self.units.reach << (RAW - self.units.bits)
        curve = Curve(self.tables["normal"])
        return IndependentNormals(curve, self.units.bits, self.units.reach, np.clip(loc, -furthest, furthest), rate)


def added(h: Tensor, more: Tensor) -> Tensor:
    """Two states of integers, within what networks take."""
    return (h + more).clamp_(-RESULT_LIMIT, RESULT_LIMIT)


def assembled_ladder(tensors: Mapping[str, Tensor], facts: Mapping[str, object], head: IntegerHead) -> IntegerLadder:
    """The model of a file."""
    layers: Mapping[str, list[Mapping[str, object]]] = facts["networks"]  # type: ignore[assignment]
    limits: Mapping[str, int] = facts["limits"]  # type: ignore[assignment]
    networks = {name: read_network(limits[name], said, part_of(tensors, name)) for name, said in layers.items()}
    tables = {name: tensors[name].long().numpy() for name in ("normal", "scale", "rate", "relative", "top")}
    event, sizes, units = (tuple(facts[name]) for name in ("event", "sizes", "units"))  # type: ignore[arg-type]
    levels = int(facts["levels"])  # type: ignore[call-overload]
    return IntegerLadder(head, event, levels, sizes, str(facts["source"]), networks, tables, LatentUnits(*units))


def quantise_ladder(
    model: HierarchicalVAE, x: Tensor, levels: int, units: LatentUnits, *, source: str = "", seed: int = 0
) -> IntegerLadder:
    """A hierarchy in float64 in whole numbers; examples `[batch, *event]` show how large its numbers grow.

    Errors: `SupportError` for levels that are no vectors, and for a layer or a head without a form in whole numbers.
    """
    ladder = model.ladder
    if not isinstance(ladder, DenseLadder):
        raise SupportError(
            f"a {type(ladder).__name__} has no form in whole numbers: levels that are vectors (--model hierarchical) "
            "have; compress at the default level"
        )
    noise = Stream(torch.Generator().manual_seed(seed))
    own, free = (posterior_levels(model, Batch(x=x), 1, noise), prior_levels(model, len(x), noise))
    seen, h = ladder.seen(model.before(x)), ladder.top().expand(2 * len(x), -1)
    first = nn.Sequential(model.before, nn.Flatten(), ladder.first)
    networks = {"first": quantise_network(first, x, unit=0, limit=levels - 1)}
    below = first(x)
    for level in reversed(range(len(ladder.sizes))):
        networks[f"up.{level}"] = _after_state(_body(ladder.rung(level).up), below)
        below = seen[level]
    for level, drawn in enumerate(zip(own, free, strict=True)):
        rung, z = ladder.rung(level), torch.cat([one[0] for one in drawn])
        networks[f"prior.{level}"] = _after_state(rung.prior, h)
        networks[f"posterior.{level}"] = _after_state(rung.posterior, torch.cat((h[: len(x)], seen[level]), 1))
        limit = units.reach
        networks[f"entry.{level}"] = quantise_network(nn.Sequential(rung.entry), z, unit=units.bits, limit=limit)
        networks[f"down.{level}"] = _after_state(_body(rung.down), h + rung.entry(z))
        h = ladder.below(level, h, z)
    networks["last"] = _after_state(nn.Sequential(ladder.last, model.start), h)
    raw = raw_numbers(LOW, HIGH, FINE)
    wide = model.deviation(raw, -5.0, 3.0)
    tables = {"scale": wide, "rate": 1 / wide, "relative": 1 / model.deviation(raw, -5.0, 2.0)}
    grids = {name: function_grid(values * 2.0**RATE, LOW, FINE).values for name, values in tables.items()}
    grids |= {"normal": normal_curve().values, "top": integer(whole(ladder.top() * 2.0**RAW))}
    head = quantise_head(model.head)
    return IntegerLadder(head, tuple(x.shape[1:]), levels, ladder.sizes, source, networks, grids, units)


def _body(block: nn.Module) -> nn.Module:
    """What a block adds to the state, its factor in the weights of the last layer."""
    if not isinstance(block, DenseBlock):
        raise SupportError(f"a {type(block).__name__} has no form in whole numbers; compress at the default level")
    body = copy.deepcopy(block.body)
    for weights in body[-1].parameters():
        weights.mul_(block.factor)
    return body


def _after_state(network: nn.Module, examples: Tensor) -> IntegerNetwork:
    """A network that begins with an activation function, for states in units of 2^-12."""
    unit = exponent(float(examples.abs().max()), TABLE_BITS)
    one, none = torch.ones(1).double(), torch.zeros(1).double()
    brought = Affine(one * 2.0 ** max(0, unit - RAW), none, max(0, RAW - unit), 1 << TABLE_BITS)
    rest = quantise_network(network, examples, unit=unit, limit=1 << TABLE_BITS)
    return IntegerNetwork((brought, *rest.stages), RESULT_LIMIT)
