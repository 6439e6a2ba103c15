"""Run folders: a model with the story of how it came to be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from torch import Tensor

from vael import domains, files, training
from vael.data import Source, Splits
from vael.data.conditioning.conditions import Condition, FileCondition, rows_in
from vael.errors import FormatError, StateError
from vael.models import Model
from vael.parts import trusting
from vael.specs.asked import request
from vael.specs.configuring import WEIGHTS, begun_with, load_weights, prepare, refuse_misfit, start_in, write_start
from vael.specs.contamination import LeftOut, left_out, strangest
from vael.specs.preparing import Prepared, build_model, prepare_again
from vael.specs.reading import splits_of
from vael.specs.resuming import changed, trusted
from vael.specs.sizes import hollow
from vael.specs.spec import FILE, RunSpec, read_spec, write_spec
from vael.specs.using import TrainedRun
from vael.stored import present, read_bytes
from vael.tables.as_text.output import cell_file
from vael.tables.given import as_table
from vael.training import Callback, Fit, Row, distributed
from vael.training.checkpoint import KEPT, STATE, read_header, unlike, write_tensors
from vael.training.history import METRICS, read_rows
from vael.training.place import held
from vael.visible import html_table

ROWS = "data.parquet"  # rows that were in memory when a run was trained on them
MOST_ALIKE = 10_000  # folders of one name but for a number
AGAIN = 3  # times that a run is read anew whose files change while they are read


@dataclass(frozen=True)
class Run(TrainedRun):
    """A trained model, what it is, and its curves. `folder` is None for a run that was kept in memory only."""

    history: tuple[Row, ...]
    folder: Path | None = None
    left_out: LeftOut | None = None  # rows that were taken to be strange, and not learned from

    def _repr_html_(self) -> str:
        """What it is, what it was trained on and how it stood at the end."""
        data, last = self.spec.data, next((row for row in reversed(self.history) if row.split != "train"), None)
        sizes = {"training": data.train, "validation": data.held_out, "test": data.test}
        rows = [
            ("data", f"{data.name}: {domains.of(data).told(data)}"),
            ("examples", ", ".join(f"{one.examples:,} {name}" for name, one in sizes.items() if one is not None)),
            ("model", f"{self.spec.recipe}, {self.spec.model.likelihood_name}"),
            ("parameters", self.spec.parameters),
            *([] if last is None else [(f"validation {last.called}", f"{last.elbo:,.2f} at epoch {last.epoch:,}")]),
            ("folder", self.folder or "none: in memory only"),
            *(("note", note) for note in data.notes),
        ]
        return html_table("A trained run of vael", rows)

    def inside(self, name: str = "") -> Path:
        """The path of a file in the run's folder. Errors: `StateError` for a run that has none."""
        if self.folder is None:
            raise StateError("this run was kept in memory only, so it has no folder; train with run= to have one")
        return self.folder / name

    def condition(self, values: Mapping[str, object] | None = None, /, **named: object) -> Tensor:
        """C from a value for everything that the model is conditioned on, `[features]`: for `model.at(c)`, or as the
        `context` of `model.sample` and `model.decode`.

        >>> run.model.at(run.condition(label=7)).sample(16, generator=noise)  # doctest: +SKIP

        Errors: `StateError` for a model without a condition, for a name that it does not have or that has no value, and
        for a value that it cannot have.
        """
        if self.spec.data.condition is None:
            raise StateError("this model is conditioned on nothing; train one with condition_on=")
        return self.spec.data.condition.encode({**(values or {}), **named})

    def beside(self, conditions: object) -> Run:
        """The run for data whose conditions are in an array beside them, of a model that was conditioned on such.

        `conditions` are the path of an `.npy` file or an array in memory, with a row for each row of the data that
        `score`, `encode` ... are given then, or of the examples that `sample` draws.

        >>> run.beside("new-conditions.npy").score("new.csv")  # doctest: +SKIP

        Errors: `StateError` for a model that was conditioned on something else, `FormatError` for what is no array of
        numbers, `ShapeError` for another number of columns.
        """
        learned = self.spec.data.condition and self.spec.data.condition.learned
        if not isinstance(learned, FileCondition):
            told = f"conditioned on {learned.told}, which data tell themselves" if learned else "conditioned on nothing"
            raise StateError(f"the model is {told}, so no array of conditions can be given; leave it out")
        return self._conditioned(learned.with_rows(rows_in(conditions)))

    @property
    def alone(self) -> Run:
        """The run without an array of conditions that was given."""
        return self._conditioned(self.spec.data.condition and self.spec.data.condition.learned)

    def _conditioned(self, condition: Condition | None) -> Run:
        data = self.spec.data.model_copy(update={"condition": condition})
        return replace(self, spec=self.spec.model_copy(update={"data": data}))

    def splits(self) -> Splits:
        """The data of the run, loaded anew, without the rows that were left out of it.

        Errors: `StateError` if they changed since.
        """
        splits = splits_of(self.spec)
        return splits if self.left_out is None else self.left_out.without(splits)

    def split(self, name: str | None = None) -> tuple[str, Source]:
        """A split of the data by name and the name; None: test where there is one, else validation.

        Errors: `StateError` where it is missing.
        """
        splits = self.splits()
        name = name or ("test" if splits.test else "validation")
        source = getattr(splits, name)
        if source is None:
            raise StateError(f"{self.spec.data.name} has no test split; use the validation split instead")
        return name, source


def build(spec: RunSpec) -> Model:
    """The model of a spec with weights drawn from the run's seed; shifts and scales of the data wait for the
    weights to be loaded.
    """
    return build_model(spec.model, spec.data, spec.training.seed)


def load(folder: Path | str) -> Run:
    """The run in a folder that `vael train` wrote; its model carries the best averaged weights and is in evaluation
    mode.

    Errors: `FormatError` for a folder that holds no run, or files in it that are damaged or do not fit each other;
    `StateError` for a run that has no weights yet.
    """
    folder = Path(folder)
    spec = read_spec(folder)
    if not present(folder / WEIGHTS):
        raise StateError(
            f"{folder} has no {WEIGHTS} yet: training never got to write one; go on with `vael train --run {folder} "
            "--resume`"
        )
    for _ in range(AGAIN):
        try:
            return _loaded(spec, folder)
        except FormatError:  # a run that trains in the meantime writes both files, one after the other
            before, spec = spec, read_spec(folder)
            if spec == before:
                raise
    return _loaded(spec, folder)


def _loaded(spec: RunSpec, folder: Path) -> Run:
    path, where = folder / WEIGHTS, str(folder / FILE)
    header = read_header(path)
    refuse_misfit(path, unlike(hollow(spec, header, where).state_dict(), header.shapes))
    model = build(spec)
    load_weights(model, path, spec.weights_sha256)
    return Run(spec, model.eval(), read_rows(folder / METRICS), folder, left_out(folder))


def begin(prepared: Prepared, folder: Path | None) -> None:
    """Make the run folder, with run.json in it.

    Errors: `StateError` if there is something in it already, or another process is at it.
    """
    if folder is None or distributed.rank():
        return
    refuse_used(folder)
    files.make_folder(folder)
    with held(folder):
        refuse_used(folder)
        write_start(folder, prepared.spec, prepared.weights)
        write_spec(folder, prepared.spec)


def new_folder(wanted: Path) -> Path:
    """A folder of that name, or with a number after it where there is one already: made here, so that no other
    process gets the same.
    """
    for number in range(1, MOST_ALIKE):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        if files.claim_folder(folder):
            return folder
    raise StateError(f"{wanted} and {MOST_ALIKE:,} folders of such a name are there already; choose another folder")


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
    return present(folder / "checkpoint" / STATE)


def refuse_unlike(spec: RunSpec, folder: Path) -> None:
    """Errors: `FormatError` for a run.json whose model cannot be the one of the checkpoint, before it is built."""
    header = read_header(folder / "checkpoint" / STATE) if has_checkpoint(folder) else None
    model = hollow(spec, header, str(folder / FILE)).state_dict()
    best = {} if header is None else {name: header.shapes.get(f"{KEPT}.{name}", ()) for name in model}
    known = {name: shape for name, shape in best.items() if shape}
    refuse_misfit(folder / "checkpoint" / STATE, unlike({name: model[name] for name in known}, known))


def restart(folder: Path, changes: Mapping[str, object] | None = None) -> Prepared:
    """The run of a folder, ready to go on; `changes` are options given anew, of which only the length of the run may
    differ.

    Errors: `StateError` for another option that does not say what run.json says.
    """
    with trusting(*trusted(changes or {})):
        known_spec = read_spec(folder)
    spec = changed(known_spec, changes or {}).model_copy(
        update={"weights_sha256": None}
    )  # of the weights that are to be replaced
    refuse_unlike(spec, folder)
    prepared = prepare_again(spec)
    if spec.start is not None:
        prepared = begun_with(prepared, start_in(folder, spec))
    elif not has_checkpoint(folder):
        spec.model.start(prepared.model, prepared.splits.train)
    known = left_out(folder)
    prepared = prepared if known is None else replace(prepared, splits=known.without(prepared.splits))
    if distributed.rank() == 0:
        with held(folder):
            if not has_checkpoint(folder):
                (folder / METRICS).unlink(missing_ok=True)
            write_spec(folder, spec)
    return prepared


def carry_out(
    prepared: Prepared, folder: Path | None = None, *, resume: bool = False, callbacks: Sequence[Callback] = ()
) -> tuple[Run, Fit]:
    """Train, and give the run with how training went; where a share of the data is said not to belong, train twice, the
    second time without it.

    Errors: `StateError` where another process trains in the folder.
    """
    with held(folder if distributed.rank() == 0 else None):
        gone = None if folder is None else left_out(folder)
        if prepared.spec.data.contamination and gone is None:
            fit = training.run(prepared.algorithm, prepared.splits, prepared.resolved, callbacks=callbacks)
            if fit.interrupted:
                return Run(prepared.spec, prepared.model.cpu(), fit.history, folder), fit
            gone = strangest(prepared.model.cpu(), prepared.splits, prepared.spec.data.contamination)
            if folder is not None and distributed.rank() == 0:
                gone.write(folder)
            prepared = afresh(prepared, gone.without(prepared.splits))
        how, model, data, resolved = prepared.spec.algorithm, prepared.model, prepared.splits, prepared.resolved
        if not resume and prepared.weights is None:
            how.before(model, data, resolved)
        fit = training.run(prepared.algorithm, data, resolved, folder=folder, resume=resume, callbacks=callbacks)
        if not fit.interrupted and how.after(model, data, resolved) and folder is not None and distributed.rank() == 0:
            write_tensors(folder / WEIGHTS, model.state_dict(), {"step": fit.kept_step})
        model.cpu()  # the fit's own model, with the weights that are kept
        return Run(sealed(prepared.spec, folder), prepared.model, fit.history, folder, gone), fit


def sealed(spec: RunSpec, folder: Path | None) -> RunSpec:
    """The spec with the sha256 of the weights that were written last; at no moment does run.json tell of others
    than lie beside it.
    """
    if folder is None or distributed.rank():
        return spec
    whole = spec.model_copy(update={"weights_sha256": hashlib.sha256(read_bytes(folder / WEIGHTS)).hexdigest()})
    write_spec(folder, whole)
    return whole


def afresh(prepared: Prepared, splits: Splits) -> Prepared:
    """The same run on other rows, its model as it would begin on them."""
    spec = prepared.spec
    if prepared.weights is not None:
        model = build(spec)
        return begun_with(replace(prepared, splits=splits, model=model), prepared.weights)
    model = build_model(spec.model, spec.data, spec.training.seed, splits.train)
    spec.model.start(model, splits.train)
    return replace(prepared, splits=splits, model=model)


def train(
    data: object = None,
    *,
    run: Path | str | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] | None = None,
    **options: object,
) -> Run:
    """Train on data that are a name or a path (None: digits), and keep everything in the folder `run` if one is given;
    options as in `vael train`.

    A data frame (columns as a dictionary, a list of rows) is kept in that folder as data.parquet, where the run finds
    its rows again. On a terminal a line is said every few seconds, in a notebook a bar moves; `callbacks`
    (`vael.training.Callback`) are told in their place, and () says nothing.

    >>> run = vael.train("digits", epochs=20, latent=8, run="runs/first")  # doctest: +SKIP

    Errors: as the command: `FormatError`, `SupportError`, `StateError`, each with a way out.
    """
    folder = None if run is None else Path(run)
    with occupied(folder, resume):
        if data is None or isinstance(data, str | Path):
            return _train(data, folder, resume, callbacks, options)
        prepared = _prepared_on_rows(as_table(data), folder, resume, options)
        return carry_out(prepared, folder, callbacks=_listeners(callbacks))[0]


def _listeners(given: Sequence[Callback] | None) -> Sequence[Callback]:
    """Those given; where nothing is said of them, lines on a terminal."""
    return training.on_terminal() if given is None else given


def _prepared_on_rows(rows: pa.Table, folder: Path | None, resume: bool, options: Mapping[str, object]) -> Prepared:
    """A run on rows in memory, which lie in its folder from now on.

    Errors: `StateError` without a folder, or for a run that has its rows.
    """
    if folder is None:
        raise StateError(
            "rows in memory have no path by which the run would find them again; give run=FOLDER, in which they are "
            "kept as "
            f"{ROWS}, or save them and give their path"
        )
    if resume:
        raise StateError(f"{folder} has the rows that it is trained on; resume without giving data")
    refuse_used(folder)
    with files.new_folder(folder) as place:
        with cell_file(place / ROWS) as file:
            file.add(rows)
        prepared = prepare(request(place / ROWS, **options))
        data = prepared.spec.data.model_copy(update={"source": str((folder / ROWS).absolute())})
        prepared = replace(prepared, spec=prepared.spec.model_copy(update={"data": data}))
        write_start(place, prepared.spec, prepared.weights)
        write_spec(place, prepared.spec)
    return prepared


@contextmanager
def occupied(folder: Path | None, resume: bool) -> Iterator[None]:
    """A block in which no other process trains in the folder of a run that is to go on; a new run holds its folder
    once it is made.
    """
    there = resume and folder is not None and folder.is_dir() and distributed.rank() == 0
    with held(folder if there else None):
        yield


def _train(
    data: str | Path | None,
    folder: Path | None,
    resume: bool,
    callbacks: Sequence[Callback] | None,
    options: Mapping[str, object],
) -> Run:
    if resume:
        if folder is None:
            raise StateError("resume needs the folder of the run to go on with; give it as run=")
        request(data, **options)  # so that an unknown option is refused as such
        prepared, resumes = (
            restart(folder, options if data is None else {"data": str(data), **options}),
            has_checkpoint(folder),
        )
    else:
        prepared, resumes = prepare(request(data, **options)), False
        begin(prepared, folder)
    return carry_out(prepared, folder, resume=resumes, callbacks=_listeners(callbacks))[0]
