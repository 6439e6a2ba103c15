"""`vael sample`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vael.cli import series
from vael.cli.drawing import conditioning, latents, quality
from vael.cli.drawing.asked import FILMED, SampleOptions
from vael.cli.options.endings import AS_FILM, FILMS, ROWS, Ending, ending_of, known_ending
from vael.cli.results import default, done, store
from vael.cli.telling import answer, tell
from vael.counting import counted

if TYPE_CHECKING:
    from vael.tables.schema import Schema

ENDINGS = (*Ending.PICTURE.value, *ROWS, *FILMS)


def sample(options: SampleOptions) -> int:
    """New examples from the prior and the likelihood."""
    from vael import specs
    from vael.applications import generation

    target = options.output
    if target is not None:
        known_ending(target, ENDINGS)
    run = specs.load(options.run)
    if series.takes(run):
        return series.sample(run, options)
    quality.refuse_tables_options(run, options)
    target = target or default(run, "samples")
    film = ending_of(target) in AS_FILM
    count = options.count or FILMED if film else options.examples
    drawn = conditioning.conditioned(run, count, options, film=film)
    run, options = drawn.run, drawn.options
    if film:
        return done(latents.film(run, target, count, options), count, options)
    schema = quality.rules_of(run, options)
    if schema is not None and ending_of(target) is not Ending.PICTURE:
        return sample_table(drawn, schema, target)
    if options.latents.asked:
        x = latents.latent_samples(run, count, options)
    else:
        draw = generation.mean_samples if options.mean else generation.samples
        x = draw(run.model, count, options.seed, drawn.each)
    if not run.spec.model.is_likelihood and not options.mean:
        answer(
            "vael: note: there is no likelihood of this model to draw from, so the means of the decoder are written",
            file=sys.stderr,
        )
    return done(store(target, x, run), len(x), options)


def sample_table(drawn: conditioning.ConditionedRun, schema: Schema, target: Path) -> int:
    """Rows that keep the rules of their columns, and the page about them if it was asked for."""
    run, options = drawn.run, drawn.options
    page, seed = options.tables.quality, options.seed
    x = quality.draw_table(run, schema, options, drawn.each)
    if page is None:
        gapped = quality.gapped(run, x, options)
        rules, rows_whole = conditioning.whole(run, schema, gapped, drawn.beside)
        return done(quality.store_table(target, rules, rows_whole, seed), len(x), options)
    found = quality.write_page(run, x, page, options)
    quality.store_table(target, schema, quality.gapped(run, x, options), seed)
    if options.json:
        record = {"file": str(target), "examples": len(x), "page": str(page)}
        print(json.dumps({**record, **quality.numbers(found)}))
        return 0
    tell(f"{target}: {counted(len(x), 'example')}\n{quality.sentences(found, page)}")
    return 0
