"""Models with codes: autoencoders, their penalties and stacks, and codes on grids."""

from vael.models.autoencoders.autoencoder import Autoencoder, unrolled
from vael.models.autoencoders.codes import AutoregressiveCodes, CodeGrid, CodePrior, UniformCodes
from vael.models.autoencoders.penalties import (
    AbsoluteActivation,
    ActivationDivergence,
    Contraction,
    LogisticContraction,
    Penalty,
)
from vael.models.autoencoders.quantized import VQVAE, Coder, OneLevel, TwoLevels, one_level, two_levels
from vael.models.autoencoders.stacked import layers_of

__all__ = [
    "VQVAE",
    "AbsoluteActivation",
    "ActivationDivergence",
    "Autoencoder",
    "AutoregressiveCodes",
    "CodeGrid",
    "CodePrior",
    "Coder",
    "Contraction",
    "LogisticContraction",
    "OneLevel",
    "Penalty",
    "TwoLevels",
    "UniformCodes",
    "layers_of",
    "one_level",
    "two_levels",
    "unrolled",
]
