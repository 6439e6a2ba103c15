"""`vael classify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vael.cli.formats import ARRAY, ROWS
from vael.cli.options.declaring import option
from vael.cli.options.shared import ResultOptions, in_run, on_error, own_data, result
from vael.cli.options.values import one_of
from vael.cli.results import done, loaded, rows, target_of

if TYPE_CHECKING:
    from vael.tables.reading import Skipped


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(ResultOptions):
    """What `vael classify` takes."""

    notes = "For runs of `--model semi-supervised`. Written: the most probable class of each row, and all shares."
    output: Path | None = result(
        ".csv, .parquet or .npy (the shares alone); default classes.csv in the run folder",
        in_run("classes.csv"),
        formats=ROWS,
    )
    data: str | None = own_data()
    by: str | None = option(
        "NAME",
        "what the shares are: classifier (default), q(y | x); bound, the softmax of the bound on log p(x, y) over y",
        one_of("classifier", "bound"),
        main=True,
    )
    on_error: str | None = on_error()


def classify(options: ClassifyOptions) -> int:
    """The class of every row, with probabilities."""
    import numpy as np

    from vael.applications.classifying import class_probabilities, class_probabilities_by_bound
    from vael.cli.sheets import sheet_of
    from vael.models import Classifies, needs

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
