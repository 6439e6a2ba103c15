"""From a finished run to report.html and figures/."""

from __future__ import annotations

from pathlib import Path

from vael import files
from vael.evaluation import Judgement, KeyFigure
from vael.models import Encodes, has
from vael.report import figures, gather
from vael.report.page import KEPT, NATS, Page, Section, html, number
from vael.report.record import Encoded, Facts, ReportInput
from vael.report.style import styled
from vael.report.verdict import findings_of, remarks, signed

KEY = (
    "Green: as it should be, in the number that is named, on examples that trained nothing. It does not say that "
    "samples look like data."
)


def write(folder: Path, record: ReportInput) -> Path:
    """Write `folder`/report.html and `folder`/figures/; every file whole or not at all. Gives the path of the page.

    The page holds everything it shows and loads nothing. Pictures come from the test split where there is one, else
    from the validation split, and every caption says which. Draws come from `record.seed`, so the same run gives the
    same page.
    """
    folder, found = Path(folder), record.evaluation
    seen = gather.encoded(record) if record.view.maps_codes and has(record.model, Encodes) else None
    with styled():
        sections = drawn(record, seen, folder / "figures")
    page = Page(
        title=record.title,
        lead=record.source_line,
        numbers=None if isinstance(found, Judgement) else found,
        cards=tuple(card(one) for one in found.figures) if isinstance(found, Judgement) else (),
        notes=tuple(note for note in dict.fromkeys(found.notes if found else ()) if note not in record.shown.notes),
        remarks=tuple(remarks(findings_of(record, seen))),
        facts=facts(record),
        sections=sections,
        key=KEY,
        footer=f"{NATS} {KEPT}" if record.model.states_likelihood else KEPT,
    )
    files.write_bytes(folder / "report.html", html(page).encode())
    return folder / "report.html"


def card(one: KeyFigure) -> str:
    """A key number of a model that is judged without draws."""
    error = "" if one.standard_error is None else f" ± {signed(one.standard_error, one.digits)}"
    return number(one.name, signed(one.value, one.digits) + error, one.unit, one.told)


def facts(record: ReportInput) -> Facts:
    """The facts given, then those of the data and the model that were not given."""
    splits = {"train": record.splits.train, "validation": record.splits.validation, "test": record.splits.test}
    sizes = ", ".join(f"{len(source):,} {name}" for name, source in splits.items() if source is not None)
    train = record.splits.train
    own = (
        ("data", train.name),
        ("examples", sizes),
        ("one example", record.view.example(train)),
        ("fingerprint", train.fingerprint[:12]),
        ("parameters", f"{sum(w.numel() for w in record.model.parameters()):,}"),
        ("seed of the draws", str(record.seed)),
    )
    given = {name.lower() for name, _ in record.facts}
    return record.facts + tuple((name, value) for name, value in own if value and name not in given)


def drawn(record: ReportInput, seen: Encoded | None, folder: Path) -> tuple[Section, ...]:
    """The figures that fit this model and these data, under their headings."""
    curves = [("Training", [figures.curves(record, folder)])] if record.history else []
    headed = [*curves, *record.view.figures(record, seen, folder)]
    kept = [(heading, tuple(one for one in drawings if one is not None)) for heading, drawings in headed]
    return tuple(Section(heading, drawings) for heading, drawings in kept if drawings)
