"""The exact law of a sum of numbers with random signs: what exchangeable rows, or blocks of rows, have."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from vael.errors import SupportError


def sign_p_value(weights: Int[np.ndarray, " clusters"], total: int) -> float:
    """P(Σ s_j w_j ≥ total) for independent signs s_j = ±1, each with probability ½; `weights` are whole numbers.

    The sum lies on -N ... N with N = Σ w_j, and its characteristic function is Π cos(θ w_j): the probabilities follow
    by an inverse Fourier transform over 2 N + 1 points, exact up to rounding (1e-12). Errors: `SupportError` for a
    negative weight.
    """
    if (weights < 0).any():
        raise SupportError(f"weights down to {weights.min()}: expected whole numbers of at least 0")
    reach = int(weights.sum())
    if total <= -reach:
        return 1.0
    if total > reach:
        return 0.0
    theta = 2 * np.pi * np.arange(2 * reach + 1) / (2 * reach + 1)
    values, counts = np.unique(weights, return_counts=True)
    characteristic = np.ones_like(theta)
    for value, count in zip(values, counts, strict=True):
        characteristic *= np.cos(theta * value) ** count
    mass = np.roll(np.fft.fft(characteristic).real / len(theta), reach)  # of -N ... N
    return float(np.clip(mass[total + reach :].sum(), 0.0, 1.0))
