"""What a run is, with nothing left to choose: run.json and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from vael import files
from vael.data.facts import Facts, Moments, unknown_moments
from vael.data.source import Kind
from vael.domains import of
from vael.domains.described import Count, DataSpec, Name, Seed, SpecSection
from vael.errors import FormatError, StateError
from vael.inference.parts import AlgorithmPart
from vael.models.families import ModelPart
from vael.parts import told
from vael.specs.translation import current
from vael.stored import present, read_json

SCHEMA = 2
FILE = "run.json"


class TrainingSpec(SpecSection):
    """How long the loop runs, on which machine, in which precision."""

    epochs: Count | None = 20
    time_limit: float | None = Field(default=None, gt=0)  # seconds
    patience: Count | None = None  # epochs
    batch: Count = 128
    schedule: Literal["warmup-cosine", "constant"] = "warmup-cosine"  # of the learning rate
    keep: Literal["best", "last"] = "best"  # which weights: of the best validation, or of the last step
    seed: Seed = 0
    device: Name
    precision: Literal["float32", "bfloat16"]
    compiled: bool
    threads: int | None = Field(default=None, ge=1, le=4096)
    processes: Count = 1


def facts_of(data: DataSpec, known: Moments | None = None) -> Facts:
    """What parts need to know of the data of a run; without moments those stand in that loaded weights replace."""
    return Facts(
        data.name,
        data.event,
        Kind(data.kind),
        unknown_moments(data.event) if known is None else known,
        levels=data.levels,
        schema=data.row_schema,
        gaps=data.gaps,
        context=0 if data.condition is None else data.condition.features,
        classes=0 if data.labelling is None else data.labelling.classes,
        channels_last=of(data).channels_last,
    )


class Versions(SpecSection):
    """What the run was made with."""

    vael: str
    torch: str
    python: str


class StartSpec(SpecSection):
    """The finished run whose weights a run began with."""

    run: Name  # what its folder was called
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$")  # of its model.safetensors
    fingerprint: str  # of the data that it was trained on


class RunSpec(SpecSection):
    """Everything that run.json holds."""

    schema_version: int = SCHEMA
    weights_sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$"
    )  # of model.safetensors; None until training has ended
    data: DataSpec
    recipe: Name  # what the model was asked for as
    model: ModelPart
    algorithm: AlgorithmPart
    training: TrainingSpec
    parameters: int = Field(ge=0)
    versions: Versions
    start: StartSpec | None = None  # None: weights drawn from the seed, or set from the data


def is_bound(spec: RunSpec) -> bool:
    """Whether what a run climbs is a bound on log p(x), or log p(x) itself."""
    return spec.model.is_likelihood and spec.model.trains_on_its_draws and spec.algorithm.bounds


@contextmanager
def fitting() -> Iterator[None]:
    """What cannot stand in run.json as a `StateError` that names it."""
    try:
        yield
    except ValidationError as error:
        raise StateError(f"{told(error)}; choose another value") from error


def write_spec(folder: Path, spec: RunSpec) -> None:
    """Write run.json, whole or not at all."""
    files.write_bytes(folder / FILE, (spec.model_dump_json(indent=2, serialize_as_any=True) + "\n").encode())


def read_spec(folder: Path) -> RunSpec:
    """The spec of a run folder.

    Errors: `FormatError` for a folder that is none, holds no run, or holds a run.json that does not parse or fit.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FormatError(
            f"{folder}: {'a file, not a run folder' if folder.exists() else 'no such folder'}; give the folder that "
            "`vael train` wrote"
        )
    if not present(folder / FILE):
        raise FormatError(f"{folder} is not a run folder: it has no {FILE}; give the folder that `vael train` wrote")
    return _spec_in(folder / FILE)


def read_spec_file(path: Path) -> RunSpec:
    """The spec in a run.json, wherever it lies and whatever it is called, or in a run folder.

    Errors: `FormatError` for a file that there is not, or that does not parse or fit.
    """
    if path.is_dir():
        return read_spec(path)
    if not present(path):
        raise FormatError(f"{path}: no such file; give a run.json, or the folder of a run (--config)")
    return _spec_in(path)


def _spec_in(path: Path) -> RunSpec:
    known = read_json(path)
    try:
        version = known.get("schema_version") if isinstance(known, dict) else None
        if isinstance(version, int) and version > SCHEMA:
            raise FormatError(
                f"{path} has schema {version}, but this vael reads up to {SCHEMA}; use the vael that wrote "
                "it, or a newer one"
            )
        spec = RunSpec.model_validate(current(known))
    except ValidationError as error:
        raise FormatError(f"{path} does not fit: {told(error)}; restore the file as `vael train` wrote it") from error
    of(spec.data).refuse_misfit(spec.data, str(path))
    return spec
