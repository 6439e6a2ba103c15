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

SECTIONS = ("model.", "algorithm.", "training.")
FIXED = frozenset({"training.processes"})  # what `torchrun` says


def prepare(asked: Request) -> Prepared:
    """The run that was asked for, as options say it or as a run.json says it.

    Errors: those of `preparing.prepare`, and `FormatError` for a file that holds no run.
    """
    refuse_other_leaves(asked)
    return preparing.prepare(with_training(asked)) if asked.config is None else configured(asked, asked.config)


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
        splits, data = (splits_of(spec), spec.data) if own else on_other_data(asked.data, spec.data)
        model = spec.model.settled(preparing.facts_of(data, sets.statistics(splits.train)))
        prepared = prepare_on(splits, spec.model_copy(update={"data": data, "model": model}))
        model.start(prepared.model, splits.train)
        check_support(prepared.model, splits)
        check_terms(prepared.model, spec.algorithm, splits.train)
        found = {
            "training": describe_training(prepared.resolved),
            "parameters": sum(weights.numel() for weights in prepared.model.parameters()),
        }
        why = f"as {config} has it" + (f", on {asked.data}" if not own else "")
        return replace(prepared, spec=prepared.spec.model_copy(update=found), reasons=(why, *prepared.resolved.reasons))


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
