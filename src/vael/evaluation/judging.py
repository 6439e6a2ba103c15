"""A model judged by what it has: an exact log p(x), a bound and an estimate, codes and their bits, or an error."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Unpack

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Batch, Source
from vael.errors import StateError, SupportError
from vael.evaluation.codes import evaluate_codes
from vael.evaluation.estimation import USUAL, Estimation, EstimationOptions
from vael.evaluation.evaluate import evaluate
from vael.evaluation.examples import looked_at
from vael.evaluation.judgement import CodeJudgement, ErrorJudgement, ExactJudgement, Judgement
from vael.evaluation.prediction import judge_prediction
from vael.evaluation.record import Evaluation
from vael.models import Codes, ExactLikelihood, LatentModel, Model, Predicts, Reconstructs, has, is_likelihood, needs
from vael.networks import CodeUse, code_use


def samples_latents(model: Model) -> bool:
    """Whether a model is judged by draws of latents; else its numbers are exact, and there is nothing to choose."""
    return has(model, LatentModel) and not has(model, ExactLikelihood)


def judge(
    model: Model, source: Source, how: Estimation = USUAL, **options: Unpack[EstimationOptions]
) -> Evaluation | Judgement:
    """The numbers that a model has, by the capability that says most.

    Of an `ExactLikelihood` log p(x) itself; of a `LatentModel` the bound and an importance-weighted log p(x)
    (`evaluate`); of one that `Predicts` log p of frames given those before them; of `Codes` log p(x, c(x)) and the bits
    of the codes; of one that only `Reconstructs` the squared error and decibels. What is asked for is a record,
    keywords, or both, as for `evaluate`; `importance_samples`, `proposals`, `memory` and `progress` are for latents.
    The model comes back in the mode it was in. Errors: `StateError` for an empty split, for sizes below 1, and for a
    model that has none of these; `TypeError` for another keyword.
    """
    how = replace(how, **options)
    if samples_latents(model):
        return evaluate(model, source, how)
    if not len(source) or how.batch < 1:
        raise StateError(
            f"{source.name}: {len(source)} examples in batches of {how.batch}; expected at least one of each"
        )
    if isinstance(model, ExactLikelihood):
        return judge_exactly(model, source, how)
    if isinstance(model, Predicts):
        with looked_at(model, source, how.seed, how.batch) as parts:
            return judge_prediction(model, source, list(parts), how)
    if isinstance(model, Codes) and is_likelihood(model):
        return judge_codes(model, source, how)
    return judge_error(needs(model, Reconstructs, "judging"), source, how)


def standard_error(values: Float[Tensor, " examples"]) -> float | None:
    """Of the mean over examples; None for a single one."""
    return float(values.std() / math.sqrt(len(values))) if len(values) > 1 else None


def judge_exactly(model: ExactLikelihood, source: Source, how: Estimation = USUAL) -> ExactJudgement:
    """Log p(x) of every example, without any estimate. Errors: `SupportError` for examples with gaps."""
    begun = time.perf_counter()
    with looked_at(model, source, how.seed, how.batch) as parts:
        found = torch.cat([model.log_prob(whole(given, source).x).double().cpu() for given in parts])
    mean, elements = float(found.mean()), math.prod(source.event)
    bad = int((~found.isfinite()).sum())
    return ExactJudgement(
        data=source.name,
        split=how.split,
        examples=len(source),
        seed=how.seed,
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


def judge_codes(model: Codes, source: Source, how: Estimation = USUAL) -> CodeJudgement:
    """Log p(x, c(x)), the bits of the codes, and how they are used. Errors: as `evaluate_codes`."""
    begun = time.perf_counter()
    found = evaluate_codes(model, source, seed=how.seed, batch=how.batch)
    return CodeJudgement(
        data=source.name,
        split=how.split,
        examples=len(source),
        seed=how.seed,
        seconds=time.perf_counter() - begun,
        estimator="log p(x, c(x)) at the codes c(x) that the encoder finds: q(c | x) is 1 there, so nothing is drawn",
        notes=source.notes,
        found=found,
    )


def judge_error(model: Reconstructs, source: Source, how: Estimation = USUAL) -> ErrorJudgement:
    """Squared error of what comes out, over the elements that were seen, and decibels.

    Their peak is the largest difference that the kind of data allows; of real numbers, the range of this split.
    """
    begun, errors, low, high, codes = time.perf_counter(), [], math.inf, -math.inf, []
    with looked_at(model, source, how.seed, how.batch) as parts:
        for given in parts:
            seen = given.seen
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
        split=how.split,
        examples=len(source),
        seed=how.seed,
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
