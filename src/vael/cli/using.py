"""`vael reconstruct`, `encode`, `classify` and `export`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import torch
from torch import Tensor

from vael import domains
from vael.applications import generation
from vael.applications.classifying import class_probabilities, class_probabilities_by_bound
from vael.applications.export import export_onnx
from vael.applications.latents import optimized_reconstructions
from vael.cli.expecting import Expecting
from vael.cli.formats import ARRAY
from vael.cli.options.using import SHOWN, ClassifyOptions, EncodeOptions, ExportOptions, ReconstructOptions
from vael.cli.results import done, elements, examples, grid, in_lines, loaded, opened
from vael.cli.telling import tell
from vael.cli.wording import climbed
from vael.counting import Progress
from vael.data import Source
from vael.models import Classifies, Encodes, needs
from vael.specs import Run

COLUMNS = 10


def reconstruct(options: ReconstructOptions) -> int:
    """What the model makes of data."""
    run, target = opened(options, "reconstructions")
    source = examples(run, options.data)
    count = options.count or target.form.many(None, SHOWN, SHOWN)
    with Expecting("Reconstructing", silent=options.json) as time:
        if options.optimize is None:
            x, y = generation.reconstructions(run.model, source, count, progress=time.tell)
        else:
            x, y = improved(run, source, count, options.optimize, time.tell, quiet=options.json)
    columns = min(COLUMNS, len(y))
    pairs = lambda path: grid(run, generation.beside(x, y, columns), path, columns=columns)  # noqa: E731
    return done(target.write(replace(elements(run, y), picture=pairs)), len(y), options)


def improved(
    run: Run, source: Source, count: int | None, steps: int, progress: Progress, *, quiet: bool
) -> tuple[Tensor, Tensor]:
    """Examples and their reconstructions from codes made better one by one; says what that gained."""
    found = optimized_reconstructions(run.model, source, count, steps=steps, progress=progress)
    if not quiet:
        tell(
            f"the {climbed(run.spec)} rises by {float(found.gained.mean()):.2f} nats on average, "
            f"{float(found.gained.max()):.2f} at most"
        )
    return found.x, found.mean


def encode(options: EncodeOptions) -> int:
    """Posterior means of data."""
    run, target = opened(options, "codes")
    needs(run.model, Encodes, "encoding examples")
    names = [f"z{number}" for number in range(1, width_of_codes(run) + 1)]
    codes = lambda source: map(Tensor.numpy, generation.code_blocks(run.model, source))  # noqa: E731
    return in_lines(run, options, target, names, codes, "Encoding")


def width_of_codes(run: Run) -> int:
    """How many numbers the code of an example has, as the first one of the run's own data shows."""
    first = run.splits().train.subset(torch.zeros(1, dtype=torch.int64))
    return next(iter(generation.code_blocks(run.model, first))).shape[1]


def classify(options: ClassifyOptions) -> int:
    """The class of every row, with probabilities."""
    run, target = opened(options, "classes")
    needs(run.model, Classifies, "telling classes")
    of = class_probabilities_by_bound if options.by == "bound" else class_probabilities
    names = run.use.classes
    bare = target.form is ARRAY

    def told(source: Source) -> Iterator[np.ndarray]:
        for shares in of(run.model, source):
            found = shares.numpy()
            yield found if bare else np.column_stack((np.array(names, object)[found.argmax(1)], found.astype(object)))

    return in_lines(
        run, options, target, names if bare else ["class", *(f"p({name})" for name in names)], told, "Classifying"
    )


def export(options: ExportOptions) -> int:
    """Encoder and decoder as ONNX."""
    run = loaded(options)
    data = run.spec.data
    exported = export_onnx(
        run.model, data.event, options.output or run.inside(), domains.of(data).columns(data), data.condition
    )
    print(json.dumps(asdict(exported), default=str) if options.json else exported)
    return 0
