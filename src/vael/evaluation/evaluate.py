"""A model and a split of data to numbers that can be trusted, or that say why not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Unpack

import torch
from torch import Tensor
from torch.distributions import Distribution

from vael.data import Batch, Source
from vael.errors import StateError
from vael.evaluation.divergence_parts import DecomposedDivergence, decomposed_divergence, rows_taken
from vael.evaluation.estimation import USUAL, Estimation, EstimationOptions, ProposalPlan, Proposals
from vael.evaluation.examples import batch_at, in_evaluation, reference
from vael.evaluation.likelihood import Judged
from vael.evaluation.proposals import joined, judged, posterior_of
from vael.evaluation.record import LEAST_SAMPLES, Evaluation, summed_up
from vael.inference import can_be_joint, weighed
from vael.models import LatentModel, LatentVector, Model, Whitens, has, head_of, is_likelihood, needs, posterior_means
from vael.probability import has_closed_form

OF_PARTS = 7  # added to the seed of draws by which the divergence is taken apart
PROBED = 64  # examples judged beforehand to say how long it will take
ROWS_AT_ONCE = {
    "cpu": 4000,
    "cuda": 1 << 17,
}  # latents decoded together: enough that calls cost little, and few enough for a processor's cache


def evaluate(model: Model, source: Source, how: Estimation = USUAL, **options: Unpack[EstimationOptions]) -> Evaluation:
    """Bound, log p(x), and the signs that tell whether they can be trusted, over the whole of `source`.

    ELBO = E_q[log p(x | z)] - KL(q(z | x) || p(z)), expectation over draws, divergence in closed form where one is
    registered; log p(x) ≈ log 1/K Σ p(x, z_k) / q(z_k | x) (Burda, Grosse & Salakhutdinov 2016). Where 100 draws from
    the encoder's posterior have weights with a heavy tail (k-hat above 0.3, or an effective sample size below 80), the
    K draws come from a proposal that is fitted to the example (`fitted_proposal`) in its place: the draws that decide
    and fit enter no estimate, so each stays a lower bound in expectation. That takes a `LatentVector` of real numbers,
    or levels of Gaussians (`Whitens`), and K of at least 100; `evaluate_encoder` draws from the encoder only,
    `evaluate_refined` fits every proposal.

    What is asked for is a record, keywords, or both: `split` ("test"), K = `importance_samples` (100), `proposals`
    (adaptive), `seed` (0), `batch` (256), `memory` (256 MiB), `progress`. Noise is a function of (seed, example), so
    neither `batch`, the examples encoded together, nor `memory`, bytes for the network's intermediate results, moves a
    number by more than rounding. `progress(done, total)` is called as examples are finished. The model comes back in
    the mode it was in.

    Errors: `StateError` for an empty split, for sizes below 1, for a negative seed, for weights in half precision, and
    for a model that is no `LatentModel` or whose only level of latents is no vector; `TypeError` for another keyword.
    """
    how = replace(how, **options)
    if how.proposals is Proposals.FITTED and not can_be_joint(model):
        needs(model, LatentVector, "fitting proposals to examples")
    begun = time.perf_counter()
    with _judging(model, source, how) as (latent, plan):
        found = _judge_all(latent, source, plan)
        parts = _taken_apart(latent, source, how.seed)
        discrete = is_likelihood(latent) and gives_probabilities(latent, source)
    record = summed_up(latent, source, plan, found, discrete=discrete)
    return replace(record, parts=parts, seconds=time.perf_counter() - begun)


def evaluate_encoder(model: Model, source: Source, **options: Unpack[EstimationOptions]) -> Evaluation:
    """`evaluate` with all draws from the encoder's posterior q(z | x), those of bound and log p(x) being the same.

    Errors: as `evaluate`.
    """
    return evaluate(model, source, replace(Estimation(**options), proposals=Proposals.ENCODER))


def evaluate_refined(model: Model, source: Source, **options: Unpack[EstimationOptions]) -> Evaluation:
    """`evaluate` with a proposal fitted to every example; bound, distortion, divergence and active latents are still
    those of the encoder.

    Errors: as `evaluate`, and `StateError` for a model whose latents cannot be one vector of real numbers.
    """
    return evaluate(model, source, replace(Estimation(**options), proposals=Proposals.FITTED))


@contextmanager
def _judging(model: Model, source: Source, how: Estimation) -> Iterator[tuple[LatentModel, ProposalPlan]]:
    """The model in evaluation mode without gradients, and the plan for it; left as it was found."""
    latent = needs(model, LatentModel, "importance sampling")
    how.check(source)
    with in_evaluation(latent), torch.inference_mode():
        yield latent, _planned(latent, source, how)


def _taken_apart(model: LatentModel, source: Source, seed: int) -> DecomposedDivergence | None:
    if not isinstance(model, LatentVector):
        return None
    batch = batch_at(source, rows_taken(len(source)), seed, reference(model))
    return decomposed_divergence(model, batch, len(source), seed + OF_PARTS)


@dataclass(frozen=True)
class Forecast:
    """How long an evaluation will take, from a few examples judged beforehand."""

    seconds: float
    fitted_share: float  # of the examples that get a proposal of their own


def forecast(model: Model, source: Source, how: Estimation = USUAL, **options: Unpack[EstimationOptions]) -> Forecast:
    """Judge up to `PROBED` examples spread over `source`, at most a quarter of it, and say how long all will take.

    Errors: as `evaluate`.
    """
    how = replace(replace(how, **options), seed=0, batch=PROBED)
    with _judging(model, source, how) as (latent, plan):
        rows = torch.linspace(0, len(source) - 1, max(1, min(PROBED, len(source) // 4))).round().long()
        like, most = reference(latent), replace(plan.how, proposals=_most(plan.how.proposals), importance_samples=1)
        judged(latent, batch_at(source, rows[:1], 0, like), replace(plan, how=most))  # what is slow only once
        begun = time.perf_counter()
        found = judged(latent, batch_at(source, rows, 0, like), plan)
        seconds = (time.perf_counter() - begun) / len(rows) * len(source)
    return Forecast(seconds, float(found.fitted.mean()))


def _most(proposals: Proposals) -> Proposals:
    return Proposals.ENCODER if proposals is Proposals.ENCODER else Proposals.FITTED


def _planned(model: LatentModel, source: Source, how: Estimation) -> ProposalPlan:
    """The plan, with the encoder's posterior where nothing else is possible."""
    first = batch_at(source, range(1), how.seed, reference(model))
    posterior = posterior_of(model, first)
    real = has(model, Whitens) or (can_be_joint(model) and is_real(posterior))
    fits = is_likelihood(model) and real
    if how.proposals is Proposals.FITTED and not real:
        raise StateError(
            f"fitting proposals to examples is for one vector of real latents, which this {type(model).__name__} has "
            "not; draw from its own posterior (evaluate_encoder)"
        )
    adaptive = how.proposals is Proposals.ADAPTIVE and how.importance_samples >= LEAST_SAMPLES
    if not (fits and (adaptive or how.proposals is Proposals.FITTED)):
        how = replace(how, proposals=Proposals.ENCODER)
    closed = posterior is not None and has_closed_form(posterior, model.prior_at((), first.context))
    return ProposalPlan(how, _rows(model, first, how.memory), can_fit=fits, closed=closed)


def is_real(law: Distribution | None) -> bool:
    """Whether a law is over real numbers, so that it has a slope."""
    return law is not None and law.support is not None and not law.support.is_discrete


@torch.inference_mode()
def gives_probabilities(model: LatentModel, source: Source) -> bool:
    """Whether p(x | z) is over values that can be counted, so that bits per dimension exist."""
    head = head_of(model)
    if head is not None:
        return head.discrete
    first = batch_at(source, range(1), 0, reference(model))
    support = model.decode(posterior_means(model, first), first.context).support
    return support is not None and support.is_discrete


def _judge_all(model: LatentModel, source: Source, plan: ProposalPlan) -> Judged:
    like, how, parts, done = reference(model), plan.how, [], 0
    size = plan.together(plan.samples) if how.proposals is Proposals.ENCODER else how.batch
    for start in range(0, len(source), size):
        given = batch_at(source, range(start, min(start + size, len(source))), how.seed, like)
        parts.append(judged(model, given, plan))
        done += len(given)
        if how.progress:
            how.progress(done, len(source))
    found = joined(parts)
    return replace(
        found, **{f.name: value.cpu() for f in fields(found) if isinstance(value := getattr(found, f.name), Tensor)}
    )


def _rows(model: LatentModel, given: Batch, memory: int) -> int:
    """Latents that may be decoded at once: as many as `memory` holds the results of all layers for, and no more
    than stay in the cache.
    """
    sizes: list[int] = []
    layers = [layer for layer in model.modules() if not list(layer.children())]
    hooks = [
        layer.register_forward_hook(
            lambda layer, given, out: sizes.append(out.nbytes) if isinstance(out, Tensor) else None
        )
        for layer in layers
    ]
    try:
        q = posterior_of(model, given)
        weighed(model, given, posterior_means(model, given) if q is None else (q.mean[None],), q)
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, min(memory // (sum(sizes) + 8 * given.x.nbytes), ROWS_AT_ONCE.get(given.x.device.type, 4000)))
