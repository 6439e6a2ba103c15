"""Recipes: what the name of a paper, or of a network, stands for: a model, how it is fitted, for how long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vael import recipes
from vael.inference.parts import (
    AdamWPart,
    AlgorithmPart,
    CoordinateAscentPart,
    ExpectationMaximizationPart,
    GradientAscentPart,
)
from vael.models.autoencoders.autoencoder_parts import (
    AutoencoderPart,
    ContractionPart,
    MaskingPart,
    MixtureDensityPart,
    SparsityPart,
    StackedAutoencoderPart,
)
from vael.models.autoencoders.quantized_parts import VQVAEPart
from vael.models.families import ModelPart
from vael.models.hierarchical_parts import HierarchicalVAEPart
from vael.models.likelihoods.parts import FullCovariancePart
from vael.models.mixtures.mixture_parts import BayesianMixturePart, GaussianMixturePart
from vael.models.parts import VAEPart
from vael.models.posteriors.bernoulli import BernoulliPosteriorPart
from vael.models.priors.bernoulli import BernoulliPriorPart
from vael.models.sequences.sequence_parts import KalmanPart, StateSpacePart
from vael.networks.ladder_parts import ConvolutionalLadderPart
from vael.networks.parts import DensePart
from vael.networks.temporal import TemporalPart
from vael.objectives.parts import ELBOPart, ImportanceWeightedPart, ReconstructionPart, ScoreFunctionPart
from vael.training.parts import LayerwisePart, TwoStagesPart


@dataclass(frozen=True)
class Composition:
    """A model and the algorithm that fits it, with the training defaults that suit them."""

    model: ModelPart
    algorithm: AlgorithmPart
    batch: int = 128  # for many examples
    steps: int = 2000  # at least, where no length is asked for
    epochs: int | None = None  # where no length is asked for, instead


def ascent(learning_rate: float = 1e-3, weight_decay: float = 0.0, warmup: float = 0.0) -> GradientAscentPart:
    """AdamW on the bound with its divergence in closed form."""
    return GradientAscentPart(
        objective=ELBOPart(warmup=warmup),
        optimizer=AdamWPart(learning_rate=learning_rate, weight_decay=weight_decay),
    )


# Learning rates, decay and warm-up of dense and table were chosen on validation data of dynamically binarised MNIST and
# of tables (docs/lab-book.md); published networks keep the usual ones.
def dense() -> Composition:
    """Fully connected on both sides; hidden sizes from the data inwards, mirrored by the decoder."""
    return Composition(recipes.DENSE, ascent(4e-3, 0.1, 0.2), batch=256)


def table() -> Composition:
    """Rows of a table with columns of several kinds and gaps: the encoder sees which cells are missing."""
    return Composition(recipes.TABLE, ascent(2e-3, 0.01, 0.1), batch=256, steps=7000)  # as TVAE: 6,000 on 10,000 rows


def gapped() -> Composition:
    """Columns of plain numbers with gaps, by the importance-weighted bound (MIWAE)."""
    how = GradientAscentPart(
        objective=ImportanceWeightedPart(), samples=20, optimizer=AdamWPart(learning_rate=2e-3, weight_decay=0.1)
    )
    return Composition(recipes.GAPPED, how)  # benchmarks/imputation.py


def convolutional() -> Composition:
    """Convolutions that halve the image once for each entry of `channels`, mirrored by the decoder."""
    return Composition(recipes.CONVOLUTIONAL, ascent())


def residual() -> Composition:
    """`convolutional` with residual blocks at every resolution below the image's own."""
    return Composition(recipes.RESIDUAL, ascent())


def linear() -> Composition:
    """No hidden layer: with a Gaussian likelihood of one σ that of probabilistic PCA."""
    return Composition(recipes.LINEAR, ascent())


def principal() -> Composition:
    """One hidden layer of 2 × latent SiLU units that starts as a factor analysis of the data."""
    model = VAEPart(latent=256, network=DensePart(hidden=(512,)), begin="principal-components")
    return Composition(model, ascent(2e-5), batch=64)


def lecture() -> Composition:
    """One hidden layer of 256 and two latents: small enough to draw the whole latent space."""
    return Composition(recipes.LECTURE, ascent())


def kingma_welling() -> Composition:
    """One hidden layer of 500, as for MNIST in Kingma & Welling 2013."""
    return Composition(recipes.KINGMA_WELLING, ascent())


def burda() -> Composition:
    """Two hidden layers of 200 tanh units, one stochastic layer, of Burda, Grosse & Salakhutdinov 2016."""
    return Composition(recipes.BURDA, ascent())


def bernoulli_latents() -> Composition:
    """Latents of zeros and ones, by the score-function gradient."""
    model = VAEPart(prior=BernoulliPriorPart(), posterior=BernoulliPosteriorPart())
    how = GradientAscentPart(objective=ScoreFunctionPart(), samples=ScoreFunctionPart.samples)
    return Composition(model, how)


def full_covariance() -> Composition:
    """A decoder that gives a full covariance matrix over the elements of an example, for few of them."""
    model = VAEPart(latent=4, likelihood=FullCovariancePart(), network=DensePart(hidden=(128,)))
    return Composition(model, ascent())


def coding(model: ModelPart, weights: Mapping[str, float] | None = None, second: bool = False) -> Composition:
    """An autoencoder by the least cost of an error, with a mixture over its codes where it has one."""
    objective = ReconstructionPart(weights=dict(weights or {}))
    kind = TwoStagesPart if second else GradientAscentPart
    return Composition(model, kind(objective=objective))


def autoencoder() -> Composition:
    """A code of x and x again from the code, by squared error; a Gaussian mixture over the codes to sample from."""
    return coding(AutoencoderPart(density=MixtureDensityPart()), second=True)


def denoising() -> Composition:
    """`autoencoder` whose encoder is given damaged examples."""
    return coding(AutoencoderPart(corruption=MaskingPart()))


def sparse() -> Composition:
    """`autoencoder` of logistic units, each on for a share of the data."""
    model = AutoencoderPart(latent=256, network=DensePart(hidden=()), code="sigmoid", penalties=(SparsityPart(),))
    return coding(model, {"sparsity": 1.0})


def k_sparse() -> Composition:
    """`autoencoder`, linear on both sides; of each code only the `kept` largest numbers stay."""
    return coding(AutoencoderPart(latent=256, network=DensePart(hidden=()), code="top-k", kept=25))


def contractive() -> Composition:
    """`autoencoder` whose codes move little with x."""
    model = AutoencoderPart(latent=256, network=DensePart(hidden=()), code="sigmoid", penalties=(ContractionPart(),))
    return coding(model, {"contraction": 0.1})


def stacked() -> Composition:
    """A deep autoencoder, trained layer after layer and then as a whole."""
    return Composition(StackedAutoencoderPart(), LayerwisePart(objective=ReconstructionPart()))


def vq_vae() -> Composition:
    """Codes on one grid, then an autoregressive prior over them."""
    return quantized(VQVAEPart())


def vq_vae_2() -> Composition:
    """Codes on two grids, the top's half the bottom's, then an autoregressive prior over them."""
    return quantized(VQVAEPart(grids=2, channels=(32,)))


def quantized(model: VQVAEPart) -> Composition:
    """Training of a VQ-VAE: the weight of the commitment is the paper's."""
    objective = ReconstructionPart(weights={"commitment": 0.25})
    return Composition(model, TwoStagesPart(objective=objective, second=ascent()))


def hierarchical() -> Composition:
    """Levels of latents, each given those above it, inferred from the top downwards; vectors throughout."""
    return Composition(HierarchicalVAEPart(), ascent(2e-3, 0.1, 0.2), batch=256)


def hierarchical_convolutional() -> Composition:
    """`hierarchical` for images: latents at every pixel of several resolutions."""
    return Composition(HierarchicalVAEPart(ladder=ConvolutionalLadderPart()), ascent(2e-3, 0.0, 0.2))


def gaussian_mixture() -> Composition:
    """A Gaussian mixture of rows of numbers, by expectation maximisation."""
    return Composition(GaussianMixturePart(), ExpectationMaximizationPart(), epochs=300)


def bayesian_mixture() -> Composition:
    """A Bayesian Gaussian mixture of rows of numbers, by coordinate ascent."""
    return Composition(BayesianMixturePart(), CoordinateAscentPart(), epochs=300)


def state_space() -> Composition:
    """Sequences whose latents move by a distribution of their own (Krishnan, Shalit & Sontag 2017)."""
    return Composition(StateSpacePart(), ascent(2e-3))


def kalman() -> Composition:
    """Sequences whose latents move linearly and are smoothed exactly, seen through a network (Fraccaro et al. 2017)."""
    return Composition(KalmanPart(), ascent(2e-2, 0.1))


def temporal() -> Composition:
    """Convolutions over time that halve a sequence once for each entry of `channels`, mirrored by the decoder."""
    return Composition(VAEPart(latent=16, network=TemporalPart()), ascent(2e-3))


RECIPES: dict[str, Callable[[], Composition]] = {
    "dense": dense,
    "table": table,
    "gapped": gapped,
    "convolutional": convolutional,
    "residual": residual,
    "linear": linear,
    "principal": principal,
    "lecture": lecture,
    "kingma-welling": kingma_welling,
    "burda": burda,
    "bernoulli-latents": bernoulli_latents,
    "full-covariance": full_covariance,
    "autoencoder": autoencoder,
    "denoising": denoising,
    "sparse": sparse,
    "k-sparse": k_sparse,
    "contractive": contractive,
    "stacked": stacked,
    "vq-vae": vq_vae,
    "vq-vae-2": vq_vae_2,
    "hierarchical": hierarchical,
    "hierarchical-convolutional": hierarchical_convolutional,
    "gaussian-mixture": gaussian_mixture,
    "bayesian-mixture": bayesian_mixture,
    "state-space": state_space,
    "kalman": kalman,
    "temporal": temporal,
}
