"""log p(x, z) of examples as a function of one vector: of the latents themselves, or, where there are several levels,
of the standard normal variates that the model's own posterior makes them of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.distributions import Distribution

from vael.data import Batch
from vael.data.batch import some
from vael.models import Conditional, LatentModel, LatentVector, Whitens, has, needs
from vael.models.core import Levels
from vael.models.vae import filled, seen
from vael.probability import diagonal_gaussian, law_at, total_log_prob

# of the prior's least precision: a direction in which log p(x, z) is not concave gets at most twice the prior's
# variance
FLOOR = 0.5


class LogJoint(ABC):
    """Abstract: log p(x, z) in nats of every example of a batch; its integral over z is p(x).

    `own` is the model's own posterior over that vector, batch shape `[batch]`, and `least` the precision below which no
    curvature is believed.
    """

    own: Distribution
    least: float

    @abstractmethod
    def terms(self, z: Float[Tensor, "samples batch features"]) -> tuple[Tensor, Tensor]:
        """Two parts whose sum it is, `[samples, batch]` each: what the data add, and the density of z without them."""

    @abstractmethod
    def levels(self, z: Float[Tensor, "samples batch features"]) -> Levels:
        """The latents of the model that such vectors stand for, as it decodes them."""

    @abstractmethod
    def part(self, rows: Int64[Tensor, " some"]) -> LogJoint:
        """Of these examples alone."""

    def at(self, z: Float[Tensor, "samples batch features"]) -> Float[Tensor, "samples batch"]:
        """At so many points for each example."""
        told, before = self.terms(z)
        return told + before

    def log_weight(
        self, z: Float[Tensor, "samples batch features"], proposal: Distribution
    ) -> Float[Tensor, "samples batch"]:
        """Log p(x, z) - log q(z)."""
        told, before = self.terms(z)
        return told + (before - proposal.log_prob(z))

    def __call__(self, z: Float[Tensor, "batch features"]) -> Float[Tensor, " batch"]:
        """At one point for each example."""
        return self.at(z[None])[0]

    @property
    def features(self) -> int:
        """Numbers of the vector."""
        return int(self.own.event_shape.numel())


class LatentJoint(LogJoint):
    """log p(x | z) + log p(z) of one level of latents."""

    def __init__(self, prior: Conditional, likelihood: Conditional, batch: Batch, own: Distribution) -> None:
        self.prior, self.likelihood, self.batch, self.own = prior, likelihood, batch, own
        self.x = filled(batch.x, batch.observed)
        self.least = FLOOR / float(prior(batch.context).variance.max())

    def terms(self, z: Float[Tensor, "samples batch features"]) -> tuple[Tensor, Tensor]:
        given, observed = self.batch.context, self.batch.observed
        law = self.likelihood(z, given)
        told = total_log_prob(law, self.x) if observed is None else seen(law.log_prob(self.x), observed)
        return told, self.prior(given).log_prob(z)

    def levels(self, z: Float[Tensor, "samples batch features"]) -> Levels:
        return (z,)

    def part(self, rows: Int64[Tensor, " some"]) -> LogJoint:
        return LatentJoint(self.prior, self.likelihood, some(self.batch, rows), law_at(self.own, rows))


class VariatesJoint(LogJoint):
    """log p(x, z(u)) - log q(z(u) | x) + log N(u; 0, I): all levels of latents as one vector u.

    With the change of variables from z to u its integral over u is p(x), and u ~ N(0, I) is the model's own posterior.
    """

    def __init__(self, model: Whitens, batch: Batch) -> None:
        self.model, self.batch = model, batch
        self.given = model.at_variates(batch)
        zero = batch.x.new_zeros(len(batch), model.variates)
        self.own, self.least = diagonal_gaussian(zero, torch.ones_like(zero)), FLOOR

    def terms(self, z: Float[Tensor, "samples batch features"]) -> tuple[Tensor, Tensor]:
        terms = self.given(z)
        return terms.log_likelihood + (terms.log_prior - terms.log_posterior).sum(0), self.own.log_prob(z)

    def levels(self, z: Float[Tensor, "samples batch features"]) -> Levels:
        return self.given(z).latent

    def part(self, rows: Int64[Tensor, " some"]) -> LogJoint:
        return VariatesJoint(self.model, some(self.batch, rows))


class PriorJoint(LogJoint):
    """log p(x | z(u)) + log N(u; 0, I): all levels of latents as one vector u of the standard normal variates that the
    prior draws them with.

    In these units a posterior that knows little of x is as wide as the prior and no wider, however narrow the model's
    own one is: for examples of which much was not seen. `own` has that one's means, level by level, in units of the
    prior given the means above.
    """

    def __init__(self, model: Whitens, batch: Batch) -> None:
        self.model, self.batch, self.least = model, batch, FLOOR
        self.x = filled(batch.x, batch.observed)
        shifts, widths, above, posterior_at = [], [], (), model.posterior_given(batch)
        for _ in range(model.depth(tuple(batch.x.shape[1:]))):
            q, p = posterior_at(above), model.prior_at(above, batch.context)
            shifts.append(((q.mean - p.mean) / p.stddev).flatten(0, -2))
            widths.append((q.stddev / p.stddev).flatten(0, -2))
            above = (*above, q.mean if above else q.mean[None])
        self.own = diagonal_gaussian(torch.cat(shifts, -1), torch.cat(widths, -1))
        self.sizes = tuple(level.shape[-1] for level in shifts)

    def terms(self, z: Float[Tensor, "samples batch features"]) -> tuple[Tensor, Tensor]:
        observed = self.batch.observed
        law = self.model.decode(self.levels(z), self.batch.context)
        told = total_log_prob(law, self.x) if observed is None else seen(law.log_prob(self.x), observed)
        zero = torch.zeros_like(z[0])
        return told, diagonal_gaussian(zero, torch.ones_like(zero)).log_prob(z)

    def levels(self, z: Float[Tensor, "samples batch features"]) -> Levels:
        found: Levels = ()
        for variates in z.split(self.sizes, -1):
            law = self.model.prior_at(found, self.batch.context)
            found = (*found, law.mean + law.stddev * variates)
        return found

    def part(self, rows: Int64[Tensor, " some"]) -> LogJoint:
        return PriorJoint(self.model, some(self.batch, rows))


def can_be_joint(model: object) -> bool:
    """Whether `joint_of` takes a model."""
    return has(model, LatentVector) or has(model, Whitens)


def joint_of(model: LatentModel, batch: Batch) -> LogJoint:
    """What proposals are fitted to. Errors: `StateError` for a model with neither capability."""
    if has(model, Whitens):
        return VariatesJoint(needs(model, Whitens, "fitting proposals to examples"), batch)
    vector = needs(model, LatentVector, "fitting proposals to examples")
    return LatentJoint(vector.prior, vector.likelihood, batch, vector.infer(batch))


def joint_by_prior(model: LatentModel, batch: Batch) -> LogJoint:
    """`joint_of`, several levels of latents in units of the prior. Errors: as there."""
    if has(model, Whitens):
        return PriorJoint(needs(model, Whitens, "fitting proposals to examples"), batch)
    return joint_of(model, batch)


def latents_of(model: LatentModel) -> int:
    """Numbers of the vector that `joint_of` would take. Errors: as there."""
    if has(model, Whitens):
        return needs(model, Whitens, "fitting proposals to examples").variates
    return needs(model, LatentVector, "fitting proposals to examples").prior(None).event_shape.numel()
