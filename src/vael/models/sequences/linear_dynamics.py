"""Latents that move linearly, so that their posterior given linear evidence is exact: what a Kalman smoother gives,
drawn from step by step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from vael.data.facts import scale_of
from vael.models.core import Conditional
from vael.models.likelihoods.heads import Head, Moments, at_least_float32
from vael.models.priors.standard_normal import StandardNormal
from vael.models.sequences.state_space import StateSpace, WithCondition, for_steps
from vael.networks import Dense, Gaps, Standardize
from vael.networks.dense import bias_at
from vael.networks.precise import in_float32
from vael.probability import bounded, diagonal_gaussian
from vael.probability.factorization import factor_of_covariance, factor_of_precision, solved_by

FASTEST = 2.0  # steps in which a latent forgets at the start, those that are told apart last
LOG_SCALES = (-6.0, 3.0)


class LinearTransition(Conditional):
    """p(z_t | z_{t-1}) = N(A z_{t-1}, diag σ²) with A = exp(W - L Lᵀ), W antisymmetric: A z is never longer than z, so
    that sequences of any length stay bounded.

    At the start latents move by themselves, each with variance 1 at all times, and forget what they were in 2 to
    `slowest` steps, evenly on a logarithmic scale.
    """

    def __init__(self, features: int, slowest: float = 64.0) -> None:
        super().__init__()
        steps = torch.logspace(math.log10(FASTEST), math.log10(max(slowest, FASTEST)), features)
        self.turn = nn.Parameter(torch.zeros(features, features))
        self.decay = nn.Parameter(steps.rsqrt().diag_embed())
        self.log_scale = nn.Parameter(0.5 * (-torch.expm1(-2 / steps)).log())

    @property
    def matrix(self) -> Float[Tensor, "features features"]:
        """A."""
        return torch.matrix_exp(self.turn - self.turn.mT - self.decay @ self.decay.mT)

    @property
    def scale(self) -> Float[Tensor, " features"]:
        """σ."""
        return bounded(self.log_scale, *LOG_SCALES).exp()

    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        with in_float32(z):
            mean = at_least_float32(z) @ self.matrix.mT
        return diagonal_gaussian(mean, self.scale.expand_as(mean))


class LinearAndMore(nn.Module):
    """C z + d + f(z): a linear map and a network that is given 0 as its last layer's weights, so that it begins linear.

    The first of the numbers that the head takes for an element is what moves; the others come from f alone.
    """

    def __init__(self, features: int, more: nn.Module, elements: int) -> None:
        super().__init__()
        self.loadings = nn.Parameter(torch.empty(elements, features).normal_(0.0, features**-0.5))
        self.more = more

    def forward(
        self, z: Float[Tensor, "rows features"], context: Tensor | None = None
    ) -> Float[Tensor, "rows numbers *space"]:
        more = at_least_float32(self.more(z) if context is None else self.more(z, context))
        with in_float32(z):
            first = at_least_float32(z) @ self.loadings.mT
        return torch.cat((more[:, :1] + first.view_as(more[:, :1]), more[:, 1:]), 1)


class Evidence(nn.Module):
    """What frames say of latents: N(y_t; C z_t, diag r²) over the elements that were seen, where y_t is the scaled
    frame with `correct` of it added, which is given NaN where an element was not seen.

    With the C of the emission and no correction it is the likelihood itself of a model whose emission is linear.
    """

    def __init__(self, scale: nn.Module, correct: nn.Module, elements: int) -> None:
        super().__init__()
        self.scale, self.correct = scale, correct
        self.log_noise = nn.Parameter(torch.full((elements,), -0.5))

    def forward(
        self,
        x: Float[Tensor, "batch time *space"],
        loadings: Float[Tensor, "elements features"],
        context: Tensor | None = None,
    ) -> tuple[Float[Tensor, "batch time features features"], Float[Tensor, "batch time features"]]:
        """The precision J and the shift h of exp(h·z - ½ z·J z)."""
        frames = self.scale(x.flatten(0, 1))
        there = ~frames.isnan()
        given = () if context is None else (for_steps(context, x.shape[1]).flatten(0, 1),)
        more = at_least_float32(self.correct(frames, *given))
        y = (torch.where(there, frames, torch.zeros_like(frames)) + more).flatten(1).unflatten(0, x.shape[:2])
        weight = (-2 * bounded(self.log_noise, *LOG_SCALES)).exp()
        seen = there.flatten(1).unflatten(0, x.shape[:2]).to(y.dtype) * weight
        with in_float32(x):
            squares = (loadings[:, :, None] * loadings[:, None]).flatten(1)
            return (seen @ squares).unflatten(-1, (loadings.shape[1],) * 2), (seen * y) @ loadings


class SmoothingSummary(nn.Module):
    """M_t, m_t and S_t of q(z_t | z_{t-1}, x_t ... x_T) = N(M_t z_{t-1} + m_t, S_t S_tᵀ), side by side as one vector
    for each step: exact for linear dynamics and the given evidence, which is read from the end.

    With ψ_t(z) = p(x_t ... x_T | z_t = z) ∝ exp(h_t·z - ½ z·J_t z): the covariance of z_t is (Q⁻¹ + J_t)⁻¹, and what
    reaches z_{t-1} has precision Aᵀ Q⁻¹ (Q⁻¹ + J_t)⁻¹ J_t A (Bishop 2006, section 13.3, in the information form).
    `StateSpace` has transition and emission as parts of its own; here they are looked at, not owned.
    """

    sees_gaps = True

    def __init__(self, evidence: Evidence, transition: LinearTransition, emission: LinearAndMore) -> None:
        super().__init__()
        self.evidence = evidence
        self._shared = (transition, emission)  # in a tuple, so that their weights are listed once

    def forward(
        self, x: Float[Tensor, "batch time *space"], context: Tensor | None = None
    ) -> Float[Tensor, "batch time numbers"]:
        with in_float32(x):
            return self._read(*self.evidence(x, self._shared[1].loadings, context))

    def _read(self, seen: Tensor, says: Tensor) -> Tensor:
        transition = self._shared[0]
        a, noise = transition.matrix, transition.scale.square().reciprocal()
        leads, precisions, shifts = noise[:, None] * a, [], []
        later, told = torch.zeros_like(seen[:, 0]), torch.zeros_like(says[:, 0])
        for t in range(seen.shape[1] - 1, -1, -1):
            own, shift = seen[:, t] + later, says[:, t] + told
            before = noise if t else torch.ones_like(noise)  # z_1 ~ N(0, I)
            precisions.append(own + before.diag_embed())
            shifts.append(shift)
            if t:
                low = factor_of_precision(precisions[-1])
                found = solved_by(low, torch.cat((own @ a, shift[..., None]), -1))
                both = leads.mT @ found
                later = 0.5 * (both[..., :-1] + both[..., :-1].mT)
                told = both[..., -1]
        return self._together(torch.stack(precisions[::-1], 1), torch.stack(shifts[::-1], 1), leads)

    @staticmethod
    def _together(precision: Tensor, shift: Tensor, leads: Tensor) -> Tensor:
        """M, m and S of all steps."""
        low = factor_of_covariance(precision)
        covariance = low @ low.mT
        mean = (covariance @ shift[..., None])[..., 0]
        moves = covariance @ leads
        moves = torch.cat((torch.zeros_like(moves[:, :1]), moves[:, 1:]), 1)  # nothing is before the first step
        return torch.cat((moves.flatten(2), mean, low.flatten(2)), -1)


class SmoothingUpdate(Conditional):
    """q(z_t | z_{t-1}, g_t) = N(M_t z_{t-1} + m_t, S_t S_tᵀ), of which g_t is made (`SmoothingSummary`)."""

    def forward(self, z: Tensor, summary: Tensor) -> Distribution:
        size = z.shape[-1]
        moves, mean, low = summary.split((size * size, size, size * size), -1)
        with in_float32(z):
            loc = (moves.unflatten(-1, (size, size)) @ at_least_float32(z)[..., None])[..., 0] + mean
        low = low.unflatten(-1, (size, size))
        return MultivariateNormal(loc, scale_tril=low.expand(*loc.shape, size), validate_args=False)


def linear_dynamics(
    event: Sequence[int],
    head: Head,
    *,
    latent: int = 8,
    hidden: int = 64,
    moments: Moments | None = None,
    context: int = 0,
) -> StateSpace:
    """A state-space model of sequences `[time, *space]` whose latents move linearly and are smoothed exactly: z_1 ~
    N(0, I), emission and evidence linear at the start, with one hidden layer each for what they learn besides.

    As the Kalman variational autoencoder (Fraccaro, Kamronn, Paquet & Winther 2017) and structured variational
    autoencoders (Johnson, Duvenaud, Wiltschko, Datta & Adams 2016). `moments` are those of one frame, `[1, *space]`.
    With `context` numbers of a condition the networks of emission and evidence take them too. Weights are drawn from
    PyTorch's default generator.
    """
    frame, elements = tuple(event[1:]), math.prod(event[1:])
    scale = Standardize(*((torch.zeros(frame), torch.ones(frame)) if moments is None else frame_scale(moments)))
    start = None if moments is None else head.start(moments.mean.float(), moments.std.float())
    more = bias_at(Dense((latent + context,), (head.channels_per_cell, *frame), (hidden,), nn.SiLU), start)
    correct = Dense((2 * elements + context,), frame, (hidden,), nn.SiLU)
    for network in (more, correct):
        nn.init.zeros_(network.last.weight)
    emission = LinearAndMore(latent, WithCondition(more) if context else more, elements)
    transition = LinearTransition(latent, slowest=float(event[0]))
    evidence = Evidence(scale, WithCondition(correct, Gaps()) if context else nn.Sequential(Gaps(), correct), elements)
    summary = SmoothingSummary(evidence, transition, emission)
    moves = transition, emission, head, summary, SmoothingUpdate()
    return StateSpace(StandardNormal(latent), *moves, frames=event[0], context=context)


def frame_scale(moments: Moments) -> tuple[Tensor, Tensor]:
    """Shift and scale of a frame, `[*space]`."""
    return moments.mean[0].float(), scale_of(moments)[0]
