"""Runs that begin with the weights of a finished run, on its data or on others of the same kind."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from vael import domains, files
from vael.data import Splits
from vael.data.conditioning.arrays import FileCondition
from vael.data.conditioning.labels import FileLabels, labelled_splits
from vael.data.conditioning.learned_conditions import conditioned
from vael.domains import DataSpec
from vael.domains.units import aligned, refuse_unlike, told_cells
from vael.errors import FormatError, StateError, SupportError
from vael.models import Model
from vael.parts import trusting
from vael.specs import names
from vael.specs.asked import Request
from vael.specs.composing import refuse_unfit
from vael.specs.leaves import assignments, has_leaf, with_leaf
from vael.specs.preparing import Prepared
from vael.specs.reading import describe_split, notes_of, source_of, splits_of
from vael.specs.sizes import hollow
from vael.specs.spec import FILE, RunSpec, StartSpec, fitting, read_spec
from vael.stored import present, read_bytes
from vael.training.checkpoint import misfit, read_header, read_tensors, unlike

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
        start = StartSpec(run=folder.resolve().name, weights_sha256=whole, fingerprint=own_data)
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
