"""Runs that another run.json describes, and leaves of training set by path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vael import data as sets
from vael.data import Splits
from vael.data.conditioning.learned_conditions import conditioned
from vael.domains import DataSpec
from vael.errors import StateError
from vael.parts import trusting
from vael.specs import names, preparing
from vael.specs.asked import TRAINING, Request
from vael.specs.composing import refuse_unfit
from vael.specs.leaves import assignments, leaf, with_leaf
from vael.specs.preparing import Prepared, check_support, check_terms, describe_training, prepare_on
from vael.specs.reading import describe, load_splits, splits_of
from vael.specs.sizes import hollow
from vael.specs.spec import TrainingSpec, fitting, read_spec_file
from vael.specs.starting import begun, begun_with, start_in

SECTIONS = ("model.", "algorithm.", "training.")
FIXED = frozenset({"training.processes"})  # what `torchrun` says


def prepare(asked: Request) -> Prepared:
    """The run that was asked for, as options say it or as a run.json says it.

    Errors: those of `preparing.prepare`, and `FormatError` for a file that holds no run.
    """
    refuse_other_leaves(asked)
    if asked.from_ is not None:
        return started(asked, asked.from_)
    return preparing.prepare(with_training(asked)) if asked.config is None else configured(asked, asked.config)


def started(asked: Request, run: str) -> Prepared:
    """A run that begins with the weights of a finished one: its model, on its data or on others in its units, with its
    settings but for those of training that were set.

    Errors: those of `vael.specs.starting.begun`, and of data that the model cannot take.
    """
    spec, splits, weights = begun(asked, run)
    with trusting(*asked.trust):
        why = f"model, weights and settings as {run} has them" + (f", on {asked.data}" if asked.data else "")
        return settled_on_machine(begun_with(prepare_on(splits, spec), weights), why)


def settled_on_machine(prepared: Prepared, why: str) -> Prepared:
    """A run whose data suit its model, with what follows from the machine in its spec.

    Errors: `SupportError`, `StateError` or `ShapeError` for data or an objective that the model cannot take.
    """
    check_support(prepared.model, prepared.splits)
    check_terms(prepared.model, prepared.spec.algorithm, prepared.splits.train)
    found = {
        "training": describe_training(prepared.resolved),
        "parameters": sum(weights.numel() for weights in prepared.model.parameters()),
    }
    spec = prepared.spec.model_copy(update=found)
    return replace(prepared, spec=spec, reasons=(why, *prepared.resolved.reasons))


def refuse_other_leaves(asked: Request) -> None:
    """Errors: `StateError` for a path that leads to nothing that can be set."""
    for path, _ in assignments(asked.set):
        if not path.startswith(SECTIONS) or path in FIXED:
            raise StateError(
                f"{path} cannot be set; expected a leaf of model, algorithm or training, such as model.latent or "
                "training.batch (--set)"
            )


def with_training(asked: Request) -> Request:
    """With leaves of training as the options that they are."""
    usual = TrainingSpec(device="cpu", precision="float32", compiled=False)
    options = {leaf: option for option, leaf in TRAINING.items()}
    rest, found = {}, {}
    for path, value in assignments(asked.set):
        if not path.startswith("training."):
            rest[path] = value
            continue
        name = path.removeprefix("training.")
        checked = with_leaf(usual, path, value, 1)
        found[options.get(name, name)] = leaf(checked, name)
    return replace(asked, set=rest, **found) if found else asked


def configured(asked: Request, config: str) -> Prepared:
    """The run of a run.json: on its data unless others are named, with the leaves that were set.

    On the data and the machine that it was made on, with nothing set, its weights come out equal bit for bit.
    """
    with trusting(*asked.trust):
        spec = read_spec_file(Path(config))
        hollow(spec, None, config)  # the file may be somebody else's
        spec = spec.model_copy(update={"weights_sha256": None, "versions": names.versions()})
        for path, value in assignments(asked.set):
            spec = with_leaf(spec, path, names.SHORT.get(str(value), value) if path == "training.precision" else value)
        refuse_unfit(spec.model, spec.algorithm)
        own = asked.data in ("", spec.data.source)
        if spec.start is not None and not own:
            raise StateError(
                f"the run of {config} began with the weights of {spec.start.run}, in the units of its data; to go on "
                f"with {asked.data}, start from a finished run (--from) in place of its file (--config)"
            )
        start = start_in(Path(config) if Path(config).is_dir() else Path(config).parent, spec)
        splits, data = (splits_of(spec), spec.data) if own else on_other_data(asked.data, spec.data)
        model = spec.model.settled(preparing.facts_of(data, sets.statistics(splits.train)))
        prepared = prepare_on(splits, spec.model_copy(update={"data": data, "model": model}))
        model.start(prepared.model, splits.train)
        prepared = begun_with(prepared, start)
        return settled_on_machine(prepared, f"as {config} has it" + (f", on {asked.data}" if not own else ""))


def on_other_data(source: str, known: DataSpec) -> tuple[Splits, DataSpec]:
    """Other data, read as a run reads its own.

    Errors: `StateError` for a run whose conditions or levels are those of its own data.
    """
    if known.condition is not None:
        raise StateError(
            f"the run is conditioned on {known.condition.told}, learned from its own data; to train on {source}, "
            "say what the condition is (--condition-on) and give options in place of the file (--config)"
        )
    if known.labelling is not None:
        raise StateError(
            f"the run learned its classes from its own data ({known.labelling.told}); to train on {source}, say where "
            "the labels are (--labels) and give options in place of the file (--config)"
        )
    images = replace(known.reading.images, levels=None)
    how = replace(known.reading, source=source, images=images)
    splits = conditioned(load_splits(how), None)
    asked = Request(
        data=source,
        binarize=known.binarize,
        dequantize=known.dequantize,
        size=known.size,
        skip_damaged=known.skip_damaged,
        validation=known.validation,
        test=known.set_aside,
        contamination=known.contamination,
    )
    with fitting():
        return splits, describe(asked, splits, None)
