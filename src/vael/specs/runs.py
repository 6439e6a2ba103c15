"""Run folders: a model with the story of how it came to be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from vael import training
from vael.data import Source, Splits
from vael.errors import FormatError, StateError
from vael.models import VAE
from vael.specs.contamination import LeftOut, left_out, strangest
from vael.specs.names import STARTS
from vael.specs.request import Prepared, as_request, build_model, canonical, prepare, prepare_again, request, splits_of
from vael.specs.spec import RunSpec, read_spec, write_spec
from vael.training import Callback, Fit, Row, distributed, read_row
from vael.training.checkpoint import STATE, read_tensors

WEIGHTS, METRICS = "model.safetensors", "metrics.jsonl"
LENGTH = {"epochs", "time_limit", "patience"}  # what a run that goes on may change


@dataclass(frozen=True)
class Run:
    """A trained model, what it is, and its curves. `folder` is None for a run that was kept in memory only."""

    spec: RunSpec
    model: VAE
    history: tuple[Row, ...]
    folder: Path | None = None
    left_out: LeftOut | None = None  # rows that were taken to be strange, and not learned from

    def inside(self, name: str = "") -> Path:
        """The path of a file in the run's folder. Errors: `StateError` for a run that has none."""
        if self.folder is None:
            raise StateError("this run was kept in memory only, so it has no folder; train with run= to have one")
        return self.folder / name

    def splits(self) -> Splits:
        """The data of the run, loaded anew, without the rows that were left out of it. Errors: `StateError` if they changed since."""
        splits = splits_of(self.spec)
        return splits if self.left_out is None else self.left_out.without(splits)

    def split(self, name: str | None = None) -> tuple[str, Source]:
        """A split of the data by name and the name; None: test where there is one, else validation. Errors: `StateError` where it is missing."""
        splits = self.splits()
        name = name or ("test" if splits.test else "validation")
        source = getattr(splits, name)
        if source is None:
            raise StateError(f"{self.spec.data.name} has no test split; use the validation split instead")
        return name, source


def build(spec: RunSpec) -> VAE:
    """The model of a spec with weights drawn from the run's seed; shifts and scales of the data wait for the weights to be loaded."""
    return build_model(spec.model, spec.data, spec.training.seed)


def load(folder: Path | str) -> Run:
    """The run in a folder that `vael train` wrote; its model carries the best averaged weights and is in evaluation mode.

    Errors: `FormatError` for a folder that holds no run, or files in it that are damaged or do not fit each other; `StateError` for a
    run that has no weights yet.
    """
    folder = Path(folder)
    spec = read_spec(folder)
    if not (folder / WEIGHTS).exists():
        raise StateError(f"{folder} has no {WEIGHTS} yet: training never got to write one; go on with `vael train --run {folder} --resume`")
    model = build(spec)
    fill(model, folder / WEIGHTS)
    return Run(spec, model.eval(), read_history(folder), folder, left_out(folder))


def fill(model: torch.nn.Module, path: Path) -> None:
    """Copy weights from a file. Errors: `FormatError` if the file is damaged, or its weights do not fit the model."""
    found, _ = read_tensors(path)
    wanted = model.state_dict()
    trouble = misfit(wanted, found)
    if trouble:
        raise FormatError(f"{path} does not fit run.json: {trouble}; bring back the two files that were written together")
    model.load_state_dict(found)


def misfit(wanted: dict[str, Tensor], found: dict[str, Tensor]) -> str:
    """What is wrong with weights, or nothing."""
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            return f"it lacks {name}"
        if name not in wanted:
            return f"it has {name}, which the model has not"
        if wanted[name].shape != found[name].shape:
            return f"{name} has shape {tuple(found[name].shape)} and should have {tuple(wanted[name].shape)}"
        if not torch.isfinite(found[name]).all():
            return f"{name} has values that are not finite"
    return ""


def read_history(folder: Path) -> tuple[Row, ...]:
    """The rows of metrics.jsonl; a last line that was cut short by a crash is left out. Errors: `FormatError` for another bad line."""
    path = folder / METRICS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(read_row(json.loads(line)))
        except (TypeError, ValueError) as error:
            if number < len(lines):
                raise FormatError(f"{path}, line {number}, is no row of metrics ({error}); restore the file, or remove that line") from error
    return tuple(rows)


def begin(prepared: Prepared, folder: Path | None) -> None:
    """Make the run folder, with run.json in it. Errors: `StateError` if there is something in it already."""
    if folder is None or distributed.rank():
        return
    refuse_used(folder)
    write_spec(folder, prepared.spec)


def refuse_used(folder: Path) -> None:
    """Errors: `StateError` for a folder that holds something, `FormatError` for a file."""
    if folder.exists() and not folder.is_dir():
        raise FormatError(f"{folder} is a file; give the name of a folder that is yet to be made")
    if folder.is_dir() and any(folder.iterdir()):
        held = "a run" if (folder / "run.json").exists() else "other files"
        way = "go on with it (--resume), or choose" if held == "a run" else "choose"
        raise StateError(f"{folder} holds {held} already; {way} another folder")


def has_checkpoint(folder: Path) -> bool:
    """Whether there is something to go on from: a run killed before its first checkpoint begins from its start."""
    return (folder / "checkpoint" / STATE).exists()


def restart(folder: Path, changes: Mapping[str, object] | None = None) -> Prepared:
    """The run of a folder, ready to go on; `changes` are options given anew, of which only the length of the run may differ.

    Errors: `StateError` for another option that does not say what run.json says.
    """
    spec = changed(read_spec(folder), changes or {})
    prepared = prepare_again(spec)
    known = left_out(folder)
    prepared = prepared if known is None else replace(prepared, splits=known.without(prepared.splits))
    if distributed.rank() == 0:
        if not has_checkpoint(folder):
            (folder / METRICS).unlink(missing_ok=True)
        write_spec(folder, spec)
    return prepared


def changed(spec: RunSpec, changes: Mapping[str, object]) -> RunSpec:
    """The spec with another length. Errors: `StateError` for another difference."""
    before = as_request(spec)
    for name, value in changes.items():
        known = getattr(before, name)
        if name not in LENGTH and canonical(name, value) != known:
            raise StateError(f"{name.replace('_', '-')} is {known} in run.json, but {value} was given; resume without it, or start another run")
    lengths = {name: value for name, value in changes.items() if name in LENGTH}
    return spec.model_copy(update={"training": spec.training.model_copy(update=lengths)})


def carry_out(prepared: Prepared, folder: Path | None = None, *, resume: bool = False, callbacks: Sequence[Callback] = ()) -> tuple[Run, Fit]:
    """Train, and give the run with how training went; where a share of the data is said not to belong, train twice, the second time without it."""
    gone = None if folder is None else left_out(folder)
    if prepared.spec.data.contamination and gone is None:
        fit = training.run(prepared.algorithm, prepared.splits, prepared.resolved, callbacks=callbacks)
        if fit.interrupted:
            return Run(prepared.spec, prepared.model.cpu(), fit.history, folder), fit
        gone = strangest(prepared.model.cpu(), prepared.splits, prepared.spec.data.contamination)
        if folder is not None and distributed.rank() == 0:
            gone.write(folder)
        prepared = afresh(prepared, gone.without(prepared.splits))
    fit = training.run(prepared.algorithm, prepared.splits, prepared.resolved, folder=folder, resume=resume, callbacks=callbacks)
    prepared.model.cpu()  # the fit's own model, with the weights that are kept
    return Run(prepared.spec, prepared.model, fit.history, folder, gone), fit


def afresh(prepared: Prepared, splits: Splits) -> Prepared:
    """The same run on other rows, its model as it would begin on them."""
    spec = prepared.spec
    model = build_model(spec.model, spec.data, spec.training.seed, splits.train)
    if spec.model.recipe in STARTS:
        STARTS[spec.model.recipe](model, splits.train)
    return replace(prepared, splits=splits, model=model)


def train(
    data: str | Path | None = None, *, run: Path | str | None = None, resume: bool = False, callbacks: Sequence[Callback] = (), **options: object
) -> Run:
    """Train on data that are a name or a path (None: digits), and keep everything in the folder `run` if one is given; options as in `vael train`.

    >>> run = vael.train("digits", epochs=20, latent=8, run="runs/first")  # doctest: +SKIP

    Errors: as the command: `FormatError`, `SupportError`, `StateError`, each with a way out.
    """
    folder = None if run is None else Path(run)
    if resume:
        if folder is None:
            raise StateError("resume needs the folder of the run to go on with; give it as run=")
        request(data or "digits", **options)  # so that an unknown option is refused as such
        prepared, resumes = restart(folder, options if data is None else {"data": str(data), **options}), has_checkpoint(folder)
    else:
        prepared, resumes = prepare(request(data or "digits", **options)), False
        begin(prepared, folder)
    return carry_out(prepared, folder, resume=resumes, callbacks=callbacks)[0]
