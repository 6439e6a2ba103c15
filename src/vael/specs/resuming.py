"""What a run that goes on may change: its length, and nothing else that run.json says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vael.data.conditioning.conditions import LABEL, FileCondition
from vael.data.conditioning.labels import ColumnLabels, FileLabels
from vael.domains.described import size_of
from vael.errors import StateError
from vael.parts import Part
from vael.specs.composing import POSTERIORS
from vael.specs.leaves import LEAVES, assignments, leaf, written
from vael.specs.names import ESTIMATORS, SHORT
from vael.specs.reading import source_of
from vael.specs.spec import RunSpec

LENGTH = {"epochs", "time_limit", "patience"}


def trusted(changes: Mapping[str, object]) -> list[str]:
    """The modules that may be imported."""
    given = changes.get("trust")
    return [str(module) for module in given] if isinstance(given, (list, tuple)) else []


def changed(spec: RunSpec, changes: Mapping[str, object]) -> RunSpec:
    """The spec with another length. Errors: `StateError` for another difference."""
    if changes.get("config") is not None:
        raise StateError(
            "a run that goes on has its own run.json; resume without another (--config), or start another run"
        )
    if changes.get("from_") is not None:
        raise StateError(
            "a run that goes on has the weights of its checkpoint; resume without others (--from), or start another run"
        )
    for name, value in changes.items():
        if name not in LENGTH and name not in ("trust", "config", "from_"):
            refuse_change(spec, name, value)
    lengths = {name: value for name, value in changes.items() if name in LENGTH}
    return spec.model_copy(update={"training": spec.training.model_copy(update=lengths)})


# options that run.json has under other names or in another form: what stands there, and what was given, in that form
STORED: Mapping[str, Callable[[RunSpec, Any], tuple[object, object]]] = {
    "model": lambda spec, value: (spec.recipe, dashed(value)),
    "data": lambda spec, value: (spec.data.source, source_of(str(value))),
    "test": lambda spec, value: (spec.data.set_aside, value),
    "correlated": lambda spec, value: (leaf(spec, "model.posterior"), POSTERIORS[bool(value)]),
    "estimator": lambda spec, value: (leaf(spec, "algorithm.objective"), ESTIMATORS.get(dashed(value), value)),
    "precision": lambda spec, value: (spec.training.precision, SHORT.get(str(value), value)),
    "compile": lambda spec, value: (spec.training.compiled, value),
    "patches": lambda spec, value: (spec.data.patching and spec.data.patching.size, size_of(value)),
    "levels": lambda spec, value: (spec.data.stored_levels, value),
}


def dashed(value: object) -> str:
    """A name as parts have it."""
    return str(value).lower().replace("_", "-")


def refuse_change(spec: RunSpec, name: str, value: object) -> None:
    """Errors: `StateError` for an option that says something else than run.json."""
    if name == "set":
        for path, wanted in assignments(value):
            same(path, leaf(spec, path), wanted)
    elif name in STORED:
        same(name, *STORED[name](spec, value))
    elif name in LEAVES:
        same(name, leaf(spec, LEAVES[name]), value)
    elif name in type(spec.training).model_fields:
        same(name, getattr(spec.training, name), value)
    elif name in ("sequence", "id", "window", "stride"):
        known, given = spec.data.sequence, "" if value is True else value
        same(name, None if known is None else getattr(known, "time" if name == "sequence" else name), given)
    elif name == "condition_on":
        refuse_other_condition(spec, str(value))
    elif name in ("labels", "labelled"):
        refuse_other_labels(spec, name, value)
    elif name != "schema":
        same(name, getattr(spec.data, name), value)


def refuse_other_condition(spec: RunSpec, value: str) -> None:
    """Errors: `StateError` for another condition than that of run.json."""
    condition = spec.data.condition
    if isinstance(condition, FileCondition):
        same("condition_on", condition.file, str(Path(value).absolute()))
        return
    known = () if condition is None else condition.names
    asked = (value,) if value in known else tuple(name.strip() for name in value.split(",") if name.strip())
    if sorted(asked) != sorted(known):
        same("condition_on", ",".join(known) or None, value)


def refuse_other_labels(spec: RunSpec, name: str, value: object) -> None:
    """Errors: `StateError` for other labels than those of run.json."""
    known = spec.data.labelling
    if name == "labelled":
        same(name, known and known.each, value)
    elif isinstance(known, FileLabels):
        same(name, known.file, str(Path(str(value)).absolute()))
    elif isinstance(known, ColumnLabels):
        same(name, known.columns.names[0], value)
    else:
        same(name, known and LABEL, value)


def same(name: str, known: object, given: object) -> None:
    """Errors: `StateError` where they differ."""
    wanted = dashed(given) if isinstance(known, Part) and isinstance(given, str) else given
    wanted = tuple(wanted) if isinstance(wanted, list) else wanted
    if wanted != (known.name if isinstance(known, Part) else known):
        raise StateError(
            f"{name.replace('_', '-')} is {written(known)} in run.json, but {written(given)} was given; resume without "
            "it, or start another run"
        )
