"""What a person asks for, and the run that it comes to once everything left open is chosen."""

from __future__ import annotations

import inspect
import math
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path

from vael import data as sets
from vael.data import Binarize, Images, Kind, Schema, Source, Splits, load, load_table
from vael.data.matching import Trained, joined, matching
from vael.data.named import is_name
from vael.data.tabular import is_table_file
from vael.errors import ShapeError, StateError
from vael.inference import AdamW, GradientAscent
from vael.models import VAE, Head
from vael.networks import seeded
from vael.networks.initialize import Hollow
from vael.recommendation import recommend
from vael.specs import likelihoods, names
from vael.specs.spec import DataSpec, ModelSpec, RunSpec, SplitSpec, TrainingSpec, Value, fitting
from vael.tables.schema_file import as_record, from_record, read_schema
from vael.training import Resolved, Settings, resolve

EPOCHS, MOST_EPOCHS = (
    20,
    300,
)  # of a run without --epochs and --time-limit; more than 300 only where fewer steps than usual would be taken
SHAPES = ("latent", "hidden", "channels", "blocks", "correlated")  # options that are arguments of a recipe
IMPORTANCE_SAMPLES = 5  # that the importance-weighted estimator takes unless told


@dataclass(frozen=True, kw_only=True)
class Request:
    """Options of training; None is chosen from the data and the machine, and what was chosen stands in run.json."""

    data: str = "digits"
    binarize: str | None = None
    dequantize: bool = False
    size: int | tuple[int, int] | None = None  # height and width; one number for a square
    skip_damaged: bool = False
    levels: int | None = None  # of a pixel, where the cells do not tell
    validation: int | float | None = None
    test: int | float | None = None
    contamination: float = 0.0  # share of the rows that does not belong
    schema: str | None = None  # a file that says what the columns of a table are
    model: str | None = None
    likelihood: str | None = None
    latent: int | None = None
    hidden: tuple[int, ...] | None = None
    channels: tuple[int, ...] | None = None
    blocks: int | None = None
    correlated: bool | None = None
    estimator: str | None = None  # as what suits the recipe
    samples: int | None = None
    beta: int | float = 1.0
    terms: str = "both"
    warmup: int | float | None = None  # as the next three: what suits the recipe
    lr: int | float | None = None
    weight_decay: int | float | None = None
    epochs: int | None = None
    time_limit: int | float | None = None
    patience: int | None = None
    batch: int | None = None
    seed: int = 0
    device: str | None = None
    precision: str | None = None
    compile: bool | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Prepared:
    """A run that could start now."""

    spec: RunSpec
    splits: Splits
    model: VAE
    resolved: Resolved
    reasons: tuple[str, ...]  # why the open choices were made so, in sentences

    @property
    def algorithm(self) -> GradientAscent:
        """The way this run climbs its bound."""
        chosen = self.spec.training
        optimizer = AdamW(learning_rate=chosen.learning_rate, weight_decay=chosen.weight_decay)
        objective = names.objective(chosen.estimator, chosen.beta, chosen.warmup, chosen.terms)
        return GradientAscent(self.model, objective, samples=chosen.samples, optimizer=optimizer)


def request(data: str | Path = "digits", **options: object) -> Request:
    """A `Request` from options by name. Errors: `StateError` for an option that there is not."""
    known = [field.name for field in fields(Request)]
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise StateError(
                f"training has no option {name!r}; {f'did you mean {near[0]}? ' if near else ''}there are "
                f"{', '.join(known)}"
            )
    return Request(data=str(data), **options)  # type: ignore[arg-type]


def as_request(spec: RunSpec) -> Request:
    """What would have to be asked for to get this spec."""
    data, model, chosen = spec.data, spec.model, spec.training
    return Request(
        data=data.source,
        binarize=data.binarize,
        dequantize=data.dequantize,
        size=data.size,
        skip_damaged=data.skip_damaged,
        levels=stored_levels(data),
        validation=data.validation,
        test=data.set_aside,
        contamination=data.contamination,
        model=model.recipe,
        likelihood=model.likelihood,
        **{name: model.arguments.get(name) for name in SHAPES},  # type: ignore[arg-type]
        estimator=chosen.estimator,
        samples=chosen.samples,
        beta=chosen.beta,
        terms=chosen.terms,
        warmup=chosen.warmup,
        lr=chosen.learning_rate,
        weight_decay=chosen.weight_decay,
        epochs=chosen.epochs,
        time_limit=chosen.time_limit,
        patience=chosen.patience,
        batch=chosen.batch,
        seed=chosen.seed,
        device=chosen.device,
        precision=chosen.precision,
        compile=chosen.compiled,
        threads=chosen.threads,
    )


def canonical(name: str, value: object) -> object:
    """An option as `as_request` writes it."""
    if name == "data":
        return source_of(str(value))
    if name in ("model", "likelihood", "estimator") and isinstance(value, str):
        return value.lower().replace("_", "-")
    return names.SHORT.get(str(value), value) if name == "precision" else value


def prepare(asked: Request) -> Prepared:
    """Load the data, choose what was left open, build the model with weights drawn from the seed.

    Errors: `FormatError` for data or names that cannot be found or read, `SupportError` for a likelihood that does not
    fit the data, `StateError` for settings that make no sense.
    """
    names.objective(asked.estimator or "closed-form", asked.beta, asked.warmup or 0.0, asked.terms)
    settings = settings_of(asked)  # before the data are read, so that a slip does not cost the time that reading takes
    splits = load_splits(reading_for(asked))
    with fitting():
        data = describe(asked, splits)
    model_spec, why = choose_model(asked, splits, data)
    habits = habits_of(asked, model_spec.recipe, len(splits.train))
    settings, why_long = choose_length(replace(settings, batch=habits.batch), asked, len(splits.train), habits.steps)
    model = build_model(model_spec, data, settings.seed, splits.train)
    if model_spec.recipe in names.STARTS:
        names.STARTS[model_spec.recipe](model, splits.train)
    model_spec = model_spec.model_copy(update={"parameters": sum(p.numel() for p in model.parameters())})
    check_support(model, splits)
    resolved = resolve(settings, model, len(splits.train))
    with fitting():
        spec = RunSpec(
            data=data, model=model_spec, training=describe_training(asked, resolved, habits), versions=names.versions()
        )
    twice = (
        f"Trained twice, then without the {asked.contamination:.0%} of the rows with the lowest bound, because so many "
        "do not belong",
    )
    return Prepared(
        spec,
        splits,
        model,
        resolved,
        (*names.taken(asked.data), *why, *why_long, *(twice if asked.contamination else ()), *resolved.reasons),
    )


def habits_of(asked: Request, recipe: str, examples: int) -> names.Habits:
    """As asked for, else as the recipe is usually trained; an estimator that knows no weight of the divergence gets
    no warm-up.
    """
    usual = names.HABITS.get(recipe, names.Habits())
    weighed = asked.beta != 1 or asked.warmup or asked.terms != "both"  # so there must be a divergence to weigh
    estimator = names.meant(
        asked.estimator or ("closed-form" if weighed else usual.estimator), names.ESTIMATORS, "estimator"
    )
    plain = estimator == "importance-weighted" or asked.terms != "both"
    fewest = IMPORTANCE_SAMPLES if estimator == "importance-weighted" else 1
    batch = usual.batch if examples >= names.MANY else names.batch_for(examples)
    return names.Habits(
        learning_rate=usual.learning_rate if asked.lr is None else asked.lr,
        weight_decay=usual.weight_decay if asked.weight_decay is None else asked.weight_decay,
        warmup=(0.0 if plain else usual.warmup) if asked.warmup is None else asked.warmup,
        batch=batch if asked.batch is None else asked.batch,
        steps=usual.steps,
        estimator=estimator,
        samples=asked.samples or ((usual.samples if estimator == usual.estimator else None) or fewest),
    )


def prepare_again(spec: RunSpec) -> Prepared:
    """The run of a spec, ready to go on: the same data, the same model, the same settings.

    Errors: `StateError` if the data are no longer those that the run was trained on.
    """
    splits = splits_of(spec)
    chosen = spec.training
    settings = Settings(
        epochs=chosen.epochs,
        batch=chosen.batch,
        seed=chosen.seed,
        time_limit=chosen.time_limit,
        patience=chosen.patience,
        device=chosen.device,
        precision=names.precision(chosen.precision),
        compiled=chosen.compiled,
        threads=chosen.threads,
    )
    model = build_model(spec.model, spec.data, chosen.seed, splits.train)
    return Prepared(spec, splits, model, resolve(settings, model, len(splits.train)), ())


# data


@dataclass(frozen=True)
class Reading:
    """Which data, and how they are to be read."""

    source: str
    binarize: str | None
    dequantize: bool
    size: int | tuple[int, int] | None
    skip_damaged: bool
    validation: int | float | None = None
    test: int | float | None = None
    seed: int = 0
    levels: int | None = None
    schema: Schema | None = None

    @property
    def images(self) -> Images:
        """How images are read."""
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        return Images(size=size, skip_damaged=self.skip_damaged, levels=self.levels)


def schema_of(asked: Request) -> Schema | None:
    """The schema in the file that was given. Errors: `FormatError`."""
    return None if asked.schema is None else read_schema(Path(asked.schema))


def reading_for(asked: Request) -> Reading:
    """How data are to be read as asked for."""
    return Reading(
        asked.data,
        asked.binarize,
        asked.dequantize,
        asked.size,
        asked.skip_damaged,
        asked.validation,
        asked.test,
        0,
        asked.levels,
        schema_of(asked),
    )


def reading_of(data: DataSpec) -> Reading:
    """How the data of a run were read."""
    schema = None if data.table is None else from_record(data.table, "run.json")
    return Reading(
        data.source,
        data.binarize,
        data.dequantize,
        data.size,
        data.skip_damaged,
        data.validation,
        data.set_aside,
        data.seed,
        stored_levels(data),
        schema,
    )


def stored_levels(data: DataSpec) -> int | None:
    """How many levels the stored cells of a run have: found once, when it was prepared, so that a later release
    finds no other number.
    """
    if data.binarize is not None:
        return None if data.largest is None or data.largest <= 1 else round(data.largest) + 1
    return data.levels


def load_splits(how: Reading) -> Splits:
    """`vael.data.load` with the names of a command line."""
    kind = (
        None
        if how.binarize is None
        else Binarize(names.meant(how.binarize, [kind.value for kind in Binarize], "binarisation"))
    )
    validation, test = (None if share is None else float(share) for share in (how.validation, how.test))
    if how.schema is not None and how.binarize is None and not how.dequantize:
        return load_table(how.source, schema=how.schema, seed=how.seed, validation=validation, test=test)
    return load(
        how.source,
        binarize=kind,
        dequantize=how.dequantize,
        seed=how.seed,
        validation=validation,
        test=test,
        images=how.images,
    )


def splits_of(spec: RunSpec) -> Splits:
    """The data of a run. Errors: `StateError` if they changed since."""
    data = spec.data
    splits = load_splits(reading_of(data))
    found = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    known = {"train": data.train, "validation": data.held_out, "test": data.test}
    for name, split in known.items():
        source = found[name]
        if (source and source.fingerprint) != (split and split.fingerprint):
            raise StateError(
                f"{data.source}: the {name} split is no longer what the run was trained on (its fingerprint differs "
                "from run.json); "
                "bring the original data back, or train a new run"
            )
    return splits


def source_of(data: str) -> str:
    """A path from the root, so that it is found from anywhere; the name of a data set as it is, also where a folder
    is called so.
    """
    return data if is_name(data) or not Path(data).exists() else str(Path(data).absolute())


def describe(asked: Request, splits: Splits) -> DataSpec:
    """What run.json says of the data."""
    train = splits.train
    return DataSpec(
        name=train.name,
        source=source_of(asked.data),
        binarize=asked.binarize,  # type: ignore[arg-type]
        dequantize=asked.dequantize,
        size=asked.size,
        skip_damaged=asked.skip_damaged,
        validation=asked.validation,
        set_aside=asked.test,
        contamination=asked.contamination,
        kind=train.kind.value,
        levels=train.levels,
        largest=train.largest,
        event=train.event,
        columns=train.columns,
        table=None if train.schema is None else as_record(train.schema),
        gaps=train.gaps,
        train=describe_split(train),
        held_out=describe_split(splits.validation),
        test=None if splits.test is None else describe_split(splits.test),
        notes=notes_of(splits),
    )


def describe_split(source: Source) -> SplitSpec:
    """Size and fingerprint of a split."""
    return SplitSpec(examples=len(source), fingerprint=source.fingerprint)


def notes_of(splits: Splits) -> tuple[str, ...]:
    """What every figure must say about these data, each thing once."""
    found = (note for split in (splits.train, splits.validation, splits.test) if split for note in split.notes)
    return tuple(dict.fromkeys(found))


def examples_of(spec: RunSpec, data: str, *, clip: bool = False) -> Source:
    """The test split of data that have their own, else all examples in their order, in the units of a run's own data;
    `clip` as in `matching`.

    Errors: `ShapeError` or `SupportError` for data that its model cannot take.
    """
    if matched(spec.data, data):
        return matching(data, trained_on(spec.data), reading_of(spec.data).images, clip=clip)
    found = joined(load_splits(replace(reading_of(spec.data), source=data, validation=None, test=None)))
    if found.event != spec.data.event:
        raise ShapeError(
            f"{data} has examples of shape {found.event}, but the run was trained on {spec.data.event}; give data of "
            "that shape"
        )
    return found


def matched(known: DataSpec, data: str) -> bool:
    """Whether data are read by what the run was trained on alone: arrays and images, but no tables, nor where an
    older run.json does not say how.
    """
    described = known.binarize is None or known.largest is not None
    return (
        known.table is None
        and not known.columns
        and described
        and not (Path(data).is_file() and is_table_file(Path(data)))
    )


def trained_on(known: DataSpec) -> Trained:
    """What arrays and images must be for the model of a run."""
    binarize = None if known.binarize is None else Binarize(known.binarize)
    return Trained(known.event, Kind(known.kind), known.levels, binarize, known.dequantize, known.largest)


# model


def choose_model(asked: Request, splits: Splits, data: DataSpec) -> tuple[ModelSpec, tuple[str, ...]]:
    """Recipe and likelihood as asked for, else as the data suggest, and why."""
    advice = recommend(splits)
    advised = names.name_of(advice.recipe)
    recipe = advised if asked.model is None else names.meant(asked.model, names.RECIPES, "recipe")
    likelihood, arguments = likelihoods.describe(advice.head)
    if asked.likelihood is not None:
        likelihood = names.meant(asked.likelihood, likelihoods.LIKELIHOODS, "likelihood")
        arguments = likelihoods.defaults(likelihood, data, sets.statistics(splits.train))
    why = (
        advice.reasons
        if (asked.model, asked.likelihood) == (None, None)
        else (f"{recipe} network and {likelihood} likelihood, as asked for",)
    )
    start = dict(advice.arguments) if recipe == advised else {}
    chosen = resolve_arguments(recipe, start, asked)
    return ModelSpec(
        recipe=recipe, arguments=chosen, likelihood=likelihood, likelihood_arguments=arguments, parameters=0
    ), tuple(why)


def resolve_arguments(recipe: str, start: dict[str, object], asked: Request) -> dict[str, Value]:
    """Every argument of a recipe: as asked for, else as advised, else its default.

    Errors: `StateError` for one that the recipe has not.
    """
    known = names.arguments_of(recipe)
    given = {name: getattr(asked, name) for name in SHAPES if getattr(asked, name) is not None}
    for name in given:
        if name not in known:
            raise StateError(
                f"the recipe {recipe} has no {name} (--{name}): its options are {', '.join(known)}; choose another "
                "recipe (--model), or leave it out"
            )
    values = {name: given.get(name, start.get(name, parameter.default)) for name, parameter in known.items()}
    missing = [name for name, value in values.items() if value is inspect.Parameter.empty]
    if missing:
        raise StateError(f"the recipe {recipe} needs {missing[0]} (--{missing[0]})")
    return {name: tuple(value) if isinstance(value, (list, tuple)) else value for name, value in values.items()}


def build_model(
    spec: ModelSpec, data: DataSpec, seed: int, train: Source | None = None, *, hollow: bool = False
) -> VAE:
    """The model of a spec with weights drawn from the seed; without data its shifts and scales wait for the weights to
    be loaded.

    A `hollow` one has shapes and no memory, except for its head. Errors: `FormatError` for names and `StateError` for
    arguments that there are not.
    """
    known = likelihoods.blank(data.event) if train is None else sets.statistics(train)
    head = likelihoods.make(spec.likelihood, data, known, spec.likelihood_arguments)
    make = names.RECIPES[names.meant(spec.recipe, names.RECIPES, "recipe")]
    with seeded(seed), Hollow() if hollow else nullcontext():
        try:
            return make(data.event, head, statistics=known, **spec.arguments)
        except TypeError as error:
            raise StateError(
                f"the recipe {spec.recipe} does not take the arguments {spec.arguments} of run.json: "
                f"{names.untaken(make, spec.arguments, error)}"
            ) from error


def check_support(model: VAE, splits: Splits) -> None:
    """Refuse data that the likelihood cannot have made. Errors: `SupportError`."""
    head = model.get_submodule("likelihood.head")
    for split in (splits.train, splits.validation, splits.test):
        if split is not None and isinstance(head, Head):
            head.check(split)


# training


def settings_of(asked: Request) -> Settings:
    """Settings of the loop as asked for. Errors: `StateError` or `FormatError` for those that make no sense."""
    epochs = EPOCHS if asked.epochs is None and asked.time_limit is None else asked.epochs
    return Settings(
        epochs=epochs,
        batch=asked.batch or 128,
        seed=asked.seed,
        time_limit=asked.time_limit,
        patience=asked.patience,
        device=asked.device,
        precision=asked.precision if asked.precision is None else names.precision(asked.precision),
        compiled=asked.compile,
        threads=asked.threads,
    )


def choose_length(settings: Settings, asked: Request, examples: int, steps: int) -> tuple[Settings, tuple[str, ...]]:
    """Enough epochs for `steps` steps where neither epochs nor a time limit was asked for, and why."""
    if asked.epochs is not None or asked.time_limit is not None:
        return settings, ()
    in_an_epoch = math.ceil(examples / min(settings.batch, examples))
    fewest = math.ceil(names.Habits().steps / in_an_epoch)
    epochs = max(EPOCHS, fewest, min(MOST_EPOCHS, math.ceil(steps / in_an_epoch)))
    if epochs == EPOCHS:
        return settings, (f"{EPOCHS} epochs, as nothing else was asked for",)
    return replace(settings, epochs=epochs), (
        f"{epochs} epochs, because a set of {examples:,} needs that many for {epochs * in_an_epoch:,} steps",
    )


def describe_training(asked: Request, resolved: Resolved, habits: names.Habits) -> TrainingSpec:
    """What run.json says of training."""
    settings, world = resolved.settings, resolved.world
    return TrainingSpec(
        estimator=habits.estimator,  # type: ignore[arg-type]
        samples=habits.samples or 1,
        beta=asked.beta,
        terms=asked.terms,  # type: ignore[arg-type]
        warmup=habits.warmup,
        learning_rate=habits.learning_rate,
        weight_decay=habits.weight_decay,
        epochs=settings.epochs,
        time_limit=settings.time_limit,
        patience=settings.patience,
        batch=settings.batch,
        seed=settings.seed,
        device=str(world.device),
        precision=str(world.precision).removeprefix("torch."),  # type: ignore[arg-type]
        compiled=world.compiled,
        threads=settings.threads,
        processes=world.size,
    )
