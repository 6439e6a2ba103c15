"""Whole models in one call, made from parts.

Every recipe takes the shape of one example, the head that reads the decoder's output, and the data's statistics if they
are known: the encoder then sees data of unit scale, and the decoder starts at the data's mean. Weights are drawn from
PyTorch's default generator: call a recipe under `vael.networks.seeded`, which puts one of its own in the place of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vael.data import Batch, Corruption, Kind, Splits
from vael.data.facts import Facts
from vael.errors import ShapeError
from vael.inference import Adagrad, GradientAscent, Guard
from vael.models import (
    VAE,
    VQVAE,
    Autoencoder,
    ColumnsHead,
    Contraction,
    Head,
    LogisticContraction,
    Model,
    Penalty,
    SquaredErrorHead,
)
from vael.models.autoencoders.autoencoder_parts import AutoencoderPart, ContractionPart, SparsityPart
from vael.models.autoencoders.quantized import one_level, two_levels
from vael.models.autoencoders.quantized_parts import VQVAEPart
from vael.models.autoencoders.stacked import stacked as stacked
from vael.models.likelihoods.heads import Moments
from vael.models.parts import VAEPart
from vael.models.posteriors.correlated import FullCovariancePosteriorPart
from vael.models.vae import context_of
from vael.networks import FiniteScalar, Quantizer
from vael.networks.parts import Activation, ConvolutionalPart, DensePart
from vael.training import Constant, Fit, Settings, run

# The models of these names, on the command line too (`vael.specs.recipes`).
DENSE = VAEPart()
GAPPED = VAEPart(latent=10, network=DensePart(hidden=(128,)))
TABLE = VAEPart(latent=16, network=DensePart(hidden=(256, 256)))
CONVOLUTIONAL = VAEPart(latent=32, network=ConvolutionalPart())
RESIDUAL = VAEPart(latent=64, network=ConvolutionalPart(blocks=2))
LINEAR = VAEPart(latent=2, network=DensePart(hidden=()))
LECTURE = VAEPart(latent=2, network=DensePart(hidden=(256,), activation="relu"))
KINGMA_WELLING = VAEPart(latent=20, network=DensePart(hidden=(500,), activation="relu"))
BURDA = VAEPart(latent=50, network=DensePart(hidden=(200, 200), activation="tanh"))
PRINCIPAL = VAEPart(latent=256, network=DensePart(hidden=(512,)), begin="principal-components")
AUTOENCODER = AutoencoderPart()
SPARSE = AutoencoderPart(latent=256, network=DensePart(hidden=()), code="sigmoid", penalties=(SparsityPart(),))
K_SPARSE = AutoencoderPart(latent=256, network=DensePart(hidden=()), code="top-k", kept=25)
CONTRACTIVE = AutoencoderPart(latent=256, network=DensePart(hidden=()), code="sigmoid", penalties=(ContractionPart(),))
VQ_VAE = VQVAEPart()
VQ_VAE_2 = VQVAEPart(grids=2, channels=(32,))

Sized = TypeVar("Sized", VAEPart, AutoencoderPart)


def build(
    part: VAEPart, event: Sequence[int], head: Head, statistics: Moments | None = None, *, gaps: bool = False
) -> VAE:
    """The model of a part with a likelihood that is there already; with `gaps` its encoder sees which elements are
    missing.
    """
    return part.around(head, facts_of(event, statistics, gaps=gaps))


def facts_of(event: Sequence[int], statistics: Moments | None, *, gaps: bool = False) -> Facts:
    """What a part has to know of data that only Python has."""
    return Facts("data", tuple(event), Kind.REAL, statistics, gaps=gaps)


def sized(part: Sized, latent: int | None, correlated: bool = False, **network: object) -> Sized:
    """The part with other sizes of its latents and its network; what is None stays."""
    given = {name: value for name, value in network.items() if value is not None}
    changed: dict[str, object] = {"network": type(part.network).model_validate(part.network.model_dump() | given)}
    if latent is not None:
        changed["latent"] = latent
    if correlated:
        changed["posterior"] = FullCovariancePosteriorPart()
    return part.model_copy(update=changed)


def dense(
    event: Sequence[int],
    head: Head,
    *,
    latent: int | None = None,
    hidden: Sequence[int] | None = None,
    correlated: bool = False,
    activation: Activation | None = None,
    statistics: Moments | None = None,
) -> VAE:
    """Fully connected on both sides; `hidden` are the sizes from the data inwards, mirrored by the decoder (Kingma &
    Welling 2013).

    20 latents and one hidden layer of 400 unless others are given. With `correlated` the posterior has a full
    covariance.

    SiLU is the activation because it learns faster than a rectifier: on dynamically binarised MNIST, 512-512 and 40
    latents after 7 epochs, log p(x) on validation data is -93.4 nats against -96.0.
    """
    return build(sized(DENSE, latent, correlated, hidden=hidden, activation=activation), event, head, statistics)


def gapped(
    event: Sequence[int],
    head: Head,
    *,
    latent: int | None = None,
    hidden: Sequence[int] | None = None,
    statistics: Moments | None = None,
) -> VAE:
    """Columns of plain numbers with gaps: dense, the encoder sees which cells are missing (Mattei & Frellsen 2019).

    One hidden layer: a second one cost a tenth in mean squared error of filled cells on three small tables
    (docs/lab-book.md).
    """
    return build(sized(GAPPED, latent, hidden=hidden), event, head, statistics, gaps=True)


def table(
    event: Sequence[int],
    head: ColumnsHead,
    *,
    latent: int | None = None,
    hidden: Sequence[int] | None = None,
    correlated: bool = False,
    activation: Activation | None = None,
    statistics: Moments | None = None,
) -> VAE:
    """Rows of a table with columns of several kinds and gaps: the encoder sees which cells are missing, the decoder has
    a law for each column.

    (Mattei & Frellsen 2019 for the gaps; Nazabal, Olmos, Ghahramani & Valera 2020 for the kinds.)
    """
    if not isinstance(head, ColumnsHead):
        raise ShapeError(
            f"the recipe table has one law for each column, but {type(head).__name__} was given; use the likelihood "
            "columns"
        )
    return build(sized(TABLE, latent, correlated, hidden=hidden, activation=activation), event, head, statistics)


def convolutional(
    event: Sequence[int],
    head: Head,
    *,
    latent: int | None = None,
    channels: Sequence[int] | None = None,
    correlated: bool = False,
    activation: Activation | None = None,
    statistics: Moments | None = None,
) -> VAE:
    """Convolutions that halve the image once for each entry of `channels`, mirrored by the decoder; images of any
    size.
    """
    part = sized(CONVOLUTIONAL, latent, correlated, channels=channels, activation=activation)
    return build(part, event, head, statistics)


def residual(
    event: Sequence[int],
    head: Head,
    *,
    latent: int | None = None,
    channels: Sequence[int] | None = None,
    blocks: int | None = None,
    correlated: bool = False,
    activation: Activation | None = None,
    statistics: Moments | None = None,
) -> VAE:
    """`convolutional` with `blocks` residual blocks at every resolution below the image's own."""
    part = sized(RESIDUAL, latent, correlated, channels=channels, blocks=blocks, activation=activation)
    return build(part, event, head, statistics)


def linear(event: Sequence[int], head: Head, *, latent: int, statistics: Moments | None = None) -> VAE:
    """No hidden layer: with a Gaussian head of one σ the likelihood is that of probabilistic PCA (Tipping & Bishop
    1999).
    """
    return build(sized(LINEAR, latent), event, head, statistics)


def principal(
    event: Sequence[int], head: Head, *, latent: int = PRINCIPAL.latent, statistics: Moments | None = None
) -> VAE:
    """One hidden layer of 2 × latent SiLU units on both sides, which `start_at_principal_components` makes a factor
    analysis of the data.

    From there on training lets scales and means bend with the latents. For pixels of several levels.
    """
    return dense(event, head, latent=latent, hidden=(2 * latent,), statistics=statistics)


def lecture(event: Sequence[int], head: Head, *, latent: int | None = None, statistics: Moments | None = None) -> VAE:
    """One hidden layer of 256 and two latents: small enough to draw the whole latent space."""
    return build(sized(LECTURE, latent), event, head, statistics)


def autoencoder(
    event: Sequence[int],
    head: Head | None = None,
    *,
    latent: int | None = None,
    hidden: Sequence[int] | None = None,
    code: nn.Module | None = None,
    corruption: Corruption | None = None,
    penalties: Mapping[str, Penalty] | None = None,
    statistics: Moments | None = None,
) -> Autoencoder:
    """Fully connected on both sides of a code without a law, by squared error unless another head is given (Hinton &
    Salakhutdinov 2006).

    `code` is what the last layer of the encoder goes through; with a `corruption` it is a denoising autoencoder
    (Vincent et al. 2008).

    >>> from vael.data import Masking, load, statistics, unit_interval
    >>> from vael.evaluation import reconstruction_error
    >>> from vael.inference import GradientAscent
    >>> from vael.objectives import Reconstruction
    >>> from vael.recipes import autoencoder
    >>> from vael.training import Settings, run
    >>> digits = unit_interval(load("digits"))
    >>> model = autoencoder(digits.train.event, corruption=Masking(0.5), statistics=statistics(digits.train))
    >>> fit = run(GradientAscent(model, Reconstruction()), digits, Settings(epochs=5, batch=32))
    >>> reconstruction_error(fit.model, digits.test, corruption=Masking(0.5), peak=1.0).gain > 2  # decibels
    True
    """
    part, head = sized(AUTOENCODER, latent, hidden=hidden), head or SquaredErrorHead(statistics)
    coding = [] if code is None else [code]
    return part.around(head, facts_of(event, statistics), coding, corruption=corruption, penalties=penalties)


def coded(part: AutoencoderPart, event: Sequence[int], statistics: Moments | None) -> Autoencoder:
    """The autoencoder of a part, by squared error."""
    penalties = {one.name: one.build() for one in part.penalties}
    return part.around(SquaredErrorHead(statistics), facts_of(event, statistics), part.coding, penalties=penalties)


def k_sparse(
    event: Sequence[int], k: int, *, latent: int | None = None, statistics: Moments | None = None
) -> Autoencoder:
    """Linear on both sides; of each code only the k largest numbers stay (Makhzani & Frey 2014).

    256 numbers unless others are given. Errors: `ShapeError` for a k beyond them.
    """
    size = K_SPARSE.latent if latent is None else latent
    if k > size:
        raise ShapeError(f"k = {k} numbers are to stay of a code of {size}; expected k of at most {size}")
    return coded(K_SPARSE.model_copy(update={"latent": size, "kept": k}), event, statistics)


def sparse(
    event: Sequence[int],
    *,
    latent: int | None = None,
    target: float = SparsityPart().target,
    statistics: Moments | None = None,
) -> Autoencoder:
    """Logistic units, each on for a share `target` of the data; the penalty `sparsity` awaits its weight (Ng 2011)."""
    penalties = (SparsityPart(target=target),)
    return coded(sized(SPARSE, latent).model_copy(update={"penalties": penalties}), event, statistics)


def contractive(
    event: Sequence[int],
    *,
    latent: int | None = None,
    hidden: Sequence[int] | None = None,
    statistics: Moments | None = None,
) -> Autoencoder:
    """Codes that move little with x; the penalty `contraction` awaits its weight (Rifai et al. 2011).

    Exact in closed form for one logistic layer; through hidden layers, or with statistics, from one random probe.
    """
    part, facts = sized(CONTRACTIVE, latent, hidden=hidden), facts_of(event, statistics)
    closed = not hidden and statistics is None
    penalties = {"contraction": LogisticContraction() if closed else Contraction(probes=1)}
    return part.around(SquaredErrorHead(statistics), facts, part.coding, penalties=penalties)


def vq_vae(
    event: Sequence[int],
    head: Head,
    book: Quantizer,
    *,
    channels: Sequence[int] = VQ_VAE.channels,
    statistics: Moments | None = None,
) -> VQVAE:
    """Codes on one grid, halved once for each of `channels` (van den Oord, Vinyals & Kavukcuoglu 2017); the prior
    over codes is uniform.
    """
    return one_level(event, head, book, channels, statistics)


def vq_vae_2(
    event: Sequence[int],
    head: Head,
    top: Quantizer,
    bottom: Quantizer,
    *,
    channels: Sequence[int] = VQ_VAE_2.channels,
    statistics: Moments | None = None,
) -> VQVAE:
    """Codes on two grids, the top's half the bottom's (Razavi, van den Oord & Vinyals 2019)."""
    return two_levels(event, head, (top, bottom), channels, statistics)


def finite_scalar(
    event: Sequence[int],
    head: Head,
    *levels: int,
    channels: Sequence[int] = VQ_VAE.channels,
    statistics: Moments | None = None,
) -> VQVAE:
    """`vq_vae` without a code book: each of a few numbers is rounded to one of so many levels (Mentzer et al. 2023)."""
    return one_level(event, head, FiniteScalar(levels), channels, statistics)


def auto_encoding_vb(model: Model, data: Splits, *, epochs: int, learning_rate: float = 0.02, seed: int = 0) -> Fit:
    """Algorithm 1 of Kingma & Welling 2013 as it stands: SGVB-B with L = 1 on minibatches of M = 100, Adagrad, nothing
    clipped or averaged.

    Minibatches are consecutive parts of a new permutation in each epoch, so that every example comes once an epoch. The
    mean over the minibatch is climbed instead of N/M times its sum, which leaves Adagrad's steps as they are, with ε in
    the same units.
    """
    plain_steps = Guard(clip=1e9, spike=1e9)
    ascent = GradientAscent(
        model, samples=1, optimizer=Adagrad(learning_rate=learning_rate), guard=plain_steps, ema=0.0
    )
    return run(ascent, data, Settings(epochs=epochs, batch=100, seed=seed, schedule=Constant()))


def flops(model: Model, event: Sequence[int]) -> int:
    """Floating-point operations of matrix products and convolutions to train on one example: forward, and twice
    that backward.
    """
    like = next(model.parameters())
    counter = FlopCounterMode(display=False)
    x, given = torch.zeros(1, *event, device=like.device, dtype=like.dtype), context_of(model)
    with torch.no_grad(), counter:
        model(Batch(x=x, context=x.new_zeros(1, given) if given else None), generator=torch.Generator(like.device))
    return 3 * counter.get_total_flops()
