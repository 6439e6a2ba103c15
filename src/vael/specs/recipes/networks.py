"""Recipes of models: networks, mixtures, autoencoders, sequences, each with the algorithm that fits it."""

from __future__ import annotations

from collections.abc import Mapping

from vael import recipes
from vael.inference.labelled import LabelledAscentPart
from vael.inference.parts import (
    AdamWPart,
    CoordinateAscentPart,
    ExpectationMaximizationPart,
    GradientAscentPart,
)
from vael.models.autoencoders.autoencoder_parts import (
    MaskingPart,
    MixtureDensityPart,
    StackedAutoencoderPart,
)
from vael.models.autoencoders.quantized_parts import VQVAEPart
from vael.models.families import ModelPart
from vael.models.hierarchical_parts import HierarchicalVAEPart
from vael.models.likelihoods.autoregressive import AutoregressiveBernoulliPart, AutoregressiveMixturePart
from vael.models.likelihoods.parts import FullCovariancePart
from vael.models.mixtures.mixture_parts import BayesianMixturePart, GaussianMixturePart
from vael.models.parts import VAEPart
from vael.models.posteriors.bernoulli import BernoulliPosteriorPart
from vael.models.posteriors.correlated import FullCovariancePosteriorPart
from vael.models.priors.bernoulli import BernoulliPriorPart
from vael.models.semi_supervised_parts import SemiSupervisedPart
from vael.models.sequences.sequence_parts import JumpyPart, KalmanPart, StateSpacePart
from vael.networks.ladder_parts import ConvolutionalLadderPart, DenseLadderPart
from vael.networks.parts import ConvolutionalPart, DensePart
from vael.networks.temporal import TemporalPart
from vael.objectives.labelled import LabelledELBOPart
from vael.objectives.parts import ImportanceWeightedPart, ReconstructionPart, ScoreFunctionPart
from vael.specs.recipes.composition import Composition, ascent
from vael.training.parts import LayerwisePart, TwoStagesPart


# Learning rates, decay and warm-up of dense and table were chosen on validation data of dynamically binarised MNIST and
# of tables (docs/lab-book.md); published networks keep the usual ones.
def dense() -> Composition:
    """Fully connected on both sides.

    Hidden sizes from the data inwards, mirrored by the decoder.
    """
    return Composition(recipes.DENSE, ascent(4e-3, 0.1, 0.2), batch=256)


def table() -> Composition:
    """Tables: columns of several kinds, gaps.

    The encoder sees which cells are missing, the decoder has a distribution for each column by its kind (Mattei &
    Frellsen 2019; Nazabal, Olmos, Ghahramani & Valera 2020).
    """
    return Composition(recipes.TABLE, ascent(2e-3, 0.01, 0.1), batch=256, steps=7000)  # as TVAE: 6,000 on 10,000 rows


def gapped() -> Composition:
    """Numbers with gaps: MIWAE (Mattei & Frellsen 2019).

    The importance-weighted bound over what was seen; the encoder sees which cells are missing.
    """
    how = GradientAscentPart(
        objective=ImportanceWeightedPart(), samples=20, optimizer=AdamWPart(learning_rate=2e-3, weight_decay=0.1)
    )
    return Composition(recipes.GAPPED, how)  # benchmarks/imputation.py


def convolutional() -> Composition:
    """Images: convolutions that halve them.

    One for each entry of `channels`, mirrored by the decoder.
    """
    return Composition(recipes.CONVOLUTIONAL, ascent())


def autoregressive() -> Composition:
    """Pictures in few bits: pixel after pixel.

    Narrow convolutions, and a likelihood of each pixel given those above and left of it (Gulrajani et al. 2017).
    """
    network = ConvolutionalPart(channels=(16, 32, 64))
    model = VAEPart(latent=32, likelihood=AutoregressiveMixturePart(), network=network)
    return Composition(model, ascent(2e-3), batch=16)


def autoregressive_binary() -> Composition:
    """Pictures of 0 and 1, likewise: pixel after pixel.

    `dense`, and a likelihood of each pixel given those above and left of it (Chen et al. 2017).
    """
    network, posterior = DensePart(hidden=(300, 300)), FullCovariancePosteriorPart()
    model = VAEPart(latent=24, posterior=posterior, likelihood=AutoregressiveBernoulliPart(), network=network)
    return Composition(model, ascent(4e-3, 0.1, 0.2), batch=256)


def residual() -> Composition:
    """Images: residual blocks at every resolution.

    `convolutional` with residual blocks below the image's own resolution.
    """
    return Composition(recipes.RESIDUAL, ascent())


def linear() -> Composition:
    """Probabilistic PCA, where σ is one (Lucas et al. 2019).

    No hidden layer: with a Gaussian likelihood of one σ the best bound is that of probabilistic PCA (Lucas, Tucker,
    Grosse & Norouzi 2019).
    """
    return Composition(recipes.LINEAR, ascent())


def principal() -> Composition:
    """Starts as a factor analysis of the data.

    One hidden layer of 2 × latent SiLU units.
    """
    return Composition(recipes.PRINCIPAL, ascent(2e-5), batch=64)


def lecture() -> Composition:
    """256 hidden units, two latents to look at.

    Small enough to draw the whole latent space.
    """
    return Composition(recipes.LECTURE, ascent())


def kingma_welling() -> Composition:
    """500 hidden units (Kingma & Welling 2013).

    One hidden layer, as there for MNIST.
    """
    return Composition(recipes.KINGMA_WELLING, ascent())


def burda() -> Composition:
    """200-200 tanh, 50 latents (Burda et al. 2016).

    Two hidden layers, one stochastic layer (Burda, Grosse & Salakhutdinov 2016).
    """
    return Composition(recipes.BURDA, ascent())


def bernoulli_latents() -> Composition:
    """Bits, by REINFORCE (Williams 1992).

    Latents of zeros and ones; the score-function gradient with the mean of the other samples as its baseline.
    """
    model = VAEPart(prior=BernoulliPriorPart(), posterior=BernoulliPosteriorPart())
    how = GradientAscentPart(objective=ScoreFunctionPart(), samples=ScoreFunctionPart.samples)
    return Composition(model, how)


def full_covariance() -> Composition:
    """Few elements that depend on each other given z.

    The decoder gives a full covariance matrix over the elements of an example.
    """
    model = VAEPart(latent=4, likelihood=FullCovariancePart(), network=DensePart(hidden=(128,)))
    return Composition(model, ascent())


def coding(model: ModelPart, weights: Mapping[str, float] | None = None, second: bool = False) -> Composition:
    """An autoencoder by the least cost of an error, with a mixture over its codes where it has one."""
    objective = ReconstructionPart(weights=dict(weights or {}))
    kind = TwoStagesPart if second else GradientAscentPart
    return Composition(model, kind(objective=objective))


def autoencoder() -> Composition:
    """Codes of least squared error (Hinton et al. 2006).

    A Gaussian mixture over the codes to sample from (Hinton & Salakhutdinov 2006).
    """
    return coding(recipes.AUTOENCODER.model_copy(update={"density": MixtureDensityPart()}), second=True)


def denoising() -> Composition:
    """Codes of damaged examples (Vincent et al. 2008).

    `autoencoder` whose encoder is given examples of which elements are masked (Vincent, Larochelle, Bengio & Manzagol
    2008).
    """
    return coding(recipes.AUTOENCODER.model_copy(update={"corruption": MaskingPart()}))


def sparse() -> Composition:
    """Units that are on for a share of data (Ng 2011).

    `autoencoder` of logistic units.
    """
    return coding(recipes.SPARSE, {"sparsity": 1.0})


def k_sparse() -> Composition:
    """The k largest of each code (Makhzani et al. 2013).

    `autoencoder`, linear on both sides; of each code only the `kept` largest numbers stay (Makhzani & Frey 2013).
    """
    return coding(recipes.K_SPARSE)


def contractive() -> Composition:
    """Codes that move little with x (Rifai et al. 2011).

    `autoencoder` with a penalty on the slope of the code (Rifai, Vincent, Muller, Glorot & Bengio 2011).
    """
    return coding(recipes.CONTRACTIVE, {"contraction": 0.1})


def stacked() -> Composition:
    """Deep, layer after layer (Bengio et al. 2007).

    Each layer is trained on the codes of the one before, then the whole (Bengio, Lamblin, Popovici & Larochelle 2007).
    """
    return Composition(StackedAutoencoderPart(), LayerwisePart(objective=ReconstructionPart()))


def vq_vae() -> Composition:
    """Codes on one grid (van den Oord et al. 2017).

    Then an autoregressive prior over them (van den Oord, Vinyals & Kavukcuoglu 2017).
    """
    return quantized(recipes.VQ_VAE)


def vq_vae_2() -> Composition:
    """Codes on two grids (Razavi et al. 2019).

    The top's half the bottom's, then an autoregressive prior over them (Razavi, van den Oord & Vinyals 2019).
    """
    return quantized(recipes.VQ_VAE_2)


def quantized(model: VQVAEPart) -> Composition:
    """Training of a VQ-VAE: the weight of the commitment is the paper's."""
    objective = ReconstructionPart(weights={"commitment": 0.25})
    return Composition(model, TwoStagesPart(objective=objective, second=ascent()))


def hierarchical() -> Composition:
    """Levels of vectors (Sønderby et al. 2016).

    Each level given those above it, inferred from the top downwards (Sønderby, Raiko, Maaløe, Sønderby & Winther 2016).
    """
    return Composition(HierarchicalVAEPart(), ascent(2e-3, 0.1, 0.2), batch=256)


def hierarchical_convolutional() -> Composition:
    """Levels of grids, for images (Child 2021).

    `hierarchical` with latents at every pixel of several resolutions.
    """
    return Composition(HierarchicalVAEPart(ladder=ConvolutionalLadderPart()), ascent(2e-3, 0.0, 0.2))


def hierarchical_hour() -> Composition:
    """Three wider levels, for an hour of two cores.

    `hierarchical`, which suits ten minutes of them, with networks twice as wide.
    """
    ladder = DenseLadderPart(latents=(16, 24, 32), width=512)
    return Composition(HierarchicalVAEPart(ladder=ladder), ascent(2e-3, 0.1, 0.1), batch=256)


def hierarchical_gpu() -> Composition:
    """Many levels of grids, for images on a GPU.

    `hierarchical-convolutional` with three levels at each resolution and 128 channels.
    """
    ladder = ConvolutionalLadderPart(repeats=3, latents=16, channels=128)
    return Composition(HierarchicalVAEPart(ladder=ladder), ascent(1e-3, 0.01, 0.1))


def gaussian_mixture() -> Composition:
    """By expectation maximisation (Dempster et al. 1977).

    A Gaussian mixture of rows of numbers.
    """
    return Composition(GaussianMixturePart(), ExpectationMaximizationPart(), epochs=300)


def bayesian_mixture() -> Composition:
    """By coordinate ascent (Attias 1999).

    A Bayesian Gaussian mixture of rows of numbers; components that are not needed are left empty.
    """
    return Composition(BayesianMixturePart(), CoordinateAscentPart(), epochs=300)


def semi_supervised() -> Composition:
    """Classes from few labels (Kingma et al. 2014).

    M2 of Kingma, Rezende, Mohamed & Welling: the class is a latent of every example without a label.
    """
    # on validation digits with ten labels a class α = 1 tells 95.6 % right, the paper's 0.1 some 65 (docs/lab-book.md)
    how = LabelledAscentPart(objective=LabelledELBOPart(alpha=1.0), optimizer=AdamWPart(learning_rate=2e-3))
    return Composition(SemiSupervisedPart(), how, steps=4000)


def state_space() -> Composition:
    """Latents with dynamics (Krishnan et al. 2017).

    Sequences whose latents move by a distribution of their own (Krishnan, Shalit & Sontag 2017).
    """
    return Composition(StateSpacePart(), ascent(2e-3))


def kalman() -> Composition:
    """Linear latents, exact smoother (Fraccaro et al. 2017).

    Sequences whose latents move linearly and are smoothed exactly, seen through a network (Fraccaro, Kamronn, Paquet &
    Winther 2017).
    """
    return Composition(KalmanPart(), ascent(2e-2, 0.1))


def td_vae() -> Composition:
    """Beliefs, and jumps ahead (Gregor et al. 2019).

    Log p of a frame given earlier ones is climbed at pairs of times drawn at random, one for each sample.
    """
    return Composition(JumpyPart(), ascent(2e-3).model_copy(update={"samples": 8}))


def temporal() -> Composition:
    """One vector for a sequence, by convolutions.

    They halve a sequence once for each entry of `channels`, mirrored by the decoder.
    """
    return Composition(VAEPart(latent=16, network=TemporalPart()), ascent(2e-3))
