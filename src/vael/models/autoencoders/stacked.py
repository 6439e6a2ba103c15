"""Stacks of shallow autoencoders, each of the codes of the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from vael.data.facts import Moments
from vael.models.assembly import offset, outputs, unit_scale
from vael.models.autoencoders.autoencoder import Autoencoder
from vael.models.likelihoods.heads import Head
from vael.models.likelihoods.squared_error import SquaredErrorHead
from vael.models.vae import Decoder
from vael.networks import Dense
from vael.networks.dense import bias_at
from vael.networks.initialize import gain, unit_gain


def stacked(
    event: Sequence[int],
    head: Head | None = None,
    *,
    features: Sequence[int] = (512, 256, 128, 32),
    activation: Callable[[], nn.Module] = nn.SiLU,
    statistics: Moments | None = None,
) -> tuple[Autoencoder, ...]:
    """Shallow autoencoders, from the data to `features[0]`, from there to `features[1]` ..., the last code linear.

    For `vael.training.pretrain` and `vael.models.unrolled` (Hinton & Salakhutdinov 2006); unrolled as they are, they
    are the same deep network without pre-training.
    """
    head = head or SquaredErrorHead(statistics)
    sizes, last = [tuple(event), *((n,) for n in features)], len(features)

    def layer(inputs: Sequence[int], shape: Sequence[int], first: bool) -> Dense:
        network = Dense(inputs, shape, ())
        unit_gain(network.last, 1.0 if first else gain(activation))
        return network

    def shallow(level: int) -> Autoencoder:
        below, above = sizes[level - 1], sizes[level]
        before = unit_scale(event, statistics) if level == 1 else []
        encode = nn.Sequential(
            *before, layer(below, above, level == 1), nn.Identity() if level == last else activation()
        )
        back = layer(above, outputs(event, head) if level == 1 else below, level == last)
        back = bias_at(back, offset(head, statistics)) if level == 1 else back
        return Autoencoder(
            encode,
            Decoder(
                nn.Sequential(back, nn.Identity() if level == 1 else activation()),
                head if level == 1 else SquaredErrorHead(),
            ),
        )

    return tuple(shallow(level) for level in range(1, last + 1))


def layers_of(deep: Autoencoder) -> tuple[Autoencoder, ...]:
    """The shallow autoencoders that a deep one was unrolled from; they share its weights.

    Errors: `TypeError` for one that was not unrolled.
    """
    encoders, decoders = deep.encoder, deep.decoder.network
    if not isinstance(encoders, nn.Sequential) or not isinstance(decoders, nn.Sequential):
        raise TypeError("this autoencoder was not unrolled from a stack, so it has no layers to train one by one")
    pairs = zip(encoders, reversed(list(decoders)), strict=True)
    return tuple(
        Autoencoder(encode, Decoder(decode, deep.decoder.head if level == 0 else SquaredErrorHead()))
        for level, (encode, decode) in enumerate(pairs)
    )
