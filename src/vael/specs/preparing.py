"""What a person asks for, and the run that it comes to once everything left open is chosen."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vael import data as sets
from vael.counting import counted
from vael.data import Source, Splits
from vael.data.conditioning.conditions import LABEL
from vael.data.conditioning.labels import Labelling, labelled_splits, learned_labelling
from vael.data.conditioning.learned_conditions import conditioned, learned
from vael.data.summary import Statistics
from vael.domains import DataSpec, Recommendation, recommend
from vael.errors import StateError
from vael.inference.algorithm import Algorithm
from vael.inference.parts import AlgorithmPart, GradientAscentPart
from vael.models import Head, Model
from vael.models.families import ModelPart
from vael.models.vae import context_of
from vael.networks import seeded
from vael.networks.initialize import Hollow
from vael.parts import trusting
from vael.probability import Stream
from vael.specs import names
from vael.specs.asked import Request
from vael.specs.composing import asked_of_model, composed, recipe_of
from vael.specs.reading import describe, load_splits, reading_for, splits_of
from vael.specs.recipes import Composition
from vael.specs.spec import RunSpec, TrainingSpec, facts_of, fitting
from vael.training import Resolved, Settings, resolve
from vael.training.schedules import Constant

EPOCHS = 20
MOST_EPOCHS = 300  # of a run without --epochs and --time-limit, unless fewer steps than usual would be taken
USUAL_STEPS, USUAL_BATCH = 2000, 128
MANY = 20_000  # examples from which on the larger batch pays


@dataclass(frozen=True)
class Prepared:
    """A run that could start now."""

    spec: RunSpec
    splits: Splits
    model: Any
    resolved: Resolved
    reasons: tuple[str, ...]  # why the open choices were made so, in sentences
    weights: Path | None = None  # the file of those that the model begins with; None: those of the seed and the data

    @property
    def algorithm(self) -> Algorithm:
        """The way this run fits its model."""
        return self.spec.algorithm.build(self.model, self.splits.train)


def prepare(asked: Request) -> Prepared:
    """Load the data, choose what was left open, build the model with weights drawn from the seed.

    Errors: `FormatError` for data or names that cannot be found or read, `SupportError` for a likelihood that does not
    fit the data, `StateError` for settings that make no sense.
    """
    with trusting(*asked.trust):
        if asked.model is not None:
            composed(asked, None)  # before the data are read, so that a slip does not cost the time that reading takes
        settings = settings_of(asked)
        splits = load_splits(reading_for(asked))
        with fitting():
            condition = None if asked.condition_on is None else learned(splits, asked.condition_on)
            labelling = labelling_of(asked, splits)
        splits = labelled_splits(conditioned(splits, condition), labelling)
        with fitting():
            data = describe(asked, splits, condition, labelling)
        advice = recommend(splits)
        found = composed(asked, advice)
        recipe = advice.recipe if asked.model is None else recipe_of(asked.model)
        moments = sets.statistics(splits.train)
        facts = facts_of(data, moments)
        part = found.model.settled(facts)
        batch = asked.batch or (found.batch if len(splits.train) >= MANY else batch_for(len(splits.train)))
        settings, why_long = choose_length(replace(settings, batch=batch), asked, len(splits.train), found)
        settings = suited(settings, asked, found, len(splits.train))
        model = build_model(part, data, settings.seed, splits.train)
        part.start(model, splits.train)
        check_support(model, splits)
        check_terms(model, found.algorithm, splits.train)
        resolved = resolve(settings, model, len(splits.train))
        with fitting():
            spec = RunSpec(
                recipe=recipe,
                data=data,
                model=part,
                algorithm=found.algorithm,
                training=describe_training(resolved),
                parameters=sum(p.numel() for p in model.parameters()),
                versions=names.versions(),
            )
        why = (*alike(splits.train, moments), *reasons(asked, advice, spec), *why_long, *resolved.reasons)
        return Prepared(spec, splits, model, resolved, why)


def alike(train: Source, found: Statistics) -> tuple[str, ...]:
    """What is to be known where no element differs between the examples that were looked at."""
    if found.examples < 2 or bool((found.std > 0).any()):
        return ()
    which = f"All {counted(len(train), 'training example')}"
    if found.examples < len(train):
        which = f"All of {found.examples:,} training examples that were looked at"
    return (
        f"{which} are the same: there is nothing for latents to tell apart, and no number of this run says how good a "
        "model of other data would be",
    )


def labelling_of(asked: Request, splits: Splits) -> Labelling | None:
    """The labels that the model is to learn from; where nobody says which, those of the data, for a model of classes.

    Errors: `StateError` for labels that no model of classes is there to learn, or that are not there.
    """
    learns = asked.model is not None and composed(asked, None).model.learns_classes
    given = [name for name in ("labels", "labelled") if getattr(asked, name) is not None]
    if given and not learns:
        raise StateError(
            f"{given[0]} (--{given[0]}) is for a model that learns classes; choose one (--model semi-supervised), or "
            "leave it out"
        )
    if not learns:
        return None
    if asked.condition_on is not None:
        raise StateError(
            "a model that learns classes has no condition besides; leave one of the two out (--condition-on, --labels)"
        )
    return learned_labelling(splits, asked.labels or LABEL, asked.labelled, asked.seed)


def reasons(asked: Request, advice: Recommendation, spec: RunSpec) -> tuple[str, ...]:
    """Why the model is what it is; what the data are stands in the spec."""
    chosen = (asked.model, asked.likelihood) == (None, None)
    why = advice.reasons[1:] if chosen else (f"{spec.recipe}, {spec.model.likelihood_name}, as asked for",)
    other = asked_of_model(asked)
    if chosen and other:  # what is said of sizes is true of the recommended ones
        kept = () if any(path.startswith("model.likelihood") for path in other) else why[:1]
        why = (*kept, f"Model: the recommended one, but for what was asked for ({', '.join(other)})")
    twice = (
        f"Trained twice, then without the {asked.contamination:.0%} of the rows with the lowest bound, because so many "
        "do not belong",
    )
    return (*names.taken(asked.data), *why, *(twice if asked.contamination else ()))


def prepare_again(spec: RunSpec) -> Prepared:
    """The run of a spec, ready to go on: the same data, the same model, the same settings.

    Errors: `StateError` if the data are no longer those that the run was trained on.
    """
    return prepare_on(splits_of(spec), spec)


def prepare_on(splits: Splits, spec: RunSpec) -> Prepared:
    """The run of a spec on these data."""
    chosen = spec.training
    settings = Settings(
        epochs=chosen.epochs,
        batch=chosen.batch,
        seed=chosen.seed,
        time_limit=chosen.time_limit,
        patience=chosen.patience,
        schedule=names.SCHEDULES[chosen.schedule](),
        keep=names.KEPT[chosen.keep],
        judge_start=spec.start is not None,
        device=chosen.device,
        precision=names.precision(chosen.precision),
        compiled=chosen.compiled,
        threads=chosen.threads,
    )
    known = splits.train if spec.start is None else None  # else shifts and scales are among the weights it begins with
    model = build_model(spec.model, spec.data, chosen.seed, known)
    return Prepared(spec, splits, model, resolve(settings, model, len(splits.train)), ())


# the loop and the model


def build_model(
    part: ModelPart, data: DataSpec, seed: int, train: Source | None = None, *, hollow: bool = False
) -> Model:
    """The model of a part with weights drawn from the seed; without data its shifts and scales wait for the weights
    to be loaded. A `hollow` one has shapes and no memory, except for its head.

    Errors: `StateError`, `SupportError`, `ShapeError` for parts that do not fit each other or the data.
    """
    facts = facts_of(data, None if train is None else sets.statistics(train))
    with seeded(seed), Hollow() if hollow else nullcontext():
        model = part.build(facts)
    if context_of(model) != facts.context:
        raise StateError(
            f"the model {part.name} cannot be conditioned on anything, but {data.condition and data.condition.told} "
            "was asked for; leave the condition (--condition-on) out, or choose another model (--model dense)"
        )
    return model


def check_support(model: Model, splits: Splits) -> None:
    """Refuse data that the likelihood cannot have made. Errors: `SupportError`."""
    for head in [module for module in model.modules() if isinstance(module, Head)]:
        for split in (splits.train, splits.validation, splits.test):
            if split is not None:
                head.check(split)


def check_terms(model: Model, algorithm: AlgorithmPart, train: Source) -> None:
    """The objective at two examples, so that what it asks for and the model does not state is refused before a folder
    is made, and so are weights that nothing would move; the model stays as it is.

    Errors: `StateError` or `ShapeError`, as the objective or the model says it.
    """
    algorithm.check(model, train)
    if not isinstance(algorithm, GradientAscentPart):
        return
    noise, training_mode = Stream(torch.Generator().manual_seed(0)), model.training
    climbed = algorithm.objective.settled_on(train)
    objective, few = climbed.build(), math.lcm(climbed.least_samples, climbed.multiple)
    named = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
    model.eval()
    try:
        batch = train.batch(torch.arange(min(len(train), 2)), noise)
        value = objective(model(batch, samples=few, generator=noise, requires=objective.requires)).surrogate.sum()
    finally:
        model.train(training_mode)
    if not named or not value.requires_grad:
        return
    found = zip(named, torch.autograd.grad(value, list(named.values()), allow_unused=True), strict=True)
    still = [name for name, gradient in found if gradient is None]
    if still:
        raise StateError(
            f"the objective {algorithm.objective.name} does not depend on {still[0]}"
            + (f" and {counted(len(still) - 1, 'other parameter')}" if len(still) > 1 else "")
            + ", which would stay as it starts; choose another objective (--objective), or a part without parameters "
            "there"
        )


# training


def settings_of(asked: Request) -> Settings:
    """Settings of the loop as asked for. Errors: `StateError` or `FormatError` for those that make no sense."""
    epochs = EPOCHS if asked.epochs is None and asked.time_limit is None else asked.epochs
    return Settings(
        epochs=epochs,
        batch=asked.batch or USUAL_BATCH,
        seed=asked.seed,
        time_limit=asked.time_limit,
        patience=asked.patience,
        schedule=names.SCHEDULES[names.meant(asked.schedule or "warmup-cosine", names.SCHEDULES, "schedule")](),
        keep=names.KEPT[names.meant(asked.keep or "best", names.KEPT, "choice of weights")],
        device=asked.device,
        precision=asked.precision if asked.precision is None else names.precision(asked.precision),
        compiled=asked.compile,
        threads=asked.threads,
    )


def choose_length(
    settings: Settings, asked: Request, examples: int, found: Composition
) -> tuple[Settings, tuple[str, ...]]:
    """Enough epochs for `steps` steps where neither epochs nor a time limit was asked for, and why."""
    if asked.epochs is not None or asked.time_limit is not None:
        return settings, ()
    if found.epochs is not None:
        return replace(settings, epochs=found.epochs), (f"at most {found.epochs} epochs, until nothing rises any more",)
    in_an_epoch = math.ceil(examples / min(settings.batch, examples))
    fewest = math.ceil(USUAL_STEPS / in_an_epoch)
    epochs = max(EPOCHS, fewest, min(MOST_EPOCHS, math.ceil(found.steps / in_an_epoch)))
    if epochs == EPOCHS:
        return settings, (f"{EPOCHS} epochs, as nothing else was asked for",)
    why = f"{epochs} epochs, because a set of {examples:,} needs that many for {epochs * in_an_epoch:,} steps"
    return replace(settings, epochs=epochs), (why,)


def suited(settings: Settings, asked: Request, found: Composition, examples: int) -> Settings:
    """The settings as the algorithm needs them.

    Errors: `StateError` for what was asked for and cannot be.
    """
    algorithm, compiles = found.algorithm, found.algorithm.can_compile and found.model.compiles
    if not compiles and asked.compile:
        raise StateError(
            f"a step of {algorithm.name} on {found.model.name} cannot be compiled; leave that out (--compile)"
        )
    if algorithm.full_batch and asked.batch not in (None, examples):
        raise StateError(
            f"{algorithm.name} takes all {examples:,} examples at once, but a batch of {asked.batch:,} was asked for; "
            "leave it out (--batch)"
        )
    settings = settings if compiles else replace(settings, compiled=False)
    return replace(settings, batch=examples, precision=torch.float32) if algorithm.full_batch else settings


def describe_training(resolved: Resolved) -> TrainingSpec:
    """What run.json says of the loop."""
    settings, world = resolved.settings, resolved.world
    return TrainingSpec(
        epochs=settings.epochs,
        time_limit=settings.time_limit,
        patience=settings.patience,
        batch=settings.batch,
        schedule="constant" if isinstance(settings.schedule, Constant) else "warmup-cosine",
        keep=settings.keep.value,  # type: ignore[bad-argument-type]
        seed=settings.seed,
        device=str(world.device),
        precision=str(world.precision).removeprefix("torch."),  # type: ignore[bad-argument-type]
        compiled=world.compiled,
        threads=settings.threads,
        processes=world.size,
    )


def batch_for(examples: int) -> int:
    """The usual batch, smaller where an epoch would have fewer than sixteen steps: a power of two from 16 on."""
    return min(USUAL_BATCH, max(16, 2 ** int(math.log2(max(examples, 16) / 16))))
