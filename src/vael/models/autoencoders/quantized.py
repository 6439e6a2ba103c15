"""Variational autoencoders with codes for latents, on one grid or two (van den Oord et al. 2017; Razavi et al.
2019).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.batch import Batch
from vael.errors import ShapeError, StateError
from vael.models.autoencoders.codes import CodeGrid, CodePrior, UniformCodes
from vael.models.capabilities import Codes, Decodes, Samples
from vael.models.core import EVERYTHING, Levels, Terms
from vael.models.likelihoods.heads import Head, Moments, at_least_float32, units
from vael.models.vae import Decoder, filled, seen
from vael.networks import GridDecoder, GridEncoder, Offset, Quantized, Quantizer, ResidualBlock, Standardize, grid_size
from vael.networks.convolution import double, halve
from vael.networks.initialize import initialize, unit_gain
from vael.networks.quantizer import Uniform
from vael.probability import Noise, as_noise, draw


class Coder(nn.Module, ABC):
    """Abstract: an example to its codes, level by level, the coarsest first, and what the decoder sees of them."""

    def __init__(self, *quantizers: Quantizer) -> None:
        super().__init__()
        self.books = nn.ModuleList(quantizers)

    @property
    def quantizers(self) -> tuple[Quantizer, ...]:
        """One for each level."""
        return tuple(book for book in self.books if isinstance(book, Quantizer))

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "batch *event"], weight: Tensor | None, uniform: Uniform | None
    ) -> tuple[Quantized, ...]:
        """The codes of each level."""

    @abstractmethod
    def join(self, vectors: Sequence[Float[Tensor, "batch _ _ _"]]) -> Float[Tensor, "batch channels rows columns"]:
        """The decoder's input from the vectors of all levels."""


class OneLevel(Coder):
    """z(x) by a network, quantised once."""

    def __init__(self, encoder: nn.Module, quantizer: Quantizer) -> None:
        super().__init__(quantizer)
        self.encoder = encoder

    def forward(
        self, x: Float[Tensor, "batch *event"], weight: Tensor | None, uniform: Uniform | None
    ) -> tuple[Quantized, ...]:
        return (self.quantizers[0](at_least_float32(self.encoder(x)), weight=weight, uniform=uniform),)

    def join(self, vectors: Sequence[Float[Tensor, "batch _ _ _"]]) -> Float[Tensor, "batch channels rows columns"]:
        (only,) = vectors
        return only


class TwoLevels(Coder):
    """A fine grid of features h(x); its summary on a grid half as high and wide is quantised first, and the fine codes
    add to that.

    c_top quantises top(h), c_bottom quantises merge(h, up(e_top)); the decoder sees e_bottom and up(e_top) (Razavi et
    al. 2019, section 3.1).
    """

    def __init__(
        self, encoder: nn.Module, channels: int, fine: tuple[int, int], top: Quantizer, bottom: Quantizer
    ) -> None:
        super().__init__(top, bottom)
        self.encoder = encoder
        self.top = nn.Sequential(
            *halve(channels, channels, fine),
            nn.ReLU(),
            ResidualBlock(channels, 1),
            nn.Conv2d(channels, top.features, 1),
        )
        self.up = nn.Sequential(
            nn.Conv2d(top.features, channels, 3, padding=1), nn.ReLU(), *double(channels, channels, fine)
        )
        self.merge = nn.Conv2d(2 * channels, bottom.features, 1)
        for part in (self.top, self.up):
            initialize(part, 2**0.5, final=1.0)
        unit_gain(self.merge)

    def forward(
        self, x: Float[Tensor, "batch *event"], weight: Tensor | None, uniform: Uniform | None
    ) -> tuple[Quantized, ...]:
        top, bottom = self.quantizers
        h = self.encoder(x)
        coarse = top(at_least_float32(self.top(h)), weight=weight, uniform=uniform)
        both = torch.cat([h, self.up(coarse.vectors)], 1)
        return coarse, bottom(at_least_float32(self.merge(both)), weight=weight, uniform=uniform)

    def join(self, vectors: Sequence[Float[Tensor, "batch _ _ _"]]) -> Float[Tensor, "batch channels rows columns"]:
        top, bottom = vectors
        return torch.cat([bottom, self.up(top)], 1)


class VQVAE(Samples, Decodes, Codes):
    """p(c) p(x | c) with codes c that the encoder finds for certain: q(c | x) = 1 at c(x) (van den Oord, Vinyals &
    Kavukcuoglu 2017).

    KL(q(c|x) || p(c)) = -log p(c(x)): under the uniform prior, positions × log size, whatever the example. So the bound
    is log p(x, c(x)) = log p(x) + log p(c(x)|x) ≤ log p(x), without any expectation. `penalties` has `commitment`, ‖z -
    sg[e]‖² summed over positions and levels; `Reconstruction(weights={"commitment": 0.25})` climbs what the paper does.
    A latent level is codes `[samples, batch, height, width]`. `prior` may be exchanged for one that was trained on the
    codes (`AutoregressiveCodes`).

    The weight stands beside a likelihood summed over cells: one that outweighs what the decoder first gains from the
    codes shrinks all z together and training stands still (MNIST, two levels: at 0.25 for five epochs, at 0.05 not);
    then take a smaller one.

    Errors: `ShapeError` for a prior over other grids.
    """

    def __init__(self, coder: Coder, likelihood: Decoder, prior: CodePrior) -> None:
        super().__init__()
        sizes = [quantizer.size for quantizer in coder.quantizers]
        if [grid.size for grid in prior.grids] != sizes:
            raise ShapeError(
                f"the quantisers have {sizes} codes, but the prior is over {[grid.size for grid in prior.grids]}; make "
                "them the same"
            )
        self.coder, self.likelihood, self.prior = coder, likelihood, prior

    def with_prior(self, prior: CodePrior) -> VQVAE:
        """The same parts under another prior; nothing is copied. Errors: `ShapeError` for a prior over other grids."""
        if prior.grids != self.prior.grids:
            raise ShapeError(
                f"a prior over {prior.grids} was given to a model with codes on {self.prior.grids}; make it for these"
            )
        other = VQVAE(self.coder, self.likelihood, prior)
        return other.train(self.training)

    def forward(
        self,
        batch: Batch,
        *,
        samples: int = 1,
        generator: torch.Generator | Noise,
        requires: frozenset[str] = EVERYTHING,
        posterior: tuple[Distribution, ...] | None = None,
        latent: Levels | None = None,
    ) -> Terms:
        """The terms of a batch; nothing is drawn, so all `samples` are alike, unless codes are given.

        Errors: `StateError` for a posterior.
        """
        if posterior is not None:
            raise StateError(
                "the codes of a VQVAE follow from x, so no posterior can be put in their place; give codes by latent="
            )
        x = filled(batch.x, batch.observed)
        if latent is None:
            found = self.coder(x, batch.weight, uniforms(as_noise(generator), x))
            codes, z = tuple(one.codes[None] for one in found), self.coder.join([one.vectors for one in found])[None]
            penalties = (
                {"commitment": torch.stack([one.commitment for one in found]).sum(0)}
                if "penalties" in requires
                else None
            )
        else:
            codes, z, penalties = latent, self._joined(latent), {}
        log_likelihood = seen(self.likelihood(z, batch.context).log_prob(x), batch.observed)
        count = samples if latent is None else len(log_likelihood)
        rate = self._log_prior(codes).expand(-1, count, -1) if requires & {"log_prior", "divergence"} else None
        return Terms(
            log_likelihood=log_likelihood.expand(count, -1),
            log_prior=rate if "log_prior" in requires else None,
            log_posterior=torch.zeros_like(rate) if rate is not None and "log_posterior" in requires else None,
            divergence=-rate if rate is not None and "divergence" in requires else None,
            penalties=penalties,
            latent=codes,
        )

    def _log_prior(self, codes: Levels) -> Float[Tensor, "levels samples batch"]:
        samples, batch = codes[0].shape[:2]
        return self.prior.log_codes([level.flatten(0, 1) for level in codes]).unflatten(1, (samples, batch))

    def _joined(self, codes: Levels) -> Float[Tensor, "samples batch channels rows columns"]:
        samples, batch = codes[0].shape[:2]
        vectors = [book.lookup(level.flatten(0, 1)) for book, level in zip(self.coder.quantizers, codes, strict=True)]
        return self.coder.join(vectors).unflatten(0, (samples, batch))

    def quantize(self, batch: Batch) -> tuple[Quantized, ...]:
        """The codes c(x) of each level with their vectors; nothing is learnt from it."""
        with torch.no_grad():
            return self.coder(filled(batch.x, batch.observed), batch.weight, None)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many codes each level has."""
        return tuple(quantizer.size for quantizer in self.coder.quantizers)

    def codes(self, batch: Batch) -> Int64[Tensor, "batch positions"]:
        """c(x), all levels side by side, the coarsest first: an example for `AutoregressiveCodes`."""
        return torch.cat([one.codes.flatten(1) for one in self.quantize(batch)], 1)

    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        return self.likelihood(self._joined(latent), context)

    def sample(self, samples: int, *, generator: torch.Generator | Noise, context: Tensor | None = None) -> Tensor:
        noise = as_noise(generator)
        codes = self.prior.draw_codes(samples, noise)
        return draw(self.decode(tuple(level[None] for level in codes), context), 1, noise)[0, 0]

    def latents(self, batch: Batch) -> Levels:
        """The codes c(x) of each level, `[1, batch, height, width]`."""
        return tuple(one.codes[None] for one in self.quantize(batch))

    def encode(self, batch: Batch) -> Tensor:
        """The vectors of the codes of all levels, flattened."""
        return torch.cat([one.vectors.flatten(1) for one in self.quantize(batch)], 1)


def uniforms(noise: Noise, x: Tensor) -> Callable[[int], Tensor]:
    """So many U[0, 1) variates, from noise that belongs to examples too."""
    return lambda count: noise.uniform((count, len(x)), torch.empty(0, device=x.device))[:, 0]


def scaled(network: nn.Module, moments: Moments | None) -> nn.Module:
    """`network` with data of such moments brought to unit scale before it."""
    return network if moments is None else nn.Sequential(Standardize(*units(moments)), network)


def decoder(
    features: int, event: Sequence[int], head: Head, channels: Sequence[int], moments: Moments | None
) -> Decoder:
    """p(x | c) from the vectors on the finest grid, starting at the data's mean where that is known."""
    network = GridDecoder(features, (head.channels_per_cell * event[0], *event[1:]), channels)
    start = None if moments is None else head.start(moments.mean.float(), moments.std.float())
    return Decoder(network if start is None else nn.Sequential(network, Offset(start)), head)


def one_level(
    event: Sequence[int], head: Head, quantizer: Quantizer, channels: Sequence[int], moments: Moments | None
) -> VQVAE:
    """Convolutions around one quantiser, each entry of `channels` halving the image; the prior is uniform."""
    encoder = scaled(GridEncoder(event, quantizer.features, channels), moments)
    prior = UniformCodes([CodeGrid(*grid_size(event, len(channels)), quantizer.size)])
    return VQVAE(OneLevel(encoder, quantizer), decoder(quantizer.features, event, head, channels, moments), prior)


def two_levels(
    event: Sequence[int],
    head: Head,
    quantizers: tuple[Quantizer, Quantizer],
    channels: Sequence[int],
    moments: Moments | None,
) -> VQVAE:
    """Convolutions around two quantisers, top and bottom; the bottom's grid is the image halved for each entry of
    `channels`, the top's half that.
    """
    top, bottom = quantizers
    width, fine, coarse = channels[-1], grid_size(event, len(channels)), grid_size(event, len(channels) + 1)
    coder = TwoLevels(scaled(GridEncoder(event, width, channels), moments), width, fine, top, bottom)
    prior = UniformCodes([CodeGrid(*coarse, top.size), CodeGrid(*fine, bottom.size)])
    return VQVAE(coder, decoder(bottom.features + width, event, head, channels, moments), prior)
