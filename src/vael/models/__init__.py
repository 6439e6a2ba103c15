"""Latent-variable models: conditionals composed, terms stated."""

from vael.models.autoencoder import Autoencoder, unrolled
from vael.models.bayesian_mixture import BayesianGaussianMixture, MixturePrior
from vael.models.codes import AutoregressiveCodes, CodeGrid, CodePrior, UniformCodes
from vael.models.core import Conditional, Model, Terms
from vael.models.covariance import Covariance, Diagonal, Full, Spherical, Tied
from vael.models.gaussian_mixture import Components, GaussianMixture, SufficientStatistics
from vael.models.likelihoods.columns import ColumnsHead, ColumnsInput, heaped
from vael.models.likelihoods.heads import (
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
    is_likelihood,
)
from vael.models.likelihoods.joint_gaussian import JointGaussianHead
from vael.models.likelihoods.squared_error import SquaredErrorHead
from vael.models.likelihoods.support import real_numbers
from vael.models.likelihoods.tabulated import TabulatedMixtureHead
from vael.models.penalties import AbsoluteActivation, ActivationDivergence, Contraction, LogisticContraction, Penalty
from vael.models.posteriors.bernoulli import BernoulliPosterior
from vael.models.posteriors.correlated import CorrelatedGaussianPosterior
from vael.models.posteriors.gaussian import GaussianPosterior
from vael.models.priors.bernoulli import BernoulliPrior
from vael.models.priors.standard_normal import StandardNormal
from vael.models.quantized import VQVAE, Coder, OneLevel, TwoLevels
from vael.models.state_space import (
    BackwardSummary,
    ForwardSummary,
    GaussianTransition,
    GaussianUpdate,
    StateSpace,
    state_space,
)
from vael.models.vae import VAE, Decoder

__all__ = [
    "VAE",
    "VQVAE",
    "AbsoluteActivation",
    "ActivationDivergence",
    "Autoencoder",
    "AutoregressiveCodes",
    "BackwardSummary",
    "BayesianGaussianMixture",
    "BernoulliHead",
    "BernoulliPosterior",
    "BernoulliPrior",
    "CategoricalHead",
    "CodeGrid",
    "CodePrior",
    "Coder",
    "ColumnsHead",
    "ColumnsInput",
    "Components",
    "Conditional",
    "ContinuousBernoulliHead",
    "Contraction",
    "CorrelatedGaussianPosterior",
    "CoupledLogisticMixtureHead",
    "Covariance",
    "CrossEntropyHead",
    "Decoder",
    "Diagonal",
    "DiscretizedLogisticHead",
    "DiscretizedLogisticMixtureHead",
    "FixedScale",
    "ForwardSummary",
    "Full",
    "GaussianHead",
    "GaussianMixture",
    "GaussianPosterior",
    "GaussianTransition",
    "GaussianUpdate",
    "Head",
    "JointGaussianHead",
    "LaplaceHead",
    "LearnedScale",
    "LogisticContraction",
    "MixturePrior",
    "Model",
    "OneLevel",
    "Penalty",
    "PredictedScale",
    "Spherical",
    "SquaredErrorHead",
    "StandardNormal",
    "StateSpace",
    "SufficientStatistics",
    "TabulatedMixtureHead",
    "Terms",
    "Tied",
    "TwoLevels",
    "UniformCodes",
    "heaped",
    "is_likelihood",
    "real_numbers",
    "state_space",
    "unrolled",
]
