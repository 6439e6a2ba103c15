"""Trackers: the rows of metrics.jsonl where other programs show them, as CSV, TensorBoard, Weights & Biases, MLflow.

Nothing leaves the machine unless a person asked for it: Weights & Biases is offline unless the environment variable
WANDB_MODE says otherwise, MLflow writes into the folder unless MLFLOW_TRACKING_URI names a server.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vael import files
from vael.errors import StateError
from vael.training.callbacks import Callback, Row, row_record

Scalar = str | int | float | bool
NO_NUMBER = {"step", "epoch", "split", "is_bound", "elbo"}
FOLDER = "tracking"  # in the folder of a run


@dataclass(frozen=True)
class Tracked:
    """What a tracker is told of a run before it begins."""

    name: str
    folder: Path  # where what is tracked is kept
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    history: tuple[Row, ...] = ()  # of a run that goes on


class Tracker(Callback, ABC):
    """Abstract: tells every row to another program; used as a context, it ends what it began.

    Errors: `FormatError` for a link where it would write: in a folder of somebody else it can lead anywhere.
    """

    needs: str = ""  # the package without which there is none
    place: str  # what it writes in the folder

    def __init__(self, tracked: Tracked) -> None:
        files.refuse_links(tracked.folder / self.place)
        self.tracked = tracked

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def row(self, row: Row) -> None:
        self.numbers({f"{row.split}/{name}": value for name, value in measured(row)}, row.step)

    @abstractmethod
    def numbers(self, found: Mapping[str, float], step: int) -> None:
        """Numbers after so many steps, by `split/name`."""

    @abstractmethod
    def close(self) -> None:
        """No more comes."""


def measured(row: Row) -> Iterator[tuple[str, float]]:
    """The numbers of a row that are finite, by name; the bound under the name that it may have."""
    yield from ((name, value) for name, value in [(row.called, row.elbo)] if math.isfinite(value))
    for name, value in asdict(row).items():
        if name not in NO_NUMBER and isinstance(value, int | float) and math.isfinite(value):
            yield name, value


class CSVTracker(Tracker):
    """metrics.csv: a line for each row of metrics.jsonl."""

    place = "metrics.csv"

    def __init__(self, tracked: Tracked) -> None:
        super().__init__(tracked)
        self.path, self.rows = tracked.folder / self.place, list(tracked.history)
        files.make_folder(tracked.folder)

    def row(self, row: Row) -> None:
        self.rows = [one for one in self.rows if one.step <= row.step and one != row] + [row]
        text = io.StringIO(newline="")
        records = [row_record(one) for one in self.rows]
        writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        files.write_bytes(self.path, text.getvalue().encode(), durable=False)

    def numbers(self, found: Mapping[str, float], step: int) -> None:
        """Rows are written whole."""

    def close(self) -> None:
        """Every row was written when it came."""


class TensorBoardTracker(Tracker):
    """Event files, shown by `tensorboard --logdir FOLDER`."""

    needs, place = "tensorboard", "tensorboard"

    def __init__(self, tracked: Tracked) -> None:
        super().__init__(tracked)
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(tracked.folder / self.place))
        self.writer.add_text("settings", "\n".join(f"    {k}: {v}" for k, v in tracked.settings.items()))

    def numbers(self, found: Mapping[str, float], step: int) -> None:
        for name, value in found.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class WandbTracker(Tracker):
    """A run of Weights & Biases, offline unless WANDB_MODE says otherwise: `wandb sync` sends it later."""

    needs, place = "wandb", "wandb"

    def __init__(self, tracked: Tracked) -> None:
        super().__init__(tracked)
        import wandb

        files.make_folder(tracked.folder)
        mode = os.environ.get("WANDB_MODE") or "offline"
        how: dict[str, Any] = {"project": "vael", "name": tracked.name, "config": dict(tracked.settings), "mode": mode}
        self.run = wandb.init(dir=str(tracked.folder), **how)

    def numbers(self, found: Mapping[str, float], step: int) -> None:
        self.run.log({**found, "step": step})  # a row of training and one of validation have the same step

    def close(self) -> None:
        self.run.finish()


class MLflowTracker(Tracker):
    """A run of MLflow, in a file of the folder unless MLFLOW_TRACKING_URI names a server."""

    needs, place = "mlflow", "mlflow.db"

    def __init__(self, tracked: Tracked) -> None:
        super().__init__(tracked)
        from mlflow.tracking import MlflowClient

        files.make_folder(tracked.folder)
        place = f"sqlite:///{(tracked.folder / self.place).absolute()}"
        self.client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or place)
        known = self.client.get_experiment_by_name("vael")
        experiment = self.client.create_experiment("vael") if known is None else known.experiment_id
        self.run_id = self.client.create_run(experiment, run_name=tracked.name).info.run_id
        for name, value in tracked.settings.items():
            self.client.log_param(self.run_id, name, value)

    def numbers(self, found: Mapping[str, float], step: int) -> None:
        for name, value in found.items():
            self.client.log_metric(self.run_id, name, value, step=step)

    def close(self) -> None:
        self.client.set_terminated(self.run_id)


TRACKERS: dict[str, type[Tracker]] = {
    "csv": CSVTracker,
    "tensorboard": TensorBoardTracker,
    "wandb": WandbTracker,
    "mlflow": MLflowTracker,
}


def refuse_missing(names: Sequence[str]) -> None:
    """Errors: `StateError` for a tracker whose package is not installed."""
    for name in names:
        package = TRACKERS[name].needs
        if package and importlib.util.find_spec(package) is None:
            raise StateError(
                f"tracking by {name} needs {package}, which is not installed: pip install 'vael[{name}]', or track by "
                "csv, which needs nothing"
            )
