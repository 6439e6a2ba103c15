"""`vael score`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from vael import domains
from vael.applications.anomaly import LEAST_HELD_OUT, AnomalyDetector, Score, Verdict
from vael.cli.formats import ARRAY
from vael.cli.options.using import USUAL_THRESHOLD, ScoreOptions, picture_of
from vael.cli.reasons import Reason, Reasons
from vael.cli.results import Reasoned, expecting, lines_of, opened, rows, sheet_of
from vael.cli.telling import said, tell
from vael.cli.wording import climbed
from vael.counting import counted
from vael.data import Source, Splits
from vael.data.keys import Keys
from vael.errors import FormatError, StateError
from vael.evaluation.examples import batch_at
from vael.report import display_of
from vael.report.anomalies import Strange, write_strangest
from vael.specs import Run, pieces
from vael.specs.using import usual_detector
from vael.tables.reading import Skipped

WHY = 3  # cells named for a row
WHOLE = "no cell stands out: the row is strange as a whole"
SHOWN = 10  # rows named on the screen
MOST_IN_JSON = 10_000  # rows that --json lists, the strangest
COLUMNS = ("score", "bound", "p_value", "flag")


@dataclass(frozen=True)
class Line:
    """A flagged row."""

    row: int
    name: str  # its file, or the first of its identifiers
    score: float
    p_value: float
    why: str

    def __str__(self) -> str:
        name, why = f" ({self.name})" if self.name else "", f"; {self.why}" if self.why else ""
        return f"  row {self.row:,}{name}: score {self.score:.3g}, p = {self.p_value:.4f}{why}"


def score(options: ScoreOptions) -> int:
    """Scores, p-values and flags of every row."""
    run, target = opened(options, "scores")
    if options.reasons is not None and target.form is ARRAY:
        raise FormatError(f"{target.path}: reasons are text, which .npy does not hold; write .csv or .parquet")
    data = rows(run, options.data, options.on_error, clip=True)  # the brightest pixel of all may be what is strange
    first = next(data)  # what cannot be read is said before anything is measured
    splits = run.splits()
    detector = detector_of(run, splits, options)
    threshold = options.threshold or USUAL_THRESHOLD
    skipped: list[Skipped] = []
    notes: dict[str, None] = {}
    flagged, pictures = Flagged(options.json), AnomalyPictures()
    most, explain = options.reasons or 0, options.explain
    reasons = Reasons(run, splits.train, max(most, WHY * explain))
    left = 0
    with sheet_of(target, columns_of(run), numbered=True) as file, expecting("Scoring", run, options) as time:
        for piece in time.reading(chain((first,), data)):
            skipped, begin = skipped + list(piece.skipped), 0
            notes |= dict.fromkeys(note for note in piece.source.notes if note not in run.spec.data.notes)
            for verdict in detector.judge(piece.source):
                strange = verdict.flagged(threshold).nonzero().squeeze(1)
                why = dict(
                    zip(strange.tolist(), reasons.of(detector, piece.source, verdict, strange, begin), strict=True)
                )
                file.add(
                    piece, begin, table(verdict, threshold), Reasoned(why, most, bool(reasons.usual)) if most else None
                )
                names = named(piece.keys.take(begin + np.array(list(why), np.int64)))
                flagged.add(
                    Line(*name, float(verdict.score[row]), float(verdict.p_value[row]), told(why[row], explain))
                    for name, row in zip(names, why, strict=True)
                )
                if explain:
                    pictures.look(piece.source, begin, verdict, threshold, names)
                begin += len(verdict.score)
                time.add(len(verdict.score))
            left += begin
    say(target.path, left, flagged, skipped, detector, threshold, options.json, tuple(notes))
    shown = pictures.written(picture_of(target.path), splits.train)
    if shown is not None and not options.json:
        tell(f"{shown}: the strangest images, below each the pixels that make it so")
    return 0


class AnomalyPictures:
    """The strangest flagged images, each with the surprise of its pixels."""

    def __init__(self) -> None:
        self.found: list[Strange] = []

    def look(
        self, source: Source, begin: int, verdict: Verdict, threshold: float, names: list[tuple[int, str]]
    ) -> None:
        """Keep those among some rows, `begin` the first of them, that are stranger than what was kept; `names` are
        those of the flagged ones.
        """
        rows = verdict.flagged(threshold).nonzero().squeeze(1)
        if not len(rows) or verdict.reasons.shape[1:] != source.event or not domains.of(source).shows_images(source):
            return
        images = batch_at(source, range(begin, begin + len(verdict.score)), 0, torch.zeros(0)).x
        self.found += [
            Strange(
                images[row],
                verdict.reasons[row],
                name or f"row {number:,}",
                float(verdict.score[row]),
                float(verdict.p_value[row]),
            )
            for row, (number, name) in zip(rows.tolist(), names, strict=True)
        ]
        self.found = sorted(self.found, key=lambda one: -one.score)[:SHOWN]

    def written(self, path: Path, train: Source) -> Path | None:
        """The picture: images above, and below where a pixel is more surprising than usual; None where there is
        nothing to show.
        """
        if not self.found:
            return None
        write_strangest(path, self.found, display_of(train))
        return path


def table(verdict: Verdict, threshold: float) -> np.ndarray:
    """What is written for each row."""
    columns = (verdict.score, verdict.objective, verdict.p_value, verdict.flagged(threshold))
    return torch.stack([column.double() for column in columns], dim=1).numpy()


def named(keys: Keys) -> list[tuple[int, str]]:
    """The row of each example, and what it is called in its data."""
    first = next(iter(keys.columns.values()), None)
    names = [""] * len(keys) if first is None else ["" if one is None else str(one) for one in first.to_pylist()]
    return list(zip(keys.rows.tolist(), names, strict=True))


def told(reasons: list[Reason], explain: bool) -> str:
    """Reasons in one line; where no cell is more surprising than usual, that it is so."""
    return ("; ".join(map(str, reasons[:WHY])) or WHOLE) if explain else ""


def detector_of(run: Run, splits: Splits, options: ScoreOptions) -> AnomalyDetector:
    """The detector of a run, calibrated on rows that chose nothing: those that were given, else the test split,
    where there is one. Errors: `StateError` where too few rows were set aside for a scale of scores, or for p-values.
    """
    if few := too_few(splits, options.calibrate is not None):
        raise StateError(few)
    detector = usual_detector(run, splits, Score(options.score or "combined"), options.contamination)
    if options.calibrate is None:
        return detector
    found = [piece.source for piece in pieces(run.alone.spec, options.calibrate)]
    given = None if found[0].context is None else torch.cat([one.context for one in found if one.context is not None])
    whole = found[0] if len(found) == 1 else replace(found[0], x=torch.cat([one.x for one in found]), context=given)
    return detector.calibrated(whole, contamination=options.contamination or 0.0)


def too_few(splits: Splits, calibrated: bool = False) -> str:
    """What is to be said where fewer rows were set aside than scores are compared with; nothing where there are
    enough.
    """
    few = {
        "validation": len(splits.validation),
        "test": LEAST_HELD_OUT if calibrated or splits.test is None else len(splits.test),
    }
    lacking = [part for part, count in few.items() if count < LEAST_HELD_OUT]
    if not lacking:
        return ""
    said = " and ".join(f"{counted(few[part], 'row')} for {part}" for part in lacking)
    more = "" if "validation" in lacking else ", or give rows that belong by --calibrate FILE"
    sizes = {"validation": f"--validation {LEAST_HELD_OUT}", "test": f"--test {LEAST_HELD_OUT}"}
    return (
        f"the run set aside {said}, but scores are compared with at least {LEAST_HELD_OUT} rows that were not trained "
        "on: train again "
        f"with {' '.join(sizes[part] for part in lacking)} (or more){more}"
    )


def columns_of(run: Run) -> tuple[str, ...]:
    """Names of the columns: where the objective bounds nothing, none is called a bound."""
    return tuple(climbed(run.spec) if name == "bound" else name for name in COLUMNS)


class Flagged:
    """The strangest of the flagged rows, and how many there are: a file of any length has its place in memory."""

    def __init__(self, many: bool) -> None:
        self.most, self.count = MOST_IN_JSON if many else SHOWN, 0
        self.lines: list[Line] = []

    def add(self, lines: Iterable[Line]) -> None:
        """More rows."""
        before = len(self.lines)
        self.lines += lines
        self.count += len(self.lines) - before
        if len(self.lines) > self.most:
            self.lines = sorted(self.lines, key=lambda line: -line.score)[: self.most]


def say(
    target: Path,
    count: int,
    flagged: Flagged,
    skipped: list[Skipped],
    detector: AnomalyDetector,
    threshold: float,
    as_json: bool,
    notes: tuple[str, ...] = (),
) -> None:
    """What was found."""
    warning = ""
    if detector.least_p_value > threshold:
        warning = (
            f"{counted(len(detector.calibration), 'held-out row')} can give p-values from {detector.least_p_value:.3f} "
            "on, so "
            f"{threshold:g} cannot be reached and nothing is flagged; {counted(round(1 / threshold) - 1, 'row')} "
            "or more would do: train with more data, give them by --calibrate, or raise --threshold"
        )
    record = {
        "file": str(target),
        "examples": count,
        "flagged": flagged.count,
        "threshold": threshold,
        "score": detector.kind.value,
        "held_out": len(detector.calibration),
        "warning": warning or None,
        "notes": notes,
        "skipped": [vars(one) for one in skipped],
        "rows": [vars(line) for line in sorted(flagged.lines, key=lambda line: line.row)],
    }
    more = flagged.count - SHOWN
    said(
        as_json,
        record,
        f"{target}: {counted(count, 'example')}, {flagged.count:,} flagged at p ≤ {threshold:g} (score "
        f"{detector.kind.value}; higher is stranger)",
        *map(str, sorted(flagged.lines, key=lambda line: -line.score)[:SHOWN]),
        *([f"  ... and {more:,} more in the file"] if more > 0 else []),
        *lines_of(skipped),
        *(f"note: {note}" for note in (*notes, *([warning] if warning else []))),
    )
