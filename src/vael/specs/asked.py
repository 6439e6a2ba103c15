"""What a person can ask of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from vael.errors import StateError
from vael.nearest import SLIP, did_you_mean
from vael.options.training import FittingOptions, MachineOptions, ModelOptions, ReadingOptions
from vael.specs.leaves import LEAVES, assignments


@dataclass(frozen=True, kw_only=True)
class Request(MachineOptions, FittingOptions, ReadingOptions, ModelOptions):
    """Options of training; None is chosen from the data and the machine, and what was chosen stands in run.json."""

    data: str = "digits"  # "" for those of `config` or `from_`
    config: str | None = None  # a run.json, or its folder: the run is that one, but for what is asked for besides
    from_: str | None = None  # the folder of a finished run: its model goes on, with its weights
    contamination: float = 0.0
    seed: int = 0


def request(data: str | Path | None = None, **options: object) -> Request:
    """A `Request` from options by name. Errors: `StateError` for an option that there is not, or that cannot be changed
    in a run that is read from a file.
    """
    known = [field.name for field in fields(Request)]
    for name in options:
        if name not in known:
            raise StateError(
                f"training has no option {name!r}; {did_you_mean(name, known, SLIP)}there are {', '.join(known)}"
            )
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    if options.get("from_") is not None:
        return _request_from(data, options)
    if options.get("config") is None:
        return Request(data="digits" if data is None else str(data), **options)  # type: ignore[bad-argument-type]
    given = {"config": str(options["config"]), "trust": options.get("trust", ())}
    changes = _changes({name: value for name, value in options.items() if name not in ("config", "trust")}, leaf_of)
    return Request(data="" if data is None else str(data), set=changes, **given)  # type: ignore[bad-argument-type]


def _changes(options: Mapping[str, object], path_of: Callable[[str], str]) -> dict[str, object]:
    """The leaves that options set, by path."""
    changes = {path_of(name): value for name, value in options.items() if name != "set"}
    changes |= dict(assignments(options.get("set", ())))
    return {path: value for path, value in changes.items() if value is not None}


SHARES = ("validation", "test")


def _request_from(data: str | Path | None, options: Mapping[str, object]) -> Request:
    """A request that begins with the weights of a run.

    Errors: `StateError` for options that change its model, or how its data are read.
    """
    if options.get("config") is not None:
        raise StateError(
            "weights to begin with (--from) and a run to train again (--config) were both given; the first has a "
            "run.json of its own: leave the other out"
        )
    apart = {name: value for name, value in options.items() if name in ("trust", *SHARES)}
    changes = _changes({k: v for k, v in options.items() if k not in ("from_", *apart)}, _leaf_of_training)
    for path in changes:
        if path.startswith("model."):
            raise StateError(f"{path} (--set) changes the model, {KEPT_MODEL}")
    return Request(
        data="" if data is None else str(data),
        from_=str(options["from_"]),
        set=changes,
        **apart,  # type: ignore[bad-argument-type]
    )


KEPT_MODEL = (
    "but the weights (--from) are those of the model that they were trained in; leave it out, or train a new run"
)


def _leaf_of_training(option: str) -> str:
    """The leaf of training that an option sets. Errors: `StateError` for one of the model or of the data."""
    written = option.replace("_", "-")
    if LEAVES.get(option, "").startswith("model.") or option in MODEL:
        raise StateError(f"{written} (--{written}) changes the model, {KEPT_MODEL}")
    if option not in LEAVES and option not in LOOP and option not in TRAINING:
        raise StateError(
            f"{written} (--{written}) says how data are read, but those that go on with weights (--from) are read as "
            "the run of the weights has it; leave it out, or train a new run"
        )
    return leaf_of(option)


MODEL = ("model", "correlated")  # options of the model that are no leaf of it


TRAINING = {"compile": "compiled"}  # options of the loop that run.json has under another name
LOOP = ("epochs", "time_limit", "patience", "batch", "schedule", "keep", "seed", "device", "precision", "threads")


def leaf_of(option: str) -> str:
    """The leaf of a run that an option sets. Errors: `StateError` for one that sets none."""
    if option in LEAVES:
        return LEAVES[option]
    if option in LOOP or option in TRAINING:
        return f"training.{TRAINING.get(option, option)}"
    raise StateError(
        f"{option.replace('_', ' ')} cannot change a run that is read from a file (--config): the data "
        "are read as it says; name other data instead, set a leaf of model, algorithm or training (--set), or leave "
        "the file out"
    )
