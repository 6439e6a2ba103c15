"""Gaussian mixtures: by maximum likelihood, and Bayesian."""

from vael.models.mixtures.bayesian_mixture import BayesianGaussianMixture, MixturePrior
from vael.models.mixtures.covariance import Covariance, Diagonal, Full, Spherical, Tied
from vael.models.mixtures.gaussian_mixture import Components, GaussianMixture, SufficientStatistics

__all__ = [
    "BayesianGaussianMixture",
    "Components",
    "Covariance",
    "Diagonal",
    "Full",
    "GaussianMixture",
    "MixturePrior",
    "Spherical",
    "SufficientStatistics",
    "Tied",
]
