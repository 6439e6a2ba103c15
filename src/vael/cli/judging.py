"""`vael evaluate` and `vael report`."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from vael import domains, evaluation
from vael.cli.options.parser import UsageError
from vael.cli.options.using import IMPORTANCE_SAMPLES, PROPOSALS, EvaluateOptions, ReportOptions
from vael.cli.results import examples, loaded
from vael.cli.telling import CountingLine, answer, said, tell
from vael.cli.trivial import BesideNumbers, against_trivial, as_fields, likeness
from vael.cli.wording import duration, model, objective, rate, sentences
from vael.counting import counted
from vael.data import Source
from vael.data.conditioning.learned_conditions import labelled
from vael.evaluation import (
    Estimation,
    Evaluation,
    Forecast,
    Judgement,
    PredictionJudgement,
    Proposals,
    cell_keys,
    fitting_cost,
    samples_latents,
)
from vael.evaluation.representation import linear_classifier
from vael.inference.joint import can_be_joint, latents_of
from vael.models import Encodes, Model, head_of, needs
from vael.process import threads, tuned
from vael.recipes import flops
from vael.report import ReportInput, write
from vael.specs import Run

# numbers of single latents and examples, which `--json` leaves out
SINGLE = ("divergence_per_latent", "elbo_per_example", "log_likelihood_per_example", "k_hat_per_example")
COMMON_FIELDS = ("data", "split", "examples", "seconds", "seed", "estimator", "warnings")
AFFORDABLE = 100, 1000  # importance samples of an estimate that nobody asked for in particular
WORK = 8e12  # floating-point operations it may take: about a minute and a half of two small cores
MOST_WORK = 4e13  # beyond which no proposals are fitted where nobody asked for them: seven minutes


def evaluate(options: EvaluateOptions) -> int:
    """Judge the model of a run."""
    run = loaded(options)
    shown = shown_by(run, options)
    asked = {"--importance-samples": options.importance_samples, "--proposal": options.proposal}
    refuse_draws(run.model, run.spec.recipe, [name for name, value in asked.items() if value is not None])
    with threads(options.threads):
        how = Estimation(
            proposals=Proposals[PROPOSALS[options.proposal or "adaptive"]], seed=options.seed, batch=options.batch
        )
        say = None if options.json else telling
        judged = judge(run, shown, options.importance_samples or IMPORTANCE_SAMPLES, how, say=say)
        beside: list[BesideNumbers] = [against_simplest(run, judged, shown, options.seed)]
        beside += [by_codes(run, shown)] if options.linear_classifier else []
        beside += [likeness(run, shown.source, options.seed)] if options.frechet else []
        trivial = against_trivial(run, judged, shown.source, options.seed)
    record, lines = as_json(judged, run) | as_fields(trivial), sentences(judged, run.spec)
    for one in beside:
        record |= one.record
        lines += one.lines
    return said(options.json, record, *(trivial.lines if trivial else ()), *lines, say=answer)


@dataclass(frozen=True)
class JudgedExamples:
    """Examples that a model is judged on: a split of the run's data by its name, or other data, which have none."""

    split: str
    source: Source

    @property
    def part(self) -> str:
        """As sentences name it."""
        return f"the {self.split} split" if self.split else self.source.name


def shown_by(run: Run, options: EvaluateOptions) -> JudgedExamples:
    """What was asked for: other data, or a split of the run's own. Examples of other data that trained the model are
    counted, and a note says so.

    Errors: `UsageError` for both, and those of `vael.specs.examples_of`.
    """
    if options.data is None:
        return JudgedExamples(*run.split(options.split))
    if options.split is not None:
        raise UsageError(
            f"--split {options.split} is a part of the run's own data, and {options.data} are other data; leave one of "
            "the two out"
        )
    found = examples(run, options.data)
    known = torch.isin(cell_keys(found.x), cell_keys(run.splits().train.x))
    trained = int(known.sum())
    if trained:
        among = "all of these examples" if bool(known.all()) else f"{trained:,} of {counted(len(found), 'example')}"
        note = f"{among} stand in the training data too: on them the figures are too good"
        found = replace(found, notes=(*found.notes, note))
    return JudgedExamples("", found)


def against_simplest(run: Run, judged: Evaluation | Judgement, shown: JudgedExamples, seed: int) -> BesideNumbers:
    """The simplest likelihood, and what else is asked of models of such data; of sequences only."""
    train = run.splits().train
    domain = domains.of(train)
    compared = domain.compared(run.model, train, shown.source, seed)
    lines = [f"  {one.task:<12} {'' if one.is_better or not one.clear else 'warning: '}{one}" for one in compared]
    found: dict[str, object] = {"compared": [vars(one) for one in compared]} if compared else {}
    base = domain.simplest(train, shown.source, seed)
    own = judged.log_likelihood if isinstance(judged, Evaluation | PredictionJudgement) else None
    if base is not None and own is not None:
        gain = own - base.log_likelihood
        worse = "" if gain > 0 else "warning: the model is WORSE than this; "
        lines.insert(0, f"  simplest     {base.log_likelihood:10.2f}   {worse}log p(x) of {base.what}")
        found |= {"simplest_log_likelihood": base.log_likelihood, "simplest": base.what}
    return BesideNumbers(tuple(lines), found)


def by_codes(run: Run, shown: JudgedExamples) -> BesideNumbers:
    """What a linear classifier of the codes tells.

    Errors: `StateError` for a model without codes, or without labels.
    """
    train = run.splits().train
    found = linear_classifier(needs(run.model, Encodes, "a linear classifier of codes"), train, shown.source)
    known = len(train) if train.label is None else int((train.label >= 0).sum())
    line = (
        f"  linear       {found.accuracy:10.2%}   accuracy on {shown.part} of a linear classifier of codes, fitted "
        f"to those of {counted(known, 'labelled training example')}; always the commonest class of these: "
        f"{found.baseline:.1%}"
    )
    return BesideNumbers((line,), {"linear_classifier": vars(found) | {"fitted_to": known}})


def refuse_draws(model: Model, recipe: str, asked: Sequence[str]) -> None:
    """Errors: `UsageError` where draws were asked for, by these options, and the numbers of the model take none."""
    if asked and not samples_latents(model):
        raise UsageError(
            f"{' and '.join(asked)} choose draws of latents, but the numbers of this model ({recipe}) take "
            "none; leave them out"
        )


def report(options: ReportOptions) -> int:
    """Write the report of a run anew."""
    run, say = loaded(options), None if options.json else telling
    refuse_draws(run.model, run.spec.recipe, ["--importance-samples"] * (options.importance_samples is not None))
    judged = judge(run, None, options.importance_samples, Estimation(seed=options.seed), say=say)
    page = write_report(run, judged, options.seed)
    record = {"run": str(run.folder), "report": str(page), "evaluation": as_json(judged, run)}
    print(json.dumps(record) if options.json else page)
    return 0


def judge(
    run: Run,
    shown: JudgedExamples | None = None,
    importance_samples: int | None = None,
    how: Estimation | None = None,
    *,
    say: Callable[[str], None] | None = None,
) -> Evaluation | Judgement:
    """`vael.evaluation.judge` for some examples (None: the run's test split where there is one): of latents with as
    many samples as asked for or affordable.

    `say` is told beforehand how long it will take.
    """
    shown = shown or JudgedExamples(*run.split())
    source, how = shown.source, replace(how or Estimation(), split=shown.split)
    if not samples_latents(run.model):
        with tuned():
            return evaluation.judge(run.model, source, how)
    kind, chosen = affordable(run, len(source))
    if not importance_samples and how.proposals is Proposals.ADAPTIVE:
        how = replace(how, proposals=kind)
    how = replace(how, importance_samples=importance_samples or chosen)
    with tuned():
        if say is not None:
            expected = evaluation.forecast(run.model, source, how)
            say(expectation(expected, len(source), how.importance_samples))
        with CountingLine("judging") as line:
            return evaluation.judge(run.model, source, how, progress=line.tell)


def expectation(expected: Forecast, examples: int, samples: int) -> str:
    """One sentence: what is about to be done, and how long it will take."""
    return (
        f"Judging {counted(examples, 'example')} by {counted(samples, 'draw')} each will take about "
        f"{duration(max(1.0, expected.seconds))}."
    )


def telling(sentence: str) -> None:
    """A sentence beside the results, on standard error."""
    tell(sentence, file=sys.stderr)


def affordable(run: Run, examples: int) -> tuple[Proposals, int]:
    """What to draw from, and how many importance samples, for about `WORK` operations: equal runs are judged alike.

    Where fitting proposals would take more than `MOST_WORK`, the encoder has to do.
    """
    fewest, most = AFFORDABLE
    decoded = max(
        flops(run.model, run.spec.data.event) // 6, 1
    )  # forward is a third of a training step, and the decoder half of that
    each = WORK / (decoded * examples)
    # without latents of a known law there is nothing to fit a proposal to
    fitting = fitting_cost(latents_of(run.model)) if can_be_joint(run.model) else math.inf
    if fitting + fewest > each * MOST_WORK / WORK:
        return Proposals.ENCODER, max(fewest, min(most, round(each)))
    return Proposals.ADAPTIVE, max(fewest, min(most, round(each - fitting)))


def write_report(run: Run, judged: Evaluation | Judgement, seed: int = 0) -> Path:
    """report.html and figures/ in the run's folder."""
    spec = run.spec
    splits = labelled(run.splits(), spec.data.condition)
    facts = (
        ("model", model(spec)),
        ("likelihood", spec.model.likelihood_name),
        *told_means(run),
        ("objective", objective(spec)),
        ("precision", f"{spec.training.precision} in networks, float32 in densities"),
        ("seed", str(spec.training.seed)),
        *trained(run),
        *told_classes(judged),
        ("made with", f"vael {spec.versions.vael}, PyTorch {spec.versions.torch}, Python {spec.versions.python}"),
    )
    record = ReportInput(
        run.model,
        splits,
        run.history,
        judged,
        facts,
        title=f"{spec.data.name}: {spec.recipe}{' VAE' if samples_latents(run.model) else ''}",
        seed=seed,
        view=domains.of(splits.train),
    )
    return write(run.inside(), record)


def told_means(run: Run) -> tuple[tuple[str, str], ...]:
    """What pictures of means show where pixels follow one another."""
    head = head_of(run.model)
    if head is None or not head.in_turn:
        return ()
    return (("means", "of pixels in turn: each given the means of those before it, near E[x | z] and not exactly it"),)


def told_classes(judged: Evaluation | Judgement) -> tuple[tuple[str, str], ...]:
    """How well a model of classes tells them, as a fact of the report."""
    found = getattr(judged, "classification", None)
    if found is None:
        return ()
    of = counted(found.examples, "example")
    return (("classes told", f"{found.accuracy:.2%} of {of} by q(y | x), {found.bound_accuracy:.2%} by the bound"),)


def trained(run: Run) -> tuple[tuple[str, str], ...]:
    """How long the run trained, and what its guard kept out, as its metrics say."""
    if not run.history:
        return ()
    last, chosen = run.history[-1], run.spec.training
    length = f"{counted(last.step, 'step')} of {counted(chosen.batch, 'example')} in {duration(last.seconds)}"
    limit = (
        f"time limit {duration(chosen.time_limit)}"
        if chosen.time_limit
        else f"{last.epoch:,} of {counted(chosen.epochs or last.epoch, 'epoch')}"
    )
    skipped = f"{last.skipped:,}, because a gradient was not finite or leapt" if last.skipped else "none"
    return (("training", f"{length}; {limit}{rate(run.spec)}"), ("steps skipped", skipped))


def as_json(judged: Evaluation | Judgement, run: Run) -> dict[str, object]:
    """The fields that `--json` promises, with null for what is no finite number, and what every figure must say of
    the data.
    """
    if isinstance(judged, Judgement):
        found = {name: getattr(judged, name) for name in COMMON_FIELDS}
        found |= {one.key: one.value for one in judged.figures}
        found["standard_error"] = judged.figures[0].standard_error
    else:
        found = {one.name: getattr(judged, one.name) for one in fields(judged) if one.name not in SINGLE}
        found |= {"elbo": judged.elbo if judged.is_bound else None, "objective": judged.elbo}
        found["parts"] = None if judged.parts is None else vars(judged.parts) | {"sampled": judged.parts.sampled}
        found |= {"elbo_per_step": judged.elbo_per_step, "log_likelihood_per_step": judged.log_likelihood_per_step}
    found["split"] = judged.split or None
    found["notes"] = tuple(dict.fromkeys((*run.spec.data.notes, *judged.notes)))
    if getattr(judged, "classification", None) is not None:
        found["classification"] = vars(judged.classification)  # type: ignore[missing-attribute]
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in found.items()
    }
