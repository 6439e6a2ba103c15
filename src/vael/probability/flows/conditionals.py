"""The distribution of vectors whose numbers come one after another, each a mixture of Gaussians given those before."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints

from vael.probability.flows.flow import estimated_moments
from vael.probability.gaussian import bounded
from vael.probability.sampling import Noise, register_draw

LOG_SCALE = (-7.0, 3.0)
LOG_ROOT_TAU = 0.9189385332046727  # ½ log 2π


class AutoregressiveGaussians(Distribution):
    """p(z) = Π_i Σ_k π_ik N(z_i; μ_ik, σ_ik²), where π, μ and σ of number i are functions of the numbers before it.

    `network` gives `[*rows, features, 3 K]` from z: logits, μ and raw log σ, which is bounded smoothly to (-7, 3);
    row i does not depend on z_i or what comes after it. A density takes one pass through the network, a draw as many as
    there are numbers. Mean and variance have no closed form: they are estimated from 256 draws, always the same.
    """

    support = constraints.real_vector

    def __init__(self, network: Callable[[Tensor], Tensor], like: Float[Tensor, " features"]) -> None:
        super().__init__(torch.Size(), like.shape, validate_args=False)
        self.network, self.like = network, like

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """Numbers are taken as they come."""
        return {}

    def log_prob(self, value: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows"]:
        logits, loc, log_scale = self._read(self.network(value))
        standard = (value[..., None] - loc) * (-log_scale).exp()
        each = logits.log_softmax(-1) - 0.5 * standard.square() - log_scale - LOG_ROOT_TAU
        return each.logsumexp(-1).sum(-1)

    def ordered(self, uniform: Tensor, normal: Tensor) -> Tensor:
        """A draw from variates of its shape, number by number."""
        z, places = torch.zeros_like(normal), torch.arange(normal.shape[-1], device=normal.device)
        for place in range(normal.shape[-1]):
            logits, loc, log_scale = (part[..., place, :] for part in self._read(self.network(z)))
            cumulative = logits.softmax(-1).cumsum(-1)
            which = (uniform[..., place, None] * cumulative[..., -1:] >= cumulative).sum(-1, keepdim=True)
            which = which.clamp(max=logits.shape[-1] - 1)
            at = loc.gather(-1, which)[..., 0] + log_scale.gather(-1, which)[..., 0].exp() * normal[..., place]
            z = torch.where(places == place, at[..., None], z)
        return z

    @property
    def mean(self) -> Tensor:
        return estimated_moments(self)[0]

    @property
    def variance(self) -> Tensor:
        return estimated_moments(self)[1]

    def _read(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, loc, log_scale = raw.chunk(3, -1)
        return logits, loc, bounded(log_scale, *LOG_SCALE)


@register_draw(AutoregressiveGaussians)
def _draw(law: AutoregressiveGaussians, shape: torch.Size, noise: Noise) -> Tensor:
    return law.ordered(noise.uniform(shape, law.like), noise.normal(shape, law.like))
