"""Where a run is kept while it trains: a folder, or nowhere."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vael import files
from vael.errors import StateError
from vael.training.callbacks import Row, row_record
from vael.training.checkpoint import LAYOUT, STATE, read_tensors, write_tensors
from vael.training.clock import Stopwatch
from vael.training.history import METRICS, read_rows
from vael.training.place import Place


@dataclass(frozen=True)
class Checkpoint:
    """What a run goes on from: tensors, and what is said of them in JSON."""

    path: Path
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class RunStore(ABC):
    """Abstract: metrics, checkpoint and weights of one run."""

    writes: bool = False  # whether anything is kept, so that what is to be kept is worth its time

    def __init__(self) -> None:
        self.watch = Stopwatch()  # since the last checkpoint

    @abstractmethod
    def append(self, row: Row) -> None:
        """Add a line to metrics.jsonl."""

    @abstractmethod
    def write(self, checkpoint: dict[str, Tensor], facts: dict[str, Any], model: dict[str, Tensor]) -> None:
        """Put the checkpoint, and the weights that would be handed over, in the place of the former ones."""

    @abstractmethod
    def read(self) -> Checkpoint:
        """The last checkpoint. Errors: `StateError` where there is none that this version can go on from."""

    @abstractmethod
    def rewind(self, step: int) -> list[Row]:
        """The metrics until `step`; later lines are dropped, since their steps will be made again."""


class NoStore(RunStore):
    """Keeps nothing."""

    def append(self, row: Row) -> None:
        pass

    def write(self, checkpoint: dict[str, Tensor], facts: dict[str, Any], model: dict[str, Tensor]) -> None:
        pass

    def read(self) -> Checkpoint:
        """Errors: `StateError`, always: nothing was kept."""
        raise StateError("nothing to resume: the run has no folder, so no checkpoint; start without resuming")

    def rewind(self, step: int) -> list[Row]:
        return []


class ReadStore(RunStore):
    """The folder of a run as a process sees it that does not write: every one but the first."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def append(self, row: Row) -> None:
        pass

    def write(self, checkpoint: dict[str, Tensor], facts: dict[str, Any], model: dict[str, Tensor]) -> None:
        pass

    def read(self) -> Checkpoint:
        return _read(self.folder)

    def rewind(self, step: int) -> list[Row]:
        return _rows(self.folder, step)


class FolderStore(RunStore):
    """metrics.jsonl, checkpoint/ and model.safetensors in a folder, which must stay the same until the end."""

    writes = True

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.place = folder, Place(folder)

    def append(self, row: Row) -> None:
        with self.place.writing():
            files.append(self.folder / METRICS, _line(row).encode())

    def write(self, checkpoint: dict[str, Tensor], facts: dict[str, Any], model: dict[str, Tensor]) -> None:
        with self.place.writing():
            write_tensors(self.folder / "checkpoint" / STATE, checkpoint, facts)
            write_tensors(self.folder / "model.safetensors", model, {"step": facts["kept_step"]})
        self.watch.restart()

    def read(self) -> Checkpoint:
        return _read(self.folder)

    def rewind(self, step: int) -> list[Row]:
        rows = _rows(self.folder, step)
        files.write_bytes(self.folder / METRICS, "".join(map(_line, rows)).encode())
        return rows


def store_for(folder: Path | None, rank: int) -> RunStore:
    """The store of a process."""
    if folder is None:
        return NoStore()
    return FolderStore(folder) if rank == 0 else ReadStore(folder)


def _line(row: Row) -> str:
    return json.dumps(row_record(row)) + "\n"


def _rows(folder: Path, step: int) -> list[Row]:
    return [row for row in read_rows(folder / METRICS) if row.step <= step]


def _read(folder: Path) -> Checkpoint:
    path = folder / "checkpoint" / STATE
    if not path.exists():
        raise StateError(f"nothing to resume: {folder} has no checkpoint; start without resuming")
    tensors, facts = read_tensors(path)
    if facts.get("layout") != LAYOUT:
        raise StateError(
            f"the checkpoint in {folder} was written by another version of vael, which kept the state of an "
            f"optimiser otherwise (layout {facts.get('layout', 1)}, expected {LAYOUT}); go on with that version, "
            "or start a new run; the weights in model.safetensors can be used as they are"
        )
    return Checkpoint(path, tensors, facts)
