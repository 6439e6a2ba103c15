"""`vael classify`."""

from __future__ import annotations

import numpy as np

from vael.applications.classifying import class_probabilities, class_probabilities_by_bound
from vael.cli.formats import ARRAY
from vael.cli.options.using import ClassifyOptions
from vael.cli.results import done, loaded, rows, target_of
from vael.cli.sheets import sheet_of
from vael.models import Classifies, needs
from vael.tables.reading import Skipped


def classify(options: ClassifyOptions) -> int:
    """The class of every row, with probabilities."""
    run = loaded(options)
    target = target_of(run, options, "classes")
    needs(run.model, Classifies, "telling classes")
    of = class_probabilities_by_bound if options.by == "bound" else class_probabilities
    names = run.use.classes
    skipped: list[Skipped] = []
    bare = target.form is ARRAY
    with sheet_of(target, names if bare else ["class", *(f"p({name})" for name in names)]) as file:
        for piece in rows(run, options.data, options.on_error):
            skipped, begin = [*skipped, *piece.skipped], 0
            for shares in of(run.model, piece.source):
                found = shares.numpy()
                told = (
                    found if bare else np.column_stack((np.array(names, object)[found.argmax(1)], found.astype(object)))
                )
                file.add(piece, begin, told)
                begin += len(found)
    return done(target.path, file.rows, options, None if options.on_error is None else skipped)
