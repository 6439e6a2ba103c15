"""What `vael train` and `vael sweep` take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vael.cli.options.shared import CommandOptions
from vael.options.declaring import argument, flag, given, option, repeated, section
from vael.options.training import FittingOptions, MachineOptions, ModelOptions, ReadingOptions
from vael.options.values import one_of, weights, whole

TRACKED = ("csv", "tensorboard", "wandb", "mlflow")  # `vael.training.tracking.TRACKERS`, which is not imported for help
BETAS = (0.25, 1.0, 4.0, 16.0)


@dataclass(frozen=True, kw_only=True)
class AskedOptions:
    """Whatever a person can ask of training: `vael.specs.Request`, with None for what is left open."""

    data: str | None = argument(
        "DATA",
        "a name (`vael data list`) or the path of your own data; default digits",
        default=None,
        called="the data themselves",
    )
    config: str | None = option(
        "FILE",
        "a run.json, or the folder of a run: train that run again, on its data unless DATA is given",
        called="the run that is repeated",
        main=True,
    )
    from_: str | None = option(
        "RUN",
        "begin with the weights of a finished run, and go on with its model and settings, on its data unless DATA is "
        "given, which are read in its units",
        called="the run whose weights it begins with",
        main=True,
    )
    model: ModelOptions = section(ModelOptions, "model")
    read: ReadingOptions = section(ReadingOptions, "data")
    fitting: FittingOptions = section(FittingOptions, "training")
    machine: MachineOptions = section(MachineOptions, "machine")

    @property
    def named(self) -> dict[str, Any]:
        """What was given, by the names of `vael.specs.request`."""
        return {declared.name: value for declared, value in given(self)}


@dataclass(frozen=True, kw_only=True)
class FittedOptions(CommandOptions):
    """Abstract: what a command takes that trains."""

    run: Path | None = option(
        "DIR",
        "folder of the run; default runs/DATA-TIME",
        Path,
        written=True,
        files=lambda options: [options.run or Path("runs") / "new"],
        folder=True,
        main=True,
    )
    asked: AskedOptions = section(AskedOptions, "")
    importance_samples: int | None = option(
        "K", "samples of the final estimate of log p(x); default 100 to 1,000 by cost", whole, title="result"
    )


@dataclass(frozen=True, kw_only=True)
class TrainOptions(FittedOptions):
    """Everything that `vael train` takes."""

    usage = "vael train [DATA] [options]"
    notes = (
        "What is left open is chosen from the data and the machine, said before training starts, and kept in "
        "run.json.\n"
        "Several processes or GPUs: torchrun --nproc-per-node=2 -m vael -- train DATA --run DIR"
    )
    resume: bool = flag("go on with the run in --run from its last checkpoint", main=True)
    report: bool = flag("write no report.html", default=True, title="result")
    track: tuple[str, ...] = repeated(
        "NAME",
        f"show the curves elsewhere too: {', '.join(TRACKED)}; in the folder tracking of the run, nothing is sent "
        "unless WANDB_MODE or MLFLOW_TRACKING_URI says so; repeatable",
        read=one_of(*TRACKED),
        title="result",
    )


@dataclass(frozen=True, kw_only=True)
class SweepOptions(FittedOptions):
    """Everything that `vael sweep` takes: what `vael train` does, with several weights in place of one."""

    notes = (
        "Trains a model for the reconstruction alone, one for each weight of the divergence, and one for the "
        "divergence alone, each in a run folder of its own inside --run, and writes sweep.html there. Latents are 2 "
        "unless --latent says otherwise; several levels of latents stay as they are recommended."
    )
    betas: tuple[float, ...] = option(
        "B,B",
        f"weights of the divergence; default {','.join(f'{beta:g}' for beta in BETAS)}",
        weights,
        default=BETAS,
        main=True,
    )
