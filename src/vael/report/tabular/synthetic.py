"""The quality page of a synthetic table: how good, how private, and what to try, in one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vael import files
from vael.counting import counted
from vael.evaluation.tabular.synthetic import JudgedTables, SyntheticQuality
from vael.report.page import Page, Section, html, number
from vael.report.record import Facts
from vael.report.style import styled
from vael.report.tabular.synthetic_figures import association_maps, closest, distances, histograms, learners
from vael.report.tabular.synthetic_verdict import quality_remarks


@dataclass(frozen=True)
class QualityInput:
    """A synthetic table, what was found about it, and what the page says of where it came from."""

    tables: JudgedTables
    quality: SyntheticQuality
    title: str = "A synthetic table"
    facts: Facts = ()


def write_quality(path: Path, record: QualityInput) -> Path:
    """Write the page, whole or not at all.

    It holds everything it shows and loads nothing; the same record gives the same page.
    """
    quality = record.quality
    with styled():
        sections = (
            Section("Columns", (distances(quality), histograms(record.tables))),
            Section("Pairs of columns", (association_maps(quality),) if len(quality.marginals) > 1 else ()),
            Section(
                "Train on synthetic, test on real", () if quality.efficacy is None else (learners(quality.efficacy),)
            ),
            Section("Closest records", (closest(quality.closest),)),
        )
    drawn, train, holdout = quality.rows
    page = Page(
        title=record.title,
        lead=f"{counted(drawn, 'synthetic row')} against {counted(holdout, 'real row')} that the model was not trained "
        f"on; trained on {train:,}.",
        numbers=None,
        notes=(),
        remarks=quality_remarks(quality),
        facts=record.facts + _facts(quality),
        sections=tuple(section for section in sections if section.drawings),
        cards=cards(quality),
        footer="Every comparison is with real rows held out; floors and chance levels say what a perfect synthetic "
        "table would have.",
    )
    files.write_bytes(path, html(page).encode())
    return path


def cards(quality: SyntheticQuality) -> tuple[str, ...]:
    """The key numbers, each with what a perfect table would have."""
    test, near = quality.two_sample.found, quality.closest
    chance = f"1/2 ± {test.null_error:.3f} by chance"
    found = [
        number(
            "real-vs-synthetic AUC",
            f"{test.auc:.3f} ± {test.standard_error:.3f}",
            "AUC",
            f"{quality.two_sample.classifier}; {chance}",
        )
    ]
    if quality.efficacy is not None:
        learned, real = quality.efficacy.value
        how = f"{quality.efficacy.measure} of predicting {quality.efficacy.target}; trained on real rows {real:.3f}"
        found.append(number("trained on synthetic, tested on real", f"{learned:.3f}", quality.efficacy.measure, how))
    found.append(
        number(
            "column distance",
            f"{quality.marginal:.3f}",
            "",
            f"mean distance, 0 to 1; between real rows {quality.marginal_floor_mean:.3f}",
        )
    )
    floor = quality.association_floor.mean
    found.append(
        number(
            "pair-association error",
            f"{quality.associations.mean:.3f}",
            "",
            f"mean difference of associations; between real rows {floor:.3f}",
        )
    )
    how = f"50 % ± {100 * near.null_error:.1f} % by chance"
    found.append(
        number(
            "closer to training rows", f"{100 * near.share_closer:.1f} %", "", f"than to as many held-out rows; {how}"
        )
    )
    broken = sum(one.cells for one in quality.violations)
    found.append(
        number("constraints broken", f"{broken:,}", "cells", "outside the ranges, levels, decimals of training")
    )
    return tuple(found)


def _facts(quality: SyntheticQuality) -> Facts:
    worst = quality.worst
    pair = quality.associations.largest
    rows = [
        ("two-sample test", str(quality.two_sample)),
        ("columns that tell most", ", ".join(f"{name} ({fall:+.3f})" for name, fall in quality.two_sample.telling[:5])),
        ("column farthest above its floor", "" if worst is None else f"{worst.column} ({worst.distance:.3f})"),
        ("pair farthest off", "" if pair is None else f"{pair[0]} and {pair[1]} ({pair[2]:+.2f})"),
        ("closest records", str(quality.closest)),
        (
            "exact copies",
            f"{quality.closest.copies:.2%} of synthetic rows are training rows; of held-out rows "
            f"{quality.closest.holdout_copies:.2%} are",
        ),
        (
            "distances",
            "; ".join(
                f"{100 * q:g} % quantile {a:.3f} to training, {b:.3f} to held-out rows"
                for q, a, b in quality.closest.quantiles
            ),
        ),
        *(("membership attack", str(one)) for one in quality.attacks),
        *(("constraint", str(one)) for one in quality.violations),
        ("left out", " ".join(quality.notes)),
    ]
    return tuple((name, value) for name, value in rows if value)
