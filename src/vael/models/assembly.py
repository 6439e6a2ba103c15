"""From parts to encoders and decoders: what stands between data and a network, and where a decoder starts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from vael.data.facts import Facts, Moments, scale_of
from vael.models.likelihoods.columns import ColumnsHead, ColumnsInput
from vael.models.likelihoods.heads import Head
from vael.models.vae import Decoder
from vael.networks import Gaps, Offset, Standardize
from vael.networks.conditioned import Conditioned
from vael.networks.parts import NetworkPart


def outputs(event: Sequence[int], head: Head) -> tuple[int, ...]:
    """Shape of the raw numbers that `head` asks for."""
    if isinstance(head, ColumnsHead):
        return (head.raw_numbers,)
    return (head.channels_per_cell * event[0], *event[1:])


def unit_scale(event: Sequence[int], moments: Moments | None) -> list[nn.Module]:
    """The layer that brings data to unit scale, if the moments are known: element by element for a table, with one
    scale for an image.
    """
    if moments is None:
        return []
    return [Standardize(moments.mean.float(), scale_of(moments))]


def offset(head: Head, moments: Moments | None) -> Tensor | None:
    """Raw output at which the head's distribution resembles the data, if it needs one and the moments are known."""
    return None if moments is None else head.start(moments.mean.float(), moments.std.float())


def inputs_of(facts: Facts, head: Head, *, flat: bool = True) -> tuple[list[nn.Module], tuple[int, ...]]:
    """What x goes through before a network sees it, and the shape of what comes out: columns by their kinds where the
    likelihood is one for each column, else numbers of unit scale. Sequences have their gaps beside them, on the axis of
    channels where the network is not `flat`.
    """
    if isinstance(head, ColumnsHead):
        shown = ColumnsInput(head.schema, facts.sample)
        return [shown], (shown.features,)
    scale = unit_scale(facts.event, facts.moments)
    if facts.channels_last and not flat:
        return [Gaps(nn.Sequential(*scale), flat=False)], (facts.event[0], 2 * facts.event[1])
    if facts.gaps or facts.channels_last:
        return [Gaps(nn.Sequential(*scale))], (2 * math.prod(facts.event),)
    return scale, facts.event


def encoder(part: NetworkPart, facts: Facts, head: Head, numbers: int) -> nn.Module:
    """x, and c where there is one, to `numbers` numbers. Errors: `ShapeError` for data that the network cannot take."""
    layers, shape = inputs_of(facts, head, flat=part.flat)
    if not facts.context:
        network = part.encoder(shape, numbers)
        return nn.Sequential(*layers, network) if layers else network
    size = 1
    for n in shape:
        size *= n
    joined = (size + facts.context,) if part.flat else (shape[0] + facts.context, *shape[1:])
    return Conditioned(nn.Sequential(*layers), part.encoder(joined, numbers), flat=part.flat)


def decoder(part: NetworkPart, facts: Facts, features: int, head: Head) -> Decoder:
    """z, and c where there is one, to p(x | z, c)."""
    start = None if isinstance(head, ColumnsHead) else offset(head, facts.moments)
    if facts.channels_last and not part.flat:  # the numbers of an element stand before its time and channel
        network = part.decoder(features + facts.context, (head.channels_per_cell, *facts.event), None)
        layers = [network, nn.Flatten(1, 2), *([] if start is None else [Offset(start)])]
        return Decoder(nn.Sequential(*layers), head)
    return Decoder(part.decoder(features + facts.context, outputs(facts.event, head), start), head)
