"""Leaves of a tree of parts: by path, by the option that people know them by, and as they are written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from vael.errors import StateError
from vael.nearest import SLIP, nearest
from vael.parts import Part, kind_of, members, told

B = TypeVar("B", bound=BaseModel)

PATHS = (  # leaves that are an option of training, by the last name of the path
    "model.prior",
    "model.posterior",
    "model.likelihood",
    "algorithm.objective",
    "algorithm.optimizer",
    "model.latent",
    "model.components",
    "model.network.hidden",
    "model.network.channels",
    "model.network.blocks",
    "algorithm.samples",
    "algorithm.objective.beta",
    "algorithm.objective.terms",
    "algorithm.objective.warmup",
    "algorithm.optimizer.learning_rate",
    "algorithm.optimizer.weight_decay",
    "algorithm.average",
)
SHORT = {"learning_rate": "lr"}
LEAVES = {SHORT.get(name, name): path for path in PATHS for name in [path.rpartition(".")[2]]}  # by option


def option_of(path: str) -> str:
    """How a person names a leaf: its option where it has one, else its path."""
    names = {leaf: name for name, leaf in LEAVES.items()}
    return "--" + names[path].replace("_", "-") if path in names else path


def leaf(record: BaseModel, path: str) -> object:
    """What stands at a path. Errors: `StateError` for a path that there is not."""
    for place, name in enumerate(path.split(".")):
        refuse_unknown(record, path, place)
        record = getattr(record, name)
    return record


def has_leaf(record: BaseModel, path: str) -> bool:
    """Whether there is such a leaf."""
    found: object = record
    for name in path.split("."):
        if not isinstance(found, BaseModel) or name not in type(found).model_fields:
            return False
        found = getattr(found, name)
    return True


def with_leaf(record: B, path: str, value: object, done: int = 0) -> B:
    """The record with another value at a path; a part may be given by its kind alone.

    Errors: `StateError` for a path that there is not, with the nearest name, and for a value that does not fit there.
    """
    names = path.split(".")
    refuse_unknown(record, path, done)
    name = names[done]
    known = fields_of(record)
    inner = known[name]
    if done + 1 < len(names):
        if not isinstance(inner, BaseModel):
            raise StateError(f"{'.'.join(names[: done + 1])} is {written(inner)} and has no {names[done + 1]}")
        known[name] = with_leaf(inner, path, value, done + 1)
    else:
        known[name] = value
    try:
        return record.__class__.model_validate(known)
    except ValidationError as error:
        raise StateError(
            f"{option_of(path)} {written(value)}: {told(error, short=True)}; choose another value"
        ) from error


def with_fields(record: B, path: str, values: Mapping[str, object]) -> B:
    """The record at a path with several fields of its own changed at once, because one may not fit without another.

    Errors: as `with_leaf`.
    """
    for name in values:
        refuse_unknown(record, f"{path}.{name}", 1)
    try:
        return record.__class__.model_validate(fields_of(record) | dict(values))
    except ValidationError as error:
        said = ", ".join(f"{option_of(f'{path}.{name}')} {written(value)}" for name, value in values.items())
        raise StateError(f"{said}: {told(error, short=True)}; choose another value") from error


def fields_of(record: BaseModel) -> dict[str, object]:
    """Names and values of a record."""
    return {name: getattr(record, name) for name in type(record).model_fields}


def refuse_unknown(record: object, path: str, place: int) -> None:
    """Errors: `StateError` where a record has no such field, with the nearest one."""
    names = path.split(".")
    if not isinstance(record, BaseModel):
        raise StateError(f"{'.'.join(names[:place])} is {written(record)}, which has nothing below it; see run.json")
    fields = [field for field in type(record).model_fields if field != "kind"]
    if names[place] in type(record).model_fields:
        return
    near = nearest(names[place], fields, SLIP) or in_family(record, names[place])
    what = f"the {record.family} {record.name}" if isinstance(record, Part) else ".".join(names[:place]) or "a run"
    hint = f"did you mean {near}? " if near else ""
    there = f"it has {', '.join(fields)}" if fields else "it has nothing to set"
    named = f" ({option_of(path)})" if path in LEAVES.values() else ""
    raise StateError(f"{what} has no {names[place]}{named}; {hint}{there}: choose another, or leave it out")


def in_family(record: BaseModel, name: str) -> str | None:
    """The nearest leaf that other members of a part's family have, and which of them: most often a part is missing
    that would have the leaf, such as a prior with components.
    """
    if not isinstance(record, Part):
        return None
    family = next(base for base in type(record).__mro__ if kind_of(base) is None and issubclass(base, Part))
    known = {kind: part.model_fields for kind, part in members(family).items()}
    near = nearest(name, {leaf for fields in known.values() for leaf in fields} - {"kind"}, SLIP)
    return near and f"{near}, which {', '.join(sorted(kind for kind in known if near in known[kind]))} would have"


def parsed_value(text: str) -> object:
    """A value as people write it on a command line: JSON, numbers with commas between them, or a word."""
    for form in (text, f"[{text}]" if "," in text else text):
        try:
            return json.loads(form)
        except ValueError:
            continue
    return text


def assignments(given: object) -> Iterator[tuple[str, object]]:
    """Paths and values of `--set PATH=VALUE`, or of a mapping. Errors: `StateError` for one without a value."""
    if isinstance(given, Mapping):
        yield from ((str(path), value) for path, value in given.items())
        return
    for text in given if isinstance(given, (list, tuple)) else ():
        path, equals, value = str(text).partition("=")
        if not equals or not path or not value:
            raise StateError(f"set is {text!r}; expected PATH=VALUE, such as model.latent=32 (--set)")
        yield path.strip(), parsed_value(value)


def leaves(record: BaseModel, path: str = "") -> Iterator[tuple[str, object]]:
    """All leaves of a tree and their values, `kind` among them."""
    for name in type(record).model_fields:
        value, here = getattr(record, name), f"{path}.{name}" if path else name
        if isinstance(value, BaseModel):
            yield from leaves(value, here)
        else:
            yield here, value


def written(value: object) -> str:
    """A value as people write it."""
    if isinstance(value, Part):
        return value.name
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
