"""Importance weights in a stream: their mean, their effective number, and how heavy their tail is."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vael.errors import StateError

LEAST_TAIL = 5  # weights that a tail can be fitted to, as in Vehtari et al. 2024


def tail_size(samples: int) -> int:
    """Number of largest weights that the tail is fitted to, M = min(K/5, 3√K) rounded up (Vehtari et al. 2024,
    section 3).
    """
    return math.ceil(min(samples / 5, 3 * math.sqrt(samples)))


class ImportanceWeights:
    """What K importance weights per example say, from blocks of any size, in memory that grows as √K.

    Kept in float64 for each example: log Σ w, log Σ w², and the M + 1 largest log w.
    """

    def __init__(self, samples: int, examples: int, like: Tensor) -> None:
        self.samples, self.seen = samples, 0
        self.rounding = torch.finfo(like.dtype).eps
        self.kept = min(samples, tail_size(samples) + 1)
        self.log_sum = torch.full((examples,), -math.inf, dtype=torch.float64, device=like.device)  # log Σ w
        self.log_square = self.log_sum.clone()  # log Σ w²
        self.largest = torch.empty((0, examples), dtype=torch.float64, device=like.device)

    def add(self, log_w: Float[Tensor, "samples batch"]) -> None:
        """Take in a block of log w."""
        log_w = log_w.double()
        self.seen += len(log_w)
        self.log_sum = torch.logaddexp(self.log_sum, log_w.logsumexp(0))
        self.log_square = torch.logaddexp(self.log_square, (2 * log_w).logsumexp(0))
        joined = torch.cat([self.largest, log_w])
        self.largest = joined.topk(min(self.kept, len(joined)), dim=0).values

    def _complete(self) -> None:
        if self.seen != self.samples:
            raise StateError(
                f"{self.seen} of {self.samples} importance weights were added; add all before a figure is read"
            )

    def log_mean(self) -> Float[Tensor, " batch"]:
        """Log 1/K Σ w, the estimate of log p(x) in nats (Burda, Grosse & Salakhutdinov 2016, eq. 8)."""
        self._complete()
        return self.log_sum - math.log(self.samples)

    def effective_samples(self) -> Float[Tensor, " batch"]:
        """(Σ w)² / Σ w², between 1 and K (Kong 1992)."""
        self._complete()
        return (2 * self.log_sum - self.log_square).exp()

    def k_hat(self) -> Float[Tensor, " batch"] | None:
        """Shape of the generalised Pareto law of the largest weights; above 0.7 an estimate cannot be trusted (Vehtari
        et al. 2024).

        0 where the largest weights are equal to rounding, so that there is no tail. None where K is too small to fit
        one.
        """
        self._complete()
        if tail_size(self.samples) < LEAST_TAIL:
            return None
        top, cutoff = self.largest[:-1].flip(0), self.largest[-1]  # ascending
        flat = top[-1] - cutoff < 16 * self.rounding * (1 + cutoff.abs())
        excess = (top - top[-1]).exp() - (cutoff - top[-1]).exp()
        spread = torch.linspace(0.5, 1.0, len(top), dtype=top.dtype, device=top.device)[:, None]
        return torch.where(flat, 0.0, pareto_shape(torch.where(flat, spread, excess)))


def pareto_shape(excess: Float[Tensor, "tail batch"]) -> Float[Tensor, " batch"]:
    """Shape k of a generalised Pareto law from excesses over a threshold, in ascending order; k > 0 is a heavy tail.

    The profile posterior mean of Zhang & Stephens (2009) over a grid of θ = -k/σ, drawn towards 1/2 with the weight of
    10 excesses (Vehtari et al. 2024, appendix C).
    """
    tail = len(excess)
    points = 30 + int(math.sqrt(tail))
    rank = torch.arange(1, points + 1, dtype=excess.dtype, device=excess.device)
    quartile = torch.maximum(
        excess[int(tail / 4 + 0.5) - 1], 1e-12 * excess[-1]
    )  # ties at the threshold would make it 0
    theta = 1 / excess[-1] + (1 - (points / (rank - 0.5)).sqrt())[:, None] / (3 * quartile)  # [points, batch]
    shape = torch.stack([torch.log1p(-row * excess).mean(0) for row in theta])  # k(θ)
    profile = tail * ((-theta / shape).log() - shape - 1)  # log-likelihood
    best = (profile.softmax(0) * theta).sum(0)
    k = torch.log1p(-best * excess).mean(0)
    return (tail * k + 10 * 0.5) / (tail + 10)
