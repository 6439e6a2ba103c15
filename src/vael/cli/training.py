"""`vael train`."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vael import specs
from vael.cli.judging import as_json, judge, refuse_draws, write_report
from vael.cli.options.parser import UsageError
from vael.cli.options.training import TrainOptions
from vael.cli.progress import Bar, PlainLines
from vael.cli.results import domain_of
from vael.cli.scoring import too_few
from vael.cli.telling import answer, is_quiet, tell
from vael.cli.trivial import against_trivial, as_fields
from vael.cli.wording import duration, reasons, sentences, summary
from vael.counting import counted
from vael.errors import SupportError
from vael.specs import Prepared, Run, occupied
from vael.specs.archives import coding_of
from vael.specs.leaves import leaves
from vael.training import Fit
from vael.training.history import METRICS, read_rows
from vael.training.tracking import FOLDER, TRACKERS, Tracked, Tracker, refuse_missing

INTERRUPTED = 130


def train(options: TrainOptions) -> int:
    """Choose, say, train, judge, report."""
    refuse_missing(options.track)
    say, asked = speaker(options.json), options.asked.named
    with occupied(options.run, options.resume):
        begin = resumed if options.resume else started
        draws = ["--importance-samples"] * (options.importance_samples is not None)
        prepared, folder, resumes = begin(asked, options.run, draws)
        describe(prepared, folder, resumes, say)
        run, fit = carried_out(prepared, folder, resumes, say, options.track)
    if fit.interrupted:
        return interrupted(folder, fit)
    if leading():
        finish(run, fit, options, say)
    return 0


def leading() -> bool:
    """Whether this process is the one that prints and writes."""
    return os.environ.get("RANK", "0") == "0"


def speaker(json_wanted: bool) -> Callable[[str], None]:
    """What prints a line for a person: on standard output, or beside the one JSON object on standard error."""
    stream = sys.stderr if json_wanted else sys.stdout
    return (lambda line: tell(line, file=stream)) if leading() else lambda line: None


def started(options: Mapping[str, Any], folder: Path | None, draws: Sequence[str]) -> tuple[Prepared, Path, bool]:
    """A new run, with run.json in its folder.

    Errors: those of `specs.prepare`, and for `draws` that were asked for of a model without; nothing is written then.
    """
    asked = specs.request(**options)
    if leading() and folder is not None:
        specs.refuse_used(folder)
    prepared = specs.prepare(asked)
    refuse_draws(prepared.model, prepared.spec.recipe, draws)
    usual = Path("runs") / f"{slug(asked.data or prepared.spec.data.source)}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder = folder or (specs.new_folder(usual) if leading() else usual)
    specs.begin(prepared, folder)
    return prepared, folder, False


def slug(data: str) -> str:
    """The name of some data as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", Path(data).stem).strip("-").lower() or "data"


def resumed(options: Mapping[str, Any], folder: Path | None, draws: Sequence[str]) -> tuple[Prepared, Path, bool]:
    """The run of a folder, to go on with.

    Errors: `UsageError` where no folder was given, `StateError` for options that contradict it.
    """
    if folder is None:
        raise UsageError("--resume needs the folder of the run to go on with; give it by --run DIR")
    prepared = specs.restart(folder, options)
    refuse_draws(prepared.model, prepared.spec.recipe, draws)
    return prepared, folder, specs.has_checkpoint(folder)


def describe(prepared: Prepared, folder: Path, resumes: bool, say: Callable[[str], None]) -> None:
    """Say what will be trained, on what, and why."""
    say(f"{'Going on with' if resumes else 'Training'} {folder}")
    lines = [f"  {line}" for line in summary(prepared.spec)] + reasons(prepared.reasons)
    for line in [*lines, *(f"  warning: {line}" for line in refusals(prepared))]:
        say(line)


def refusals(prepared: Prepared) -> list[str]:
    """What other commands will refuse of this run, and what to do about it: said before the time that training
    takes.
    """
    if domain_of(prepared).in_time(prepared.spec.data):
        return []
    found, few = [], too_few(prepared.splits)
    if few:
        found.append(f"`vael score` will refuse this run: {few}")
    if prepared.spec.data.columns:  # a table: of densities of images and arrays nobody expects an archive
        try:
            coding_of(prepared.spec).refuse_densities(prepared.spec.model)
        except SupportError as error:
            found.append(f"`vael compress` will refuse this run: {error}")
    return found


def carried_out(
    prepared: Prepared, folder: Path, resumes: bool, say: Callable[[str], None], track: Sequence[str] = ()
) -> tuple[Run, Fit]:
    """Train, with a live bar on a terminal and plain lines elsewhere, and tell the trackers."""
    with ExitStack() as open_ones:
        trackers = [open_ones.enter_context(one) for one in trackers_of(prepared, folder, track)]
        watcher = watch(say, prepared.spec.training.time_limit)
        open_ones.callback(watcher.close)
        return specs.carry_out(prepared, folder, resume=resumes, callbacks=(watcher, *trackers))


def trackers_of(prepared: Prepared, folder: Path, names: Sequence[str]) -> Iterator[Tracker]:
    """Trackers by their names, which know the settings of the run and nothing of its data but their name."""
    spec = prepared.spec
    known = {"data": spec.data.name, "recipe": spec.recipe, "parameters": spec.parameters}
    for part in ("model", "algorithm"):
        known |= {f"{part}.{path}": value for path, value in leaves(getattr(spec, part))}
    known |= {f"training.{name}": value for name, value in spec.training}
    settings = {name: value if isinstance(value, int | float) else str(value) for name, value in known.items()}
    for name in dict.fromkeys(names if leading() else ()):
        yield TRACKERS[name](Tracked(folder.name, folder / FOLDER, settings, read_rows(folder / METRICS)))


def watch(say: Callable[[str], None], time_limit: float | None) -> Bar | PlainLines:
    """A bar where there is a terminal to draw it on."""
    live = not is_quiet() and sys.stdout.isatty() and leading() and os.environ.get("TERM") != "dumb"
    return Bar(sys.stdout, time_limit) if live else PlainLines(say, time_limit)


def interrupted(folder: Path, fit: Fit) -> int:
    """Say where the checkpoint is."""
    if leading():
        answer(
            f"vael: interrupted at step {fit.steps:,}; a checkpoint is written: go on with `vael train --run {folder} "
            "--resume`",
            file=sys.stderr,
        )
    return INTERRUPTED


def finish(run: Run, fit: Fit, options: TrainOptions, say: Callable[[str], None]) -> None:
    """Judge the best weights on the test split, write the report, print the numbers."""
    say(f"\nTraining ended after {counted(fit.steps, 'step')} and {duration(fit.seconds)}: {fit.stopped}.")
    what = "bound" if fit.is_bound else "objective"
    kept = "they are" if fit.kept_step == fit.best_step else f"those of step {fit.kept_step:,} are"
    began = run.spec.start is not None and not fit.best_step
    best = (
        "The weights that the run began with stayed best"
        if began
        else f"The weights of step {fit.best_step:,} were best"
    )
    say(f"{best} on the validation split, {what} {fit.best_elbo:.2f}; {kept} kept, and judged now.\n")
    judged = judge(run, importance_samples=options.importance_samples, say=say)
    trivial = against_trivial(run, judged, run.split()[1])
    for line in (*(() if trivial is None else trivial.lines), *sentences(judged, run.spec)):
        say(line)
    report = write_report(run, judged) if options.report else None
    say(f"\nRun folder: {run.folder}" + (f"\nReport:     {report}" if report else ""))
    if options.json:
        record = {
            "run": str(run.folder),
            "report": report and str(report),
            "stopped": fit.stopped,
            "steps": fit.steps,
            "epochs": fit.epochs,
            "parameters": run.spec.parameters,
            "training_seconds": fit.seconds,
            "skipped": fit.skipped,
            "validation_elbo" if fit.is_bound else "validation_objective": fit.best_elbo,
            "best_step": fit.best_step,
            "evaluation": as_json(judged, run),
        }
        print(json.dumps(record | as_fields(trivial)))
