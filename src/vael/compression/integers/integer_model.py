"""What every model in whole numbers has: its networks and tables, their fingerprint, and the laws of coding."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32
from torch import Tensor, from_numpy, int16, int32, int64

from vael.compression.integers.integer_heads import IntegerHead
from vael.compression.integers.integer_laws import Whole
from vael.compression.integers.integer_network import IntegerNetwork
from vael.compression.laws import CodingLaw
from vael.training.checkpoint import write_tensors

Symbols = Int32[np.ndarray, "examples _"]
VERSION = 1


@dataclass(frozen=True, eq=False)
class IntegerModel(ABC):
    """Abstract: the laws of a model by integers that a file holds. Several levels of latents stand side by side."""

    head: IntegerHead
    event: tuple[int, ...]
    levels: int
    sizes: tuple[int, ...]  # latents of each level
    source: str  # fingerprint of the model in floating point that it was made of
    networks: Mapping[str, IntegerNetwork]
    tables: Mapping[str, Whole]  # without those of the head

    @property
    def features(self) -> int:
        """Latents of an example, of all levels."""
        return sum(self.sizes)

    @property
    @abstractmethod
    def facts(self) -> dict[str, object]:
        """The plain numbers beside the tensors."""

    @abstractmethod
    def posterior(self, x: Symbols) -> CodingLaw:
        """Q(z | x)."""

    @abstractmethod
    def likelihood(self, z: Symbols) -> CodingLaw:
        """P(x | z)."""

    @abstractmethod
    def prior(self, examples: int) -> CodingLaw:
        """P(z) for so many examples."""

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Everything that the integers depend on."""
        networks = {
            f"{name}.{key}": value for name, network in self.networks.items() for key, value in network.tensors.items()
        }
        tables = {f"head.{key}": from_numpy(value) for key, value in self.head.tables.items()}
        tables |= {name: from_numpy(value) for name, value in self.tables.items()}
        return {name: narrowest(tensor.long()) for name, tensor in sorted({**networks, **tables}.items())}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all integers, little-endian, in the order of their names."""
        digest = hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode())
        for name, tensor in self.tensors.items():
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.long().numpy().astype("<i8").tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """As one safetensors file, whole or not at all."""
        write_tensors(path, self.tensors, {**self.facts, "fingerprint": self.fingerprint})


def narrowest(tensor: Tensor) -> Tensor:
    """In the smallest integers that hold it."""
    largest = int(tensor.abs().max()) if tensor.numel() else 0
    return tensor.to(int16 if largest < 1 << 15 else int32 if largest < 1 << 31 else int64)


def part_of(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `name` and a point, without these."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}


def integer(a: Tensor) -> Whole:
    """Integers held in float64 as int64."""
    return a.numpy().astype(np.int64)
