"""A model and a split of data to numbers that can be trusted, or that say why not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data import Batch, Source
from vael.data.summary import elements_of, steps_of
from vael.errors import StateError
from vael.evaluation.classification import classification
from vael.evaluation.collapse import collapse
from vael.evaluation.divergence_parts import DecomposedDivergence, decomposed_divergence, rows_taken
from vael.evaluation.likelihood import Judged
from vael.evaluation.proposals import (
    HEAVY,
    MOST_CORRELATED,
    PILOT,
    TRIAL,
    WORTH,
    ProposalPlan,
    Proposals,
    joined,
    judged,
    posterior_of,
    widening,
)
from vael.evaluation.record import K_HAT_LIMIT, LEAST_EFFECTIVE, UNTRUSTED_SHARE, Evaluation
from vael.inference import can_be_joint, weighed
from vael.models import (
    LatentModel,
    LatentVector,
    Model,
    Whitens,
    has,
    head_of,
    is_likelihood,
    needs,
    posterior_means,
)
from vael.models.vae import context_of
from vael.probability import PerExample, has_closed_form

LEAST_SAMPLES = 100  # fewer than these say little about the tail of the weights
OF_PARTS = 7  # added to the seed of draws by which the divergence is taken apart
PROBED = 64  # examples judged beforehand to say how long it will take
ROWS_AT_ONCE = {
    "cpu": 4000,
    "cuda": 1 << 17,
}  # latents decoded together: enough that calls cost little, and few enough for a processor's cache

Progress = Callable[[int, int], None]


def evaluate(
    model: Model,
    source: Source,
    *,
    split: str = "test",
    importance_samples: int = 100,
    seed: int = 0,
    batch: int = 256,
    memory: int = 256 << 20,
    progress: Progress | None = None,
) -> Evaluation:
    """Bound, log p(x), and the signs that tell whether they can be trusted, over the whole of `source`.

    ELBO = E_q[log p(x | z)] - KL(q(z | x) || p(z)), expectation over draws, divergence in closed form where one is
    registered; log p(x) ≈ log 1/K Σ p(x, z_k) / q(z_k | x) (Burda, Grosse & Salakhutdinov 2016). Where 100 draws from
    the encoder's posterior have weights with a heavy tail (k-hat above 0.3, or an effective sample size below 80), the
    K draws come from a proposal that is fitted to the example (`fitted_proposal`) in its place: the draws that decide
    and fit enter no estimate, so each stays a lower bound in expectation. That takes a `LatentVector` of real numbers,
    or levels of Gaussians (`Whitens`), and K of at least 100; `evaluate_encoder` draws from the encoder only,
    `evaluate_refined` fits every proposal.

    Noise is a function of (seed, example), so neither `batch`, the examples encoded together, nor `memory`, bytes for
    the network's intermediate results, moves a number by more than rounding. `progress(done, total)` is called as
    examples are finished. The model comes back in the mode it was in.

    Errors: `StateError` for an empty split, for sizes below 1, for a negative seed, for weights in half precision, and
    for a model that is no `LatentModel` or whose only level of latents is no vector.
    """
    return _evaluate(model, source, split, Asked(importance_samples, seed, batch, memory, Proposals.ADAPTIVE), progress)


def evaluate_encoder(
    model: Model,
    source: Source,
    *,
    split: str = "test",
    importance_samples: int = 100,
    seed: int = 0,
    batch: int = 256,
    memory: int = 256 << 20,
    progress: Progress | None = None,
) -> Evaluation:
    """`evaluate` with all draws from the encoder's posterior q(z | x), those of bound and log p(x) being the same.

    Errors: as `evaluate`.
    """
    return _evaluate(model, source, split, Asked(importance_samples, seed, batch, memory, Proposals.ENCODER), progress)


def evaluate_refined(
    model: Model,
    source: Source,
    *,
    split: str = "test",
    importance_samples: int = 100,
    seed: int = 0,
    batch: int = 256,
    memory: int = 256 << 20,
    progress: Progress | None = None,
) -> Evaluation:
    """`evaluate` with a proposal fitted to every example; bound, distortion, divergence and active latents are still
    those of the encoder.

    Errors: as `evaluate`, and `StateError` for a model whose latents cannot be one vector of real numbers.
    """
    model = model if can_be_joint(model) else needs(model, LatentVector, "fitting proposals to examples")
    return _evaluate(model, source, split, Asked(importance_samples, seed, batch, memory, Proposals.FITTED), progress)


@dataclass(frozen=True)
class Asked:
    """What a caller asked for."""

    samples: int
    seed: int
    batch: int
    memory: int
    proposals: Proposals

    def check(self, source: Source) -> None:
        """Errors: `StateError` for what cannot be done."""
        if len(source) == 0:
            raise StateError(
                f"{source.name}: the split has no examples, so there is nothing to evaluate; choose another split"
            )
        for name, value in (("importance_samples", self.samples), ("batch", self.batch), ("memory", self.memory)):
            if value < 1:
                raise StateError(f"{name}={value}: expected at least 1")
        if self.seed < 0:
            raise StateError(f"seed={self.seed}: expected a whole number of at least 0")


def _evaluate(model: Model, source: Source, split: str, asked: Asked, progress: Progress | None) -> Evaluation:
    model = needs(model, LatentModel, "importance sampling")
    asked.check(source)
    begun, training = time.perf_counter(), model.training
    model.eval()
    try:
        with torch.inference_mode():
            plan, closed = _planned(model, source, asked)
            found = _judge_all(model, source, plan, progress)
            parts = _taken_apart(model, source, asked.seed)
    finally:
        model.train(training)
    record = _record(model, source, split, found, closed, plan)
    return replace(record, parts=parts, seed=asked.seed, seconds=time.perf_counter() - begun)


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


def forecast(
    model: Model, source: Source, *, importance_samples: int = 100, proposals: Proposals = Proposals.ADAPTIVE
) -> Forecast:
    """Judge up to `PROBED` examples spread over `source`, at most a quarter of it, and say how long all will take.

    Errors: as `evaluate`.
    """
    model = needs(model, LatentModel, "importance sampling")
    asked, training = Asked(importance_samples, 0, PROBED, 256 << 20, proposals), model.training
    asked.check(source)
    rows = torch.linspace(0, len(source) - 1, max(1, min(PROBED, len(source) // 4))).round().long()
    model.eval()
    try:
        with torch.inference_mode():
            plan, _ = _planned(model, source, asked)
            judged(
                model,
                batch_at(source, rows[:1], 0, reference(model)),
                replace(plan, proposals=_most(plan.proposals), samples=1),
            )  # what is slow only once
            begun = time.perf_counter()
            found = judged(model, batch_at(source, rows, 0, reference(model)), plan)
            seconds = (time.perf_counter() - begun) / len(rows) * len(source)
    finally:
        model.train(training)
    return Forecast(seconds, float(found.fitted.mean()))


def _most(proposals: Proposals) -> Proposals:
    return Proposals.ENCODER if proposals is Proposals.ENCODER else Proposals.FITTED


def reference(model: nn.Module) -> Tensor:
    """A tensor with the dtype and device that densities are computed in."""
    weight = next((w for w in (*model.parameters(), *model.buffers()) if w.is_floating_point()), torch.zeros(0))
    if weight.dtype not in (torch.float32, torch.float64):
        raise StateError(
            f"the model's weights are {weight.dtype}, but log-densities need float32 or better; call model.float() "
            "first"
        )
    return weight


def _planned(model: LatentModel, source: Source, asked: Asked) -> tuple[ProposalPlan, bool]:
    """The plan, with the encoder's posterior where nothing else is possible; whether the divergence has a closed
    form.
    """
    first = batch_at(source, range(1), asked.seed, reference(model))
    posterior = posterior_of(model, first)
    real = has(model, Whitens) or (can_be_joint(model) and is_real(posterior))
    fits = is_likelihood(model) and real
    if asked.proposals is Proposals.FITTED and not real:
        raise StateError(
            f"fitting proposals to examples is for one vector of real latents, which this {type(model).__name__} has "
            "not; draw from its own posterior (evaluate_encoder)"
        )
    adaptive = asked.proposals is Proposals.ADAPTIVE and asked.samples >= LEAST_SAMPLES
    proposals = asked.proposals if fits and (adaptive or asked.proposals is Proposals.FITTED) else Proposals.ENCODER
    rows = _rows(model, first, asked.memory)
    plan = ProposalPlan(asked.samples, asked.seed + 1, rows, proposals, asked.batch, can_fit=fits)
    closed = posterior is not None and has_closed_form(posterior, model.prior_at((), first.context))
    return plan, closed


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


def _judge_all(model: LatentModel, source: Source, plan: ProposalPlan, progress: Progress | None) -> Judged:
    like, parts, done = reference(model), [], 0
    size = plan.together(plan.samples) if plan.proposals is Proposals.ENCODER else plan.batch
    for start in range(0, len(source), size):
        given = batch_at(source, range(start, min(start + size, len(source))), plan.seed - 1, like)
        parts.append(judged(model, given, plan))
        done += len(given)
        if progress:
            progress(done, len(source))
    found = joined(parts)
    return replace(
        found, **{f.name: value.cpu() for f in fields(found) if isinstance(value := getattr(found, f.name), Tensor)}
    )


def batch_at(source: Source, rows: range | Int64[Tensor, " batch"], seed: int, like: Tensor) -> Batch:
    """The examples in the model's dtype and on its device; what the transform draws belongs to (seed, example).

    They have no labels: whoever judges a model looks at x alone.
    """
    index = torch.arange(rows.start, rows.stop) if isinstance(rows, range) else rows
    given = replace(source.batch(index.to(source.x.device), PerExample(seed, index)), label=None)
    moved = {
        f.name: value.to(like.device) for f in fields(given) if isinstance(value := getattr(given, f.name), Tensor)
    }
    return replace(given, **{**moved, "x": moved["x"].to(like.dtype)})


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


def _record(
    model: LatentModel, source: Source, split: str, judged: Judged, closed: bool, plan: ProposalPlan
) -> Evaluation:
    usage = collapse(judged.mean, judged.divergence_per_latent)
    found = Evaluation(
        data=source.name,
        split=split,
        examples=len(source),
        importance_samples=plan.samples,
        elbo=float(-(judged.distortion + judged.divergence).mean()),
        distortion=float(judged.distortion.mean()),
        divergence=float(judged.divergence.mean()),
        log_likelihood=None,
        standard_error=None,
        bits_per_dim=None,
        effective_sample_size=None,
        worst_effective_sample_size=None,
        k_hat=None,
        k_hat_above_limit=None,
        k_hat_per_example=None,
        log_likelihood_per_example=None,
        active_units=usage.active_units,
        latent_features=judged.mean.shape[1],
        divergence_per_latent=usage.divergence,
        elbo_per_example=-(judged.distortion + judged.divergence),
        seed=0,
        seconds=0.0,
        estimator=_estimator(judged, closed, plan, given=bool(context_of(model))),
        notes=source.notes,
        conditioned_on=source.conditions if context_of(model) else (),
        fitted_share=float(judged.fitted.mean()),
        steps=steps_of(source),
        classification=None
        if judged.class_bound is None or judged.class_log_probability is None
        else classification(judged.class_log_probability, judged.class_bound, source),
    )
    head = head_of(model)
    if is_likelihood(model):
        found = _with_likelihood(found, judged, gives_probabilities(model, source), elements_of(source))
        return replace(found, warnings=tuple(_warnings(found, judged, can_fit=plan.can_fit)))
    return replace(
        found,
        is_bound=False,
        notes=(
            *source.notes,
            f"{type(head).__name__} is no likelihood of these data: the objective is given, log p(x) is not",
        ),
    )


def _estimator(judged: Judged, closed: bool, plan: ProposalPlan, *, given: bool) -> str:
    if judged.class_bound is not None:
        return (
            f"log p(x): classes summed out exactly, importance-weighted over z, K = {plan.samples} draws from "
            "q(z | x, y) for every class y; distortion and divergence: expectations over q(y | x), exact, and over the "
            "same draws; no label is looked at"
        )
    own, density = plan.proposals is Proposals.ENCODER, "log p(x | c)" if given else "log p(x)"
    bound = plan.samples if own else PILOT
    divergence = "in closed form" if closed else f"estimated from {bound} draws per example"
    latents = judged.mean.shape[1]
    how = (
        f"Laplace's approximation of p(z | x), corrected by {TRIAL} weighted draws"
        if latents <= MOST_CORRELATED
        else "independent latents, by the bound of the example"
    )
    fitted = f"a Gaussian fitted to the example ({how} and {widening(latents):.2f} times as wide)"
    drawn = {
        Proposals.ENCODER: "q(z | x)",
        Proposals.FITTED: fitted,
        Proposals.ADAPTIVE: f"q(z | x) or, where {PILOT} other draws from it have k-hat above {HEAVY:g} or are worth "
        f"fewer than {WORTH * PILOT:g} ({float(judged.fitted.mean()):.0%} of the examples), from {fitted}",
    }[plan.proposals]
    return (
        f"{density}: importance-weighted, K = {plan.samples} draws from {drawn}; distortion: mean over "
        f"{'the same draws' if own else f'{PILOT} draws from q(z | x)'}; divergence: {divergence}"
    )


def _with_likelihood(found: Evaluation, judged: Judged, discrete: bool, cells: float) -> Evaluation:
    log_likelihood, k_hat = judged.log_likelihood, judged.k_hat
    mean = float(log_likelihood.mean())
    return replace(
        found,
        log_likelihood=mean,
        log_likelihood_per_example=log_likelihood,
        standard_error=float(log_likelihood.std() / math.sqrt(found.examples)) if found.examples > 1 else None,
        bits_per_dim=-mean / (cells * math.log(2)) if discrete else None,
        effective_sample_size=float(judged.effective_samples.mean()),
        worst_effective_sample_size=float(judged.effective_samples.min()),
        k_hat=None if k_hat is None else float(k_hat.nanmedian()),
        k_hat_per_example=k_hat,
        k_hat_above_limit=None if k_hat is None else float((~(k_hat <= K_HAT_LIMIT)).double().mean()),
    )


def _warnings(found: Evaluation, judged: Judged, *, can_fit: bool) -> Iterator[str]:
    """Reasons not to trust log p(x), each with the way out: proposals where the model can have them fitted."""
    samples, share = found.importance_samples, found.k_hat_above_limit
    effective, bad = float(judged.effective_samples.mean()), int((~judged.log_likelihood.isfinite()).sum())
    settled = not can_fit or found.fitted_share or found.steps is not None  # no other proposals are left to try
    if bad:
        yield (
            f"log p(x) is not finite for {bad} of {found.examples} examples: look at these rows and at the weights of "
            "the model"
        )
    if samples < LEAST_SAMPLES:
        yield (
            f"K = {samples} draws are few: the estimate lies below log p(x), and its weights cannot be judged; use "
            f"{LEAST_SAMPLES} or more (--importance-samples)"
        )
    elif effective < LEAST_EFFECTIVE:
        yield (
            f"the weights of K = {samples} draws are worth {effective:.1f} equal ones on average, so "
            "log p(x) is a loose lower "
            "bound and its standard error leaves that out; use more draws (--importance-samples)"
        )
    if share is not None and share > UNTRUSTED_SHARE:
        yield (
            f"k-hat is above {K_HAT_LIMIT:g} for {share:.0%} of the examples: their weights have so heavy a tail that "
            "log p(x) is too low by an "
            "unknown amount; use more draws (--importance-samples)"
            f"{'' if settled else ' or proposals fitted to the examples (--proposal adaptive)'}"
        )
    if found.standard_error is None:
        yield "a single example has no standard error; evaluate on more"
