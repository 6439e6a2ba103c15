"""The variational autoencoder: a prior p(z), a likelihood p(x | z) and a posterior q(z | x) (Kingma & Welling 2013)."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.batch import Batch
from vael.errors import ShapeError, StateError
from vael.models.capabilities import Capability, CellWise, LatentVector
from vael.models.core import EVERYTHING, Conditional, Levels, Likelihood, Terms
from vael.models.in_parts import decoded_in_parts
from vael.models.likelihoods.heads import Head, at_least_float32
from vael.probability import Noise, divergence, draw, total_log_prob


class Decoder(Likelihood):
    """Likelihood p(x | z): a network, and the head that reads its output as a distribution."""

    def __init__(self, network: nn.Module, head: Head) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        samples, batch = z.shape[:2]
        given = z if context is None else torch.cat([z, context.to(z.dtype).expand(samples, batch, -1)], -1)
        raw = self.network(given.flatten(0, 1))
        return self.head(at_least_float32(raw).unflatten(0, (samples, batch)))


class Held(Conditional):
    """A conditional at one condition c, `[features]`, whatever else it is given."""

    def __init__(self, inner: Conditional, context: Tensor) -> None:
        super().__init__()
        self.inner, self.sees_gaps = inner, inner.sees_gaps
        self.register_buffer("held", context)

    def forward(self, given: Tensor | None = None, context: Tensor | None = None) -> Distribution:
        return self.inner(self.held) if given is None else self.inner(given, self.held[None])


class HeldDecoder(Decoder):
    """A decoder at one condition c, `[features]`."""

    def __init__(self, inner: Decoder, context: Tensor) -> None:
        super().__init__(inner.network, inner.head)
        self.register_buffer("held", context)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        return super().forward(z, self.held[None])


def filled(x: Tensor, observed: Tensor | None) -> Tensor:
    """`x` with 0 where no cell was seen, so that what stands there (NaN) reaches neither a network nor a gradient."""
    return x if observed is None else torch.where(observed, x, torch.zeros_like(x))


@runtime_checkable
class SeesGaps(Protocol):
    """What is given x, and says whether it can tell elements that were not seen."""

    sees_gaps: bool


def shown(x: Tensor, observed: Tensor | None, encoder: SeesGaps) -> Tensor:
    """What an encoder is given of `x`: NaN in the gaps if it can see them, else 0."""
    if observed is None or not encoder.sees_gaps:
        return filled(x, observed)
    return torch.where(observed, x, torch.full_like(x, torch.nan))


def seen(cells: Tensor, observed: Tensor | None) -> Tensor:
    """Sum of cell-wise log-densities `[samples, batch, *event]` over the cells that were seen: `[samples, batch]`.

    A likelihood that joins all cells of an example gives `[samples, batch]` already.

    Errors: `ShapeError` where the likelihood joins cells (coupled channels), so that they cannot be left out one by
    one.
    """
    if observed is not None:
        if cells.shape[2:] != observed.shape[1:]:
            raise ShapeError(
                f"log-densities of shape {tuple(cells.shape[2:])} for a mask of shape {tuple(observed.shape[1:])}: "
                "this likelihood joins "
                "cells (the channels of a pixel, or all), so it cannot leave out single ones; use one without coupling"
            )
        cells = torch.where(observed, cells, torch.zeros((), dtype=cells.dtype, device=cells.device))
    return cells.flatten(2).sum(2) if cells.dim() > 2 else cells


def context_of(model: nn.Module) -> int:
    """How many numbers a model is conditioned on; 0 for one that knows of no condition."""
    return int(getattr(model, "context", 0))  # type: ignore[bad-argument-type]


def as_conditioned(features: int, context: Tensor | None) -> Tensor | None:
    """The context, if it is what a model that is conditioned on so many numbers takes.

    Errors: `StateError` where it is missing, `ShapeError` for another number of them.
    """
    if features and context is None:
        raise StateError(
            f"this model is conditioned on {features} numbers for each example, but none were given; give the condition"
        )
    if context is not None and context.shape[-1] != features:
        raise ShapeError(
            f"a condition of {context.shape[-1]} numbers for each example, but this model is conditioned on "
            f"{features}; " + ("give as many" if features else "leave it out")
        )
    return context


class VAE(LatentVector, CellWise):
    """A variational autoencoder composed from a prior, a likelihood and a posterior.

    With `context` numbers of c all three are conditioned on c: log p(x | c) and its bound.
    """

    def __init__(
        self, prior: Conditional, likelihood: Conditional, posterior: Conditional, *, context: int = 0
    ) -> None:
        super().__init__()
        self.prior, self.likelihood, self.posterior, self.context = prior, likelihood, posterior, context

    def conditions(self, context: Tensor | None) -> Tensor | None:
        """The context, if it is what this model is conditioned on.

        Errors: `StateError` for one that is missing or not asked for, `ShapeError` for another number of numbers.
        """
        return as_conditioned(self.context, context)

    def at(self, context: Tensor) -> VAE:
        """The model of x at one condition c, `[features]`: p(z | c), p(x | z, c) and q(z | x, c), the same weights.

        Errors: as `conditions`.
        """
        self.conditions(context)
        c, decode = context.detach().clone(), self.likelihood
        given = HeldDecoder(decode, c) if isinstance(decode, Decoder) else Held(decode, c)
        return VAE(Held(self.prior, c), given, Held(self.posterior, c)).train(self.training)

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
        """The terms of a batch: one level, `samples` latents an example."""
        prior, x = self.prior(self.conditions(batch.context)), filled(batch.x, batch.observed)
        (q,) = posterior or (self.infer(batch),)
        (z,) = latent or (draw(q, samples, generator),)

        def measured(law: Distribution) -> Tensor:
            return total_log_prob(law, x) if batch.observed is None else seen(law.log_prob(x), batch.observed)

        return Terms(
            log_likelihood=decoded_in_parts(self.likelihood, z, batch.context, measured, x.numel()),
            log_prior=prior.log_prob(z)[None] if "log_prior" in requires else None,
            log_posterior=q.log_prob(z)[None] if "log_posterior" in requires else None,
            divergence=divergence(q, prior, z)[None] if "divergence" in requires else None,
            latent=(z,),
            prior=(prior,),
            posterior=(q,),
        )

    def can(self, capability: type[Capability]) -> bool:
        """Elements that depend on each other given z cannot be left out one by one."""
        couples = getattr(getattr(self.likelihood, "head", None), "couples", False)
        return super().can(capability) and not (capability is CellWise and couples)

    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        (z,) = latent
        return self.likelihood(z, self.conditions(context))

    def sample(self, samples: int, *, generator: torch.Generator | Noise, context: Tensor | None = None) -> Tensor:
        prior = self.prior(self.conditions(context))  # one for all, or one for each example's condition
        z = draw(prior, 1, generator)[0] if prior.batch_shape else draw(prior, samples, generator)
        return draw(self.likelihood(z[None], context), 1, generator)[0, 0]

    def reconstruct(self, batch: Batch) -> Tensor:
        return self.likelihood(self.encode(batch)[None], batch.context).mean[0]

    def encode(self, batch: Batch) -> Tensor:
        return self.infer(batch).mean

    def infer(self, batch: Batch) -> Distribution:
        """q(z | x), given the cells that were seen."""
        return self.posterior(shown(batch.x, batch.observed, self.posterior), self.conditions(batch.context))
