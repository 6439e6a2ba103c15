"""Latent-variable models: conditionals composed, terms stated."""

from vael.models.autoencoder import Autoencoder, SquaredErrorHead, unrolled
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
from vael.models.penalties import AbsoluteActivation, ActivationDivergence, Contraction, LogisticContraction, Penalty
from vael.models.vae import VAE, Decoder, GaussianPosterior, StandardNormal

__all__ = [
    "VAE", "AbsoluteActivation", "ActivationDivergence", "Autoencoder", "BernoulliHead", "BernoulliPosterior", "BernoulliPrior",
    "CategoricalHead", "Conditional", "ContinuousBernoulliHead", "Contraction", "CoupledLogisticMixtureHead", "CrossEntropyHead", "Decoder",
    "DiscretizedLogisticHead", "DiscretizedLogisticMixtureHead", "FixedScale", "GaussianHead", "GaussianPosterior", "Head", "LaplaceHead",
    "LearnedScale", "LogisticContraction", "Model", "Penalty", "PredictedScale", "SquaredErrorHead", "StandardNormal", "Terms", "unrolled",
]  # fmt: skip
