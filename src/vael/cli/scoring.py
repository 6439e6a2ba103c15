"""`vael score`."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vael.cli.parser import Parser, number, one_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from vael.applications.anomaly import AnomalyDetector, Verdict
    from vael.data import Source
    from vael.data.tables import Skipped
    from vael.specs import Run

SCORES = ("combined", "bound", "typicality", "distortion", "divergence", "ratio", "neighbours")
ENDINGS = (".csv", ".parquet", ".npy")
WHY = 3  # cells named for a row
SHOWN = 10  # rows named on the screen
USUAL_THRESHOLD = 0.01


def score_options(parser: Parser) -> None:
    """Everything that `vael score` takes."""
    parser.epilog = "A higher score is stranger; a p-value is the share of rows that belong and score as high. Rows are counted from 1."
    parser.option("run", metavar="RUN", type=Path, help="run folder")
    parser.option("data", metavar="DATA", nargs="?", help="a name or a path; default the run's own test split")
    parser.option("-o", "--output", metavar="FILE", type=Path, help=".csv, .parquet or .npy; default scores.csv in the run folder")
    parser.option("--score", metavar="NAME", type=one_of(*SCORES), help=f"{', '.join(SCORES)}; default combined")
    parser.option("--threshold", metavar="P", type=number(float, 0, above=True, most=1), help="flag rows with a p-value up to this; default 0.01")
    parser.option("--contamination", metavar="SHARE", type=number(float, 0, most=0.49), help="of the training rows that do not belong; default 0")
    parser.option("--explain", action="store_true", help="name the cells that make each flagged row strange; of images write a picture too")
    parser.option("--on-error", type=one_of("stop", "skip"), metavar="stop|skip", help="what to do with a row that cannot be read; default stop")
    parser.option("--json", action="store_true", help="print one JSON object")


@dataclass(frozen=True)
class Line:
    """A flagged row."""

    row: int
    score: float
    p_value: float
    why: str


def score(given: argparse.Namespace) -> int:
    """Scores, p-values and flags of every row."""
    from vael import specs
    from vael.applications.anomaly import AnomalyDetector, Score
    from vael.cli.using import known_ending, rows
    from vael.data.output import row_file

    options = vars(given)
    run = specs.load(options["run"])
    target = options.get("output") or run.inside("scores.csv")
    known_ending(target, ENDINGS)
    splits = run.splits()
    contamination = float(options.get("contamination", 0.0))
    detector = AnomalyDetector(
        run.model, splits.train, splits.validation, score=Score(options.get("score", "combined")), contamination=contamination
    )  # fmt: skip
    threshold = float(options.get("threshold", USUAL_THRESHOLD))
    flagged: list[Line] = []
    skipped: list[Skipped] = []
    left, pictures = 0, Pictures()
    explain = bool(options.get("explain"))
    with row_file(target, ("row", "score", "bound", "p_value", "flag")) as file:
        for piece in rows(run, options.get("data"), options.get("on_error")):
            skipped, begin = skipped + list(piece.skipped), 0
            for verdict in detector.judge(piece.source):
                places = piece.rows[begin : begin + len(verdict.score)]
                file.add(table(verdict, places, threshold).numpy())
                flagged += lines(verdict, places, threshold, names(run), explain)
                if explain and len(piece.source.event) == 3:
                    pictures.look(piece.source, begin, verdict, threshold)
                begin += len(places)
            left += begin
    say(target, left, flagged, skipped, detector, threshold, options)
    shown = pictures.written(target.with_name(f"{target.stem}-why.png"), splits.train)
    if shown is not None and not options.get("json"):
        print(f"{shown}: the strangest images, below each the pixels that make it so")
    return 0


class Pictures:
    """The strangest flagged images, each with the surprise of its pixels."""

    def __init__(self) -> None:
        self.found: list[tuple[float, Tensor, Tensor]] = []

    def look(self, source: Source, begin: int, verdict: Verdict, threshold: float) -> None:
        """Keep those among some rows, `begin` the first of them, that are stranger than what was kept."""
        import torch

        from vael.evaluation.evaluate import batch_at

        rows = verdict.flagged(threshold).nonzero().squeeze(1)
        if not len(rows) or verdict.reasons.shape[1:] != source.event:
            return
        images = batch_at(source, range(begin, begin + len(verdict.score)), 0, torch.zeros(0)).x
        self.found += [(float(verdict.score[row]), images[row], verdict.reasons[row]) for row in rows.tolist()]
        self.found = sorted(self.found, key=lambda one: -one[0])[:SHOWN]

    def written(self, path: Path, train: Source) -> Path | None:
        """The picture: images above, white where a pixel is most more surprising than usual below; None where there is nothing to show."""
        import torch

        from vael.applications.generation import beside
        from vael.report import display_of, save_grid

        if not self.found:
            return None
        images, reasons = torch.stack([image for _, image, _ in self.found]), torch.stack([why for _, _, why in self.found])
        surprise = reasons.clamp(min=0)
        peak = surprise.flatten(1).amax(1).clamp(min=1e-9)[:, None, None, None]
        low, high = float(images.min()), float(images.max())
        return save_grid(path, beside(images, low + (high - low) * surprise / peak, len(images)), display_of(train), columns=len(images))


def table(verdict: Verdict, places: np.ndarray, threshold: float) -> Tensor:
    """What is written for each row."""
    import torch

    columns = (torch.from_numpy(places), verdict.score, verdict.bound, verdict.p_value, verdict.flagged(threshold))
    return torch.stack([column.double() for column in columns], dim=1)


def names(run: Run) -> tuple[str, ...]:
    """What the cells of an example are called."""
    import itertools

    if run.spec.data.columns:
        return run.spec.data.columns
    return tuple(",".join(map(str, place)) for place in itertools.product(*(range(size) for size in run.spec.data.event)))


def lines(verdict: Verdict, places: np.ndarray, threshold: float, cells: tuple[str, ...], explain: bool) -> list[Line]:
    """The flagged rows, with the cells that are most more surprising than usual."""
    found = []
    for row in verdict.flagged(threshold).nonzero().squeeze(1).tolist():
        reasons, why = verdict.reasons[row].flatten(), ""
        if explain and len(reasons) == len(cells):
            top = reasons.topk(min(WHY, len(reasons)))
            why = "; ".join(
                f"{cells[cell]} (+{value:.1f} nats)" for value, cell in zip(top.values.tolist(), top.indices.tolist(), strict=True) if value > 0
            )
        found.append(Line(int(places[row]), float(verdict.score[row]), float(verdict.p_value[row]), why))
    return found


def say(
    target: Path,
    count: int,
    flagged: list[Line],
    skipped: list[Skipped],
    detector: AnomalyDetector,
    threshold: float,
    options: dict[str, object],
) -> None:
    """What was found."""
    from vael.cli.using import list_skipped

    warning = ""
    if detector.least_p_value > threshold:
        warning = (
            f"{len(detector.calibration):,} held-out rows give p-values from {detector.least_p_value:.3f} on, so {threshold:g} cannot be reached and "
            f"nothing is flagged; {round(1 / threshold) - 1:,} rows are needed: train with more data, or take a higher --threshold"
        )
    if options.get("json"):
        record = {
            "file": str(target), "examples": count, "flagged": len(flagged), "threshold": threshold, "score": detector.kind.value,
            "held_out": len(detector.calibration), "warning": warning or None, "skipped": [vars(one) for one in skipped],
            "rows": [vars(line) for line in flagged],
        }  # fmt: skip
        print(json.dumps(record))
        return
    print(f"{target}: {count:,} examples, {len(flagged):,} flagged at p ≤ {threshold:g} (score {detector.kind.value}; higher is stranger)")
    for line in sorted(flagged, key=lambda line: -line.score)[:SHOWN]:
        print(f"  row {line.row:,}: score {line.score:.3g}, p = {line.p_value:.4f}" + (f"; {line.why}" if line.why else ""))
    if len(flagged) > SHOWN:
        print(f"  ... and {len(flagged) - SHOWN:,} more in the file")
    list_skipped(skipped)
    if warning:
        print(f"note: {warning}")
