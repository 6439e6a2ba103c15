"""What a run answers over HTTP, without HTTP: a function of a request in JSON for everything that the run can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa
import torch

from vael import domains
from vael.counting import counted
from vael.errors import FormatError, StateError, VaelError
from vael.models import (
    CellWise,
    Classifies,
    ClosedForm,
    Continues,
    Decodes,
    Encodes,
    LatentVector,
    Predicts,
    Samples,
    has,
)
from vael.service.forms import JSON, RowForm, TooMuch, form_of, numbers, rows_in_json
from vael.specs import Run
from vael.specs.series import forecast_columns
from vael.specs.using import joined_fillings, joined_verdicts

T = TypeVar("T")
THRESHOLD = 0.01
MOST_SEED = 2**31
MOST_SAMPLES = 10_000


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and how many are taken at a time."""

    rows: int = 10_000  # examples that come or are drawn
    megabytes: float = 16.0
    seconds: float = 60.0
    requests: int = 32

    @property
    def bytes(self) -> int:
        """Of a request."""
        return int(self.megabytes * 1e6)


class TooLong(StateError):
    """A request that was not answered in time."""


@dataclass(frozen=True)
class Deadline:
    """When a request has to be answered."""

    seconds: float
    begin: float = field(default_factory=time.monotonic)

    def passed(self) -> TooLong:
        """What is said of a request that was not answered in time."""
        return TooLong(
            f"not answered within {self.seconds:g} seconds; ask for fewer examples at once, ask again when fewer "
            "requests are waiting, or start the service with more time (--seconds)"
        )

    def check(self) -> None:
        """Errors: `TooLong`."""
        if time.monotonic() - self.begin > self.seconds:
            raise self.passed()

    def over(self, parts: Iterable[T]) -> Iterator[T]:
        """Some parts of an answer, as long as there is time."""
        self.check()
        for part in parts:
            yield part
            self.check()


@dataclass(frozen=True)
class Parameter:
    """A value that a request may have beside the examples."""

    name: str
    about: str
    schema: JSON
    default: Any = None

    def of(self, body: JSON) -> Any:
        """The value in a request, null like none. Errors: `FormatError` for one that it cannot have."""
        given = body.get(self.name)
        found = self.default if given is None else given
        low, high = self.schema.get("minimum", -float("inf")), self.schema.get("maximum", float("inf"))
        whole, kind = self.schema["type"] == "integer", self.schema["type"]
        if found is None or (kind == "object" and isinstance(found, dict)):
            return found
        number = isinstance(found, int) or (isinstance(found, float) and not whole)
        if kind == "object" or isinstance(found, bool) or not number or not low <= found <= high:
            expected = {"integer": "a whole number", "number": "a number"}.get(kind, "an object")
            within = "" if kind == "object" else f" from {low:g} to {high:g}"
            raise FormatError(f"{self.name!r} is {str(found)[:40]!r}; expected {expected}{within}")
        return found


SEED = Parameter("seed", "of the draws", {"type": "integer", "minimum": 0, "maximum": MOST_SEED}, 0)


@dataclass(frozen=True)
class Endpoint:
    """Something that can be asked of a run."""

    name: str
    summary: str
    answer: Callable[[Service, JSON, Deadline], JSON]
    missing: Callable[[Run], str]  # why a run cannot answer; empty where it can
    takes: bool = True  # whether examples come with it
    parameters: tuple[Parameter, ...] = ()


class Service:
    """A run, and what it answers. Questions that the run cannot answer are left out; `left_out` says why.

    Everything is measured when the service starts that does not depend on a request, so that the first is answered as
    fast as the others.
    """

    def __init__(self, run: Run, limits: Limits | None = None) -> None:
        self.run, self.limits = run, limits or Limits()
        self.form = form_of(run.spec.data)
        self.left_out = {one.name: why for one in QUESTIONS if (why := one.missing(run))}
        self.questions = {one.name: one for one in QUESTIONS if one.name not in self.left_out}

    @property
    def columns(self) -> RowForm | None:
        """Its columns, where examples are rows."""
        return self.form if isinstance(self.form, RowForm) else None

    def answer(self, name: str, body: object, deadline: Deadline | None = None) -> JSON:
        """The answer to a question.

        Errors: `FormatError` for a question or a value that there is not, and what the functions of a run raise.
        """
        question = self.questions.get(name)
        if question is None:
            raise FormatError(self.unknown(name))
        if not isinstance(body, dict):
            raise FormatError("the request is no JSON object; give one such as {" + f'"{self.form.key}": [...]' + "}")
        known = {one.name for one in question.parameters} | ({self.form.key} if question.takes else set())
        other = sorted(str(one) for one in body if one not in known)
        if other:
            raise FormatError(f"/{name} takes no {other[0][:40]!r}; it takes {', '.join(sorted(known))}")
        return question.answer(self, body, deadline or Deadline(self.limits.seconds))

    def unknown(self, name: str) -> str:
        """What there is in place of a question that there is not."""
        why = f": {self.left_out[name]}" if name in self.left_out else ""
        return f"there is no /{name[:40]}{why}; there is {', '.join(f'/{one}' for one in self.questions)}"

    def examples(self, body: JSON) -> object:
        """The examples of a request."""
        return self.form.asked(body, self.limits.rows)

    def value(self, name: str, body: JSON, question: str) -> Any:
        """A parameter of a request."""
        return next(one for one in self.questions[question].parameters if one.name == name).of(body)

    def rows(self, table: Any) -> list[JSON]:
        """Rows of a table in JSON."""
        return rows_in_json(table, () if self.columns is None else self.columns.columns)


def score(service: Service, body: JSON, deadline: Deadline) -> JSON:
    """Score, bound, p-value and flag of every example."""
    threshold = service.value("threshold", body, "score")
    found = joined_verdicts(deadline.over(service.run.use.judged(service.examples(body))))
    names = ("score", bound_of(service.run), "p_value", "flag")
    columns = (
        numbers(found.score),
        numbers(found.objective),
        numbers(found.p_value),
        found.flagged(threshold).tolist(),
    )
    return {
        "threshold": threshold,
        "scores": [dict(zip(names, one, strict=True)) for one in zip(*columns, strict=True)],
    }


def bound_of(run: Run) -> str:
    """What the objective is called: a bound only where it is one."""
    return "bound" if run.spec.model.is_likelihood else "objective"


def encode(service: Service, body: JSON, deadline: Deadline) -> JSON:
    """The mean of q(z | x) of every example."""
    parts = list(deadline.over(service.run.use.codes(service.examples(body))))
    return {"codes": numbers(torch.cat(parts))}


def impute(service: Service, body: JSON, deadline: Deadline) -> JSON:
    """Rows with their gaps filled, and how sure each filled cell is."""
    samples, draws, seed = (service.value(name, body, "impute") for name in ("samples", "draws", "seed"))
    rows = service.examples(body)
    if isinstance(rows, list) and len(rows) * draws > service.limits.rows:
        raise TooMuch(f"{draws} draws of {counted(len(rows), 'row')} are more than {service.limits.rows:,} rows")
    parts = service.run.use.filled(rows, samples=samples, draws=draws, seed=seed)
    found = joined_fillings(deadline.over(parts))
    names = service.run.spec.data.columns
    deviation = [
        {name: value for name, value, gap in zip(names, row, gaps, strict=True) if gap}
        for row, gaps in zip(numbers(found.deviation), found.gaps.tolist(), strict=True)
    ]
    answer = {"rows": service.rows(found.table), "deviation": deviation}
    return answer | ({"draws": [service.rows(one) for one in found.draws]} if draws else {})


def predict(service: Service, body: JSON, deadline: Deadline) -> JSON:
    """The class of every example with the probabilities of all, or what comes after the last step of every series."""
    return (classes if has(service.run.model, Classifies) else forecast)(service, body, deadline)


def classes(service: Service, body: JSON, deadline: Deadline) -> JSON:
    """The most probable class of every example, and the probabilities."""
    use = service.run.use
    shares = torch.cat(list(deadline.over(use.shares(service.examples(body)))))
    names = use.classes
    return {
        "classes": [names[place] for place in shares.argmax(1).tolist()],
        "probabilities": [dict(zip(names, row, strict=True)) for row in numbers(shares)],
    }


def forecast(service: Service, body: JSON, deadline: Deadline) -> JSON:
    """Means and the ends of an interval, a row for each step of each series."""
    steps, interval, seed = (service.value(name, body, "predict") for name in ("steps", "interval", "seed"))
    data = service.run.spec.data
    deadline.check()
    found, ahead = service.run.use.future(service.examples(body), steps, seed)
    return {"rows": service.rows(pa.table(dict(forecast_columns(data, found, ahead, interval, None))))}


def sample(service: Service, body: JSON, deadline: Deadline) -> JSON:
    """New examples."""
    count, seed, where = (service.value(name, body, "sample") for name in ("count", "seed", "where"))
    if count > service.limits.rows:
        raise TooMuch(f"{counted(count, 'example')} were asked for; ask for at most {service.limits.rows:,} at once")
    deadline.check()
    found = service.run.use.drawn(count, seed, where)
    if found.table is not None:
        return {"rows": service.rows(found.table)}
    key = "examples" if service.columns is not None else service.form.key  # windows of series are arrays
    return {key: numbers(found.x)}


def no_scores(run: Run) -> str:
    """Why a run scores nothing."""
    if domains.of(run.spec.data).in_time(run.spec.data):
        return "windows of series are scored by `vael score`"
    if not has(run.model, Decodes):
        return f"{type(run.model).__name__} decodes nothing"
    return reason(lambda: run.use.detector)


def no_codes(run: Run) -> str:
    """Why a run encodes nothing."""
    if domains.of(run.spec.data).in_time(run.spec.data):
        return "steps of series are encoded by `vael encode`"
    return "" if has(run.model, Encodes) else f"{type(run.model).__name__} has no codes"


def no_filling(run: Run) -> str:
    """Why a run fills no gaps."""
    model, data = run.model, run.spec.data
    if not domains.of(data).in_rows(data):
        return f"gaps are filled in rows of tables, and the run was trained on {data.name}"
    fills = has(model, ClosedForm) or (has(model, LatentVector) and has(model, CellWise))
    return reason(lambda: run.use.rules) if fills else f"{type(model).__name__} cannot leave cells out"


def no_prediction(run: Run) -> str:
    """Why a run predicts nothing."""
    data = run.spec.data
    if domains.of(data).in_time(data):
        able = any(has(run.model, one) for one in (Predicts, Continues, CellWise))
        return "" if able and isinstance(form_of(data), RowForm) else f"{type(run.model).__name__} forecasts no rows"
    return "" if has(run.model, Classifies) else "the run learned no classes and was not trained on series"


def no_draws(run: Run) -> str:
    """Why a run draws nothing."""
    return reason(lambda: run.use.drawn(1)) if has(run.model, Samples) else f"{type(run.model).__name__} draws nothing"


def reason(attempt: Callable[[], object]) -> str:
    """Why something cannot be had; empty where it can."""
    try:
        attempt()
    except VaelError as error:
        return str(error)
    return ""


QUESTIONS = (
    Endpoint(
        "score",
        "How strange examples are: a higher score is stranger; a p-value is the share of rows that belong and score as "
        "high.",
        score,
        no_scores,
        parameters=(
            Parameter(
                "threshold",
                "flag examples with a p-value up to this",
                {"type": "number", "minimum": 0, "maximum": 1},
                THRESHOLD,
            ),
        ),
    ),
    Endpoint("encode", "The latent code of every example: the mean of q(z | x).", encode, no_codes),
    Endpoint(
        "impute",
        "Rows with their missing cells (null) filled by their mean given the others; deviations of the filled cells.",
        impute,
        no_filling,
        parameters=(
            Parameter(
                "samples", "latents for each row", {"type": "integer", "minimum": 1, "maximum": MOST_SAMPLES}, 200
            ),
            Parameter(
                "draws",
                "tables of draws of the missing cells, beside that of means",
                {"type": "integer", "minimum": 0, "maximum": 100},
                0,
            ),
            SEED,
        ),
    ),
    Endpoint(
        "predict",
        "The class of every example with probabilities, or the steps after every series with an interval.",
        predict,
        no_prediction,
        parameters=(
            Parameter("steps", "of series", {"type": "integer", "minimum": 1, "maximum": 1000}),
            Parameter(
                "interval",
                "of series: probability between the ends",
                {"type": "number", "minimum": 0.001, "maximum": 0.999},
                0.9,
            ),
            SEED,
        ),
    ),
    Endpoint(
        "sample",
        "New examples.",
        sample,
        no_draws,
        takes=False,
        parameters=(
            Parameter("count", "how many", {"type": "integer", "minimum": 1, "maximum": MOST_SEED}, 16),
            Parameter("where", "the condition of a conditional model, a value for each name", {"type": "object"}),
            SEED,
        ),
    ),
)
