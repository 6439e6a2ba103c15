"""Weights at which a VAE already is probabilistic principal component analysis, from one pass over the data.

A dense VAE with one hidden layer of 2 × latents SiLU units on both sides can be linear exactly: SiLU(a) - SiLU(-a) = a.
Set so, it has the likelihood of a factor analysis before any training, and its even functions SiLU(a) + SiLU(-a) are at
hand to let scales follow the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from vael.data.source import Source
from vael.errors import ShapeError, SupportError
from vael.models.likelihoods.heads import CoupledLogisticMixtureHead, DiscretizedLogisticHead, LevelUnits
from vael.models.posteriors.gaussian import GaussianPosterior
from vael.models.vae import VAE, Decoder
from vael.networks import Standardize
from vael.probability.factorization import lower_factor, orthonormal, spectrum, whitened

EXAMPLES = 20_000
SPARE, ROUNDS = 48, 4  # directions and steps of the subspace iteration
LOGISTIC = 0.5513  # √3 / π: the scale of a logistic with deviation 1
LEAST = 0.1  # levels; deviation of the noise
CLIP = 0.97  # largest coupling


@dataclass(frozen=True)
class FactorAnalysis:
    """x = mean + A (W z + √noise ε) with A [channels, channels] acting on every pixel: factor analysis with noise that
    channels share.

    W = axes · diag √(variance - noise); `variance` are the largest eigenvalues of the covariance of A⁻¹ (x - mean),
    `noise` the mean of the rest.
    """

    mean: Float64[Tensor, " cells"]
    mixing: Float64[Tensor, "channels channels"]
    axes: Float64[Tensor, "cells latents"]
    variance: Float64[Tensor, " latents"]
    noise: float


def cells_of(source: Source, examples: int) -> Tensor:
    """Evenly spread examples, `[examples, *event]` float32."""
    count = min(examples, len(source))
    return source.batch((torch.arange(count) * len(source)) // count).x.float()


def channel_noise(x: Tensor) -> Tensor:
    """Half the covariance of differences between neighbours, channel by channel: what varies from pixel to pixel,
    `[channels, channels]`.
    """
    channels = x.shape[1]
    if x.dim() < 3 or x.shape[-1] < 2:
        return torch.eye(channels, dtype=torch.float64)
    steps = (x[..., 1:] - x[..., :-1]).transpose(0, 1).flatten(1).double()
    return steps @ steps.mT / (2 * steps.shape[1]) + LEAST**2 * torch.eye(channels, dtype=torch.float64)


def factors(x: Tensor, latents: int, *, seed: int = 0) -> FactorAnalysis:
    """Factor analysis of examples `[examples, *event]` by principal components of channels that were whitened by
    `channel_noise`.

    The axes come from a subspace iteration on the covariance (Halko, Martinsson & Tropp 2011).

    Errors: `ShapeError` for as many latents as cells, or more.
    """
    cells = x[0].numel()
    if not 0 < latents < cells:
        raise ShapeError(
            f"{latents} latents for {cells} cells: principal components leave noise only if there are fewer latents "
            "than cells"
        )
    mixing = lower_factor(channel_noise(x))
    mean = x.double().mean(0)
    covariance, inverse = torch.zeros(cells, cells, dtype=torch.float64), inverse_of_factor(mixing).float()
    for part in x.split(2000):
        y = torch.einsum("ij,nj...->ni...", inverse, part - mean.float()).flatten(1)
        covariance += (y.mT @ y).double()
    covariance /= len(x)
    axes, variance = largest(covariance, latents, seed)
    noise = max(float((covariance.trace() - variance.sum()) / (cells - latents)), 1e-6)
    return FactorAnalysis(mean.flatten(), mixing, axes, variance.clamp(min=noise * (1 + 1e-6)), noise)


def largest(covariance: Tensor, number: int, seed: int) -> tuple[Tensor, Tensor]:
    """The directions of largest variance, and the variances."""
    cells = len(covariance)
    fine, single = min(cells, number + SPARE), covariance.float()
    basis = torch.randn(cells, fine, generator=torch.Generator().manual_seed(seed))
    for _ in range(ROUNDS):
        basis = orthonormal(single @ basis)
    values, vectors = spectrum(basis.mT @ (single @ basis))
    return (basis.double() @ vectors).flip(1)[:, :number], values.flip(0)[:number]


def start_at_principal_components(model: VAE, source: Source) -> None:
    """Set the weights of a dense VAE with one hidden layer of 2 × latents SiLU units to factor analysis, in place.

    Errors: `SupportError` for another head than discretised logistics, one for each cell or one for each pixel with
    channels coupled.
    """
    if not isinstance(model.posterior, GaussianPosterior) or not isinstance(model.likelihood, Decoder):
        raise SupportError(
            "principal components start a VAE with independent latents and a decoder with a head; leave the full "
            "covariance (--correlated) out"
        )
    head = model.likelihood.head
    if not logistic(head):  # before the data are taken apart, which suit no other likelihood
        raise SupportError(
            f"{type(head).__name__} cannot start at principal components; use a logistic "
            "(--likelihood coupled-logistic or discretized-logistic) on whole numbers, or another model (--model dense)"
        )
    encode, decode = two_layers(model.posterior.network), two_layers(model.likelihood.network)
    latents = decode[0].in_features
    found = factors(cells_of(source, EXAMPLES), latents)
    with torch.no_grad():
        set_encoder(encode, found, model.posterior.network)
        set_decoder(decode, found, head, source.event)


def logistic(head: nn.Module) -> TypeGuard[DiscretizedLogisticHead | CoupledLogisticMixtureHead]:
    """Whether loc and scale of a logistic are all that the head reads, so that a factor analysis sets them."""
    coupled = isinstance(head, CoupledLogisticMixtureHead) and head.components == 1
    return coupled or isinstance(head, DiscretizedLogisticHead)


def two_layers(network: nn.Module) -> tuple[nn.Linear, nn.Linear]:
    """The two linear layers of a dense network.

    Errors: `ShapeError` for another number, or for another width than twice the latents.
    """
    found = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if len(found) != 2:
        raise ShapeError(f"a network of {len(found)} linear layers cannot start at principal components; expected 2")
    return found[0], found[1]


def both_signs(weight: Tensor) -> Tensor:
    """Rows a and -a, so that SiLU(a) - SiLU(-a) = a can be had."""
    return torch.cat([weight, -weight])


def set_encoder(layers: tuple[nn.Linear, nn.Linear], found: FactorAnalysis, network: nn.Module) -> None:
    """μ = √(λ - noise) / λ · axesᵀ A⁻¹ (x - mean), σ = √(noise / λ); behind the layer that brings x to unit scale."""
    channels = len(found.mixing)
    whitened = torch.einsum(
        "ji,jkl->ikl", inverse_of_factor(found.mixing), found.axes.view(channels, -1, len(found.variance))
    ).flatten(0, 1)
    gain = (found.variance - found.noise).sqrt() / found.variance
    rows, constant = (whitened * gain).mT, -(whitened * gain).mT @ found.mean
    unit = next((layer for layer in network.modules() if isinstance(layer, Standardize)), None)
    if unit is not None:
        constant = constant + rows @ unit.shift.double().flatten()
        rows = rows * unit.scale.double().flatten()
    latents = len(found.variance)
    layers[0].weight.copy_(both_signs(rows))
    layers[0].bias.copy_(both_signs(constant[:, None])[:, 0])
    layers[1].weight.zero_()
    layers[1].weight[:latents] = torch.cat([torch.eye(latents), -torch.eye(latents)], dim=1)
    layers[1].bias.zero_()
    layers[1].bias[latents:] = 0.5 * torch.log(found.noise / found.variance)


def set_decoder(
    layers: tuple[nn.Linear, nn.Linear],
    found: FactorAnalysis,
    head: DiscretizedLogisticHead | CoupledLogisticMixtureHead,
    event: tuple[int, ...],
) -> None:
    """Loc = mean + A W z, scales and couplings those of the noise A Aᵀ of a pixel."""
    coupled = isinstance(head, CoupledLogisticMixtureHead)
    coupling = coupled_noise(found.mixing) if coupled else torch.zeros_like(found.mixing)
    channels, latents = event[0], len(found.variance)
    scaled = (found.axes * (found.variance - found.noise).sqrt()).view(channels, -1, latents)
    uncoupled = torch.eye(channels, dtype=torch.float64) - coupling
    loc = torch.einsum("ij,jpl->ipl", uncoupled @ found.mixing, scaled)
    centre = head.units.half
    middle = centre + torch.einsum("ij,jp->ip", uncoupled, found.mean.view(channels, -1) - centre)
    weight = layers[1].weight.new_zeros(layers[1].out_features, latents).view(-1, loc.shape[1], latents)
    bias = layers[1].bias.new_zeros(len(weight), loc.shape[1])
    first = 1 if isinstance(head, CoupledLogisticMixtureHead) else 0
    deviation = found.mixing.diagonal() if first else found.mixing.square().sum(1).sqrt()
    weight[first : first + channels] = (loc / centre).to(weight)
    bias[first : first + channels] = ((middle - centre) / centre).to(bias)
    bias[first + channels :][:channels] = raw_scales(head.units, deviation * found.noise**0.5).to(bias)[:, None]
    if first:
        rows, columns = torch.tril_indices(channels, channels, -1)
        bias[first + 2 * channels :][: len(rows)] = coupling[rows, columns].atanh().to(bias)[:, None]
    layers[0].weight.copy_(both_signs(torch.eye(latents)))
    layers[0].bias.zero_()
    layers[1].weight.copy_(torch.cat([weight, -weight], dim=2).flatten(0, 1))
    layers[1].bias.copy_(bias.flatten())


def inverse_of_factor(mixing: Tensor) -> Tensor:
    """A⁻¹ of a lower triangular A, `[channels, channels]`, by substitution."""
    return whitened(mixing, torch.eye(len(mixing), dtype=mixing.dtype))


def coupled_noise(mixing: Tensor) -> Tensor:
    """B, below the diagonal, of r = B r + D ε where r = A ε, A lower triangular: how far a channel follows those
    before it.
    """
    return (
        (torch.eye(len(mixing), dtype=torch.float64) - mixing.diagonal().diag() @ inverse_of_factor(mixing))
        .tril(-1)
        .clamp(-CLIP, CLIP)
    )


def raw_scales(units: LevelUnits, deviation: Tensor) -> Tensor:
    """Raw log-scales of logistics with such deviations in levels."""
    return (deviation.clamp(min=LEAST) * LOGISTIC).log() - units.base
