"""The one module that training wraps: a model and an objective, batch to sums."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vael.data import Batch
from vael.models import Model, Terms
from vael.objectives import Objective, Weights
from vael.probability import Noise


def sampled_divergence(terms: Terms) -> Tensor:
    """KL(q || p) of each example as the terms have it: closed form, else the mean of log q(z|x) - log p(z), else
    (no prior) 0.
    """
    if terms.states("divergence"):
        return terms.divergence.sum(0).mean(0)
    if not (terms.states("log_posterior") and terms.states("log_prior")):
        return torch.zeros_like(terms.log_likelihood[0])
    return (terms.log_posterior - terms.log_prior).sum(0).mean(0)


class Bound(nn.Module):
    """The one thing that data-parallel training, autocast and compilation wrap: batch to sums over its real examples.

    Gives the surrogate's sum, the only one with a gradient, and `[bound, distortion, divergence, examples]`.
    """

    def __init__(
        self, model: Model, objective: Objective, samples: int = 1, precision: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.model, self.objective, self.samples, self.precision = model, objective, samples, precision

    def forward(
        self, batch: Batch, progress: Tensor | float, noise: Noise
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " 4"]]:
        """Sums at a batch, in nats, with matrix products in the precision asked for; rows of weight 0 count for
        nothing.
        """
        with torch.autocast(batch.x.device.type, dtype=torch.bfloat16, enabled=self.precision == torch.bfloat16):
            terms = self.model(batch, samples=self.samples, generator=noise, requires=self.objective.requires)
        value = self.objective(terms, Weights(batch.weight), progress)
        with torch.no_grad():
            bound = value.bound
            rows = torch.stack(
                (bound, -terms.log_likelihood.mean(0), sampled_divergence(terms), torch.ones_like(bound))
            )
        if batch.weight is None:
            return value.surrogate.sum(), rows.sum(1)
        weight = batch.weight.to(rows.dtype)
        return value.surrogate @ weight, rows @ weight
