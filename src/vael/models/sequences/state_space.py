"""A variational autoencoder for sequences: latents that move by a law of their own, each seen through a frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.batch import Batch
from vael.data.facts import scale_of
from vael.errors import ShapeError, StateError
from vael.models.capabilities import CellWise, LatentModel
from vael.models.core import EVERYTHING, Conditional, Levels, Terms
from vael.models.likelihoods.heads import Head, Moments, at_least_float32
from vael.models.priors.standard_normal import StandardNormal
from vael.models.vae import filled, seen
from vael.networks import Dense, Gaps, Standardize
from vael.networks.dense import bias_at
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

    With `sees_gaps` the frames have NaN where an element was not seen, so that `frame` can tell, else 0.
    """

    def __init__(self, frame: nn.Module, features: int, hidden: int, *, sees_gaps: bool = False) -> None:
        super().__init__()
        self.frame, self.recurrent = frame, nn.GRU(features, hidden, batch_first=True)
        self.sees_gaps = sees_gaps

    def forward(self, x: Float[Tensor, "batch time *space"]) -> Float[Tensor, "batch time hidden"]:
        seen = self.frame(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return self.recurrent(seen.flip(1))[0].flip(1)


class ForwardSummary(BackwardSummary):
    """g_t from the frames 1 ... t: a filter, which can be asked while the sequence is still running."""

    def forward(self, x: Float[Tensor, "batch time *space"]) -> Float[Tensor, "batch time hidden"]:
        return self.recurrent(self.frame(x.flatten(0, 1)).unflatten(0, x.shape[:2]))[0]


class StateSpace(LatentModel, CellWise):
    """p(z_1) Π_t p(z_t | z_{t-1}) p(x_t | z_t) with q(z | x) = Π_t q(z_t | z_{t-1}, g_t) (Krishnan, Shalit & Sontag
    2017, section 4).

    An example is `[time, *space]`; a level of the terms is a time step, so `divergence` has KL(q(z_t|z_{t-1}, g_t) ||
    p(z_t|z_{t-1})) at the z_{t-1} that was drawn, and ELBO is one bound for the whole sequence. `update` is given z_0 =
    0. The emission network takes one latent `[rows, features]` to the head's numbers for one frame, `[rows,
    channels_per_cell, *space]`. Elements that were not seen (`batch.observed`) are left out of log p(x | z), which
    marginalises them: elements are independent given z. `frames` is how many a drawn sequence has.
    """

    def __init__(
        self,
        initial: Conditional,
        transition: Conditional,
        emission: nn.Module,
        head: Head,
        summary: nn.Module,
        update: Conditional,
        frames: int = 16,
    ) -> None:
        super().__init__()
        self.frames = frames
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

        Errors: `StateError` for a posterior, `ShapeError` for too few or too many latents.
        """
        if posterior is not None:
            raise StateError(
                "a state-space model takes its own posterior; give latents by latent= to look at the joint"
            )
        x = batch.x
        if latent is not None and len(latent) != x.shape[1]:
            raise ShapeError(
                f"{len(latent)} latents were given for sequences of {x.shape[1]} frames; expected one for each"
            )
        summary, size = self.summarized(batch), self.initial(None).event_shape
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
        return self._terms(batch, steps, requires)

    def summarized(self, batch: Batch) -> Float[Tensor, "batch time hidden"]:
        """g_1 ... g_T of the elements that were seen."""
        return self._summary(batch.x, batch.observed)

    def _summary(self, x: Tensor, observed: Tensor | None) -> Tensor:
        if observed is not None and getattr(self.summary, "sees_gaps", False):
            return self.summary(torch.where(observed, x, torch.full_like(x, torch.nan)))
        return self.summary(filled(x, observed))

    @property
    def leaves_out(self) -> bool:
        return not self.head.couples

    def _terms(
        self, batch: Batch, steps: list[tuple[Distribution, Distribution, Tensor]], requires: frozenset[str]
    ) -> Terms:
        priors, posteriors, latents = (tuple(part) for part in zip(*steps, strict=True))
        return Terms(
            log_likelihood=seen(self.decode(latents).log_prob(filled(batch.x, batch.observed)), batch.observed),
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
        return self.update(before, self.summarized(batch)[:, len(above)])

    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        z = torch.stack(latent, 2)  # [samples, batch, time, features]
        raw = at_least_float32(self.emission(z.flatten(0, 2))).unflatten(0, z.shape[:3])
        return self.head(raw.movedim(3, 2).flatten(2, 3))  # first parameter of all frames, then the second

    def means(self, batch: Batch) -> Levels:
        """z_1 ... z_t at the means of q, one after another, `[1, batch, features]` each."""
        return self._states(batch.x, batch.observed, 1, None)

    def _states(self, x: Tensor, observed: Tensor | None, samples: int, noise: Noise | None) -> Levels:
        summary, found = self._summary(x, observed), []
        z = x.new_zeros(samples, len(x), *self.initial(None).event_shape)
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
        z, future = self._states(x, None, samples, noise)[-1], []
        for _ in range(steps):
            z = _step(self.transition(z), noise)
            future.append(z)
        return self.decode(tuple(future)).mean.mean(0)

    def sample(
        self,
        samples: int,
        *,
        generator: torch.Generator | Noise,
        context: Tensor | None = None,
        frames: int | None = None,
    ) -> Tensor:
        """New sequences `[samples, frames, *space]`, by default of as many frames as the model was made for."""
        noise = as_noise(generator)
        z = [draw(self.initial(None), samples, noise)[None]]
        while len(z) < (frames or self.frames):
            z.append(_step(self.transition(z[-1]), noise))
        return draw(self.decode(tuple(z)), 1, noise)[0, 0]

    def reconstruct(self, batch: Batch) -> Tensor:
        return self.decode(self.means(batch)).mean[0]

    def encode(self, batch: Batch) -> Tensor:
        """The means of all latents, one after another, `[batch, time × features]`."""
        return torch.cat([z[0] for z in self.means(batch)], -1)


def _step(law: Distribution, noise: Noise | None) -> Tensor:
    """A draw, or the mean where there is no noise."""
    return law.mean if noise is None else law.mean + law.stddev * noise.normal(law.mean.shape, law.mean)


def state_space(
    event: Sequence[int],
    head: Head,
    *,
    latent: int = 8,
    hidden: int = 64,
    filters: bool = False,
    sees_gaps: bool = False,
    moments: Moments | None = None,
) -> StateSpace:
    """Dense parts for sequences of shape `event` = [time, *space]: z_1 ~ N(0, I), one hidden layer everywhere else.

    With `filters` the posterior reads the frames up to t, otherwise those from t on; with `sees_gaps` it is told which
    elements were seen. `moments` are those of one frame, `[1, *space]`: the posterior then sees data of unit scale, and
    the emission starts at their mean. Weights are drawn from PyTorch's default generator.
    """
    frame, numbers = tuple(event[1:]), (head.channels_per_cell, *event[1:])
    scale = [] if moments is None else [Standardize(moments.mean[0].float(), scale_of(moments)[0])]
    before = [Gaps(nn.Sequential(*scale))] if sees_gaps else scale
    inputs = (2 * math.prod(frame),) if sees_gaps else frame
    read = nn.Sequential(*before, Dense(inputs, (hidden,), (hidden,), nn.SiLU))
    summary = (ForwardSummary if filters else BackwardSummary)(read, hidden, hidden, sees_gaps=sees_gaps)
    transition, update = (Dense((size,), (2 * latent,), (hidden,), nn.SiLU) for size in (latent, latent + hidden))
    start = None if moments is None else head.start(moments.mean.float(), moments.std.float())
    emission = bias_at(Dense((latent,), numbers, (2 * hidden,), nn.SiLU), start)
    moves = GaussianTransition(transition), emission, head, summary, GaussianUpdate(update)
    return StateSpace(StandardNormal(latent), *moves, frames=event[0])
