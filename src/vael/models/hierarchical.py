"""A variational autoencoder with several levels of latents, inferred from the top downwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vael.data.batch import Batch
from vael.errors import ShapeError, StateError
from vael.models.capabilities import Capability, CellWise, CodeVector, Whitens
from vael.models.core import EVERYTHING, Levels, Terms
from vael.models.likelihoods.heads import Head, at_least_float32
from vael.models.vae import filled, seen, shown
from vael.networks.ladder import Ladder
from vael.probability import (
    EachLatent,
    Noise,
    Replayed,
    as_noise,
    bounded,
    diagonal_gaussian,
    divergence,
    draw,
    total_log_prob,
)

DENSITIES = frozenset({"log_prior", "log_posterior"})


Deviation = Callable[[Tensor, float, float], Tensor]


def exponential(raw: Tensor, low: float, high: float) -> Tensor:
    """exp(r), its logarithm bounded smoothly."""
    return bounded(raw, low, high).exp()


def softened(raw: Tensor, low: float, high: float) -> Tensor:
    """log(1 + 2^r) / log 2, which is 1 at 0, its logarithm bounded smoothly: where it is large it grows as r does and
    not as e^r, so gradients stay small (gradient smoothing, Hazami, Mama & Thurairatnam 2022).
    """
    return bounded((F.softplus(math.log(2) * raw) / math.log(2)).log(), low, high).exp()


class HierarchicalVAE(Whitens, CodeVector, CellWise):
    """p(z_1) Π p(z_l | z_<l) p(x | z) with q(z_1 | x) Π q(z_l | z_<l, x), every level a diagonal Gaussian.

    The way down is shared: with the state h_l that all latents above level l have made, p(z_l | z_<l) = N(μ, diag σ²)
    is read from h_l, and q(z_l | z_<l, x) = N(μ + σ Δμ, diag (σ Δσ)²) from h_l and what the way up saw of x: relative
    to the prior (Vahdat & Kautz 2020, eq. 4), so that a level that says nothing of x has divergence 0. log σ is bounded
    smoothly to (-5, 3), log Δσ to (-5, 2); `deviation` makes σ and Δσ of the networks' numbers.

    `before` is what x goes through ahead of the ladder: the data's own scale, gaps. An encoder is given NaN where an
    element was not seen, if `sees_gaps`.
    """

    def __init__(
        self,
        before: nn.Module,
        ladder: Ladder,
        head: Head,
        start: nn.Module,
        *,
        sees_gaps: bool,
        deviation: Deviation | None = None,
    ) -> None:
        super().__init__()
        self.deviation = deviation or exponential
        self.before, self.ladder, self.head, self.start, self.sees_gaps = before, ladder, head, start, sees_gaps

    def can(self, capability: type[Capability]) -> bool:
        """Elements that depend on each other given z cannot be left out one by one."""
        return super().can(capability) and not (capability is CellWise and self.head.couples)

    def depth(self, event: Sequence[int]) -> int:
        return len(self.ladder.sizes)

    def prior_at(self, above: Levels, context: Tensor | None = None) -> Distribution:
        return self._prior(len(above), self._state(above), above[0].shape[:2] if above else None)

    def posterior_at(self, above: Levels, batch: Batch) -> Distribution:
        return self.posterior_given(batch)(above)

    def posterior_given(self, batch: Batch) -> Callable[[Levels], Distribution]:
        up = self._seen(batch)

        def at(above: Levels) -> Distribution:
            rows = above[0].shape[:2] if above else None
            return self._level(len(above), self._state(above), up[len(above)], rows)[0]

        return at

    def in_levels(self, code: Tensor) -> Levels:
        return code.split(self.ladder.sizes, -1)

    @property
    def variates(self) -> int:
        return sum(self.ladder.sizes)

    def at_variates(self, batch: Batch) -> Callable[[Tensor], Terms]:
        up = self._seen(batch)
        return lambda u: self._downwards(batch, up, len(u), Replayed(u.split(self.ladder.sizes, -1)), DENSITIES, None)

    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        return self._likelihood(self._state(latent), latent[0].shape[:2])

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
        """One pass upwards and one downwards for all levels and samples."""
        if posterior is not None:
            raise StateError(
                f"a posterior for {len(posterior)} levels was given, but here every level's is made from the draws "
                "above; leave it out, or give the latents (latent=)"
            )
        self._refuse_condition(batch.context)
        return self._downwards(batch, self._seen(batch), samples, as_noise(generator), requires, latent)

    def _downwards(
        self,
        batch: Batch,
        seen_at: Sequence[Tensor],
        samples: int,
        noise: Noise,
        requires: frozenset[str],
        latent: Levels | None,
    ) -> Terms:
        """The terms from what was seen of x at each level: latents as given, or drawn with the noise."""
        x = filled(batch.x, batch.observed)
        rows, h, pairs = torch.Size((samples, len(x))), self.ladder.top(), []
        for level, up in enumerate(seen_at):
            q, p = self._level(level, h, up, rows if level else None)
            if latent is not None:
                z = latent[level]
            else:
                z = draw(q, 1, EachLatent(noise))[0] if level else draw(q, samples, noise)
            h = self._below(level, h, z)
            pairs.append((q, p, z))
        law = self._likelihood(h, rows)
        return Terms(
            log_likelihood=total_log_prob(law, x) if batch.observed is None else seen(law.log_prob(x), batch.observed),
            log_prior=torch.stack([b.log_prob(at) for _, b, at in pairs]) if "log_prior" in requires else None,
            log_posterior=torch.stack([a.log_prob(at) for a, _, at in pairs]) if "log_posterior" in requires else None,
            divergence=torch.stack([_apart(a, b, at) for a, b, at in pairs]) if "divergence" in requires else None,
            latent=tuple(z for *_, z in pairs),
            prior=tuple(p for _, p, _ in pairs),
            posterior=tuple(q for q, *_ in pairs),
        )

    def _refuse_condition(self, context: Tensor | None) -> None:
        if context is not None:
            raise ShapeError(
                f"a condition of {context.shape[-1]} numbers for each example, but this model has no condition; leave "
                "it out"
            )

    def _seen(self, batch: Batch) -> list[Tensor]:
        x = shown(batch.x, batch.observed, self)
        return self.ladder.seen(self.before(x))

    def _state(self, above: Levels) -> Tensor:
        h = self.ladder.top()
        for level, z in enumerate(above):
            h = self._below(level, h, z)
        return h

    def _below(self, level: int, h: Tensor, z: Tensor) -> Tensor:
        at = z.flatten(0, 1)
        h = h if level else h.expand(at.shape[0], *h.shape[1:])  # the state above the first level is one for all
        return self.ladder.below(level, h, at.to(h.dtype))

    def _prior(self, level: int, h: Tensor, rows: torch.Size | None) -> Distribution:
        """p(z_l | z_<l) from the state; of the first level without batch shape."""
        raw = self.ladder.prior(level, h)
        return diagonal_gaussian(*self._moments(raw[0] if rows is None else raw.unflatten(0, rows)))

    def _level(self, level: int, h: Tensor, up: Tensor, rows: torch.Size | None) -> tuple[Distribution, Distribution]:
        """Posterior and prior of a level, whose `rows` are samples and examples; None where no level stands above."""
        if rows is not None:  # what was seen of x is the same for all samples
            up = up.expand(rows[0], *up.shape).flatten(0, 1)
        raw_p = self.ladder.prior(level, h)
        raw_q = self.ladder.posterior(level, h.expand(up.shape[0], *h.shape[1:]), up)
        if rows is not None:
            raw_p, raw_q = raw_p.unflatten(0, rows), raw_q.unflatten(0, rows)
        loc, scale = self._moments(raw_p)
        shift, wider = at_least_float32(raw_q).chunk(2, -1)
        q = diagonal_gaussian(loc + scale * shift, scale * self.deviation(wider, -5.0, 2.0))
        return q, diagonal_gaussian(loc[0], scale[0]) if rows is None else diagonal_gaussian(loc, scale)

    def _moments(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the prior from a network's two numbers for each latent."""
        loc, wide = at_least_float32(raw).chunk(2, -1)
        return loc, self.deviation(wide, -5.0, 3.0)

    def _likelihood(self, h: Tensor, rows: torch.Size) -> Distribution:
        raw = self.start(self.ladder.out(h))
        return self.head(at_least_float32(raw).unflatten(0, rows))


def _apart(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """KL(q || p) at each draw of the levels above, `[samples, batch]`."""
    if len(q.batch_shape) == 1:
        return divergence(q, p, z)
    return divergence(q, p, z[None])[0]
