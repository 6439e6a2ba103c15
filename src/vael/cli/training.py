"""`vael train`."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vael.cli.parser import Parser, UsageError, number, one_of, share_or_test, side_or_sides, sizes
from vael.cli.places import Given, given_path
from vael.cli.telling import answer, is_quiet, tell
from vael.counting import counted

if TYPE_CHECKING:
    from vael.cli.progress import Bar, PlainLines
    from vael.specs import Prepared, Run
    from vael.training import Fit

INTERRUPTED = 130
OUTSIDE = {"run", "resume", "json", "report", "importance_samples"}  # options that are not part of a run's spec


def train_options(parser: Parser) -> None:
    """Everything that `vael train` takes."""
    parser.epilog = (
        "What is left open is chosen from the data and the machine, said before training starts, and kept in "
        "run.json.\n"
        "Several processes or GPUs: torchrun --nproc-per-node=2 -m vael -- train DATA --run DIR"
    )
    parser.usage = "vael train [DATA] [options]"
    parser.reads(
        "data", nargs="?", metavar="DATA", help="a name (`vael data list`) or the path of your own data; default digits"
    )
    parser.writes(
        "--run",
        metavar="DIR",
        type=Path,
        files=run_folder,
        folder=True,
        help="folder of the run; default runs/DATA-TIME",
    )
    parser.option("--resume", action="store_true", help="go on with the run in --run from its last checkpoint")
    _model_options(parser)
    _data_options(parser)
    _training_options(parser)
    _machine_options(parser)
    _output_options(parser)


def run_folder(given: Given) -> list[Path]:
    """The folder of the run, or the one that runs are put into."""
    return [given_path(given, "run") or Path("runs") / "new"]


def _model_options(parser: Parser) -> None:
    whole = number(int, 1)
    parser.heading("model")
    parser.option("--model", metavar="RECIPE", help="network by name (`vael models`)")
    parser.option("--likelihood", metavar="NAME", help="likelihood by name (`vael models`)")
    parser.option("--prior", metavar="NAME", help="prior by name (`vael models`)")
    parser.option("--posterior", metavar="NAME", help="posterior by name (`vael models`)")
    parser.option("--latent", metavar="N", type=whole, help="number of latents")
    parser.option("--components", metavar="N", type=whole, help="components of a mixture")
    parser.option(
        "--hidden", metavar="N,N", type=sizes, help="hidden sizes of a dense network, from the data inwards: 400,400"
    )
    parser.option(
        "--channels",
        metavar="N,N",
        type=sizes,
        help="channels of a convolutional network, from the image inwards: 64,128,256",
    )
    parser.option(
        "--blocks", metavar="N", type=whole, help="residual blocks at every resolution, of the recipe residual"
    )
    parser.option(
        "--correlated",
        action=argparse.BooleanOptionalAction,
        help="posterior with full covariance, or with independent latents; default by the data",
    )
    parser.names += ["--no-correlated"]
    parser.reads(
        "--config",
        metavar="FILE",
        called="the run that is repeated",
        help="a run.json, or the folder of a run: train that run again, on its data unless DATA is given",
    )
    parser.option(
        "--set",
        metavar="LEAF=VALUE",
        action="append",
        help="any leaf of model, algorithm or training as run.json has it: model.network.hidden=300,100; may be "
        "repeated",
    )
    parser.option(
        "--trust",
        metavar="MODULE",
        action="append",
        help="a module whose parts may be imported and run (model parts named module:Class); may be repeated",
    )


def _data_options(parser: Parser) -> None:
    whole = number(int, 1)
    parser.heading("data")
    parser.option(
        "--binarize",
        metavar="HOW",
        type=one_of("dynamic", "static", "threshold"),
        help="grey values to 0 and 1: dynamic, static, threshold",
    )
    parser.option(
        "--dequantize", action="store_true", help="add uniform noise to integers, for a continuous likelihood"
    )
    parser.option(
        "--size",
        metavar="N|HxW",
        type=side_or_sides,
        help="side, or height and width, that images of a folder are resized to",
    )
    parser.option("--skip-damaged", action="store_true", help="leave images out that cannot be decoded, and say so")
    parser.option(
        "--validation",
        metavar="SHARE",
        type=share_or_test,
        help="set aside for validation: a share below 1, or a count; test: the test split serves",
    )
    parser.option(
        "--test",
        metavar="SHARE",
        type=number(float, 0, above=True),
        help="set aside for the test: a share below 1, or a count",
    )
    parser.option(
        "--levels",
        metavar="N",
        type=number(int, 2),
        help="values that a pixel can have, 4096 for 12 bits; default by the largest of the data",
    )
    parser.option(
        "--contamination",
        metavar="SHARE",
        type=number(float, 0, most=0.49),
        help="of the rows that do not belong: train, leave the strangest out, train again; default 0",
    )
    parser.option(
        "--sequence",
        metavar="COLUMN",
        nargs="?",
        const=True,
        help="the data are sequences: name the column of times; for an .npy [examples, time, channels] give no name, "
        "and the option after the data",
    )
    parser.option("--id", metavar="COLUMN", help="column that says which series a row belongs to; default one series")
    parser.option(
        "--window", metavar="N", type=number(int, 2), help="steps of an example; default by the length of the series"
    )
    parser.option(
        "--stride",
        metavar="N",
        type=whole,
        help="steps from one window of training to the next; default a quarter of a window",
    )
    parser.reads(
        "--condition-on",
        metavar="WHAT",
        called="the conditions themselves",
        help="model p(x | c): label (the class of each example), COLUMN,COLUMN of a table, or an array FILE.npy with a "
        "row for each example",
    )
    parser.reads(
        "--schema",
        metavar="FILE",
        called="the schema itself",
        help="what the columns of a table are (JSON; `vael data info TABLE --schema FILE` writes one)",
    )


def _training_options(parser: Parser) -> None:
    whole = number(int, 1)
    parser.heading("training")
    parser.option("--epochs", metavar="N", type=whole, help="passes over the data; default from the size of the data")
    parser.option(
        "--time-limit",
        metavar="SECONDS",
        type=number(float, 0, above=True),
        help="end after so long, with the schedule fitted to it",
    )
    parser.option(
        "--patience", metavar="N", type=whole, help="end after so many epochs without a better validation bound"
    )
    parser.option(
        "--batch",
        metavar="N",
        type=whole,
        help="examples per step, over all processes; default 128, or 256 for dense networks and many examples",
    )
    parser.option("--optimizer", metavar="NAME", help="by name (`vael models`); default adamw")
    parser.option(
        "--schedule",
        metavar="NAME",
        type=one_of("warmup-cosine", "constant"),
        help="learning rate: warmup-cosine (default) or constant",
    )
    parser.option(
        "--keep",
        metavar="WHICH",
        type=one_of("best", "last"),
        help="weights that are kept: of the best validation (default), or of the last step",
    )
    parser.option(
        "--average",
        metavar="DECAY",
        type=number(float, 0, most=0.999999),
        help="decay per step of the averaged weights that are kept; 0 keeps the weights themselves; default 0.999",
    )
    parser.option(
        "--lr",
        metavar="RATE",
        type=number(float, 0, above=True),
        help="learning rate; default by the recipe, 0.001 or 0.004",
    )
    parser.option(
        "--weight-decay",
        metavar="RATE",
        type=number(float, 0),
        help="decoupled weight decay; default by the recipe, 0 or 0.1",
    )
    parser.option("--objective", metavar="NAME", help="what is climbed, by name (`vael models`)")
    parser.option("--estimator", metavar="NAME", help="closed-form (default), sampled or importance-weighted")
    parser.option(
        "--samples", metavar="N", type=whole, help="latent samples per example; default 1, importance-weighted 5"
    )
    parser.option("--beta", metavar="B", type=number(float, 0), help="weight of the divergence; default 1")
    parser.option(
        "--terms",
        metavar="WHICH",
        type=one_of("both", "reconstruction", "divergence"),
        help="terms of the bound that are climbed; default both",
    )
    parser.option(
        "--warmup",
        metavar="SHARE",
        type=number(float, 0, most=0.99),
        help="share of training in which it rises from 0; default by the recipe, 0 or 0.2",
    )
    parser.option("--seed", metavar="N", type=number(int, 0), help="seed of weights, order and noise; default 0")


def _machine_options(parser: Parser) -> None:
    whole = number(int, 1)
    parser.heading("machine")
    parser.option("--device", metavar="NAME", help="cpu, cuda, cuda:1, ...; default the GPU where there is one")
    parser.option(
        "--precision",
        metavar="NAME",
        help="float32 or bfloat16 in networks; default $VAEL_PRECISION, else what the processor has units for",
    )
    parser.option("--threads", metavar="N", type=whole, help="threads of the processor")
    parser.option(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="compile the training step, or do not; default where it pays",
    )


def _output_options(parser: Parser) -> None:
    whole = number(int, 1)
    parser.heading("output")
    parser.option(
        "--importance-samples",
        metavar="K",
        type=whole,
        help="samples of the final estimate of log p(x); default 100 to 1,000 by cost",
    )
    parser.option("--no-report", dest="report", action="store_false", help="write no report.html")
    parser.option(
        "--json", action="store_true", help="print one JSON object on standard output, all else on standard error"
    )
    parser.names += ["--no-compile"]


def train(given: argparse.Namespace) -> int:
    """Choose, say, train, judge, report."""
    from vael.specs import occupied

    options: dict[str, Any] = vars(given)
    outside = {name: options.pop(name) for name in OUTSIDE & options.keys()}

    say = speaker(bool(outside.get("json")))
    with occupied(outside.get("run"), bool(outside.get("resume"))):
        begin = resumed if outside.get("resume") else started
        prepared, folder, resumes = begin(options, outside.get("run"))
        describe(prepared, folder, resumes, say)
        run, fit = carried_out(prepared, folder, resumes, say)
    if fit.interrupted:
        return interrupted(folder, fit)
    if leading():
        finish(run, fit, outside, say)
    return 0


def leading() -> bool:
    """Whether this process is the one that prints and writes."""
    return os.environ.get("RANK", "0") == "0"


def speaker(json_wanted: bool) -> Callable[[str], None]:
    """What prints a line for a person: on standard output, or beside the one JSON object on standard error."""
    stream = sys.stderr if json_wanted else sys.stdout
    return (lambda line: tell(line, file=stream)) if leading() else lambda line: None


def started(options: dict[str, Any], folder: Path | None) -> tuple[Prepared, Path, bool]:
    """A new run, with run.json in its folder. Errors: those of `specs.prepare`, before anything is written."""
    from vael import specs

    asked = specs.request(**options)
    if leading() and folder is not None:
        specs.refuse_used(folder)
    prepared = specs.prepare(asked)
    usual = Path("runs") / f"{slug(asked.data or prepared.spec.data.source)}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder = folder or (specs.new_folder(usual) if leading() else usual)
    specs.begin(prepared, folder)
    return prepared, folder, False


def slug(data: str) -> str:
    """The name of some data as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", Path(data).stem).strip("-").lower() or "data"


def resumed(options: dict[str, Any], folder: Path | None) -> tuple[Prepared, Path, bool]:
    """The run of a folder, to go on with.

    Errors: `UsageError` where no folder was given, `StateError` for options that contradict it.
    """
    from vael import specs

    if folder is None:
        raise UsageError("--resume needs the folder of the run to go on with; give it by --run DIR")
    return specs.restart(folder, options), folder, specs.has_checkpoint(folder)


def describe(prepared: Prepared, folder: Path, resumes: bool, say: Callable[[str], None]) -> None:
    """Say what will be trained, on what, and why."""
    from vael.cli.wording import reasons, summary

    say(f"{'Going on with' if resumes else 'Training'} {folder}")
    for line in summary(prepared.spec):
        say(f"  {line}")
    for line in reasons(prepared.reasons):
        say(line)
    for line in refusals(prepared):
        say(f"  warning: {line}")


def refusals(prepared: Prepared) -> list[str]:
    """What other commands will refuse of this run, and what to do about it: said before the time that training
    takes.
    """
    from vael.cli.scoring import too_few
    from vael.errors import SupportError
    from vael.specs.archives import check_codes

    if prepared.spec.data.sequence is not None:
        return []
    found, few = [], too_few(prepared.splits)
    if few:
        found.append(f"`vael score` will refuse this run: {few}")
    if prepared.spec.data.columns:  # a table: of densities of images and arrays nobody expects an archive
        try:
            check_codes(prepared.spec)
        except SupportError as error:
            found.append(f"`vael compress` will refuse this run: {error}")
    return found


def carried_out(prepared: Prepared, folder: Path, resumes: bool, say: Callable[[str], None]) -> tuple[Run, Fit]:
    """Train, with a live bar on a terminal and plain lines elsewhere."""
    from vael import specs

    watcher = watch(say, prepared.spec.training.time_limit)
    try:
        return specs.carry_out(prepared, folder, resume=resumes, callbacks=(watcher,))
    finally:
        watcher.close()


def watch(say: Callable[[str], None], time_limit: float | None) -> Bar | PlainLines:
    """A bar where there is a terminal to draw it on."""
    from vael.cli.progress import Bar, PlainLines

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


def finish(run: Run, fit: Fit, outside: dict[str, Any], say: Callable[[str], None]) -> None:
    """Judge the best weights on the test split, write the report, print the numbers."""
    from vael.cli.judging import as_json, judge, write_report
    from vael.cli.wording import duration, sentences

    say(f"\nTraining ended after {counted(fit.steps, 'step')} and {duration(fit.seconds)}: {fit.stopped}.")
    what = "bound" if fit.is_bound else "objective"
    kept = "they are" if fit.kept_step == fit.best_step else f"those of step {fit.kept_step:,} are"
    say(
        f"The weights of step {fit.best_step:,} were best on the validation split, {what} {fit.best_elbo:.2f}; {kept} "
        "kept, and judged now.\n"
    )
    judged = judge(run, importance_samples=outside.get("importance_samples"), say=say)
    for line in sentences(judged, run.spec):
        say(line)
    report = write_report(run, judged) if outside.get("report", True) else None
    say(f"\nRun folder: {run.folder}" + (f"\nReport:     {report}" if report else ""))
    if outside.get("json"):
        story = {
            "run": str(run.folder),
            "report": report and str(report),
            "stopped": fit.stopped,
            "steps": fit.steps,
            "epochs": fit.epochs,
        }
        best = "validation_elbo" if fit.is_bound else "validation_objective"
        numbers = {
            "training_seconds": fit.seconds,
            "skipped": fit.skipped,
            best: fit.best_elbo,
            "best_step": fit.best_step,
        }
        print(json.dumps({**story, "parameters": run.spec.parameters, **numbers, "evaluation": as_json(judged, run)}))
