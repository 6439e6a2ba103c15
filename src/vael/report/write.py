"""From a finished run to report.html and figures/."""

from __future__ import annotations

from pathlib import Path

from vael import files
from vael.counting import counted
from vael.data import Kind, Source
from vael.evaluation import Judgement, KeyFigure
from vael.models import Codes, Encodes, LatentVector, Reconstructs, Samples, has
from vael.report import columns, discrete, figures, gather, mixed_columns, pictures, series
from vael.report.baseline import independent_cells
from vael.report.page import KEPT, NATS, Page, Section, html, number
from vael.report.record import Facts, ReportInput
from vael.report.style import Drawing, styled
from vael.report.verdict import findings_of, remarks, signed

KEY = (
    "Green: as it should be, in the number that is named, on examples that trained nothing. It does not say that "
    "samples look like data."
)
CELLS = {
    Kind.BINARY: "0 or 1",
    Kind.INTEGER: "whole numbers",
    Kind.REAL: "real numbers",
    Kind.MIXED: "columns of several kinds",
}


def write(folder: Path, record: ReportInput) -> Path:
    """Write `folder`/report.html and `folder`/figures/; every file whole or not at all. Gives the path of the page.

    The page holds everything it shows and loads nothing. Pictures come from the test split where there is one, else
    from the validation split, and every caption says which. Draws come from `record.seed`, so the same run gives the
    same page.
    """
    folder, found = Path(folder), record.evaluation
    seen = gather.encoded(record) if record.shown.windowing is None and has(record.model, Encodes) else None
    with styled():
        sections = drawn(record, seen, folder / "figures")
    page = Page(
        title=record.title,
        lead=record.source_line,
        numbers=None if isinstance(found, Judgement) else found,
        cards=tuple(card(one) for one in found.figures) if isinstance(found, Judgement) else (),
        notes=tuple(note for note in dict.fromkeys(found.notes if found else ()) if note not in record.shown.notes),
        remarks=tuple(remarks(findings_of(record, seen, independent_cells(record)))),
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
        ("one example", example(train)),
        ("fingerprint", train.fingerprint[:12]),
        ("parameters", f"{sum(w.numel() for w in record.model.parameters()):,}"),
        ("seed of the draws", str(record.seed)),
    )
    given = {name.lower() for name, _ in record.facts}
    return record.facts + tuple((name, value) for name, value in own if value and name not in given)


def example(source: Source) -> str:
    """What one example is: a row of so many columns of each kind, or so many numbers."""
    if source.schema is not None:
        return f"a row of {source.schema.told}"
    if source.windowing is not None:
        return f"a window of {source.event[0]} steps of {counted(source.event[1], 'channel')}, {CELLS[source.kind]}"
    if len(source.event) == 1:
        return f"a row of {counted(source.event[0], 'column')}"
    levels = f" of {source.levels:,} levels" if source.levels else ""
    return " × ".join(map(str, source.event)) + f", {CELLS[source.kind]}{levels}"


def drawn(record: ReportInput, seen: gather.Encoded | None, folder: Path) -> tuple[Section, ...]:
    """The figures that fit this model and these data, under their headings."""
    found: list[tuple[str, list[Drawing | None]]] = []
    if record.history:
        found.append(("Training", [figures.curves(record, folder)]))
    if record.shown.windowing is None:
        found += of_examples(record, seen, folder)
    elif record.has_latents:
        found += series.drawings(record, folder)
    kept = [(heading, tuple(one for one in drawings if one is not None)) for heading, drawings in found]
    return tuple(Section(heading, drawings) for heading, drawings in kept if drawings)


def of_examples(
    record: ReportInput, seen: gather.Encoded | None, folder: Path
) -> list[tuple[str, list[Drawing | None]]]:
    """Figures of images and rows, and of their latents or codes: each asks for the capability that it shows."""
    event, model = record.shown.event, record.model
    again, samples, vector = (has(model, one) for one in (Reconstructs, Samples, LatentVector))
    prior = "Samples from the prior" if record.has_latents else "Samples"
    found: list[tuple[str, list[Drawing | None]]] = []
    if pictures.is_picture(event):
        originals = ("Originals and reconstructions", pictures.reconstructions, pictures.samples)
    elif record.shown.schema is not None:
        originals = ("Reconstruction of each column", mixed_columns.returned, mixed_columns.against_samples)
    else:
        originals = ("Originals and reconstructions", columns.scatters, columns.against_samples)
    heading, reconstructed, against_samples = originals
    if again and len(event) <= 3:
        found.append((heading, [reconstructed(record, folder)]))
    if samples and len(event) <= 3:
        found.append((prior, [*against_samples(record, folder)]))
    if seen is not None and discrete.are_components(record):
        found.append(("Components", [*discrete.components(record, seen, folder)]))
    if has(model, Codes):
        found.append(("Use of codes", [discrete.code_histogram(record, folder)]))
    if seen is not None:
        found.append(("Latent map" if record.has_latents else "Map of codes", [*figures.latent_maps(record, folder)]))
    if seen is not None and vector and pictures.is_picture(event) and gather.has_a_line(record):
        if seen.mean.shape[1] == 2:
            found.append(("Manifold", [pictures.manifold(record, folder)]))
        found.append(("Traversals", [pictures.traversals(record, seen, folder)]))
    if seen is not None:
        found.append(("Divergence of each latent", [figures.latents(record, seen, folder)]))
    return found
