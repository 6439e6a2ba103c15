"""A variational autoencoder for sequences: latents that move by a law of their own, each seen through a frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.batch import Batch
from vael.errors import ShapeError, StateError
from vael.models.capabilities import LatentModel
from vael.models.core import EVERYTHING, Conditional, Levels, Terms
from vael.models.likelihoods.heads import Head, at_least_float32
from vael.models.priors.standard_normal import StandardNormal
from vael.networks import Dense
from vael.probability import Noise, as_noise, bounded, diagonal_gaussian, divergence, draw


class GaussianTransition(Conditional):
    """p(z_t | z_{t-1}) = N(z_{t-1} + f(z_{t-1}), diag σ²(z_{t-1})); the network gives 2 × features numbers, log σ
    bounded to (-5, 2).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        change, raw = at_least_float32(self.network(z.flatten(0, -2)).unflatten(0, z.shape[:-1])).chunk(2, dim=-1)
        return diagonal_gaussian(z + change, bounded(raw, -5.0, 2.0).exp())


class GaussianUpdate(Conditional):
    """q(z_t | z_{t-1}, g_t): the law that z_{t-1} leads one to expect is moved by what the summary g_t of the frames
    says.

    The network takes z_{t-1} and g_t side by side and gives 2 × features numbers: the mean relative to z_{t-1}, and log
    σ, bounded to (-5, 2).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, summary: Tensor) -> Distribution:
        both = torch.cat([z, summary.expand(*z.shape[:-1], summary.shape[-1])], -1)
        change, raw = at_least_float32(self.network(both.flatten(0, -2)).unflatten(0, z.shape[:-1])).chunk(2, dim=-1)
        return diagonal_gaussian(z + change, bounded(raw, -5.0, 2.0).exp())


class BackwardSummary(nn.Module):
    """g_t from the frames t ... T by a GRU that reads them from the end: with z_{t-1}, all that the exact posterior
    of z_t needs.
    """

    def __init__(self, frame: nn.Module, features: int, hidden: int) -> None:
        super().__init__()
        self.frame, self.recurrent = frame, nn.GRU(features, hidden, batch_first=True)

    def forward(self, x: Float[Tensor, "batch time *space"]) -> Float[Tensor, "batch time hidden"]:
        seen = self.frame(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return self.recurrent(seen.flip(1))[0].flip(1)


class ForwardSummary(BackwardSummary):
    """g_t from the frames 1 ... t: a filter, which can be asked while the sequence is still running."""

    def forward(self, x: Float[Tensor, "batch time *space"]) -> Float[Tensor, "batch time hidden"]:
        return self.recurrent(self.frame(x.flatten(0, 1)).unflatten(0, x.shape[:2]))[0]


class StateSpace(LatentModel):
    """p(z_1) Π_t p(z_t | z_{t-1}) p(x_t | z_t) with q(z | x) = Π_t q(z_t | z_{t-1}, g_t) (Krishnan, Shalit & Sontag
    2017, section 4).

    An example is `[time, *space]`; a level of the terms is a time step, so `divergence` has KL(q(z_t|z_{t-1}, g_t) ||
    p(z_t|z_{t-1})) at the z_{t-1} that was drawn, and ELBO is one bound for the whole sequence. `update` is given z_0 =
    0. The emission network takes one latent `[rows, features]` to the head's numbers for one frame, `[rows,
    channels_per_cell, *space]`.
    """

    def __init__(
        self,
        initial: Conditional,
        transition: Conditional,
        emission: nn.Module,
        head: Head,
        summary: nn.Module,
        update: Conditional,
    ) -> None:
        super().__init__()
        self.initial, self.transition, self.emission, self.head = initial, transition, emission, head
        self.summary, self.update = summary, update

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
        """The terms of a batch of sequences.

        Errors: `StateError` for a posterior or a mask, `ShapeError` for too few or too many latents.
        """
        if posterior is not None or batch.observed is not None:
            raise StateError(
                "a state-space model takes whole sequences and its own posterior; give latents by latent= to look at "
                "the joint"
            )
        x = batch.x
        if latent is not None and len(latent) != x.shape[1]:
            raise ShapeError(
                f"{len(latent)} latents were given for sequences of {x.shape[1]} frames; expected one for each"
            )
        summary, size = self.summary(x), self.initial(None).event_shape
        noise = (
            as_noise(generator).normal((samples, len(x), x.shape[1], *size), at_least_float32(x))
            if latent is None
            else x
        )
        z, before, steps = x.new_zeros(samples, len(x), *size), None, []
        for t in range(x.shape[1]):
            p = self.initial(None) if before is None else self.transition(before)
            q = self.update(z, summary[:, t])
            z = latent[t] if latent is not None else q.mean + q.stddev * noise[:, :, t]
            steps.append((p, q, z))
            before = z
        return self._terms(x, steps, requires)

    def _terms(
        self, x: Tensor, steps: list[tuple[Distribution, Distribution, Tensor]], requires: frozenset[str]
    ) -> Terms:
        priors, posteriors, latents = (tuple(part) for part in zip(*steps, strict=True))
        return Terms(
            log_likelihood=self.decode(latents).log_prob(x).flatten(2).sum(2),
            log_prior=torch.stack([p.log_prob(z) for p, _, z in steps]) if "log_prior" in requires else None,
            log_posterior=torch.stack([q.log_prob(z) for _, q, z in steps]) if "log_posterior" in requires else None,
            divergence=torch.stack([divergence(q, p, z[None])[0] for p, q, z in steps])
            if "divergence" in requires
            else None,
            latent=latents,
            prior=priors,
            posterior=posteriors,
        )

    def depth(self, event: Sequence[int]) -> int:
        """One level for each frame."""
        return event[0]

    def prior_at(self, above: Levels, context: Tensor | None = None) -> Distribution:
        return self.transition(above[-1]) if above else self.initial(None)

    def posterior_at(self, above: Levels, batch: Batch) -> Distribution:
        before = above[-1] if above else batch.x.new_zeros(len(batch), *self.initial(None).event_shape)
        return self.update(before, self.summary(batch.x)[:, len(above)])

    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        z = torch.stack(latent, 2)  # [samples, batch, time, features]
        raw = at_least_float32(self.emission(z.flatten(0, 2))).unflatten(0, z.shape[:3])
        return self.head(raw.movedim(3, 2).flatten(2, 3))  # first parameter of all frames, then the second

    def means(self, x: Float[Tensor, "batch time *space"]) -> Levels:
        """z_1 ... z_t at the means of q, one after another, `[1, batch, features]` each."""
        return self._states(x, 1, None)

    def _states(self, x: Tensor, samples: int, noise: Noise | None) -> Levels:
        summary, z, found = self.summary(x), x.new_zeros(samples, len(x), *self.initial(None).event_shape), []
        for t in range(x.shape[1]):
            z = _step(self.update(z, summary[:, t]), noise)
            found.append(z)
        return tuple(found)

    def predict(
        self,
        x: Float[Tensor, "batch time *space"],
        steps: int,
        *,
        samples: int = 1,
        generator: torch.Generator | Noise | None = None,
    ) -> Float[Tensor, "batch steps *space"]:
        """Mean frames after the ones seen; no frame between is looked at or made.

        With a `generator` the mean over `samples` ways that the latents may take; without one they roll on by the means
        of q and the transition.
        """
        noise = None if generator is None else as_noise(generator)
        z, future = self._states(x, samples, noise)[-1], []
        for _ in range(steps):
            z = _step(self.transition(z), noise)
            future.append(z)
        return self.decode(tuple(future)).mean.mean(0)

    def sample(
        self, samples: int, *, generator: torch.Generator | Noise, context: Tensor | None = None, frames: int = 16
    ) -> Tensor:
        """New sequences `[samples, frames, *space]`."""
        noise = as_noise(generator)
        z = [draw(self.initial(None), samples, noise)[None]]
        while len(z) < frames:
            z.append(_step(self.transition(z[-1]), noise))
        return draw(self.decode(tuple(z)), 1, noise)[0, 0]

    def reconstruct(self, batch: Batch) -> Tensor:
        return self.decode(self.means(batch.x)).mean[0]

    def encode(self, batch: Batch) -> Tensor:
        """The means of all latents, one after another, `[batch, time × features]`."""
        return torch.cat([z[0] for z in self.means(batch.x)], -1)


def _step(law: Distribution, noise: Noise | None) -> Tensor:
    """A draw, or the mean where there is no noise."""
    return law.mean if noise is None else law.mean + law.stddev * noise.normal(law.mean.shape, law.mean)


def state_space(
    event: Sequence[int], head: Head, *, latent: int = 8, hidden: int = 64, filters: bool = False
) -> StateSpace:
    """Dense parts for sequences of shape `event` = [time, *space]: z_1 ~ N(0, I), one hidden layer everywhere else.

    With `filters` the posterior reads the frames up to t, otherwise those from t on. Weights are drawn from PyTorch's
    default generator.
    """
    frame, numbers = tuple(event[1:]), (head.channels_per_cell, *event[1:])
    summary = (ForwardSummary if filters else BackwardSummary)(
        Dense(frame, (hidden,), (hidden,), nn.SiLU), hidden, hidden
    )
    transition, update = (Dense((size,), (2 * latent,), (hidden,), nn.SiLU) for size in (latent, latent + hidden))
    emission = Dense((latent,), numbers, (2 * hidden,), nn.SiLU)
    return StateSpace(
        StandardNormal(latent), GaussianTransition(transition), emission, head, summary, GaussianUpdate(update)
    )
