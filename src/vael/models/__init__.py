"""Latent-variable models: conditionals composed, terms stated."""

from vael.models.core import Conditional, Model, Terms
from vael.models.discrete import BernoulliPosterior, BernoulliPrior
from vael.models.heads import (
    BernoulliHead,
    CategoricalHead,
    ContinuousBernoulliHead,
    CoupledLogisticMixtureHead,
    CrossEntropyHead,
    DiscretizedLogisticHead,
    DiscretizedLogisticMixtureHead,
    FixedScale,
    GaussianHead,
    Head,
    LaplaceHead,
    LearnedScale,
    PredictedScale,
)
from vael.models.vae import VAE, Decoder, GaussianPosterior, StandardNormal

__all__ = [
    "VAE", "BernoulliHead", "BernoulliPosterior", "BernoulliPrior", "CategoricalHead", "Conditional", "ContinuousBernoulliHead",
    "CoupledLogisticMixtureHead", "CrossEntropyHead", "Decoder", "DiscretizedLogisticHead", "DiscretizedLogisticMixtureHead", "FixedScale",
    "GaussianHead", "GaussianPosterior", "Head", "LaplaceHead", "LearnedScale", "Model", "PredictedScale", "StandardNormal", "Terms",
]  # fmt: skip
