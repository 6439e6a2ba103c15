"""A prior that is the mean posterior of learned examples."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from vael.data.facts import Facts, unknown_moments
from vael.errors import StateError, SupportError
from vael.models.core import Conditional, Prior
from vael.models.families import PriorPart
from vael.tables.schema import LEVELS


class VampPrior(Prior):
    """p(z) = 1/K Σ_k q(z | u_k): the posterior at K pseudo-inputs u, which are parameters (Tomczak & Welling 2018,
    eq. 8).

    u_k = mean + std * v_k in the units of the data, v_k ~ N(0, 1) at the start; an element that never varied stays at
    its mean. The posterior is the model's own, not a copy: its weights stand in the model once, and feel the prior.
    """

    def __init__(self, components: int, facts: Facts, posterior: Conditional) -> None:
        super().__init__()
        moments = facts.moments or unknown_moments(facts.event)
        self.register_buffer("mean", moments.mean.float().clone())
        self.register_buffer("std", moments.std.float().clone())
        self.standard = nn.Parameter(torch.empty(components, *facts.event).normal_())
        self.register_buffer("logits", torch.empty(components).zero_(), persistent=False)
        self.shared = (posterior,)  # in a tuple it is no module of this one

    @property
    def pseudo_inputs(self) -> Tensor:
        """`[components, *event]`, in the units of the data."""
        return self.mean + self.std * self.standard

    def forward(self, context: Tensor | None = None) -> Distribution:
        (posterior,) = self.shared
        return MixtureSameFamily(
            Categorical(logits=self.logits, validate_args=False),
            posterior(self.pseudo_inputs, None),
            validate_args=False,
        )


class VampPart(PriorPart):
    """The mean posterior of learned pseudo-inputs (VampPrior)."""

    kind: Literal["vamp"] = "vamp"
    components: Annotated[int, Field(ge=1, le=2**20)] = 100  # the paper has 500 for MNIST

    def build(self, features: int, facts: Facts, posterior: Conditional) -> Conditional:
        """Errors: `StateError` for a conditional model, `SupportError` for columns with levels."""
        if facts.context:
            raise StateError(
                f"the prior vamp encodes examples of its own, which have no condition, but this model is conditioned "
                f"on {facts.context} numbers; choose the prior mixture or standard-normal"
            )
        levels = [] if facts.schema is None else [c.name for c in facts.schema.columns if c.kind in LEVELS]
        if levels:
            raise SupportError(
                f"{facts.name}: the prior vamp learns examples as real numbers, but column {levels[0]!r} has levels; "
                "choose the prior mixture"
            )
        return VampPrior(self.components, facts, posterior)
