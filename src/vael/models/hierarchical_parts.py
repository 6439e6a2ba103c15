"""Models with several levels of latents by name."""

from __future__ import annotations

from typing import Literal

from torch import nn

from vael.data.facts import Facts
from vael.models.assembly import inputs_of, offset, outputs
from vael.models.autoencoders.autoencoder_parts import unconditional
from vael.models.families import LikelihoodPart, ModelPart
from vael.models.hierarchical import HierarchicalVAE, exponential, softened
from vael.models.likelihoods.columns import ColumnsHead
from vael.models.likelihoods.parts import BernoulliPart
from vael.networks import Offset
from vael.networks.ladder_parts import DenseLadderPart, LadderPart


class HierarchicalVAEPart(ModelPart):
    """A variational autoencoder with several levels of latents, each given those above it."""

    kind: Literal["hierarchical"] = "hierarchical"
    likelihood: LikelihoodPart = BernoulliPart()
    ladder: LadderPart = DenseLadderPart()
    smooth: bool = False  # deviations by softplus in place of exp, whose gradients are smaller where they are large

    @property
    def is_likelihood(self) -> bool:
        return self.likelihood.is_likelihood

    def settled(self, facts: Facts) -> HierarchicalVAEPart:
        return self.model_copy(
            update={"likelihood": self.likelihood.settled(facts), "ladder": self.ladder.settled(facts.event)}
        )

    def build(self, facts: Facts) -> HierarchicalVAE:
        unconditional(self, facts)
        head = self.likelihood.build(facts)
        layers, shape = inputs_of(facts, head, flat=self.ladder.flat)
        columns = isinstance(head, ColumnsHead)
        begin = None if columns else offset(head, facts.moments)
        ladder = self.ladder.build(shape, outputs(facts.event, head))
        ladder.checkpointing = self.ladder.checkpointing
        return HierarchicalVAE(
            nn.Sequential(*layers),
            ladder,
            head,
            nn.Identity() if begin is None else Offset(begin),
            sees_gaps=facts.gaps or facts.channels_last or columns,
            deviation=softened if self.smooth else exponential,
        )
