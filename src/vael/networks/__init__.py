"""Tensor to tensor; no probability."""

from vael.networks.dense import Dense
from vael.networks.standardize import Standardize

__all__ = ["Dense", "Standardize"]
