"""Models of sequences by name."""

from __future__ import annotations

from typing import Literal

from vael.data.facts import Facts
from vael.errors import StateError
from vael.models.autoencoder_parts import unconditional
from vael.models.core import Model
from vael.models.families import LikelihoodPart, ModelPart, Size
from vael.models.likelihoods.parts import BernoulliPart
from vael.models.state_space import state_space


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
        unconditional(self, facts)
        if len(facts.event) < 2 or facts.event[0] < 2:
            raise StateError(
                f"a state-space model is over sequences [time, ...] of at least two steps, but {facts.name} has "
                f"examples of shape {facts.event}; give sequences"
            )
        head = self.likelihood.build(facts)
        return state_space(facts.event, head, latent=self.latent, hidden=self.hidden, filters=self.filters)
