"""The part of `vael sample` that makes and judges synthetic tables."""

from __future__ import annotations

import sys
from pathlib import Path

from torch import Tensor

from vael.applications import synthesis
from vael.applications.generation import mean_samples
from vael.applications.synthesis import held_out, judge_rows, schema_of, usual_sampler
from vael.cli.drawing import conditioning
from vael.cli.options.drawing import SampleOptions
from vael.cli.options.parser import UsageError
from vael.cli.results import domain_of
from vael.cli.telling import answer
from vael.counting import Progress
from vael.data import Source
from vael.errors import StateError, VaelError
from vael.evaluation.tabular.synthetic import SyntheticQuality, SyntheticSettings
from vael.options.declaring import names_given
from vael.report.tabular.synthetic import QualityInput, write_quality
from vael.report.tabular.synthetic_verdict import quality_remarks
from vael.specs import Run
from vael.tables.constraints import enforced
from vael.tables.schema import Schema
from vael.tables.schema_file import from_record

FEWEST = 20  # rows that can be judged


def rules_of(run: Run, options: SampleOptions) -> Schema | None:
    """The rules that drawn rows keep: the schema that the model was trained with, else ranges and decimals of the
    training rows.

    None for what is no table of named columns (unless an option for tables was given), and, with a warning, where the
    data are no longer at hand.
    """
    known, asked = run.spec.data.table, bool(names_given(options.tables) or options.latents.sampler)
    if known is not None:
        return from_record(known)
    if not domain_of(run).in_rows(run.spec.data) or not (run.spec.data.columns or asked) or options.mean:
        return None
    try:
        return schema_of(run.splits().train)
    except VaelError as error:
        if asked:
            raise
        answer(
            f"vael: warning: the training rows are not at hand, so ranges and decimals are not kept ({error})",
            file=sys.stderr,
        )
        return None


def refuse_tables_options(run: Run, options: SampleOptions) -> None:
    """Refuse before any work.

    Errors: `UsageError` for options for tables with a model of something else, and for what could not be judged.
    """
    asked, names, columns = options.tables, names_given(options.tables), run.spec.data.columns
    if names and not domain_of(run).in_rows(run.spec.data):
        raise UsageError(
            f"{names[0]} is for tables, but this model is of examples of shape {run.spec.data.event}; leave it out"
        )
    conditioning.refuse_conditions(options)
    if asked.target is not None and asked.quality is None:
        raise UsageError(
            "--target says what is predicted for the quality page; give --quality PAGE.html with it, or leave it out"
        )
    if options.latents.fitted and (options.latents.asked or options.mean):
        raise UsageError(
            f"--sampler {options.latents.fitted} already says where z comes from; leave it out, or --class, "
            "--temperature and --mean"
        )
    if names and options.mean:
        raise UsageError("--mean gives no draws, so nothing can be said of them as a table; leave it out")
    if asked.target is not None and columns and asked.target not in columns:
        raise UsageError(f"--target {asked.target}: no such column; the columns are {', '.join(columns[:20])}")
    if asked.quality is None:
        return
    if options.examples < FEWEST:
        raise UsageError(f"-n {options.count}: too few rows to be judged; ask for at least {FEWEST}, better thousands")


def draw_table(
    run: Run, schema: Schema, options: SampleOptions, context: Tensor | None = None, *, progress: Progress | None = None
) -> Tensor:
    """Complete rows that keep the rules of their columns, by whatever way of drawing was asked for; with `context` one
    for each c.
    """
    count, seed = options.examples, options.seed
    if options.tables.given:
        return conditioning.conditional_rows(run, schema, count, seed, options.tables.given)
    if options.latents.asked:
        return enforced(schema, conditioning.latent_samples(run, count, options).flatten(1))
    if options.mean:
        return enforced(schema, mean_samples(run.model, count, seed, context, progress=progress).flatten(1))
    train = training_rows(run, options)
    sampler = None if train is None else synthesis.latent_sampler(run.model, train, seed, sampler_of(run, options))
    return synthesis.synthetic_rows(run.model, schema, count, seed, sampler=sampler, context=context, progress=progress)


def sampler_of(run: Run, options: SampleOptions) -> str:
    """Where z comes from unless told: as usual, and from the prior where other options say how."""
    other, data = options.mean or options.tables.given or options.latents.asked, run.spec.data
    usual = usual_sampler(run.model, data.table is not None, data.condition is not None)
    return options.latents.sampler or ("prior" if other else usual)


def training_rows(run: Run, options: SampleOptions) -> Source | None:
    """The rows that a density is fitted to; None for the prior, and with a warning where nobody asked and the rows
    are no longer at hand.
    """
    if sampler_of(run, options) == "prior":
        return None
    try:
        return run.splits().train
    except VaelError as error:
        if options.latents.sampler is not None:
            raise StateError(
                f"a {options.latents.sampler} is fitted to the training rows, which are not at hand ({error}); use "
                "--sampler prior"
            ) from error
        answer(
            f"vael: warning: the training rows are not at hand, so z comes from the prior ({error})", file=sys.stderr
        )
        return None


def gapped(run: Run, x: Tensor, options: SampleOptions) -> Tensor:
    """The rows as they are to be written."""
    return synthesis.with_gaps(x, run.splits().train, options.seed) if options.tables.with_gaps else x


def write_page(run: Run, x: Tensor, page: Path, options: SampleOptions) -> SyntheticQuality:
    """Judge the rows and write the page."""
    splits, seed = run.splits(), options.seed
    held = sum(map(len, held_out(splits)))
    if min(held, len(splits.train)) < FEWEST:
        raise StateError(
            f"the run has {len(splits.train):,} rows of training and {held:,} held out, but judging synthetic rows "
            f"takes {FEWEST} of each: "
            "train with more data, set more aside (--validation, --test), or leave --quality out"
        )
    settings = SyntheticSettings(target=options.tables.target, seed=seed)
    tables, quality = judge_rows(run.model, splits, x, settings)
    facts = (
        ("run", str(run.folder)),
        ("data", run.spec.data.name),
        ("sampler", sampler_of(run, options)),
        ("seed of the draws", str(seed)),
    )
    write_quality(page, QualityInput(tables, quality, f"Synthetic rows of {run.spec.data.name}", facts))
    return quality


def sentences(quality: SyntheticQuality, page: Path) -> str:
    """What is printed."""
    said = [f"  {'! ' if one.tone.value == 'warning' else ''}{one.text}" for one in quality_remarks(quality)]
    return "\n".join([*said, f"Quality page: {page}"])


def numbers(quality: SyntheticQuality) -> dict[str, object]:
    """What is printed as JSON."""
    test, found = quality.two_sample.found, quality.efficacy
    return {
        "two_sample_auc": test.auc,
        "two_sample_standard_error": test.standard_error,
        "two_sample_null_error": test.null_error,
        "marginal_distance": quality.marginal,
        "marginal_floor": quality.marginal_floor_mean,
        "association_distance": quality.associations.mean,
        "association_floor": quality.association_floor.mean,
        "target": None if found is None else found.target,
        "measure": None if found is None else found.measure,
        "trained_on_synthetic": None if found is None else found.value[0],
        "trained_on_real": None if found is None else found.value[1],
        "share_closer_to_training": quality.closest.share_closer,
        "share_closer_null_error": quality.closest.null_error,
        "copies": quality.closest.copies,
        "copies_of_held_out": quality.closest.holdout_copies,
        "membership_auc": quality.closeness.found.auc,
        "membership_auc_by_bound": None if quality.bound is None else quality.bound.found.auc,
        "constraints_broken": sum(one.cells for one in quality.violations),
    }
