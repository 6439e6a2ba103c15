"""Autoencoders: a code of x, and x again from the code; no prior, no posterior, and so no likelihood."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.batch import Batch
from vael.data.corruption import Corruption
from vael.errors import ShapeError, StateError
from vael.models.autoencoders.penalties import Coded, Penalty
from vael.models.capabilities import Capability, CodeVector, Samples
from vael.models.core import EVERYTHING, Levels, Terms
from vael.models.likelihoods.heads import at_least_float32
from vael.models.likelihoods.squared_error import SquaredErrorHead
from vael.models.vae import Decoder, filled, seen
from vael.probability import Noise, as_noise, draw

NEEDS_A_PRIOR = frozenset({"log_prior", "log_posterior", "divergence"})


class Autoencoder(Samples, CodeVector):
    """h = g_φ(x) and x̂ = f_θ(h), with a deterministic encoder g and a decoder f whose head says what an error costs.

    Its `log_likelihood` is minus that cost, summed over cells: -‖x - f_θ(g_φ(x))‖² under `SquaredErrorHead` (Hinton &
    Salakhutdinov 2006). Whatever the head, it is no log p(x): there is no prior, so nothing can be sampled and no
    likelihood is reported.

    With a `corruption` the terms are those of denoising: the encoder is given x̃ ~ M(x̃ | x) and the error is against x
    (Vincent et al. 2008). That is the objective, in training and validation alike; validation damages each example the
    same way every time, because its noise belongs to examples. `encode` and `reconstruct` see what they are given.

    With a `density` over codes, fitted to them in a second stage, there is something to sample from; whatever the
    density gives is no likelihood of x.

    `penalties` are stated by name, unweighted; `vael.objectives.Reconstruction` weighs them.
    """

    states_likelihood = False

    def __init__(
        self,
        encoder: nn.Module,
        decoder: Decoder,
        *,
        corruption: Corruption | None = None,
        penalties: Mapping[str, Penalty] | None = None,
        density: Samples | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.corruption = encoder, decoder, corruption
        self.penalties = dict(penalties or {})
        self.density = density

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
        """The terms of a batch; `samples` counts the damaged copies of each example.

        Errors: `StateError` for terms that need a prior.
        """
        if posterior is not None or (requires != EVERYTHING and requires & NEEDS_A_PRIOR):
            raise StateError(
                "an autoencoder has neither prior nor posterior, so it states an error and penalties but no "
                "divergence; "
                "climb vael.objectives.Reconstruction()"
            )
        x, noise = filled(batch.x, batch.observed), as_noise(generator)
        given = x.expand(samples, *x.shape) if self.corruption is None else self.corruption(x, noise, samples)
        (z,) = latent or (self._codes(given),)
        return Terms(
            log_likelihood=seen(self.decoder(z, batch.context).log_prob(x), batch.observed),
            penalties=self._penalties(given, z, noise, batch.weight) if "penalties" in requires else None,
            latent=(z,),
        )

    def _codes(self, given: Tensor) -> Float[Tensor, "samples batch features"]:
        code = at_least_float32(self.encoder(given.flatten(0, 1)))
        if code.dim() != 2:
            raise ShapeError(
                f"the encoder gave codes of shape {tuple(code.shape[1:])} per example; expected one vector: end it in "
                "torch.nn.Flatten()"
            )
        return code.unflatten(0, given.shape[:2])

    def _penalties(self, given: Tensor, z: Tensor, noise: Noise, weight: Tensor | None) -> dict[str, Tensor]:
        coded = [Coded(self.encoder, x, code, noise, weight) for x, code in zip(given, z, strict=True)]
        return {name: torch.stack([penalty(one) for one in coded]).mean(0) for name, penalty in self.penalties.items()}

    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        (z,) = latent
        return self.decoder(z, context)

    def can(self, capability: type[Capability]) -> bool:
        """Sampling takes a density of the codes, which nothing in the model gives."""
        return super().can(capability) and not (capability is Samples and self.density is None)

    def sample(self, samples: int, *, generator: torch.Generator | Noise, context: Tensor | None = None) -> Tensor:
        """Decoded draws from the density that was fitted to the codes afterwards; no part of the model's objective.

        Errors: `StateError` where there is none.
        """
        if self.density is None:
            raise StateError(
                "an autoencoder has no prior over its codes, so there is nothing to sample from; train a VAE, or fit a "
                "density to the codes"
            )
        noise = as_noise(generator)
        z = self.density.sample(samples, generator=noise).to(next(self.decoder.parameters()).dtype)
        return draw(self.decoder(z[None], context), 1, noise)[0, 0]

    def encode(self, batch: Batch) -> Tensor:
        """g_φ(x), `[batch, features]`."""
        return self._codes(filled(batch.x, batch.observed)[None])[0]


def unrolled(stack: Sequence[Autoencoder], *, corruption: Corruption | None = None) -> Autoencoder:
    """One deep autoencoder from shallow ones, each of the codes of the one before: f = f_1 ∘ ... ∘ f_L, g = g_L ∘ ... ∘
    g_1.

    Its weights are copies, so that fine-tuning leaves the stack as it is; its head is that of the first (Hinton &
    Salakhutdinov 2006, figure 1). Errors: `ShapeError` for no autoencoders, and for one above the first whose head does
    more than hand on what the decoder gives.
    """
    if not stack:
        raise ShapeError("no autoencoders were given to unroll; expected at least one")
    for _, upper in pairwise(stack):
        head = upper.decoder.head
        if not isinstance(head, SquaredErrorHead) or head.shift.dim():
            raise ShapeError(
                f"an autoencoder of codes has the head {type(head).__name__}, which changes what its decoder gives, so "
                "the decoder below cannot "
                "take it; use SquaredErrorHead() without moments above the first layer"
            )
    own = copy.deepcopy(list(stack))
    network = nn.Sequential(*(layer.decoder.network for layer in reversed(own)))
    return Autoencoder(
        nn.Sequential(*(layer.encoder for layer in own)), Decoder(network, own[0].decoder.head), corruption=corruption
    )
