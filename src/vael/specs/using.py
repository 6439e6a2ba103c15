"""A run put to use on data at a path or in memory: what the commands write, as values.

What is measured once for all data (the scale of scores, a density fitted to codes) is kept, and results come a block at
a time, so that memory does not grow with the data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vael import domains
from vael.applications import generation
from vael.applications.anomaly import AnomalyDetector, Score, Verdict
from vael.applications.classifying import class_probabilities
from vael.applications.imputation import Imputed, impute
from vael.applications.sequences import Future, future
from vael.applications.synthesis import latent_sampler, synthetic_rows, usual_sampler
from vael.counting import Progress
from vael.data import Schema, Source, Splits
from vael.data.conditioning.columns import CellsCondition
from vael.data.conditioning.conditions import FileCondition
from vael.data.covering import last_windows
from vael.data.series import Sequences
from vael.domains.sequence import in_conditions
from vael.errors import StateError
from vael.evaluation import RowKeys
from vael.models import Classifies, Encodes, Samples, needs
from vael.specs.reading import pieces
from vael.specs.series import forecast_columns, series_in
from vael.specs.spec import RunSpec
from vael.tables.constraints import enforced
from vael.tables.reading import Table
from vael.tables.writing import arrow_cells, completed

SAMPLERS_KEPT = 4  # densities fitted to codes, each for a seed of its own


@dataclass(frozen=True)
class Filled:
    """Rows of a table with their gaps filled."""

    table: pa.Table  # the rows as they came; cells that were missing hold their mean given the others, or a draw
    deviation: Float[Tensor, "rows columns"]  # of the modelled columns; of levels 1 - probability of the chosen one
    gaps: Bool[Tensor, "rows columns"]  # which of their cells were missing
    effective_samples: Float[Tensor, " rows"]
    draws: tuple[pa.Table, ...] = ()  # multiple imputations, where they were asked for


@dataclass(frozen=True)
class NewExamples:
    """New examples."""

    x: Tensor  # [examples, *event]
    table: pa.Table | None  # of a run on a table of named columns, its rows in the types and digits of their columns


class Use:
    """What can be done with a run. Every function takes data as a path or in memory: rows as a data frame, as one
    dictionary or a list of them, arrays `[examples, *event]` or one example.
    """

    def __init__(self, run: TrainedRun) -> None:
        self.run = run
        self._samplers: dict[int, Samples] = {}

    @cached_property
    def splits(self) -> Splits:
        """The data of the run. Errors: `StateError` if they changed since, `FormatError` if they are gone."""
        return self.run.splits()

    @cached_property
    def detector(self) -> AnomalyDetector:
        """What scores rows, as `vael score` does without options. Errors: as `vael.applications.AnomalyDetector`."""
        return usual_detector(self.run, self.splits)

    def judged(self, data: object) -> Iterator[Verdict]:
        """Score, bound and p-value of every example, a block at a time. Errors: `StateError` where the model scores
        nothing, and for data that it cannot take those of `vael.specs.pieces`.
        """
        for piece in pieces(self.run.spec, data, clip=True):  # the brightest pixel of all may be what is strange
            yield from self.detector.judge(piece.source)

    def codes(self, data: object) -> Iterator[Float[Tensor, "examples features"]]:
        """The mean of q(z | x) of every example, a block at a time. Errors: as `judged`."""
        model = needs(self.run.model, Encodes, "encoding examples")
        for piece in pieces(self.run.spec, data):
            yield from generation.code_blocks(model, piece.source)

    @property
    def classes(self) -> tuple[str, ...]:
        """What the classes of a model of classes are called. Errors: `StateError` for another model."""
        model, labelling = needs(self.run.model, Classifies, "telling classes"), self.run.spec.data.labelling
        return tuple(map(str, range(model.classes))) if labelling is None else labelling.levels

    def shares(self, data: object) -> Iterator[Float[Tensor, "examples classes"]]:
        """The probability q(y | x) of each class, a block at a time. Errors: as `judged`."""
        model = needs(self.run.model, Classifies, "telling classes")
        for piece in pieces(self.run.spec, data):
            yield from class_probabilities(model, piece.source)

    def future(
        self, data: object, steps: int | None = None, seed: int = 0, progress: Progress | None = None
    ) -> tuple[Sequences, Future]:
        """Series, and draws and means of so many steps after the last of each (None: a quarter of a window);
        `progress(done, total)` is called as series are done.

        Errors: `StateError` for a run that is not on sequences, or whose model forecasts none.
        """
        found = series_in(self.run.spec.data, data)
        given = in_conditions(self.run.spec.data, last_windows(found), data)
        ahead = max(1, found.window // 4) if steps is None else steps
        return found, future(self.run.model, given, ahead, seed=seed, progress=progress)

    @cached_property
    def rules(self) -> Schema | None:
        """The rules that rows of the run keep; None where examples are no rows."""
        data = self.run.spec.data
        return domains.of(data).rules(data, lambda: self.splits.train)

    def filled(self, data: object, *, samples: int = 200, draws: int = 0, seed: int = 0) -> Iterator[Filled]:
        """Rows with their gaps filled, a block at a time. Errors: as `vael.applications.imputation.impute`."""
        keys, rules, known = RowKeys(), self.rules, self.run.spec.data
        if rules is None:
            raise StateError(
                f"the run was trained on {known.name}, whose examples of shape {known.event} are no rows of a table; "
                "give a run on one"
            )
        for piece in pieces(self.run.spec, data, schema=rules):
            rows = piece.table
            if rows is None:
                raise StateError("gaps are filled in tables; give rows, or the path of a .csv or .parquet file")
            if len(rows.x):
                found = impute(self.run.model, piece.source, samples=samples, draws=draws, seed=seed, keys=keys)
                yield filled_rows(rows, list(found), seed)

    def drawn(self, count: int, seed: int = 0, where: Mapping[str, object] | None = None) -> NewExamples:
        """New examples, as `vael sample` draws them; `where` is the condition of a conditional model, of which
        otherwise each has that of a training row drawn at random.

        Errors: `StateError` for a condition that the model has not, and as `vael.applications.generation.samples`.
        """
        run, data = self.run, self.run.spec.data
        condition = data.condition
        if condition is None and where:
            raise StateError("this model is conditioned on nothing; leave the condition out")
        model: Any = run.model
        each = beside = None
        if condition is not None and where:
            model = model.at(condition.encode(where))
            beside = condition.row(where).expand(count, -1) if isinstance(condition, CellsCondition) else None
        elif condition is not None:
            each = run.conditions(count, seed)
            beside = condition.cells(each) if isinstance(condition, CellsCondition) else None
        rules = self.rules if data.columns else None
        if rules is None:
            return NewExamples(generation.samples(model, count, seed, each), None)
        x = synthetic_rows(model, rules, count, seed, sampler=self._sampler(seed), context=each)
        whole, rows = with_conditions(run, rules, x, beside)
        return NewExamples(x, arrow_cells(whole, rows, seed))

    def _sampler(self, seed: int) -> Samples | None:
        data = self.run.spec.data
        name = usual_sampler(self.run.model, data.has_schema, data.condition is not None)
        if name == "prior":
            return None
        if seed not in self._samplers:
            while len(self._samplers) >= SAMPLERS_KEPT:
                self._samplers.pop(next(iter(self._samplers)))
            self._samplers[seed] = latent_sampler(self.run.model, self.splits.train, seed, name)
        return self._samplers[seed]


@dataclass(frozen=True)
class TrainedRun(ABC):
    """Abstract: a trained model with its data, and what can be done with it."""

    spec: RunSpec
    model: Any

    @abstractmethod
    def splits(self) -> Splits:
        """The data of the run, loaded anew. Errors: `StateError` if they changed since."""

    @cached_property
    def use(self) -> Use:
        """What can be done with the run, on data at a path or in memory; what is measured for it is kept."""
        return Use(self)

    def conditions(self, count: int, seed: int) -> Float[Tensor, "examples features"]:
        """C of so many examples that are to be drawn: the rows that were given beside, else those of training examples
        at random.

        Errors: `ShapeError` for another number of rows.
        """
        condition = self.spec.data.condition
        if not isinstance(condition, FileCondition) or condition.given is None:
            return training_conditions(self.splits().train, count, seed)
        condition.given.refuse_length(count, "what is to be drawn")
        return condition.numbers(condition.given.everything)

    def score(self, data: object) -> Verdict:
        """How strange examples are: score, bound and p-value of each, as `vael score` writes them.

        `data` is a path, or in memory rows (a data frame, a dictionary for one row, a list of them) or an array.

        >>> run.score({"height": 1.84, "weight": 20}).p_value  # doctest: +SKIP

        Errors: `StateError` for a model that scores nothing, or where the data of the run are gone; for data that the
        model cannot take those of `vael.specs.pieces`.
        """
        return joined_verdicts(self.use.judged(data))

    def encode(self, data: object) -> Tensor:
        """The mean of q(z | x) of every example, as `vael encode` writes it; `data` and errors as in `score`."""
        return torch.cat(list(self.use.codes(data)))

    def impute(self, data: object, *, samples: int = 200, draws: int = 0, seed: int = 0) -> Filled:
        """Rows with their gaps filled, as `vael impute` fills them; `data` and errors as in `score`."""
        return joined_fillings(self.use.filled(data, samples=samples, draws=draws, seed=seed))

    def classify(self, data: object) -> Tensor:
        """The probability of each of `use.classes`, as `vael classify` has it; `data` and errors as in `score`."""
        return torch.cat(list(self.use.shares(data)))

    def forecast(
        self, data: object = None, *, steps: int | None = None, interval: float = 0.9, seed: int = 0
    ) -> pa.Table:
        """Means and the ends of an interval of the steps after each series, as `vael forecast` writes them.

        Errors: as `vael.specs.using.Use.future`.
        """
        found, ahead = self.use.future(data, steps, seed)
        return pa.table(dict(forecast_columns(self.spec.data, found, ahead, interval, None)))

    def sample(self, count: int, seed: int = 0, where: Mapping[str, object] | None = None) -> NewExamples:
        """New examples, as `vael sample` draws them; `where` names the condition of a conditional model.

        Errors: as `vael.specs.using.Use.drawn`.
        """
        return self.use.drawn(count, seed, where)


def usual_detector(
    run: TrainedRun, splits: Splits, kind: Score = Score.COMBINED, contamination: float | None = None
) -> AnomalyDetector:
    """The detector of a run, calibrated on rows that chose nothing: those of the test split, where there is one."""
    detector = AnomalyDetector(
        run.model,
        splits.train,
        splits.validation,
        calibration=splits.test,
        score=kind,
        contamination=contamination or 0.0,
    )
    # training left them out already, the test split has them
    strange = 0.0 if contamination is not None else run.spec.data.contamination
    return detector.calibrated(splits.test, contamination=strange) if strange and splits.test is not None else detector


def joined_verdicts(parts: Iterable[Verdict]) -> Verdict:
    """Blocks of rows judged as one."""
    found = list(parts)
    names = ("score", "objective", "p_value", "reasons")
    return Verdict(**{name: torch.cat([getattr(part, name) for part in found]) for name in names})


def joined_fillings(parts: Iterable[Filled]) -> Filled:
    """Blocks of rows with their gaps filled as one."""
    found = list(parts)
    first = found[0]
    return Filled(
        pa.concat_tables([part.table for part in found], promote_options="permissive"),
        *(torch.cat([getattr(part, name) for part in found]) for name in ("deviation", "gaps", "effective_samples")),
        draws=tuple(pa.concat_tables(list(tables)) for tables in zip(*(part.draws for part in found), strict=True))
        if first.draws
        else (),
    )


def filled_rows(table: Table, parts: Sequence[Imputed], seed: int) -> Filled:
    """Rows of a table with what was found for their gaps, block by block; which of the rare levels that share a code a
    cell is is drawn for each table anew.
    """
    means = torch.cat([part.x for part in parts])
    draws = torch.cat([part.draws for part in parts], dim=1)
    drawn = (completed(table, enforced(table.schema, x), table_seed(seed, number)) for number, x in enumerate(draws))
    return Filled(
        completed(table, enforced(table.schema, means), seed),
        torch.cat([part.deviation for part in parts]),
        torch.from_numpy(table.gaps),
        torch.cat([part.effective_samples for part in parts]),
        tuple(drawn),
    )


def table_seed(seed: int, number: int) -> int:
    """The seed of one of several tables; of the first the seed itself."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0]) if number else seed


def training_conditions(train: Source, count: int, seed: int) -> Float[Tensor, "examples features"]:
    """Conditions of training examples drawn at random. Errors: `StateError` where they have none."""
    if train.context is None:
        raise StateError("the training rows have no conditions; give one")
    noise = torch.Generator().manual_seed(seed)
    return train.context[torch.randint(len(train.context), (count,), generator=noise)]


def with_conditions(run: TrainedRun, schema: Schema, x: Tensor, beside: Tensor | None) -> tuple[Schema, Tensor]:
    """Rows with the columns of the condition where the table has them."""
    condition = run.spec.data.condition
    if beside is None or condition is None:
        return schema, x
    columns = list(x.unbind(1))
    for place, cells in zip(condition.places, beside.unbind(1), strict=True):  # type: ignore[union-attr]
        columns.insert(place, cells.to(x))
    return condition.whole(schema), torch.stack(columns, 1)  # type: ignore[union-attr]
