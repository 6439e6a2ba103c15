"""Tensor to tensor; no probability."""

from vael.networks.autoregressive import GatedPixelCNN
from vael.networks.convolution import ConvolutionDecoder, ConvolutionEncoder
from vael.networks.dense import Dense
from vael.networks.gaps import Gaps
from vael.networks.grid import GridDecoder, GridEncoder, grid_size
from vael.networks.moving import Moving, moving_buffers, moving_parts
from vael.networks.perceptron import Perceptron, degrees
from vael.networks.precise import in_float32
from vael.networks.quantizer import (
    CodeBook,
    CodeUse,
    FiniteScalar,
    PassThrough,
    Quantized,
    Quantizer,
    RotationTrick,
    StraightThrough,
    code_use,
    nearest,
)
from vael.networks.residual import ResidualBlock, residual_stage
from vael.networks.seeded import seeded
from vael.networks.sparse import TopK
from vael.networks.standardize import Offset, Standardize

__all__ = [
    "CodeBook",
    "CodeUse",
    "ConvolutionDecoder",
    "ConvolutionEncoder",
    "Dense",
    "FiniteScalar",
    "Gaps",
    "GatedPixelCNN",
    "GridDecoder",
    "GridEncoder",
    "Moving",
    "Offset",
    "PassThrough",
    "Perceptron",
    "Quantized",
    "Quantizer",
    "ResidualBlock",
    "RotationTrick",
    "Standardize",
    "StraightThrough",
    "TopK",
    "code_use",
    "degrees",
    "grid_size",
    "in_float32",
    "moving_buffers",
    "moving_parts",
    "nearest",
    "residual_stage",
    "seeded",
]
