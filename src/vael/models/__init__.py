"""Latent-variable models: conditionals composed, terms stated."""

from vael.models.autoencoder import Autoencoder, SquaredErrorHead, unrolled
from vael.models.bayesian_mixture import BayesianGaussianMixture, MixturePrior
from vael.models.codes import AutoregressiveCodes, CodeGrid, CodePrior, UniformCodes
from vael.models.columns import ColumnsHead, ColumnsInput, heaped
from vael.models.core import Conditional, Model, Terms
from vael.models.correlated import CorrelatedGaussianPosterior
from vael.models.covariance import Covariance, Diagonal, Full, Spherical, Tied
from vael.models.discrete import BernoulliPosterior, BernoulliPrior
from vael.models.gaussian_mixture import Components, GaussianMixture, SufficientStatistics
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
    is_likelihood,
)
from vael.models.joint_gaussian import JointGaussianHead
from vael.models.penalties import AbsoluteActivation, ActivationDivergence, Contraction, LogisticContraction, Penalty
from vael.models.quantized import VQVAE, Coder, OneLevel, TwoLevels
from vael.models.state_space import (
    BackwardSummary,
    ForwardSummary,
    GaussianTransition,
    GaussianUpdate,
    StateSpace,
    state_space,
)
from vael.models.support import real_numbers
from vael.models.tabulated import TabulatedMixtureHead
from vael.models.vae import VAE, Decoder, GaussianPosterior, StandardNormal

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
