"""A model judged by what it has: an exact log p(x), a bound and an estimate, codes and their bits, or an error."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Batch, Source
from vael.errors import StateError, SupportError
from vael.evaluation.codes import evaluate_codes
from vael.evaluation.evaluate import Progress, batch_at, evaluate, evaluate_encoder, evaluate_refined, reference
from vael.evaluation.judgement import CodeJudgement, ErrorJudgement, ExactJudgement, Judgement
from vael.evaluation.prediction import judge_prediction
from vael.evaluation.proposals import Proposals
from vael.evaluation.record import Evaluation
from vael.models import Codes, ExactLikelihood, LatentModel, Model, Predicts, Reconstructs, has, is_likelihood, needs
from vael.networks import CodeUse, code_use

WAYS = {Proposals.ADAPTIVE: evaluate, Proposals.ENCODER: evaluate_encoder, Proposals.FITTED: evaluate_refined}


def samples_latents(model: Model) -> bool:
    """Whether a model is judged by draws of latents; else its numbers are exact, and there is nothing to choose."""
    return has(model, LatentModel) and not has(model, ExactLikelihood)


def judge(
    model: Model,
    source: Source,
    *,
    split: str = "test",
    importance_samples: int = 100,
    proposals: Proposals = Proposals.ADAPTIVE,
    seed: int = 0,
    batch: int = 256,
    progress: Progress | None = None,
) -> Evaluation | Judgement:
    """The numbers that a model has, by the capability that says most.

    Of an `ExactLikelihood` log p(x) itself; of a `LatentModel` the bound and an importance-weighted log p(x)
    (`evaluate`); of one that `Predicts` log p of frames given those before them; of `Codes` log p(x, c(x)) and the bits
    of the codes; of one that only `Reconstructs` the squared error and decibels. `importance_samples`, `proposals` and
    `progress` are for latents. The model comes back in the mode it
    was in. Errors: `StateError` for an empty split, for sizes below 1, and for a model that has none of these.
    """
    if samples_latents(model):
        latent = needs(model, LatentModel, "importance sampling")
        how = {"split": split, "importance_samples": importance_samples, "seed": seed, "batch": batch}
        return WAYS[proposals](latent, source, progress=progress, **how)
    if not len(source) or batch < 1:
        raise StateError(f"{source.name}: {len(source)} examples in batches of {batch}; expected at least one of each")
    if isinstance(model, ExactLikelihood):
        return judge_exactly(model, source, split=split, seed=seed, batch=batch)
    if isinstance(model, Predicts):
        with looked_at(model, source, seed, batch) as parts:
            return judge_prediction(model, source, list(parts), split=split, seed=seed)
    if isinstance(model, Codes) and is_likelihood(model):
        return judge_codes(model, source, split=split, seed=seed, batch=batch)
    return judge_error(needs(model, Reconstructs, "judging"), source, split=split, seed=seed, batch=batch)


@contextmanager
def looked_at(model: Model, source: Source, seed: int, batch: int) -> Iterator[Iterator[Batch]]:
    """The examples of a source in batches, the model in evaluation mode and left as it was found."""
    like, training = reference(model), model.training
    starts = range(0, len(source), batch)
    model.eval()
    try:
        with torch.no_grad():
            yield (batch_at(source, range(at, min(at + batch, len(source))), seed, like) for at in starts)
    finally:
        model.train(training)


def standard_error(values: Float[Tensor, " examples"]) -> float | None:
    """Of the mean over examples; None for a single one."""
    return float(values.std() / math.sqrt(len(values))) if len(values) > 1 else None


def judge_exactly(
    model: ExactLikelihood, source: Source, *, split: str = "test", seed: int = 0, batch: int = 256
) -> ExactJudgement:
    """Log p(x) of every example, without any estimate. Errors: `SupportError` for examples with gaps."""
    begun = time.perf_counter()
    with looked_at(model, source, seed, batch) as parts:
        found = torch.cat([model.log_prob(whole(given, source).x).double().cpu() for given in parts])
    mean, elements = float(found.mean()), math.prod(source.event)
    bad = int((~found.isfinite()).sum())
    return ExactJudgement(
        data=source.name,
        split=split,
        examples=len(source),
        seed=seed,
        seconds=time.perf_counter() - begun,
        estimator=model.told,
        notes=source.notes,
        warnings=(f"log p(x) is not finite for {bad} of {len(source)} examples: look at these rows",) if bad else (),
        log_likelihood=mean,
        standard_error=standard_error(found),
        bits_per_dim=-mean / (elements * math.log(2)) if model.gives_probabilities else None,
        log_likelihood_per_example=found,
    )


def whole(given: Batch, source: Source) -> Batch:
    """Errors: `SupportError` where elements are missing."""
    if given.observed is not None and not bool(given.observed.all()):
        raise SupportError(
            f"{source.name} has gaps, but the log p(x) of this model is of whole examples; fill the gaps or drop the "
            "rows"
        )
    return given


def judge_codes(model: Codes, source: Source, *, split: str = "test", seed: int = 0, batch: int = 256) -> CodeJudgement:
    """Log p(x, c(x)), the bits of the codes, and how they are used. Errors: as `evaluate_codes`."""
    begun = time.perf_counter()
    found = evaluate_codes(model, source, seed=seed, batch=batch)
    return CodeJudgement(
        data=source.name,
        split=split,
        examples=len(source),
        seed=seed,
        seconds=time.perf_counter() - begun,
        estimator="log p(x, c(x)) at the codes c(x) that the encoder finds: q(c | x) is 1 there, so nothing is drawn",
        notes=source.notes,
        found=found,
    )


def judge_error(
    model: Reconstructs, source: Source, *, split: str = "test", seed: int = 0, batch: int = 256
) -> ErrorJudgement:
    """Squared error of what comes out, over the elements that were seen, and decibels.

    Their peak is the largest difference that the kind of data allows; of real numbers, the range of this split.
    """
    begun, errors, low, high, codes = time.perf_counter(), [], math.inf, -math.inf, []
    with looked_at(model, source, seed, batch) as parts:
        for given in parts:
            seen = torch.ones_like(given.x, dtype=torch.bool) if given.observed is None else given.observed
            apart = (model.reconstruct(given) - given.x).double().square().where(seen, 0.0).flatten(1).sum(1)
            errors.append((apart / seen.flatten(1).sum(1).clamp(min=1)).cpu())
            known = given.x[seen]
            low, high = min(low, float(known.min())), max(high, float(known.max()))
            if isinstance(model, Codes):
                codes.append([level[0].cpu() for level in model.terms(given, generator=torch.Generator()).latent])
    found = torch.cat(errors)
    reach = high - low if source.highest is None else source.highest
    return ErrorJudgement(
        data=source.name,
        split=split,
        examples=len(source),
        seed=seed,
        seconds=time.perf_counter() - begun,
        estimator="each example against what comes out of the model for it; nothing is drawn",
        notes=source.notes,
        squared_error=float(found.mean()),
        standard_error=standard_error(found),
        peak=None if source.has_schema or reach <= 0 else reach,
        use=used(model, codes) if isinstance(model, Codes) else (),
        squared_error_per_example=found,
    )


def used(model: Codes, codes: list[list[Tensor]]) -> tuple[CodeUse, ...]:
    """How evenly the codes of each level are used."""
    return tuple(
        code_use(torch.cat(level), size) for level, size in zip(zip(*codes, strict=True), model.sizes, strict=True)
    )
