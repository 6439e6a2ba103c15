"""Figures of examples that are one vector or image each, and of their latents or codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vael.models import Classifies, Codes, LatentVector, Reconstructs, Samples, Whitens, has, needs
from vael.report import classes, discrete, figures, gather, pictures
from vael.report.record import Encoded, Headed, ReportInput
from vael.report.style import Drawing


@dataclass(frozen=True)
class Shown:
    """How examples of one kind are shown: beside what comes back of them, and beside draws from the model."""

    heading: str
    returned: Callable[[ReportInput, Path], Drawing]
    against_samples: Callable[[ReportInput, Path], Sequence[Drawing]]


def levels_of(record: ReportInput, folder: Path, *, pictured: bool) -> Headed:
    """The divergence of each level and, of images, what each level and the latents of the top one decide."""
    nats = gather.divergence_of_levels(record)
    bars, heading = figures.levels(record, nats, folder), "Levels of latents"
    if not (pictured and record.view.pictured):
        return [(heading, [bars])]
    at_top = gather.divergence_at_top(record)
    moved = [] if at_top is None else [("Traversals", [pictures.traversals_at_top(record, at_top, folder)])]
    return [(heading, [bars, pictures.levels(record, nats, folder)]), *moved]


def drawings(record: ReportInput, seen: Encoded | None, folder: Path, shown: Shown | None) -> Headed:
    """Each figure asks for the capability of the model that it shows; without `shown`, none has examples in it."""
    model, vector = record.model, has(record.model, LatentVector)
    found: list[tuple[str, Sequence[Drawing | None]]] = []
    if shown is not None and has(model, Reconstructs):
        found.append((shown.heading, [shown.returned(record, folder)]))
    if shown is not None and has(model, Samples):
        prior = "Samples from the prior" if record.has_latents else "Samples"
        found.append((prior, shown.against_samples(record, folder)))
    if has(model, Classifies):
        found.append(("Classes", classes.by_class(record, folder)))
    if seen is not None and discrete.are_components(record):
        found.append(("Components", discrete.components(record, seen, folder)))
    if has(model, Whitens) and needs(model, Whitens, "a figure of levels").depth(record.shown.event) > 1:
        found.extend(levels_of(record, folder, pictured=shown is not None))
    if has(model, Codes):
        found.append(("Use of codes", [discrete.code_histogram(record, folder)]))
    if seen is not None:
        found.append(("Latent map" if record.has_latents else "Map of codes", figures.latent_maps(record, folder)))
    if seen is not None and vector and record.view.pictured and gather.has_a_line(record):
        if seen.mean.shape[1] == 2:
            found.append(("Manifold", [pictures.manifold(record, folder)]))
        found.append(("Traversals", [pictures.traversals(record, seen, folder)]))
    if seen is not None:
        found.append(("Divergence of each latent", [figures.latents(record, seen, folder)]))
    return found
