"""`vael sweep`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vael.cli.parser import Parser, UsageError, number
from vael.cli.training import carried_out, slug, speaker, train_options

if TYPE_CHECKING:
    from vael.report.sweep import Point

BETAS = (0.25, 1.0, 4.0, 16.0)
LATENT = 2  # so that the whole latent space can be drawn
IMPORTANCE_SAMPLES = 100
WITHOUT = {
    "resume": "--resume",
    "report": "--no-report",
    "beta": "--beta",
    "terms": "--terms",
}  # options of training that make no sense here


def weights(text: str) -> tuple[float, ...]:
    """Numbers above 0, separated by commas. Errors: `argparse.ArgumentTypeError`."""
    read = number(float, 0, above=True)
    try:
        return tuple(float(read(part)) for part in text.split(","))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"expected weights above 0 separated by commas, such as 0.25,1,4; got {text!r}"
        ) from error


def sweep_options(parser: Parser) -> None:
    """The options of `vael train`, with several weights in place of one."""
    train_options(parser)
    parser.usage = "vael sweep [DATA] [--betas B,B,...] [options of vael train]"
    parser.epilog = (
        "Trains a model for the reconstruction alone, one for each weight of the divergence, and one for the "
        "divergence alone, each in a run\n"
        f"folder of its own inside --run, and writes sweep.html there. Latents are {LATENT} unless --latent says "
        "otherwise."
    )
    parser.heading("sweep")
    parser.option(
        "--betas",
        metavar="B,B",
        type=weights,
        help=f"weights of the divergence; default {','.join(f'{beta:g}' for beta in BETAS)}",
    )


def sweep(given: argparse.Namespace) -> int:
    """Train every point, then write the page."""
    from vael import specs
    from vael.report.sweep import numbers, write

    options: dict[str, Any] = {"latent": LATENT, **vars(given)}
    for name, option in WITHOUT.items():
        if name in options:
            raise UsageError(f"{option} has no place in a sweep; `vael sweep --help` lists what there is")
    folder, wants_json, betas = options.pop("run", None), options.pop("json", False), options.pop("betas", BETAS)
    samples, say = options.pop("importance_samples", IMPORTANCE_SAMPLES), speaker(wants_json)
    folder = folder or Path("runs") / f"{slug(specs.request(**options).data)}-sweep-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    specs.refuse_used(folder)
    points = [trained(folder, label, {**options, **what}, samples, say) for label, what in choices(betas)]
    page = write(folder, points, f"{points[0].judged.data}: what the terms of the loss do")
    for point in points:
        judged = point.judged
        what = "bound" if judged.is_bound else "objective"
        say(
            f"{point.label:<20} {what} {judged.elbo:9.2f}   distortion {judged.distortion:8.2f}   rate "
            f"{judged.divergence:7.2f} nats"
        )
    say(f"\nSweep: {page}")
    if wants_json:
        print(json.dumps({"sweep": str(page), "points": [numbers(point) for point in points]}))
    return 0


def choices(betas: tuple[float, ...]) -> Iterator[tuple[str, dict[str, object]]]:
    """What each point is called, and the options that make it: the least weight first."""
    yield "reconstruction only", {"terms": "reconstruction"}
    for beta in sorted(set(betas)):
        yield f"β = {beta:g}", {"beta": beta}
    yield "divergence only", {"terms": "divergence"}


def trained(folder: Path, label: str, options: dict[str, Any], samples: int, say: Callable[[str], None]) -> Point:
    """Train one point in a run folder of its own, and judge it on the test split."""
    from vael import domains, specs
    from vael.cli.judging import judge
    from vael.report import ReportInput
    from vael.report.sweep import Point

    say(f"{label} ...")
    prepared, own = (
        specs.prepare(specs.request(**options)),
        folder / label.replace(" = ", "-").replace("β", "beta").replace(" ", "-"),
    )
    specs.begin(prepared, own)
    run, _ = carried_out(prepared, own, False, say)
    record = ReportInput(run.model, prepared.splits, run.history, view=domains.of(prepared.splits.train))
    # pyrefly: ignore[bad-argument-type]  (a frozen record is what only reads such a protocol, but cannot be said of
    # one)
    return Point(label, record, judge(run, importance_samples=samples))
