"""`vael classify`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vael.applications.classifying import class_probabilities, class_probabilities_by_bound
from vael.cli.formats import ARRAY
from vael.cli.options.using import ClassifyOptions
from vael.cli.results import in_lines, loaded, target_of
from vael.data import Source
from vael.models import Classifies, needs


def classify(options: ClassifyOptions) -> int:
    """The class of every row, with probabilities."""
    run = loaded(options)
    target = target_of(run, options, "classes")
    needs(run.model, Classifies, "telling classes")
    of = class_probabilities_by_bound if options.by == "bound" else class_probabilities
    names = run.use.classes
    bare = target.form is ARRAY

    def told(source: Source) -> Iterator[np.ndarray]:
        for shares in of(run.model, source):
            found = shares.numpy()
            yield found if bare else np.column_stack((np.array(names, object)[found.argmax(1)], found.astype(object)))

    return in_lines(run, options, target, names if bare else ["class", *(f"p({name})" for name in names)], told)
