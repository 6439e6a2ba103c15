"""`vael sample`."""

from __future__ import annotations

import sys

from torch import Tensor

from vael.applications import generation
from vael.applications.aggregate import SAMPLERS, aggregate_samples
from vael.cli.drawing import conditioning, quality
from vael.cli.expecting import Expecting
from vael.cli.formats import Result, Target
from vael.cli.options.drawing import EXAMPLES, FILMED, SampleOptions
from vael.cli.results import done, elements, loaded, target_of, typed_rows
from vael.cli.telling import answer, said
from vael.counting import Progress, counted
from vael.specs.using import with_conditions
from vael.tables.schema import Schema


def sample(options: SampleOptions) -> int:
    """New examples from the prior and the likelihood."""
    run = loaded(options)
    options = conditioning.as_many(run, options)
    quality.refuse_tables_options(run, options)
    target = target_of(run, options, "samples")
    count = options.count or target.form.many(EXAMPLES, EXAMPLES, FILMED)
    drawn = conditioning.conditioned(run, count, options, film=target.form.moves)
    if options.latents.fitted:
        answer(
            f"vael: note: z comes from a {options.latents.fitted} fitted to codes of {run.spec.data.name} afterwards: "
            "these are no draws from the model's own p(x), and its bound and log p(x) say nothing about them",
            file=sys.stderr,
        )
    schema = quality.rules_of(drawn.run, drawn.options)
    with Expecting("Drawing", silent=options.json) as time:
        if schema is not None:
            return sample_table(drawn, schema, target, time.tell)
        return done(target.write(samples(drawn, count, time.tell)), count, drawn.options)


def samples(drawn: conditioning.ConditionedRun, count: int, progress: Progress) -> Result:
    """Draws, or a film of means on the way from one draw of z to the next."""
    run, options = drawn.run, drawn.options
    return Result(
        array=lambda path: elements(run, draws(drawn, count, progress)).array(path),
        table=lambda path: elements(run, draws(drawn, count, progress)).table(path),
        picture=lambda path: elements(run, draws(drawn, count, progress)).picture(path),
        frames=lambda _: conditioning.film(run, count, options),
        title=f"Samples of {run.spec.data.name}",
    )


def draws(drawn: conditioning.ConditionedRun, count: int, progress: Progress) -> Tensor:
    """Examples in the way that was asked for."""
    run, options = drawn.run, drawn.options
    if options.latents.asked:
        x = conditioning.latent_samples(run, count, options)
    elif options.latents.fitted:
        density = SAMPLERS[options.latents.fitted](run.model, run.splits().train, options.seed)
        x = aggregate_samples(run.model, density, count, options.seed, progress=progress)
    else:
        draw = generation.mean_samples if options.mean else generation.samples
        x = draw(run.model, count, options.seed, drawn.each, progress=progress)
    if not run.spec.model.is_likelihood and not options.mean:
        answer(
            "vael: note: there is no likelihood of this model to draw from, so the means of the decoder are written",
            file=sys.stderr,
        )
    return x


def sample_table(drawn: conditioning.ConditionedRun, schema: Schema, target: Target, progress: Progress) -> int:
    """Rows that keep the rules of their columns, and the page about them if it was asked for."""
    run, options = drawn.run, drawn.options
    page, seed = options.tables.quality, options.seed
    x = quality.draw_table(run, schema, options, drawn.each, progress=progress)
    if page is None:
        gapped = quality.gapped(run, x, options)
        rules, rows_whole = with_conditions(run, schema, gapped, drawn.beside)
        return done(target.write(typed_rows(rules, rows_whole, seed)), len(x), options)
    found = quality.write_page(run, x, page, options)
    target.write(typed_rows(schema, quality.gapped(run, x, options), seed))
    return said(
        options.json,
        {"file": str(target.path), "examples": len(x), "page": str(page), **quality.numbers(found)},
        f"{target.path}: {counted(len(x), 'example')}\n{quality.sentences(found, page)}",
    )
