"""Which latents carry something about the data."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent

from vael.probability import divergence

ACTIVE_ABOVE = 0.01


@dataclass(frozen=True)
class Collapse:
    """How each latent is used over a data set."""

    variance: Float[Tensor, " features"]  # over examples, of the posterior mean
    divergence: (
        Float[Tensor, " features"] | None
    )  # KL per latent in nats, mean over examples; None where latents depend on each other

    @property
    def active_units(self) -> int:
        """Latents whose posterior mean moves with x: Var_x(E_q[z]) > 0.01 (Burda, Grosse & Salakhutdinov 2016,
        section 5.2).
        """
        return int((self.variance > ACTIVE_ABOVE).sum())


def divergence_per_latent(
    q: Distribution, p: Distribution, latent: Float[Tensor, "samples batch features"]
) -> Tensor | None:
    """KL(q(z_j | x) || p(z_j)) `[batch, features]` in nats, mean over the draws; None where q or p has no
    independent latents.
    """
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        return None
    parts = divergence(q.base_dist, p.base_dist, latent).mean(0).double()
    return parts if parts.shape == latent.shape[1:] else None


def collapse(
    means: Float[Tensor, "examples features"], per_latent: Float[Tensor, "examples features"] | None
) -> Collapse:
    """The record from the posterior means and divergences of all examples."""
    return Collapse(means.double().var(0, correction=0), None if per_latent is None else per_latent.double().mean(0))
