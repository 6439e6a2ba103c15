"""The part of `vael sample` that draws from a conditional model: at the condition that was asked for, or at those of
training rows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from vael.cli.options.parser import UsageError
from vael.cli.options.sampling import SampleOptions
from vael.cli.telling import answer
from vael.data.conditioning.columns import CellsCondition
from vael.models import Classifies, has
from vael.options.declaring import names_given
from vael.specs import Run
from vael.tables.ranges import outside


@dataclass(frozen=True)
class ConditionedRun:
    """A run to draw from, and the conditions of what is drawn."""

    run: Run  # at the condition, where one was asked for
    options: SampleOptions  # without those that said what the condition is
    each: Tensor | None = None  # c of every example, `[examples, features]`, where they differ
    beside: Tensor | None = None  # cells of the columns that are the condition, `[examples, columns]`


def conditioned(run: Run, count: int, options: SampleOptions, *, film: bool) -> ConditionedRun:
    """The run at the condition that was asked for, with the options that are left to be carried out.

    Errors: `UsageError` for a model that has no condition, and for options that do not go with one; `StateError` for a
    condition that the model cannot have.
    """
    condition = run.spec.data.condition
    if condition is None:
        if has(run.model, Classifies) and options.latents.class_ is not None:
            return in_class(run, options, options.latents.class_)
        if options.where:
            raise UsageError(
                "--where is for a model that was trained with --condition-on; of any table --given COLUMN=VALUE draws "
                "the rest of rows with that value"
            )
        return ConditionedRun(run, options)
    refused = [
        name
        for name in (*names_given(options.tables), *names_given(options.latents))
        if name in ("--quality", "--sampler")
    ]
    if refused:
        raise UsageError(f"{refused[0]} knows of no condition, but the model has one ({condition.told}); leave it out")
    if options.condition_on is not None and options.where:
        raise UsageError("--where and --condition-on both say what the condition is; leave one of them out")
    found, label = asked(condition.names, options.where), options.latents.class_
    if label is not None and "label" in condition.names and "label" not in found:
        found["label"] = label
        options = replace(options, latents=replace(options.latents, class_=None))
    if not found:
        return of_training_rows(run, count, options, film=film)
    c = condition.encode(found)
    held = replace(run, model=run.model.at(c))
    if not isinstance(condition, CellsCondition):
        return ConditionedRun(held, options)
    row = condition.row(found)
    warn(condition, row)
    return ConditionedRun(held, options, beside=row.expand(count, -1))


def as_many(run: Run, options: SampleOptions) -> SampleOptions:
    """The options, with as many examples as there are rows of conditions where these were given and no number was."""
    given = run.spec.data.given
    return options if options.count is not None or given is None else replace(options, count=len(given))


def in_class(run: Run, options: SampleOptions, name: str) -> ConditionedRun:
    """The run of a model of classes at one of them, by its name. Errors: `StateError` for a class that there is not."""
    labelling = run.spec.data.labelling
    place = int(name) if labelling is None else labelling.place(name)
    rest = replace(options, latents=replace(options.latents, class_=None))
    return ConditionedRun(replace(run, model=run.model.at_class(place)), rest)


def asked(names: tuple[str, ...], where: Sequence[str]) -> dict[str, object]:
    """The values that were given, by name. Errors: `UsageError` for words that are no NAME=VALUE."""
    found: dict[str, object] = {}
    for text in where:
        name = max((name for name in names if text.startswith(f"{name}=")), key=len, default=text.partition("=")[0])
        if "=" not in text or name in found:
            trouble = "was given before" if name in found else "has no value"
            raise UsageError(f"--where {text}: {name} {trouble}; write NAME=VALUE once for each of {', '.join(names)}")
        found[name] = text[len(name) + 1 :]
    return found


def of_training_rows(run: Run, count: int, options: SampleOptions, *, film: bool) -> ConditionedRun:
    """The run with the conditions of the rows that were given, else of training rows drawn at random from the seed,
    which is said.
    """
    condition = run.spec.data.condition
    told = "" if condition is None else condition.told
    one_at_a_time = [*names_given(options.latents), *(["--given"] if options.tables.given else [])]
    clash = [*one_at_a_time, *(["a film"] if film else [])]
    if clash:
        raise UsageError(f"{clash[0]} needs one condition, but none was given for {told}; give it (--where NAME=VALUE)")
    each = run.conditions(count, options.seed)
    if options.condition_on is None:
        answer(
            f"vael: note: no condition was given, so every example has that of a training row drawn at random ({told}; "
            "--where)",
            file=sys.stderr,
        )
    beside = condition.cells(each) if isinstance(condition, CellsCondition) else None
    return ConditionedRun(run, options, each, beside)


def warn(condition: CellsCondition, row: Tensor) -> None:
    """Say which values training never came near."""
    for one in outside(condition.columns, row):
        answer(f"vael: warning: --where {one}: what is drawn is a guess beyond what was learned", file=sys.stderr)
