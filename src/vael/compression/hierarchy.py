"""Several levels of latents as one: the laws of the levels one after another, each given the levels above it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vael.models.core import Levels
from vael.probability import diagonal_gaussian


def of_the_draw(law: Distribution) -> Distribution:
    """A law at one draw of the levels above, batch shape `[1, batch]`, as one of batch shape `[batch]`."""
    if len(law.batch_shape) != 2:
        return law
    if isinstance(law, Independent) and isinstance(law.base_dist, Normal):
        return diagonal_gaussian(law.base_dist.loc[0], law.base_dist.scale[0])
    if isinstance(law, MultivariateNormal):
        return MultivariateNormal(law.loc[0], scale_tril=law.scale_tril[0], validate_args=False)
    return law  # no Gaussian: whoever reads it says so


LawAt = Callable[[Levels], Distribution]


def log_ratio(posterior: LawAt, prior: LawAt, z: Levels) -> Float[torch.Tensor, " batch"]:
    """Log q(z | x) - log p(z) of each example, all levels, in nats."""
    above = [z[:level] for level in range(len(z))]
    parts = [(posterior(a).log_prob(one) - prior(a).log_prob(one))[0] for a, one in zip(above, z, strict=True)]
    return torch.stack(parts).sum(0)
