"""Networks and laws in whole numbers, the same on every machine."""

from vael.compression.integers.integer_heads import HEADS, IntegerHead, quantise_head
from vael.compression.integers.integer_laws import (
    RATE,
    RAW,
    Curve,
    IndependentNormals,
    IntegerGrid,
    Normals,
    ShearedNormals,
    Whole,
    function_grid,
    normal_curve,
    raw_numbers,
)
from vael.compression.integers.integer_network import IntegerNetwork, read_network
from vael.compression.integers.quantising import quantise_network

__all__ = [
    "HEADS",
    "RATE",
    "RAW",
    "Curve",
    "IndependentNormals",
    "IntegerGrid",
    "IntegerHead",
    "IntegerNetwork",
    "Normals",
    "ShearedNormals",
    "Whole",
    "function_grid",
    "normal_curve",
    "quantise_head",
    "quantise_network",
    "raw_numbers",
    "read_network",
]
