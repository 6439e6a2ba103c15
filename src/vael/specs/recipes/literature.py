"""Recipes by the names of papers that changed what is climbed, or the prior: a VAE, its network by the data."""

from __future__ import annotations

from vael.models.likelihoods.parts import SquaredErrorPart
from vael.models.parts import VAEPart
from vael.models.posteriors.bernoulli import BernoulliPosteriorPart
from vael.models.priors.bernoulli import BernoulliPriorPart
from vael.models.priors.mixture import MixtureOfGaussiansPart
from vael.models.priors.vamp import VampPart
from vael.objectives.covariance_matching import CovarianceMatchingPart
from vael.objectives.divergence_control import CapacityPart, FreeBitsPart
from vael.objectives.importance_weighted import (
    CombinationImportanceWeightedPart,
    DoublyReparameterizedPart,
    MultiplyImportanceWeightedPart,
    PartiallyImportanceWeightedPart,
    RenyiPart,
)
from vael.objectives.mean_discrepancy import MeanDiscrepancyPart
from vael.objectives.multi_sample_score import MultiSampleScoreFunctionPart
from vael.objectives.parts import ELBOPart, ImportanceWeightedPart
from vael.objectives.path_gradients import StickingTheLandingPart
from vael.objectives.total_correlation import TotalCorrelationPart
from vael.specs.recipes.composition import Composition, climbing


def vae() -> Composition:
    """The evidence lower bound (Kingma & Welling 2013).

    Divergence in closed form, one sample of each example, no warm-up.
    """
    return climbing(ELBOPart())


def iwae() -> Composition:
    """Tighter bound from K samples (Burda et al. 2016).

    log 1/K Σ_k w_k (Burda, Grosse & Salakhutdinov 2016); K is --samples, 5 unless asked for, 50 in the paper's best.
    """
    return climbing(ImportanceWeightedPart())


def miwae() -> Composition:
    """Mean of M such bounds (Rainforth et al. 2018).

    The mean of 8 importance-weighted bounds of 8 samples each (Rainforth, Kosiorek, Le, Maddison, Igl, Wood & Teh 2018,
    eq. 8). Another MIWAE is that of Mattei & Frellsen 2019, for data with gaps: `gapped`.
    """
    return climbing(MultiplyImportanceWeightedPart())


def piwae() -> Composition:
    """Decoder iwae, encoder miwae (Rainforth et al. 2018).

    Both from the same 64 samples (Rainforth et al. 2018, section 6).
    """
    return climbing(PartiallyImportanceWeightedPart())


def ciwae() -> Composition:
    """Part iwae, part vae (Rainforth et al. 2018).

    β 1/K Σ log w_k + (1 - β) log 1/K Σ w_k with β = 0.5 (Rainforth et al. 2018, eq. 9; 0.05 was best there).
    """
    return climbing(CombinationImportanceWeightedPart())


def dreg() -> Composition:
    """As iwae, better encoder gradient (Tucker et al. 2019).

    Doubly reparameterised gradients, whose noise falls with K (Tucker, Lawson, Gu & Maddison 2019).
    """
    return climbing(DoublyReparameterizedPart())


def sticking_the_landing() -> Composition:
    """As vae, less gradient noise (Roeder et al. 2017).

    All terms sampled, without the score of the posterior in the gradient (Roeder, Wu & Duvenaud 2017).
    """
    return climbing(StickingTheLandingPart())


def renyi_vae() -> Composition:
    """From iwae (α = 0) to vae (α = 1) (Li & Turner 2016).

    Rényi's bound of order α = 0.5, from 5 samples.
    """
    return climbing(RenyiPart())


def beta_vae() -> Composition:
    """Divergence weighs β = 4 (Higgins et al. 2017).

    Fewer latents that mean more each; β is in nats per nat, so it means the same for any data (Higgins, Matthey, Pal,
    Burgess, Glorot, Botvinick, Mohamed & Lerchner 2017). Samples and log p(x) get worse.
    """
    return climbing(ELBOPart(beta=4.0))


def annealed_vae() -> Composition:
    """Divergence held at C nats (Burgess et al. 2018).

    γ |KL - C| with γ = 10 and C rising to 25 nats over half of training (Burgess, Higgins, Pal, Matthey, Watters,
    Desjardins & Lerchner 2018).
    """
    return climbing(CapacityPart())


def free_bits() -> Composition:
    """First λ nats cost nothing: no collapse (Kingma et al. 2016).

    For each level of latents (Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling 2016, eq. 15).
    """
    return climbing(FreeBitsPart())


def beta_tc_vae() -> Composition:
    """Dependence of latents weighs 6 (Chen et al. 2018).

    The divergence taken apart, its total correlation weighted (Chen, Li, Grosse & Duvenaud 2018). FactorVAE (Kim & Mnih
    2018) weighs the same term, which it has a second network estimate.
    """
    return climbing(TotalCorrelationPart())


def dip_vae_i() -> Composition:
    """Posterior means uncorrelated (Kumar et al. 2018).

    The covariance of the posterior means over examples drawn to the identity, variances with ten times the weight of
    covariances (Kumar, Sattigeri & Balakrishnan 2018, DIP-VAE-I).
    """
    return climbing(CovarianceMatchingPart(off_diagonal=10.0, diagonal=100.0, spread=False))


def dip_vae_ii() -> Composition:
    """Latents uncorrelated over examples (Kumar et al. 2018).

    The covariance of the latents themselves drawn to the identity, all with one weight (Kumar, Sattigeri & Balakrishnan
    2018, DIP-VAE-II).
    """
    return climbing(CovarianceMatchingPart(off_diagonal=10.0, diagonal=10.0, spread=True))


def info_vae() -> Composition:
    """As vae, q(z) drawn to the prior (Zhao et al. 2019).

    The bound and 1,000 × squared maximum mean discrepancy of the latents of a batch (Zhao, Song & Ermon 2019, α = 0).
    """
    return climbing(MeanDiscrepancyPart(beta=1.0))


def mmd_vae() -> Composition:
    """Nothing but q(z) drawn to the prior (Zhao et al. 2019).

    InfoVAE with α = 1: no divergence of single examples, 1,000 × squared maximum mean discrepancy.
    """
    return climbing(MeanDiscrepancyPart())


def wae_mmd() -> Composition:
    """Squared error, q(z) at the prior (Tolstikhin et al. 2018).

    The Wasserstein autoencoder with maximum mean discrepancy, here of weight 10 with a mean of Gaussian kernels and a
    Gaussian encoder (Tolstikhin, Bousquet, Gelly & Schölkopf 2018). Squared error is no likelihood, so
    there is no bound.
    """
    return climbing(MeanDiscrepancyPart(weight=10.0), VAEPart(likelihood=SquaredErrorPart()))


def vamp() -> Composition:
    """Mean posterior of learned inputs (Tomczak & Welling 2018).

    The prior is the mean of the posteriors of 100 learned pseudo-inputs (500 in the paper: --components 500).
    """
    return climbing(ELBOPart(), VAEPart(prior=VampPart()))


def vade() -> Composition:
    """A mixture as prior: clusters (Jiang et al. 2017).

    Ten Gaussians, learned with the rest; the component of an example is summed over, where VaDE has a posterior for it,
    so the bound is at least as tight (Jiang, Zheng, Tan, Tang & Zhou 2017). There is no pre-training.
    """
    return climbing(ELBOPart(), VAEPart(prior=MixtureOfGaussiansPart()))


def vimco() -> Composition:
    """Bits, by the iwae bound (Mnih & Rezende 2016).

    Latents of zeros and ones; each sample's baseline is the geometric mean of the others.
    """
    return climbing(
        MultiSampleScoreFunctionPart(), VAEPart(prior=BernoulliPriorPart(), posterior=BernoulliPosteriorPart())
    )
