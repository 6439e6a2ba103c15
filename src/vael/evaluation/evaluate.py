"""A model and a split of data to numbers that can be trusted, or that say why not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data import Batch, Source
from vael.errors import StateError
from vael.evaluation.collapse import collapse
from vael.evaluation.likelihood import NOISE_BLOCK, Judged, joint, judge
from vael.evaluation.record import Evaluation
from vael.models import BernoulliHead, Conditional, Head, Model, is_likelihood
from vael.models.vae import shown
from vael.probability import PerExample, has_closed_form

K_HAT_LIMIT = 0.7
UNTRUSTED_SHARE = 0.1  # of the examples, above which a warning is due
LEAST_SAMPLES = 100  # fewer than these say little about the tail of the weights
LEAST_EFFECTIVE = 10.0
ROWS_AT_ONCE = {"cpu": 4000, "cuda": 1 << 17}  # latents decoded together: enough that calls cost little, and few enough for a processor's cache

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

    ELBO = E_q[log p(x | z)] - KL(q(z | x) || p(z)), expectation over K draws, divergence in closed form where one is registered;
    log p(x) ≈ log 1/K Σ p(x, z_k) / q(z_k | x) (Burda, Grosse & Salakhutdinov 2016). Noise is a function of (seed, example), so neither
    `batch`, the examples encoded together, nor `memory`, bytes for the network's intermediate results, moves a number by more than
    rounding. `progress(done, total)` is called as examples are finished. The model comes back in the mode it was in.

    Errors: `StateError` for an empty split, for sizes below 1, for a negative seed, for weights in half precision, and for a model whose
    posterior is not one distribution over a vector.
    """
    _check(source, importance_samples, batch, memory, seed)
    begun, training = time.perf_counter(), model.training
    model.eval()
    try:
        with torch.inference_mode():
            judged, closed = _judge_all(model, source, _Plan(importance_samples, seed, batch, memory), progress)
    finally:
        model.train(training)
    return replace(_record(model, source, split, judged, closed, importance_samples), seed=seed, seconds=time.perf_counter() - begun)


@dataclass(frozen=True)
class _Plan:
    samples: int
    seed: int
    batch: int
    memory: int


def _check(source: Source, samples: int, batch: int, memory: int, seed: int) -> None:
    if len(source) == 0:
        raise StateError(f"{source.name}: the split has no examples, so there is nothing to evaluate; choose another split")
    for name, value in (("importance_samples", samples), ("batch", batch), ("memory", memory)):
        if value < 1:
            raise StateError(f"{name}={value}: expected at least 1")
    if seed < 0:
        raise StateError(f"seed={seed}: expected a whole number of at least 0")


def reference(model: nn.Module) -> Tensor:
    """A tensor with the dtype and device that densities are computed in."""
    weight = next((w for w in (*model.parameters(), *model.buffers()) if w.is_floating_point()), torch.zeros(0))
    if weight.dtype not in (torch.float32, torch.float64):
        raise StateError(f"the model's weights are {weight.dtype}, but log-densities need float32 or better; call model.float() first")
    return weight


def _judge_all(model: Model, source: Source, plan: _Plan, progress: Progress | None) -> tuple[Judged, bool]:
    like, parts, done = reference(model), [], 0
    first = batch_at(source, range(1), plan.seed, like)
    rows = _rows(model, first, plan.memory)
    size = min(plan.batch, max(1, rows // min(plan.samples, NOISE_BLOCK)))
    for start in range(0, len(source), size):
        given = batch_at(source, range(start, min(start + size, len(source))), plan.seed, like)
        parts.append(judge(model, given, _posterior(model, given), samples=plan.samples, seed=plan.seed + 1, rows=rows))
        done += len(given)
        if progress:
            progress(done, len(source))
    return _joined(parts), has_closed_form(_posterior(model, first), model.prior(first.context))


def batch_at(source: Source, rows: range, seed: int, like: Tensor) -> Batch:
    """The examples in the model's dtype and on its device; what the transform draws belongs to (seed, example)."""
    index = torch.arange(rows.start, rows.stop)
    given = source.batch(index.to(source.x.device), PerExample(seed, index))
    moved = {f.name: value.to(like.device) for f in fields(given) if isinstance(value := getattr(given, f.name), Tensor)}
    return replace(given, **{**moved, "x": moved["x"].to(like.dtype)})


def _posterior(model: Model, given: Batch) -> Distribution:
    """q(z | x)."""
    encoder = getattr(model, "posterior", None)
    posterior = encoder(shown(given.x, given.observed, encoder), given.context) if isinstance(encoder, Conditional) else None
    if not isinstance(posterior, Distribution) or len(posterior.event_shape) != 1:
        raise StateError(f"{type(model).__name__} has no posterior over one vector of latents, which importance sampling needs; evaluate a VAE")
    return posterior


def _rows(model: Model, given: Batch, memory: int) -> int:
    """Latents that may be decoded at once: as many as `memory` holds the results of all layers for, and no more than stay in the cache."""
    sizes: list[int] = []
    layers = [layer for layer in model.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(lambda layer, given, out: sizes.append(out.nbytes) if isinstance(out, Tensor) else None) for layer in layers]
    try:
        joint(model, given, q := _posterior(model, given), q.mean[None])
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, min(memory // (sum(sizes) + 8 * given.x.nbytes), ROWS_AT_ONCE.get(given.x.device.type, 4000)))


def _joined(parts: list[Judged]) -> Judged:
    """The figures of all examples, on the processor."""
    columns = {f.name: [getattr(part, f.name) for part in parts] for f in fields(Judged)}
    return Judged(**{name: None if any(c is None for c in column) else torch.cat(column).cpu() for name, column in columns.items()})


def _record(model: Model, source: Source, split: str, judged: Judged, closed: bool, samples: int) -> Evaluation:
    usage = collapse(judged.mean, judged.divergence_per_latent)
    found = Evaluation(
        data=source.name, split=split, examples=len(source), importance_samples=samples,
        elbo=float(-(judged.distortion + judged.divergence).mean()),
        distortion=float(judged.distortion.mean()), divergence=float(judged.divergence.mean()),
        log_likelihood=None, standard_error=None, bits_per_dim=None, effective_sample_size=None, worst_effective_sample_size=None,
        k_hat=None, k_hat_above_limit=None, k_hat_per_example=None, log_likelihood_per_example=None,
        active_units=usage.active_units, latent_features=judged.mean.shape[1], divergence_per_latent=usage.divergence,
        elbo_per_example=-(judged.distortion + judged.divergence),
        seed=0, seconds=0.0, estimator=_estimator(samples, closed), notes=source.notes,
    )  # fmt: skip
    head = getattr(getattr(model, "likelihood", None), "head", None)
    if is_likelihood(model):
        return _with_likelihood(found, judged, head, math.prod(source.event))
    return replace(
        found, is_bound=False, notes=(*source.notes, f"{type(head).__name__} is no likelihood of these data: the objective is given, log p(x) is not")
    )


def _estimator(samples: int, closed: bool) -> str:
    divergence = "in closed form" if closed else f"estimated from {samples} draws per example"
    return f"log p(x): importance-weighted, K = {samples} draws from q(z | x); distortion: mean over the same draws; divergence: {divergence}"


def _with_likelihood(found: Evaluation, judged: Judged, head: Head | None, cells: int) -> Evaluation:
    log_likelihood, k_hat = judged.log_likelihood, judged.k_hat
    mean = float(log_likelihood.mean())
    found = replace(
        found, log_likelihood=mean, log_likelihood_per_example=log_likelihood,
        standard_error=float(log_likelihood.std() / math.sqrt(found.examples)) if found.examples > 1 else None,
        bits_per_dim=-mean / (cells * math.log(2)) if getattr(head, "discrete", type(head) is BernoulliHead) else None,
        effective_sample_size=float(judged.effective_samples.mean()), worst_effective_sample_size=float(judged.effective_samples.min()),
        k_hat=None if k_hat is None else float(k_hat.nanmedian()), k_hat_per_example=k_hat,
        k_hat_above_limit=None if k_hat is None else float((~(k_hat <= K_HAT_LIMIT)).double().mean()),
    )  # fmt: skip
    return replace(found, warnings=tuple(_warnings(found)))


def _warnings(found: Evaluation) -> Iterator[str]:
    """Reasons not to trust log p(x), each with the way out."""
    samples, share = found.importance_samples, found.k_hat_above_limit
    if not math.isfinite(found.log_likelihood):
        bad = int((~found.log_likelihood_per_example.isfinite()).sum())
        yield f"log p(x) is not finite for {bad} of {found.examples} examples: look at these rows and at the weights of the model"
    if samples < LEAST_SAMPLES:
        yield f"K = {samples} draws are few: the estimate lies below log p(x), and its weights cannot be judged; use {LEAST_SAMPLES} or more"
    elif found.effective_sample_size < LEAST_EFFECTIVE:
        yield (
            f"the weights of K = {samples} draws are worth {found.effective_sample_size:.1f} equal ones on average, so log p(x) is a loose lower "
            "bound and its standard error leaves that out; use more draws"
        )
    if share is not None and share > UNTRUSTED_SHARE:
        yield (
            f"k-hat is above {K_HAT_LIMIT:g} for {share:.0%} of the examples: their weights have so heavy a tail that log p(x) is too low by an "
            "unknown amount; use more draws or, if they came from the encoder, proposals fitted to each example (--proposal laplace)"
        )
    if found.standard_error is None:
        yield "a single example has no standard error; evaluate on more"
