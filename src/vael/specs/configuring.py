"""Runs that begin as another run is: by its run.json and leaves set by path, or with the weights of a finished one."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from vael import data as sets
from vael import domains, files
from vael.data import Splits
from vael.data.conditioning.conditions import FileCondition
from vael.data.conditioning.labels import FileLabels, labelled_splits
from vael.data.conditioning.learned_conditions import conditioned
from vael.domains import DataSpec
from vael.domains.reading import aligned, refuse_unlike, told_cells
from vael.errors import FormatError, StateError, SupportError
from vael.models import Model
from vael.parts import trusting
from vael.specs import names, preparing
from vael.specs.asked import TRAINING, Request
from vael.specs.composing import refuse_unfit
from vael.specs.leaves import assignments, has_leaf, leaf, with_leaf
from vael.specs.preparing import Prepared, check_support, check_terms, describe_training, prepare_on
from vael.specs.reading import describe, describe_split, load_splits, notes_of, source_of, splits_of
from vael.specs.sizes import hollow
from vael.specs.spec import FILE, RunSpec, StartSpec, TrainingSpec, fitting, read_spec, read_spec_file
from vael.stored import present, read_bytes, text_name
from vael.training.checkpoint import misfit, read_header, read_tensors, unlike

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

    Errors: those of `vael.specs.configuring.begun`, and of data that the model cannot take.
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


WEIGHTS = "model.safetensors"
WARMUP = "algorithm.objective.warmup"
START = "start.safetensors"  # the weights that a run began with, where it began with those of another


def refuse_misfit(path: Path, trouble: str) -> None:
    """Errors: `FormatError` if there is trouble."""
    if trouble:
        raise FormatError(
            f"{path} does not fit run.json: {trouble}; bring back the two files that were written together"
        )


def load_weights(model: Model, path: Path, sha256: str | None) -> None:
    """Put the tensors of a file in the place of the model's own.

    Errors: `FormatError` for a file that is damaged, that is not the one of that sha256, or is of another model.
    """
    found, _ = read_tensors(path, sha256)
    refuse_misfit(path, misfit(model.state_dict(), found))
    model.load_state_dict(found)


def finished(folder: Path) -> RunSpec:
    """The spec of a run whose training has ended.

    Errors: `FormatError` for a folder that holds no run, `StateError` for a run that is not finished.
    """
    spec = read_spec(folder)
    if spec.weights_sha256 is None or not present(folder / WEIGHTS):
        raise StateError(
            f"training in {folder} has not ended yet, so there are no final weights to start from; end it first "
            f"(`vael train --run {folder} --resume`)"
        )
    header = read_header(folder / WEIGHTS)
    refuse_misfit(folder / WEIGHTS, unlike(hollow(spec, header, str(folder / FILE)).state_dict(), header.shapes))
    return spec


def begun(asked: Request, run: str) -> tuple[RunSpec, Splits, Path]:
    """What run.json says of a run that begins with the weights of `run`, its data, and where the weights lie; what was
    set is set, and the model is that of `run`.

    Errors: `FormatError` and `StateError` as `finished`, those of `splits_of`, and for other data those of `units_of`.
    """
    folder = Path(run)
    with trusting(*asked.trust):
        known = finished(folder)
        whole, own_data = known.weights_sha256 or "", known.data.train.fingerprint
        start = StartSpec(run=text_name(folder.resolve()).name, weights_sha256=whole, fingerprint=own_data)
        spec = known.model_copy(update={"weights_sha256": None, "versions": names.versions(), "start": start})
        if has_leaf(spec, WARMUP):  # it keeps latents from collapsing at the start, which is over: it would only undo
            spec = with_leaf(spec, WARMUP, 0.0)
        for path, value in assignments(asked.set):
            spec = with_leaf(spec, path, names.SHORT.get(str(value), value) if path == "training.precision" else value)
        refuse_unfit(spec.model, spec.algorithm)
        if not spec.algorithm.goes_on:
            raise StateError(
                f"{spec.algorithm.name} finds where to begin from the data, so it cannot begin with weights (--from); "
                f"train such a run anew (`vael train DATA --config {folder}`)"
            )
        own = asked.data == "" or source_of(asked.data) == known.data.source
        if own and (asked.validation, asked.test) != (None, None):
            raise StateError(
                f"the data of {folder} were set aside as its run.json says, and other shares would train on what "
                "judged it; leave them out (--validation, --test)"
            )
        splits, data = (splits_of(known), known.data) if own else in_units_of(known.data, asked)
        batch = len(splits.train) if spec.algorithm.full_batch else spec.training.batch
        training = spec.training.model_copy(update={"batch": batch})
        return spec.model_copy(update={"data": data, "training": training}), splits, folder / WEIGHTS


def in_units_of(known: DataSpec, asked: Request) -> tuple[Splits, DataSpec]:
    """Other data in the units of a run's own: read by its schema, with its levels, binarisation, condition and classes.

    Errors: `ShapeError`, `SupportError`, `StateError` or `FormatError` for data that its model cannot take.
    """
    source = asked.data
    refuse_beside(known, source)
    given = {"validation": asked.validation, "set_aside": asked.test}
    shares = {name: value for name, value in given.items() if value is not None}
    with fitting():
        wanted = type(known).model_validate(known.model_dump() | shares | {"source": source_of(source)})
    try:
        splits = domains.of(known).splits(wanted.reading)
    except SupportError as error:
        if known.stored_levels is None:
            raise
        raise SupportError(  # the levels of the run were not asked for, so no more can be
            f"{source} cannot be read in the units of the run, which was trained on "
            f"{told_cells(known.kind, known)}: {str(error).partition(';')[0]}; give such "
            "data, or train a new run"
        ) from error
    splits = labelled_splits(conditioned(splits, known.condition), known.labelling)
    for split in (splits.train, splits.validation, splits.test):
        if split is not None:
            refuse_unlike(known, split, source)
    splits = aligned(splits, known)
    found = {
        "name": splits.train.name,
        "train": describe_split(splits.train),
        "held_out": describe_split(splits.validation),
        "test": None if splits.test is None else describe_split(splits.test),
        "notes": notes_of(splits),
    }
    return splits, wanted.model_copy(update=found)


def refuse_beside(known: DataSpec, source: str) -> None:
    """Errors: `StateError` for a run whose conditions or labels are a file beside its own data."""
    for what, beside in (("is conditioned on", known.condition), ("learned its classes from", known.labelling)):
        if isinstance(beside, FileCondition | FileLabels):
            raise StateError(
                f"the run {what} {beside.told}, a file beside its own data, which says nothing of {source}; go on with "
                "its own data (leave DATA out), or train a new run"
            )


def write_start(folder: Path, spec: RunSpec, weights: Path | None) -> None:
    """Keep the weights that a run begins with in its folder, so that it needs the other one no longer.

    Errors: `FormatError` if they changed since run.json was made.
    """
    if weights is None or spec.start is None:
        return
    content = read_bytes(weights)
    if hashlib.sha256(content).hexdigest() != spec.start.weights_sha256:
        raise FormatError(f"{weights} has changed while it was read; start again once nobody trains there")
    files.write_bytes(folder / START, content)


def begun_with(prepared: Prepared, weights: Path | None) -> Prepared:
    """The run with the weights of that file in its model; None leaves those of its seed and data.

    Errors: `FormatError` where they are missing, damaged, or not those that run.json tells of.
    """
    if weights is None:
        return prepared
    start = prepared.spec.start
    load_weights(prepared.model, weights, None if start is None else start.weights_sha256)
    return replace(prepared, weights=weights)


def start_in(folder: Path, spec: RunSpec) -> Path | None:
    """The weights that the run of a folder began with; None for one that began as its seed has it.

    Errors: `StateError` for a run whose folder does not have them any longer.
    """
    if spec.start is None:
        return None
    if not present(folder / START):
        raise StateError(
            f"{folder / FILE} tells of a run that began with the weights of {spec.start.run}, but {START} does not lie "
            "beside it; bring that file back, or start from that run again (--from)"
        )
    return folder / START
