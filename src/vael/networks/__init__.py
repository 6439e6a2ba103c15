"""Tensor to tensor; no probability."""

from vael.networks.convolution import ConvolutionDecoder, ConvolutionEncoder
from vael.networks.dense import Dense
from vael.networks.residual import ResidualBlock, residual_stage
from vael.networks.sparse import TopK
from vael.networks.standardize import Offset, Standardize

__all__ = ["ConvolutionDecoder", "ConvolutionEncoder", "Dense", "Offset", "ResidualBlock", "Standardize", "TopK", "residual_stage"]
