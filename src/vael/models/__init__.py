"""Latent-variable models: conditionals composed, terms stated."""

from vael.models.autoencoders.autoencoder import Autoencoder, unrolled
from vael.models.autoencoders.codes import AutoregressiveCodes, CodeGrid, CodePrior, UniformCodes
from vael.models.autoencoders.penalties import (
    AbsoluteActivation,
    ActivationDivergence,
    Contraction,
    LogisticContraction,
    Penalty,
)
from vael.models.autoencoders.quantized import VQVAE, Coder, OneLevel, TwoLevels
from vael.models.capabilities import (
    Capability,
    CellWise,
    ClosedForm,
    Codes,
    CodeVector,
    Continues,
    Decodes,
    Encodes,
    ExactLikelihood,
    LatentModel,
    LatentVector,
    Reconstructs,
    Samples,
    Whitens,
    has,
    needs,
    posterior_levels,
    posterior_means,
    prior_levels,
)
from vael.models.core import Conditional, Likelihood, Model, Posterior, Prior, Terms
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
    head_of,
    is_likelihood,
)
from vael.models.likelihoods.joint_gaussian import JointGaussianHead
from vael.models.likelihoods.squared_error import SquaredErrorHead
from vael.models.likelihoods.support import real_numbers, vectors
from vael.models.likelihoods.tabulated import TabulatedMixtureHead
from vael.models.mixtures.bayesian_mixture import BayesianGaussianMixture, MixturePrior
from vael.models.mixtures.covariance import Covariance, Diagonal, Full, Spherical, Tied
from vael.models.mixtures.gaussian_mixture import Components, GaussianMixture, SufficientStatistics
from vael.models.posteriors.bernoulli import BernoulliPosterior
from vael.models.posteriors.correlated import CorrelatedGaussianPosterior
from vael.models.posteriors.gaussian import GaussianPosterior
from vael.models.priors.bernoulli import BernoulliPrior
from vael.models.priors.standard_normal import StandardNormal
from vael.models.sequences.linear_dynamics import linear_dynamics
from vael.models.sequences.state_space import (
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
    "Capability",
    "CategoricalHead",
    "CellWise",
    "ClosedForm",
    "CodeGrid",
    "CodePrior",
    "CodeVector",
    "Coder",
    "Codes",
    "ColumnsHead",
    "ColumnsInput",
    "Components",
    "Conditional",
    "Continues",
    "ContinuousBernoulliHead",
    "Contraction",
    "CorrelatedGaussianPosterior",
    "CoupledLogisticMixtureHead",
    "Covariance",
    "CrossEntropyHead",
    "Decoder",
    "Decodes",
    "Diagonal",
    "DiscretizedLogisticHead",
    "DiscretizedLogisticMixtureHead",
    "Encodes",
    "ExactLikelihood",
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
    "LatentModel",
    "LatentVector",
    "LearnedScale",
    "Likelihood",
    "LogisticContraction",
    "MixturePrior",
    "Model",
    "OneLevel",
    "Penalty",
    "Posterior",
    "PredictedScale",
    "Prior",
    "Reconstructs",
    "Samples",
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
    "Whitens",
    "has",
    "head_of",
    "heaped",
    "is_likelihood",
    "linear_dynamics",
    "needs",
    "posterior_levels",
    "posterior_means",
    "prior_levels",
    "real_numbers",
    "state_space",
    "unrolled",
    "vectors",
]
