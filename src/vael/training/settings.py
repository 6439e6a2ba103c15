"""How a run is to go, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

import torch
from torch import nn

from vael.errors import StateError
from vael.inference import World
from vael.training import distributed
from vael.training.callbacks import Row
from vael.training.device import automatic_compilation, automatic_precision, usable, work_per_example
from vael.training.schedules import WarmupCosine


class Keep(Enum):
    """Which weights a run hands over and saves."""

    BEST = "best"  # of the validation with the highest value of what is climbed
    LAST = "last"  # of the last step


@dataclass(frozen=True)
class Settings:
    """Where, how long and in what order a run trains. None means: chosen from the machine and the data."""

    epochs: int | None = 20  # None: until the time limit
    batch: int = 128  # over all processes
    seed: int = 0
    time_limit: float | None = None  # seconds, from the call of `run` to its return
    patience: int | None = None  # epochs without a better validation bound before an early stop
    schedule: Callable[[float], float] = field(default_factory=WarmupCosine)
    device: torch.device | str | None = None
    precision: torch.dtype | None = None
    compiled: bool | None = None
    threads: int | None = None
    checkpoint_every: float = 60.0  # seconds
    keep: Keep = Keep.BEST
    judge_start: bool = False  # whether the weights that training begins with may stay the best, so are judged too

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "time_limit", "patience", "threads"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise StateError(f"{name} is {value}; expected a number above 0")
        if self.epochs is None and self.time_limit is None:
            raise StateError("neither epochs nor a time limit is set, so training would never end; set one of them")


@dataclass(frozen=True)
class Resolved:
    """Settings with nothing left to choose, the world they mean, and why it was chosen."""

    settings: Settings
    world: World
    reasons: tuple[str, ...]


NOMINAL_SPEED = (
    5e10  # floating-point operations a second that a time limit is taken to mean when compilation is decided on
)


def resolve(settings: Settings, model: nn.Module, examples: int) -> Resolved:
    """Choose device, precision and compilation for a training set of so many examples; the same choice on the same
    machine.
    """
    device = usable(settings.device)
    precision, words = (settings.precision, "asked for") if settings.precision else automatic_precision(device)
    if settings.compiled is None:
        seen = [float(settings.epochs * examples)] if settings.epochs else []
        seen += [settings.time_limit * NOMINAL_SPEED / work_per_example(model)] if settings.time_limit else []
        compiled, why = automatic_compilation(device, model, min(seen))
        compiled, why = (
            (compiled, why) if distributed.size() == 1 else (False, "eager, because several processes train together")
        )
    else:
        compiled, why = settings.compiled, f"{'compiled' if settings.compiled else 'eager'}, as asked for"
    world = World(device, precision, compiled, distributed.rank(), distributed.size())
    reasons = (f"networks in {str(precision).removeprefix('torch.')} ({words}), densities in float32", f"step {why}")
    return Resolved(replace(settings, device=device, precision=precision, compiled=compiled), world, reasons)


@dataclass(frozen=True)
class Fit:
    """A finished run. `model` is in evaluation mode and carries the weights of `kept_step`: the averaged ones where
    there are any, of the best validation or of the last step, as `Settings.keep` says.
    """

    model: nn.Module
    history: tuple[Row, ...]
    steps: int
    epochs: int  # whole ones
    seconds: float
    stopped: str  # a sentence: why it ended
    interrupted: bool
    skipped: int  # steps not taken because a gradient was not finite or leapt
    best_elbo: float  # on the validation split
    best_step: int
    resolved: Resolved
    kept_step: int
    is_bound: bool  # whether `best_elbo` and the `elbo` of the history are bounds on log p(x)
