"""What is known of data and model before figures are drawn: the posterior of examples, words for the data, and what a
model must beat.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class TrivialModel:
    """Log-likelihood of the independent-cells model in nats per example, and what that model is in words."""

    log_likelihood: float
    what: str


@dataclass(frozen=True)
class Subject:
    """What the data are, in words, and what helps a model that overfits them."""

    elements: str = "elements"
    example: str = "example"
    remedies: str = "More data, weight decay (`--weight-decay`) or a smaller network help."


@dataclass(frozen=True)
class Encoded:
    """Posterior of a part of the data."""

    mean: Float[Tensor, "examples latents"]
    divergence: (
        Float[Tensor, "examples latents"] | None
    )  # nats; None where the posterior does not fall into single latents
    label: Int64[Tensor, " examples"] | None
    told: str = ""  # which examples they are, for captions

    @property
    def per_latent(self) -> Float[Tensor, " latents"] | None:
        """Mean divergence of each latent in nats."""
        return None if self.divergence is None else self.divergence.mean(0)

    @property
    def variance(self) -> Float[Tensor, " latents"]:
        """Variance over the data of each latent's posterior mean."""
        return self.mean.var(0, correction=0)

    @property
    def order(self) -> list[int]:
        """Latents from the most informative one to the least: by divergence, or by variance where there is none."""
        measure = self.variance if self.per_latent is None else self.per_latent
        return torch.argsort(measure, descending=True, stable=True).tolist()
