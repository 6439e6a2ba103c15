"""Tensor to tensor; no probability."""

from vael.networks.dense import Dense

__all__ = ["Dense"]
