"""Whether a model is worse than no model at all: said before anything else."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from vael import domains
from vael.data import Source
from vael.evaluation import Evaluation, Judgement
from vael.report import ReportInput
from vael.report.record import TrivialModel
from vael.report.verdict import fallen
from vael.specs import Run

CERTAIN = 2.0  # standard errors; the model's own, which is more than that of a difference on the same examples
WITHIN = " ON THESE EXAMPLES, by less than two standard errors"


@dataclass(frozen=True)
class Against:
    """What is reached without a model, and what a model of it reaches; nats per example."""

    reached: float
    trivial: TrivialModel
    error: float | None = None  # standard error of what is reached, over examples, where it is known
    fall: float | None = None  # of the bound on validation after its best, where the model overfits

    @property
    def is_worse(self) -> bool:
        """Whether the model is no better than none."""
        return not self.reached > self.trivial.log_likelihood

    @property
    def lines(self) -> tuple[str, ...]:
        """What must be said first; nothing of a model that is better."""
        if not self.is_worse:
            return ()
        error = self.error
        certain = error is None or self.reached + CERTAIN * error < self.trivial.log_likelihood
        told = "" if error is None else f" ± {error:.2f}"
        return (
            f"WORSE THAN NO MODEL{'' if certain else WITHIN}: {self.reached:.2f}{told} nats per example, where "
            f"{self.trivial.what} reach "
            f"{self.trivial.log_likelihood:.2f}; train {self._how}, before anything is done with this model",
        )

    @property
    def _how(self) -> str:
        if self.fall is None:
            return "longer (--time-limit, or --resume with more --epochs), or on more data"
        return (
            "on more data, or a smaller network (--hidden, --channels), and not longer, as the validation bound has "
            f"fallen by {self.fall:.2f} since its best"
        )


def against_trivial(run: Run, judged: Evaluation | Judgement, shown: Source, seed: int = 0) -> Against | None:
    """The estimate of log p(x), else its bound, beside the best of what needs no model: all values equally likely, and
    the baseline of the kind of data. None where there is no likelihood, or nothing to compare it with.
    """
    if not isinstance(judged, Evaluation) or not judged.is_bound:
        return None
    reached = judged.elbo if judged.log_likelihood is None else judged.log_likelihood
    splits = run.splits()
    record = ReportInput(run.model, replace(splits, test=shown), seed=seed, view=domains.of(splits.train))
    found = (uniform(shown), record.view.baseline(record))
    known = [one for one in found if one is not None and math.isfinite(one.log_likelihood)]
    if not known or not math.isfinite(reached):
        return None
    error = None if judged.log_likelihood is None else judged.standard_error
    validation = [row.elbo for row in run.history if row.split == "validation"]
    return Against(reached, max(known, key=lambda one: one.log_likelihood), error, fallen(validation))


def uniform(source: Source) -> TrivialModel | None:
    """All values of an element equally likely; None where there is no end of values."""
    if source.highest is None:
        return None
    levels = source.highest + 1
    return TrivialModel(-math.prod(source.event) * math.log(levels), f"{levels:,.0f} equally likely values")


def as_fields(found: Against | None) -> dict[str, object]:
    """What `--json` says of it."""
    if found is None:
        return {}
    return {
        "trivial_log_likelihood": found.trivial.log_likelihood,
        "trivial": found.trivial.what,
        "worse_than_trivial": found.is_worse,
    }
