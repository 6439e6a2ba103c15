"""Models of sequences by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Tensor

from vael.data.facts import Facts, Moments
from vael.errors import StateError
from vael.models.core import Model
from vael.models.families import LikelihoodPart, ModelPart, Size
from vael.models.likelihoods.parts import BernoulliPart
from vael.models.sequences.jumps import jumpy_state_space
from vael.models.sequences.linear_dynamics import linear_dynamics
from vael.models.sequences.state_space import state_space


@dataclass(frozen=True)
class FrameMoments:
    """The moments of a frame, the same for all frames: `[1, *space]`."""

    mean: Tensor
    std: Tensor
    by_channel: bool
    minimum: float = 0.0
    maximum: float = 1.0

    @classmethod
    def of(cls, moments: Moments) -> FrameMoments:
        """From those of every element of a sequence `[time, *space]`."""
        mean, by_channel = moments.mean, getattr(moments, "by_channel", False)
        inside = moments.std.square().mean(0, keepdim=True)  # of each element, and of its mean over time
        spread = (inside + mean.var(0, correction=0, keepdim=True)).sqrt()
        ends = (float(getattr(moments, "minimum", 0.0)), float(getattr(moments, "maximum", 1.0)))
        return cls(mean.mean(0, keepdim=True), spread, by_channel, *ends)


class StateSpacePart(ModelPart):
    """Latents that move by a distribution of their own, each seen through a frame; examples `[time, *space]`."""

    kind: Literal["state-space"] = "state-space"
    latent: Size = 8
    hidden: Size = 64
    filters: bool = False  # whether the posterior sees the frames up to its time only, or those from it on
    likelihood: LikelihoodPart = BernoulliPart()

    @property
    def is_likelihood(self) -> bool:
        return self.likelihood.is_likelihood

    def settled(self, facts: Facts) -> StateSpacePart:
        return self.model_copy(update={"likelihood": self.likelihood.settled(facts)})

    def build(self, facts: Facts) -> Model:
        moments = sequence_moments(facts)
        return state_space(
            facts.event,
            self.likelihood.build(replace(facts, moments=moments)),
            latent=self.latent,
            hidden=self.hidden,
            filters=self.filters,
            sees_gaps=facts.channels_last,  # windows of numbers may have gaps later, where those of training had none
            moments=moments,
            context=facts.context,
        )


class KalmanPart(ModelPart):
    """Latents that move linearly and are smoothed exactly, each seen through a map that is linear and a network."""

    kind: Literal["kalman"] = "kalman"
    compiles: ClassVar[bool] = False  # a step for each frame: too long a graph
    latent: Size = 8
    hidden: Size = 64
    likelihood: LikelihoodPart = BernoulliPart()

    @property
    def is_likelihood(self) -> bool:
        return self.likelihood.is_likelihood

    def settled(self, facts: Facts) -> KalmanPart:
        return self.model_copy(update={"likelihood": self.likelihood.settled(facts)})

    def build(self, facts: Facts) -> Model:
        moments = sequence_moments(facts)
        head = self.likelihood.build(replace(facts, moments=moments))
        sizes = {"latent": self.latent, "hidden": self.hidden, "context": facts.context}
        return linear_dynamics(facts.event, head, **sizes, moments=moments)


class JumpyPart(ModelPart):
    """What is believed after each frame, and jumps of the latents from there to a later one."""

    kind: Literal["jumpy"] = "jumpy"
    compiles: ClassVar[bool] = False
    latent: Size = 8
    hidden: Size = 64
    farthest: Size = 4  # steps of a jump at most
    likelihood: LikelihoodPart = BernoulliPart()

    @property
    def is_likelihood(self) -> bool:
        return self.likelihood.is_likelihood

    def settled(self, facts: Facts) -> JumpyPart:
        return self.model_copy(update={"likelihood": self.likelihood.settled(facts)})

    def build(self, facts: Facts) -> Model:
        """Errors: `StateError` for jumps longer than a sequence, and a likelihood that joins elements."""
        moments = sequence_moments(facts)
        if self.farthest > facts.event[0]:
            raise StateError(
                f"jumps of up to {self.farthest} steps in sequences of {facts.event[0]}; give shorter ones (--set "
                "model.farthest=N), or longer windows (--window)"
            )
        head = self.likelihood.build(replace(facts, moments=moments))
        if head.couples:
            raise StateError(
                f"the likelihood {self.likelihood.name} joins elements, but frames are left out one by one; choose "
                "another (--likelihood gaussian)"
            )
        sizes = {"latent": self.latent, "hidden": self.hidden, "farthest": self.farthest, "context": facts.context}
        return jumpy_state_space(facts.event, head, **sizes, moments=moments)


def sequence_moments(facts: Facts) -> FrameMoments | None:
    """The moments of a frame. Errors: `StateError` for what is no sequence."""
    if len(facts.event) < 2 or facts.event[0] < 2:
        raise StateError(
            f"a state-space model is over sequences [time, ...] of at least two steps, but {facts.name} has "
            f"examples of shape {facts.event}; give sequences"
        )
    return None if facts.moments is None else FrameMoments.of(facts.moments)
