"""A model of classes judged: its numbers with the class summed out exactly, and how well it tells classes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vael.data import Batch, Source
from vael.evaluation.likelihood import LEVEL_BLOCKS, Draws, Judged, latents
from vael.evaluation.weights import ImportanceWeights
from vael.inference import weighed
from vael.models import Classifies
from vael.probability import divergence, has_closed_form


@dataclass(frozen=True)
class Classification:
    """How well classes are told on the examples of a split whose class is known; nats per example."""

    examples: int  # whose class is known
    accuracy: float  # of the largest q(y | x)
    cross_entropy: float  # mean of -log q(y | x) at the class that is known
    bound_accuracy: float  # of the largest L(x, y), the bound on log p(x, y)
    bound_cross_entropy: float  # of the softmax of L(x, y) over y, which is p(y | x) where the bounds are tight
    commonest: float  # share of the class that most of them have
    standard_error: float | None  # of the accuracy, over examples


def over_classes(model: Classifies, batch: Batch, how: Draws) -> Judged:
    """All figures of the examples of a batch, each class enumerated, with K draws of z for every class.

        log p(x) ≈ log 1/K Σ_k Σ_y p(y) p(x, z_ky | y) / q(z_ky | x, y),

    A lower bound in expectation; the bound is U(x) of `SemiSupervised`, its expectation over q(y | x) exact. No
    label is looked at.
    """
    log_p, log_q = model.log_shares, model.classify(batch).logits
    share = log_q.exp().double()
    every = [_of_one_class(model, batch, place, how) for place in range(model.classes)]
    weights = ImportanceWeights(how.samples, len(batch), batch.x)
    for parts in zip(*(one.log_weights for one in every), strict=True):
        weights.add((torch.stack(parts) + log_p[:, None, None]).logsumexp(0))
    distortion, apart = (torch.stack([getattr(one, name) for one in every], 1) for name in ("distortion", "divergence"))
    bound = log_p.double() - distortion - apart  # L(x, y), [batch, classes]
    of_class = (share * (log_q.double() - log_p.double())).sum(1)
    return Judged(
        log_likelihood=weights.log_mean(),
        distortion=(share * distortion).sum(1),
        divergence=(share * apart).sum(1) + of_class,
        effective_samples=weights.effective_samples(),
        k_hat=weights.k_hat(),
        mean=model.latents(batch)[1][0],
        divergence_per_latent=None,
        fitted=torch.zeros_like(of_class),
        class_log_probability=log_q.double(),
        class_bound=bound,
    )


@dataclass(frozen=True)
class OneClass:
    """What the draws of z in one class say."""

    log_weights: list[Float[Tensor, "draws batch"]]
    distortion: Float[Tensor, " batch"]
    divergence: Float[Tensor, " batch"]


def _of_one_class(model: Classifies, batch: Batch, place: int, how: Draws) -> OneClass:
    rows, given = model.in_class(batch, place), model.given
    q, p = given.infer(rows), given.prior_at((), rows.context)
    noise = Draws(how.samples, how.seed, how.rows, how.first + place * LEVEL_BLOCKS)
    found, reconstruction, ratio = [], *torch.zeros(2, len(batch), dtype=torch.float64, device=batch.x.device)
    closed, first = has_closed_form(q, p), None
    for z in _drawn(q, batch, noise):
        one = weighed(given, rows, (z,), q)
        found.append(one.log_weight)
        reconstruction += one.log_likelihood.double().sum(0)
        ratio += (one.log_likelihood.double() - one.log_weight.double()).sum(0)
        first = z[:1] if first is None else first
    apart = divergence(q, p, first)[0].double() if closed and first is not None else ratio / how.samples
    return OneClass(found, -reconstruction / how.samples, apart)


def class_bounds(model: Classifies, batch: Batch, samples: int, seed: int) -> Float[Tensor, "batch classes"]:
    """L(x, y), the bound on log p(x, y), of every class, float64."""
    log_p, how = model.log_shares.double(), Draws(samples, seed, 4000)
    every = [_of_one_class(model, batch, place, how) for place in range(model.classes)]
    return log_p - torch.stack([one.distortion + one.divergence for one in every], 1)


def _drawn(q: torch.distributions.Distribution, batch: Batch, how: Draws) -> Iterator[Tensor]:
    for block in latents(q, batch, how):
        yield from block.split(max(1, how.rows // len(batch)))


def classification(
    log_q: Float[Tensor, "examples classes"], bound: Float[Tensor, "examples classes"], source: Source
) -> Classification | None:
    """How well the classes of a source are told; None where none of its examples has a label."""
    if source.label is None or not bool((source.label >= 0).any()):
        return None
    known = (source.label >= 0).nonzero()[:, 0]
    label, log_q, log_p = source.label[known], log_q[known], bound[known].log_softmax(1)
    right = (log_q.argmax(1) == label).double()
    return Classification(
        examples=len(known),
        accuracy=float(right.mean()),
        cross_entropy=_missed(log_q, label),
        bound_accuracy=float((log_p.argmax(1) == label).double().mean()),
        bound_cross_entropy=_missed(log_p, label),
        commonest=float(label.bincount().max()) / len(label),
        standard_error=float(right.std() / math.sqrt(len(right))) if len(right) > 1 else None,
    )


def _missed(log_p: Float[Tensor, "examples classes"], label: Int64[Tensor, " examples"]) -> float:
    return float(-log_p.gather(1, label[:, None]).mean())
