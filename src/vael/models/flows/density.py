"""A normalising flow as a model of vectors: an exact log-density, and draws."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vael.data.batch import Batch
from vael.errors import StateError
from vael.models.capabilities import ExactLikelihood, Samples
from vael.models.core import EVERYTHING, Levels, Terms, exact_terms
from vael.models.flows.layers import Layers
from vael.probability import Noise, draw, standard_gaussian


class FlowDensity(Samples, ExactLikelihood):
    """p(x) of x = mean + std * z, z what invertible layers make of N(0, I).

    Without latents: `log_likelihood` is log p(x) exactly, so `ELBO` and `Reconstruction` climb the same. `scale_to`
    sets mean and std by the data, before training; they are kept with the weights.
    """

    told = "log p(x) of a normalising flow, exactly"

    def __init__(self, features: int, layers: Layers) -> None:
        super().__init__()
        self.layers = layers
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    @torch.no_grad()
    def scale_to(self, x: Float[Tensor, "examples features"]) -> None:
        """Take mean and standard deviation from data; a number that never varies keeps the scale 1."""
        std = x.double().std(0, correction=0)
        self.mean.copy_(x.double().mean(0))
        self.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))

    def law(self) -> Distribution:
        """Of z."""
        return self.layers.after(standard_gaussian(torch.zeros_like(self.mean), torch.ones_like(self.std)))

    def log_prob(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        z = (x.flatten(1).to(self.mean.dtype) - self.mean) / self.std
        return self.law().log_prob(z) - self.std.log().sum()

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
        """Log p(x), exactly; nothing is drawn, so all `samples` are alike.

        Errors: `StateError` for a mask or latents.
        """
        if batch.observed is not None or posterior is not None or latent is not None:
            raise StateError(
                "a flow of whole vectors has no latents and leaves no number out; give it neither a mask nor latents"
            )
        return exact_terms(self.log_prob(batch.x), samples)

    def sample(self, samples: int, *, generator: torch.Generator | Noise, context: Tensor | None = None) -> Tensor:
        return self.mean + self.std * draw(self.law(), samples, generator)
