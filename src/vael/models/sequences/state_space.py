"""A variational autoencoder for sequences: latents that move by a law of their own, each seen through a frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from vael.data.batch import Batch
from vael.data.facts import scale_of
from vael.errors import ShapeError, StateError
from vael.models.capabilities import CellWise, Continues, LatentModel
from vael.models.core import EVERYTHING, Conditional, Levels, Terms
from vael.models.likelihoods.heads import Head, Moments, at_least_float32
from vael.models.priors.standard_normal import StandardNormal
from vael.models.vae import as_conditioned, filled, seen
from vael.networks import Dense, Gaps, Standardize
from vael.networks.dense import bias_at
from vael.probability import (
    EachLatent,
    Noise,
    Replayed,
    as_noise,
    bounded,
    deviation,
    diagonal_gaussian,
    divergence,
    draw,
)


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


class WithCondition(nn.Module):
    """`inner` of some rows, which `before` has seen, and of the condition of each beside them."""

    def __init__(self, inner: nn.Module, before: nn.Module | None = None) -> None:
        super().__init__()
        self.inner, self.before = inner, before or nn.Identity()

    def forward(self, rows: Float[Tensor, "rows *event"], context: Float[Tensor, "rows conditions"]) -> Tensor:
        return self.inner(torch.cat((self.before(rows).flatten(1), context.to(rows.dtype)), 1))


class HeldInput(nn.Module):
    """A network of examples and their conditions at one condition, `[conditions]`."""

    def __init__(self, inner: nn.Module, context: Tensor) -> None:
        super().__init__()
        self.inner, self.sees_gaps = inner, getattr(inner, "sees_gaps", False)
        self.register_buffer("held", context)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, self.held.to(x.device).expand(len(x), -1))


def for_steps(context: Float[Tensor, "batch conditions"], time: int) -> Float[Tensor, "batch time conditions"]:
    """The condition of a sequence as that of each of its steps."""
    return context[:, None].expand(-1, time, -1)


class BackwardSummary(nn.Module):
    """g_t from the frames t ... T by a GRU that reads them from the end: with z_{t-1}, all that the exact posterior
    of z_t needs.

    With `sees_gaps` the frames have NaN where an element was not seen, so that `frame` can tell, else 0. With `context`
    numbers of a condition these are read with every frame.
    """

    def __init__(
        self, frame: nn.Module, features: int, hidden: int, *, sees_gaps: bool = False, context: int = 0
    ) -> None:
        super().__init__()
        self.frame, self.recurrent = frame, nn.GRU(features + context, hidden, batch_first=True)
        self.sees_gaps = sees_gaps

    def forward(
        self, x: Float[Tensor, "batch time *space"], context: Tensor | None = None
    ) -> Float[Tensor, "batch time hidden"]:
        return self.recurrent(self.seen(x, context).flip(1))[0].flip(1)

    def seen(self, x: Tensor, context: Tensor | None) -> Float[Tensor, "batch time features"]:
        """What the network makes of each frame, with the condition beside it."""
        found = self.frame(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return found if context is None else torch.cat((found, for_steps(context, x.shape[1]).to(found.dtype)), -1)


class ForwardSummary(BackwardSummary):
    """g_t from the frames 1 ... t: a filter, which can be asked while the sequence is still running."""

    def forward(
        self, x: Float[Tensor, "batch time *space"], context: Tensor | None = None
    ) -> Float[Tensor, "batch time hidden"]:
        return self.recurrent(self.seen(x, context))[0]


class StateSpace(LatentModel, CellWise, Continues):
    """p(z_1) Π_t p(z_t | z_{t-1}) p(x_t | z_t) with q(z | x) = Π_t q(z_t | z_{t-1}, g_t) (Krishnan, Shalit & Sontag
    2017, section 4).

    An example is `[time, *space]`; a level of the terms is a time step, so `divergence` has KL(q(z_t|z_{t-1}, g_t) ||
    p(z_t|z_{t-1})) at the z_{t-1} that was drawn, and ELBO is one bound for the whole sequence. `update` is given z_0 =
    0. The emission network takes one latent `[rows, features]` to the head's numbers for one frame, `[rows,
    channels_per_cell, *space]`. Elements that were not seen (`batch.observed`) are left out of log p(x | z), which
    marginalises them: elements are independent given z. `frames` is how many a drawn sequence has.

    With `context` numbers of a condition c, one for a whole sequence, p(x_t | z_t, c) and q are conditioned on it, and
    the terms are those of log p(x | c). Latents move alike for every c, which decides what is seen of them: emission
    and summary then take c beside latents and frames.
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
        *,
        context: int = 0,
    ) -> None:
        super().__init__()
        self.frames, self.context = frames, context
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
        summary = self.summarized(batch)
        if latent is None:
            noise = as_noise(generator).normal((samples, *summary.shape[:2], *self.latent_shape), at_least_float32(x))
            latent = self._states(summary, samples, Replayed(noise.unbind(2)))
        before = torch.stack((torch.zeros_like(latent[0]), *latent[:-1]), 2)
        return self._terms(batch, latent, self.update(before, summary), requires)

    @property
    def latent_shape(self) -> torch.Size:
        """The shape of the latents of one step."""
        return self.initial(None).event_shape

    def summarized(self, batch: Batch) -> Float[Tensor, "batch time hidden"]:
        """g_1 ... g_T of the elements that were seen."""
        return self._summary(batch.x, batch.observed, batch.context)

    def _summary(self, x: Tensor, observed: Tensor | None, context: Tensor | None) -> Tensor:
        c = as_conditioned(self.context, context)
        given = () if c is None else (c.expand(x.shape[0], -1),)
        if observed is not None and getattr(self.summary, "sees_gaps", False):
            return self.summary(torch.where(observed, x, torch.full_like(x, torch.nan)), *given)
        return self.summary(filled(x, observed), *given)

    def at(self, context: Tensor) -> StateSpace:
        """The model of sequences at one condition c, `[conditions]`, the same weights.

        Errors: as `vael.models.vae.as_conditioned`.
        """
        as_conditioned(self.context, context)
        c = context.detach().clone()
        held = HeldInput(self.emission, c), self.head, HeldInput(self.summary, c), self.update
        return StateSpace(self.initial, self.transition, *held, frames=self.frames).train(self.training)

    @property
    def leaves_out(self) -> bool:
        return not self.head.couples

    def _terms(self, batch: Batch, latent: Levels, q: Distribution, requires: frozenset[str]) -> Terms:
        z = torch.stack(latent, 2)  # [samples, batch, time, features]
        first, later = self.initial(None), self.transition(z[:, :, :-1])

        def each(of: Callable[[Distribution, Distribution, Tensor], Tensor]) -> Tensor:
            """Of q, p and z of the first step, and of the others at once: `[time, samples, batch]`."""
            parts = (
                of(at_steps(q, slice(0, 1)), first, z[:, :, :1]),
                of(at_steps(q, slice(1, None)), later, z[:, :, 1:]),
            )
            return torch.cat(parts, 2).movedim(2, 0)

        cells = self.decode(latent, batch.context).log_prob(filled(batch.x, batch.observed))
        return Terms(
            log_likelihood=seen(cells, batch.observed),
            log_prior=each(lambda q, p, z: p.log_prob(z)) if "log_prior" in requires else None,
            log_posterior=each(lambda q, p, z: q.log_prob(z)) if "log_posterior" in requires else None,
            divergence=each(lambda q, p, z: divergence(q, p, z[None])[0]) if "divergence" in requires else None,
            latent=latent,
            prior=(first, *(at_steps(later, t) for t in range(len(latent) - 1))),
            posterior=tuple(at_steps(q, t) for t in range(len(latent))),
        )

    def depth(self, event: Sequence[int]) -> int:
        """One level for each frame."""
        return event[0]

    def prior_at(self, above: Levels, context: Tensor | None = None) -> Distribution:
        return self.transition(above[-1]) if above else self.initial(None)

    def posterior_at(self, above: Levels, batch: Batch) -> Distribution:
        return self.posterior_given(batch)(above)

    def posterior_given(self, batch: Batch) -> Callable[[Levels], Distribution]:
        """The window is read once, so that all steps take a time that grows with their number, not with its square."""
        summary = self.summarized(batch)
        start = summary.new_zeros(summary.shape[0], *self.latent_shape)
        return lambda above: self.update(above[-1] if above else start, summary[:, len(above)])

    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        z, c = torch.stack(latent, 2), as_conditioned(self.context, context)  # [samples, batch, time, features]
        each = () if c is None else (c.expand(*z.shape[:2], -1)[:, :, None].expand(*z.shape[:3], -1).flatten(0, 2),)
        raw = at_least_float32(self.emission(z.flatten(0, 2), *each)).unflatten(0, z.shape[:3])
        return self.head(raw.movedim(3, 2).flatten(2, 3))  # first parameter of all frames, then the second

    def _states(
        self, summary: Float[Tensor, "batch time hidden"], samples: int, noise: Noise | None
    ) -> tuple[Tensor, ...]:
        """z_1 ... z_T as q moves them, `[samples, batch, features]` each; without noise by the means."""
        z, found = summary.new_zeros(samples, summary.shape[0], *self.latent_shape), []
        for t in range(summary.shape[1]):
            z = _step(self.update(z, summary[:, t]), noise)
            found.append(z)
        return tuple(found)

    def after(self, latent: Levels, steps: int, noise: Noise) -> Levels:
        return self._rolled(latent[-1], steps, noise)

    def _rolled(self, z: Tensor, steps: int, noise: Noise | None) -> Levels:
        """Z moved on so many times."""
        found = []
        for _ in range(steps):
            z = _step(self.transition(z), noise)
            found.append(z)
        return tuple(found)

    def predict(
        self,
        x: Float[Tensor, "batch time *space"],
        steps: int,
        *,
        samples: int = 1,
        generator: torch.Generator | Noise | None = None,
        context: Tensor | None = None,
    ) -> Float[Tensor, "batch steps *space"]:
        """Mean frames after the ones seen; no frame between is looked at or made.

        With a `generator` the mean over `samples` ways that the latents may take; without one they roll on by the means
        of q and the transition.
        """
        noise = None if generator is None else as_noise(generator)
        z = self._states(self._summary(x, None, context), samples, noise)[-1]
        return self.decode(self._rolled(z, steps, noise), context).mean.mean(0)

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
        return draw(self.decode(tuple(z), context), 1, noise)[0, 0]


def at_steps(law: Distribution, steps: int | slice) -> Distribution:
    """A Gaussian of all steps, `[samples, batch, time]`, at one or some of them."""
    if isinstance(law, MultivariateNormal):
        low = law.scale_tril[:, :, steps]
        return MultivariateNormal(law.loc[:, :, steps], scale_tril=low, validate_args=False)
    return diagonal_gaussian(law.mean[:, :, steps], deviation(law)[:, :, steps])


def _step(law: Distribution, noise: Noise | None) -> Tensor:
    """A draw, or the mean where there is no noise."""
    return law.mean if noise is None else draw(law, 1, EachLatent(noise))[0]


def state_space(
    event: Sequence[int],
    head: Head,
    *,
    latent: int = 8,
    hidden: int = 64,
    filters: bool = False,
    sees_gaps: bool = False,
    moments: Moments | None = None,
    context: int = 0,
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
    summary = (ForwardSummary if filters else BackwardSummary)(
        read, hidden, hidden, sees_gaps=sees_gaps, context=context
    )
    transition, update = (Dense((size,), (2 * latent,), (hidden,), nn.SiLU) for size in (latent, latent + hidden))
    start = None if moments is None else head.start(moments.mean.float(), moments.std.float())
    emission = bias_at(Dense((latent + context,), numbers, (2 * hidden,), nn.SiLU), start)
    seen_through = WithCondition(emission) if context else emission
    moves = GaussianTransition(transition), seen_through, head, summary, GaussianUpdate(update)
    return StateSpace(StandardNormal(latent), *moves, frames=event[0], context=context)
