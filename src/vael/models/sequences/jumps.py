"""A model of sequences that believes, and jumps: what was seen up to a time gives a belief about the latents there, and
from them it jumps any number of steps ahead (TD-VAE: Gregor, Papamakarios, Besse, Buesing & Weber 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.batch import Batch
from vael.errors import ShapeError, StateError
from vael.models.capabilities import Predicts
from vael.models.core import EVERYTHING, Conditional, Levels, Terms
from vael.models.likelihoods.heads import Head, Moments, at_least_float32
from vael.models.sequences.linear_dynamics import frame_scale
from vael.models.sequences.state_space import ForwardSummary, HeldInput, WithCondition
from vael.models.vae import as_conditioned, filled
from vael.networks import Dense, Gaps, Standardize
from vael.networks.dense import bias_at
from vael.probability import EachLatent, Noise, as_noise, bounded, diagonal_gaussian, divergence, draw

LOG_SCALES = (-5.0, 2.0)


def gaussian_of(raw: Tensor, around: Tensor | float = 0.0) -> Distribution:
    """N(around + μ, diag σ²) of μ and raw log σ side by side, log σ bounded to (-5, 2)."""
    loc, log_scale = at_least_float32(raw).chunk(2, -1)
    return diagonal_gaussian(around + loc, bounded(log_scale, *LOG_SCALES).exp())


class Belief(Conditional):
    """p_B(z_t | b_t): a network takes b_t to 2 × features numbers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, belief: Tensor, context: Tensor | None = None) -> Distribution:
        return gaussian_of(rowwise(self.network, belief))


class Jump(Conditional):
    """p_T(z_t2 | z_t1, t2 - t1): z_t1 moved by what a network gives of both; `farthest` steps are 1 to it."""

    def __init__(self, network: nn.Module, farthest: int) -> None:
        super().__init__()
        self.network, self.farthest = network, farthest

    def forward(self, z: Tensor, steps: Tensor) -> Distribution:
        return gaussian_of(rowwise(self.network, beside(z, steps / self.farthest)), at_least_float32(z))


class Smoothing(Conditional):
    """q(z_t1 | z_t2, b_t1, b_t2, t2 - t1): a network of all of these gives it relative to z_t2."""

    def __init__(self, network: nn.Module, farthest: int) -> None:
        super().__init__()
        self.network, self.farthest = network, farthest

    def forward(self, z: Tensor, before: Tensor, after: Tensor, steps: Tensor) -> Distribution:
        given = beside(torch.cat((z, before.to(z.dtype), after.to(z.dtype)), -1), steps / self.farthest)
        return gaussian_of(rowwise(self.network, given), at_least_float32(z))


def beside(z: Tensor, number: Tensor) -> Tensor:
    """A number beside the features of each latent."""
    return torch.cat((z, number[..., None].to(z.dtype)), -1)


def rowwise(network: nn.Module, rows: Tensor) -> Tensor:
    """A network of `[rows, features]` at `[..., features]`."""
    return network(rows.flatten(0, -2)).unflatten(0, rows.shape[:-1])


@dataclass(frozen=True)
class Pair:
    """Of each draw, how many steps were seen, and how many later is what is asked for."""

    seen: Int64[Tensor, "samples batch"]  # t1, from 0 on: b_0 is what is believed before anything was seen
    steps: Int64[Tensor, "samples batch"]  # t2 - t1, from 1 on


@dataclass(frozen=True, eq=False)
class JumpyNetworks:
    """The modules of a `JumpyStateSpace`."""

    summary: nn.Module  # sequences `[batch, time, *space]` to b_1 ... b_T, `[batch, time, size]`
    belief: Conditional  # p_B(z_t | b_t)
    smoothing: Conditional  # q(z_t1 | z_t2, b_t1, b_t2, t2 - t1)
    transition: Conditional  # p_T(z_t2 | z_t1, t2 - t1)
    emission: nn.Module  # one latent `[rows, features]` to the head's numbers of one frame


class JumpyStateSpace(Predicts):
    """p(x_t2 | x_1 ... x_t1) = ∫ p_B(z_t1 | b_t1) p_T(z_t2 | z_t1) p(x_t2 | z_t2), b_t a function of x_1 ... x_t alone,
    with the posterior p_B(z_t2 | b_t2) q(z_t1 | z_t2, b_t1, b_t2).

    The terms of a batch are those of pairs t1 < t2 that noise draws, one for each sample, evenly over t2 - t1 up to
    `farthest` and over t1; their bound, that of the paper,

        E[log p(x_t2 | z_t2) + log p_B(z_t1 | b_t1) + log p_T(z_t2 | z_t1) - log p_B(z_t2 | b_t2) - log q(z_t1 | ...)],

    is on log p(x_t2 | x_1 ... x_t1): of a frame given the frames up to t1, and not of a whole sequence. Levels are z_t1
    and z_t2. For t2 = t1 + 1 the sum over all t1 from 0 on is a bound on log Π_t p(x_t | x_1 ... x_t-1).

    Elements that were not seen are left out. `size` numbers are what is believed, and `frames` is how many a drawn
    sequence has.

    With `context` numbers of a condition c, one for a whole sequence, all of this is given c: b_0 is a linear function
    of it, `summary` and `emission` take it beside frames and latents, and from b_t everything else has it. Latents jump
    alike for every c.
    """

    def __init__(
        self, parts: JumpyNetworks, head: Head, *, size: int, farthest: int = 4, frames: int = 16, context: int = 0
    ) -> None:
        super().__init__()
        self.summary, self.belief, self.smoothing = parts.summary, parts.belief, parts.smoothing
        self.transition, self.emission, self.head = parts.transition, parts.emission, head
        self.start = nn.Parameter(torch.zeros(size))  # b_0
        self.given = nn.Parameter(torch.zeros(size, context)) if context else None  # what is added to it for c
        self.farthest, self.frames = farthest, frames

    @property
    def context(self) -> int:
        """How many numbers the model is conditioned on."""
        return 0 if self.given is None else self.given.shape[1]

    # terms

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
        """The terms of as many pairs of each sequence as there are samples.

        Errors: `StateError` for a posterior or latents, which belong to pairs that are drawn here.
        """
        if posterior is not None or latent is not None:
            raise StateError("a model that jumps draws its own pairs of times, so no posterior or latents can be given")
        noise = as_noise(generator)
        return self.of_pairs(batch, self._pairs(batch, samples, noise), noise, requires)

    def _pairs(self, batch: Batch, samples: int, noise: Noise) -> Pair:
        time = batch.x.shape[1]
        like = torch.zeros((), device=batch.x.device)
        how_far, where = noise.uniform((samples, len(batch), 2), like).unbind(-1)
        steps = 1 + (how_far * min(self.farthest, time)).long()
        return Pair(seen=(where * (time - steps + 1)).long(), steps=steps)

    def of_pairs(self, batch: Batch, pair: Pair, noise: Noise, requires: frozenset[str] = EVERYTHING) -> Terms:
        """The terms of given pairs, `[samples, batch]`; what is seen after t2 reaches none of them."""
        beliefs, rows = self.beliefs_of(batch), torch.arange(len(batch), device=batch.x.device)
        before, after = beliefs[rows, pair.seen], beliefs[rows, pair.seen + pair.steps]
        final = self.belief(after)
        late = draw(final, 1, EachLatent(noise))[0]
        smooth = self.smoothing(late, before, after, pair.steps)
        early = draw(smooth, 1, EachLatent(noise))[0]
        start, moved = self.belief(before), self.transition(early, pair.steps)
        log_moved, log_final = moved.log_prob(late), final.log_prob(late)

        def levels(first: Tensor, second: Tensor) -> Tensor:
            return torch.stack((first, second))

        return Terms(
            log_likelihood=self._log_frame(batch, late, pair.seen + pair.steps - 1),
            log_prior=levels(start.log_prob(early), log_moved) if "log_prior" in requires else None,
            log_posterior=levels(smooth.log_prob(early), log_final) if "log_posterior" in requires else None,
            divergence=levels(divergence(smooth, start, early[None])[0], log_final - log_moved)
            if "divergence" in requires
            else None,
            latent=(early, late),
            prior=(start, moved),
            posterior=(smooth, final),
        )

    def _log_frame(self, batch: Batch, z: Tensor, place: Int64[Tensor, "samples batch"]) -> Tensor:
        """Log p(x_t | z) of one frame of each sequence, of the elements that were seen."""
        rows = torch.arange(len(batch), device=batch.x.device)
        x = filled(batch.x, batch.observed)[rows, place][:, :, None]
        cells = self.emitted(z[:, :, None], batch.context).log_prob(x)
        if batch.observed is not None:
            cells = torch.where(batch.observed[rows, place][:, :, None], cells, torch.zeros_like(cells))
        return cells.flatten(2).sum(2)

    def beliefs_of(self, batch: Batch) -> Float[Tensor, "batch times size"]:
        """b_0 ... b_T."""
        x = filled(batch.x, batch.observed)
        if batch.observed is not None and getattr(self.summary, "sees_gaps", False):
            x = torch.where(batch.observed, batch.x, torch.full_like(x, torch.nan))
        c = as_conditioned(self.context, batch.context)
        found = at_least_float32(self.summary(x, *(() if c is None else (c,))))
        return torch.cat((self.first(c).to(found.dtype).expand(found.shape[0], -1)[:, None], found), 1)

    def first(self, context: Tensor | None) -> Float[Tensor, "#batch size"]:
        """b_0: what is believed before anything was seen."""
        if self.given is None or context is None:
            return self.start[None]
        return self.start + at_least_float32(context).to(self.start.dtype) @ self.given.mT

    def emitted(self, z: Float[Tensor, "samples batch time features"], context: Tensor | None = None) -> Distribution:
        """p(x_t | z_t, c) of all steps."""
        c = as_conditioned(self.context, context)
        each = () if c is None else (c[:, None].expand(*z.shape[:3], -1).flatten(0, 2),)
        raw = at_least_float32(self.emission(z.flatten(0, 2), *each)).unflatten(0, z.shape[:3])
        return self.head(raw.movedim(3, 2).flatten(2, 3))  # first parameter of all frames, then the second

    # what it can do

    def encode(self, batch: Batch) -> Tensor:
        """The mean of p_B(z_T | b_T): what is believed at the end of each sequence, `[batch, features]`."""
        return self.belief(self.beliefs_of(batch)[:, -1]).mean

    def believed(self, batch: Batch) -> Float[Tensor, "batch time features"]:
        return self.belief(self.beliefs_of(batch)[:, 1:]).mean

    def ahead(self, batch: Batch, steps: int, samples: int, noise: Noise, jump: int = 1) -> Distribution:
        """By jumps of up to `farthest` steps. Errors: `ShapeError` for longer ones."""
        if not 1 <= jump <= self.farthest or steps < 1:
            raise ShapeError(
                f"{steps} steps by jumps of {jump}; expected at least 1 step and jumps of 1 to {self.farthest}"
            )
        z = draw(self.belief(self.beliefs_of(batch)[:, -1]), samples, noise)
        return self.emitted(torch.stack(self._rolled(z, steps, noise, jump), 2), batch.context)

    def _rolled(self, z: Tensor, steps: int, noise: Noise, jump: int = 1) -> list[Tensor]:
        found = []
        for _ in range(steps):
            by = torch.full(z.shape[:2], jump, device=z.device)
            z = draw(self.transition(z, by), 1, EachLatent(noise))[0]
            found.append(z)
        return found

    def log_ahead(self, batch: Batch, steps: int, samples: int, noise: Noise) -> Tensor:
        times = batch.x.shape[1] - steps + 1
        found = []
        for seen in range(times):
            rows = torch.full((samples, len(batch)), seen, device=batch.x.device)
            terms = self.of_pairs(batch, Pair(rows, torch.full_like(rows, steps)), noise, WEIGHTS)
            found.append(terms.log_likelihood + (terms.log_prior - terms.log_posterior).sum(0))
        return torch.stack(found, -1)

    def sample(
        self,
        samples: int,
        *,
        generator: torch.Generator | Noise,
        context: Tensor | None = None,
        frames: int | None = None,
    ) -> Tensor:
        """New sequences `[samples, frames, *space]`: z_0 from p_B(z | b_0), then jumps of one step."""
        noise, c = as_noise(generator), as_conditioned(self.context, context)
        first = self.belief(self.first(c))
        z = draw(first, samples, noise).transpose(0, 1) if c is None else draw(first, 1, noise)
        return draw(self.emitted(torch.stack(self._rolled(z, frames or self.frames, noise), 2), c), 1, noise)[0, 0]

    def at(self, context: Tensor) -> JumpyStateSpace:
        """The model of sequences at one condition c, `[conditions]`, the same weights.

        Errors: as `vael.models.vae.as_conditioned`.
        """
        as_conditioned(self.context, context)
        c = context.detach().clone()
        parts = JumpyNetworks(
            HeldInput(self.summary, c), self.belief, self.smoothing, self.transition, HeldInput(self.emission, c)
        )
        size = {"size": len(self.start), "farthest": self.farthest, "frames": self.frames}
        held = JumpyStateSpace(parts, self.head, **size).train(self.training).to(self.start)
        with torch.no_grad():
            held.start.copy_(self.first(c[None])[0])
        return held


WEIGHTS = frozenset({"log_prior", "log_posterior"})


def jumpy_state_space(
    event: Sequence[int],
    head: Head,
    *,
    latent: int,
    hidden: int,
    farthest: int,
    moments: Moments | None = None,
    context: int = 0,
) -> JumpyStateSpace:
    """Dense parts with one hidden layer, and a GRU for what is believed, of sequences `[time, *space]`.

    `moments` are those of one frame, `[1, *space]`; `context` numbers of a condition are read with every frame and
    stand beside every latent that is emitted. Weights are drawn from PyTorch's default generator.
    """
    frame = tuple(event[1:])
    scale = [] if moments is None else [Standardize(*frame_scale(moments))]
    read = nn.Sequential(Gaps(nn.Sequential(*scale)), Dense((2 * math.prod(frame),), (hidden,), (hidden,), nn.SiLU))
    start = None if moments is None else head.start(moments.mean.float(), moments.std.float())

    def network(inputs: int) -> Dense:
        return Dense((inputs,), (2 * latent,), (hidden,), nn.SiLU)

    summary = ForwardSummary(read, hidden, hidden, sees_gaps=True, context=context)
    belief, smoothing, moves = (network(inputs) for inputs in (hidden, latent + 2 * hidden + 1, latent + 1))
    emission = bias_at(Dense((latent + context,), (head.channels_per_cell, *frame), (2 * hidden,), nn.SiLU), start)
    parts = JumpyNetworks(
        summary=summary,
        belief=Belief(belief),
        smoothing=Smoothing(smoothing, farthest),
        transition=Jump(moves, farthest),
        emission=WithCondition(emission) if context else emission,
    )
    return JumpyStateSpace(parts, head, size=hidden, farthest=farthest, frames=event[0], context=context)
