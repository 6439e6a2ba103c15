"""`vael train`, and `vael sweep`, which trains with several weights of the divergence."""

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

from vael import domains, specs
from vael.cli.expecting import POINTS, Expecting
from vael.cli.judging import as_json, judge, refuse_draws, write_report
from vael.cli.options.parser import UsageError
from vael.cli.options.training import SweepOptions, TrainOptions
from vael.cli.progress import Bar, PlainLines
from vael.cli.results import domain_of
from vael.cli.scoring import too_few
from vael.cli.telling import answer, is_quiet, tell
from vael.cli.trivial import against_trivial, as_fields
from vael.cli.wording import duration, reasons, sentences, summary
from vael.counting import counted, reported
from vael.errors import SupportError
from vael.options.declaring import names_given
from vael.report import ReportInput
from vael.report.sweep import Point, numbers, write
from vael.specs import Prepared, Run, occupied
from vael.specs.archives import coding_of
from vael.specs.leaves import has_leaf, leaves
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


LATENT = 2  # so that the whole latent space can be drawn
IMPORTANCE_SAMPLES = 100
WITHOUT = ("--beta", "--terms")  # options of training that the points of a sweep differ in


def sweep(options: SweepOptions) -> int:
    """Train every point, then write the page."""
    fitting, say = options.asked.fitting, speaker(options.json)
    for name in names_given(fitting):
        if name in WITHOUT:
            raise UsageError(f"{name} has no place in a sweep; `vael sweep --help` lists what there is")
    asked: dict[str, Any] = options.asked.named
    usual = Path("runs") / f"{slug(specs.request(**asked).data)}-sweep-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder, samples = options.run or usual, options.importance_samples or IMPORTANCE_SAMPLES
    specs.refuse_used(folder)
    asked = sized(asked)
    wanted: dict[str, dict[str, Any]] = {label: {**asked, **what} for label, what in choices(options.betas)}
    prepared = {label: specs.prepare(specs.request(**one)) for label, one in wanted.items()}
    spec = next(iter(prepared.values())).spec
    say(f"Every point is {spec.recipe}, {spec.model.likelihood_name}, with {counted(spec.parameters, 'parameter')}")
    with Expecting("Training", silent=options.json, nouns=POINTS, counts=False) as time:
        labels = reported([(label,) for label in prepared], time.tell)
        points = [trained(folder, label, prepared[label], samples, say) for (label,) in labels]
    page = write(folder, points, f"{points[0].judged.data}: what the terms of the loss do")
    for point in points:
        judged = point.judged
        what = "bound" if judged.is_bound else "objective"
        say(
            f"{point.label:<20} {what} {judged.elbo:9.2f}   distortion {judged.distortion:8.2f}   rate "
            f"{judged.divergence:7.2f} nats"
        )
    say(f"\nSweep: {page}")
    if options.json:
        print(json.dumps({"sweep": str(page), "points": [numbers(point) for point in points]}))
    return 0


INDEPENDENT = {"autoregressive": "convolutional", "autoregressive-binary": "dense"}


def sized(asked: dict[str, Any]) -> dict[str, Any]:
    """With two latents where their number was not asked for, and the model that the data come to has one vector of
    them; several levels stay as they are recommended.

    A sweep is about what latents say, so where a model is recommended by which pixels tell of each other it is the one
    beside it by which they do not. Errors: those of `vael.specs.prepare`.
    """
    request = specs.request(**asked)
    if request.model is not None and request.latent is not None:
        return asked
    found = specs.prepare(request).spec
    if request.model is None and found.recipe in INDEPENDENT:
        asked = {**asked, "model": INDEPENDENT[found.recipe]}
    return {"latent": LATENT, **asked} if has_leaf(found.model, "latent") else asked


def choices(betas: tuple[float, ...]) -> Iterator[tuple[str, dict[str, object]]]:
    """What each point is called, and the options that make it: the least weight first."""
    yield "reconstruction only", {"terms": "reconstruction"}
    for beta in sorted(set(betas)):
        yield f"β = {beta:g}", {"beta": beta}
    yield "divergence only", {"terms": "divergence"}


def trained(folder: Path, label: str, prepared: Prepared, samples: int, say: Callable[[str], None]) -> Point:
    """Train one point in a run folder of its own, and judge it on the test split."""
    own = folder / label.replace(" = ", "-").replace("β", "beta").replace(" ", "-")
    say(f"{label} ...")
    specs.begin(prepared, own)
    run, _ = carried_out(prepared, own, False, say)
    record = ReportInput(run.model, prepared.splits, run.history, view=domains.of(prepared.splits.train))
    # pyrefly: ignore[bad-argument-type]  (a model with a weight of its divergence is judged by draws)
    return Point(label, record, judge(run, importance_samples=samples))
