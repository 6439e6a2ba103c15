"""`vael sweep`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vael import domains, specs
from vael.cli.expecting import POINTS, Expecting
from vael.cli.judging import judge
from vael.cli.options.parser import UsageError
from vael.cli.options.training import SweepOptions
from vael.cli.training import carried_out, slug, speaker
from vael.counting import counted, reported
from vael.options.declaring import names_given
from vael.report import ReportInput
from vael.report.sweep import Point, numbers, write
from vael.specs import Prepared
from vael.specs.leaves import has_leaf

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


def sized(asked: dict[str, Any]) -> dict[str, Any]:
    """With two latents where their number was not asked for, and the model that the data come to has one vector of
    them; several levels stay as they are recommended.

    Errors: those of `vael.specs.prepare`.
    """
    request = specs.request(**asked)
    if request.latent is not None:
        return asked
    found = specs.prepare(request).spec.model
    return {"latent": LATENT, **asked} if has_leaf(found, "latent") else asked


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
