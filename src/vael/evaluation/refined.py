"""log p(x) by proposals that are fitted to each example, beside the bound of the encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vael.data import Source
from vael.errors import StateError
from vael.evaluation.evaluate import evaluate
from vael.evaluation.record import Evaluation
from vael.inference import refined
from vael.models import VAE, Model

BOUND_SAMPLES = 100  # draws from the encoder's posterior for the bound


def evaluate_refined(
    model: Model,
    source: Source,
    *,
    split: str = "test",
    importance_samples: int = 100,
    seed: int = 0,
    batch: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """`evaluate`, with log p(x) and what tells whether to trust it from K draws of `LaplacePosterior` in place of the encoder's posterior.

    The importance-weighted mean is a lower bound on log p(x) in expectation whatever it draws from, and the closer the proposal is to
    p(z | x), the less it lacks; proposals are chosen example by example without a look at the estimate. Bound, distortion, divergence and
    active latents are still those of the encoder. Errors: as `evaluate`, and `StateError` for a model that is no `VAE`.
    """
    if not isinstance(model, VAE):
        raise StateError(f"{type(model).__name__} has no prior and likelihood to fit proposals to; evaluate it with its own posterior")
    bound = evaluate(model, source, split=split, importance_samples=min(importance_samples, BOUND_SAMPLES), seed=seed, batch=batch)
    if bound.log_likelihood is None:
        return bound
    found = evaluate(refined(model), source, split=split, importance_samples=importance_samples, seed=seed, batch=batch, progress=progress)
    own = f"log p(x): importance-weighted, K = {importance_samples} draws from a Laplace approximation of p(z | x) fitted to each example; "
    return replace(
        found, elbo=bound.elbo, elbo_per_example=bound.elbo_per_example, distortion=bound.distortion, divergence=bound.divergence,
        active_units=bound.active_units, divergence_per_latent=bound.divergence_per_latent, seconds=bound.seconds + found.seconds,
        estimator=own + f"bound by the encoder's posterior, {bound.importance_samples} draws",
    )  # fmt: skip
