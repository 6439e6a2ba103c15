"""How good a model is and what to try next, in plain sentences that rules derive from the numbers.

Every rule is a function from `Findings` to a `Remark` or None and reads nothing else; its threshold stands above it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from vael.applications.comparing import Comparison
from vael.counting import counted
from vael.evaluation import CodeJudgement, ExactJudgement, Judgement, samples_latents
from vael.models import is_likelihood
from vael.report.gather import ACTIVE
from vael.report.record import Encoded, ReportInput, Subject, TrivialModel


class Tone(Enum):
    """How a remark is to be taken."""

    GOOD = "good"
    PLAIN = "plain"
    WARNING = "warning"


@dataclass(frozen=True)
class Remark:
    """One sentence or two; `what` names the rule."""

    what: str
    tone: Tone
    text: str


@dataclass(frozen=True)
class Findings:
    """The numbers that the rules read; nats per example, None where not known."""

    elbo: float | None = None
    log_likelihood: float | None = None
    standard_error: float | None = None
    importance_samples: int | None = None
    divergence: float | None = None
    active: int | None = None
    latents: int | None = None
    train: tuple[float, ...] = ()  # bound on the training split, in order
    validation: tuple[float, ...] = ()
    skipped: int = 0
    steps: int = 0
    baseline: TrivialModel | None = None
    warnings: tuple[str, ...] = ()  # of the evaluation
    climbed: str = "bound"  # what `elbo` may be called; "objective" where it bounds nothing
    subject: Subject = field(default_factory=Subject)
    unit: str = "nats "  # of what is climbed, with a space behind it; empty where it is an error
    compared: tuple[Comparison, ...] = ()  # with the simplest ways to do what else is asked of such models
    measured: bool = False  # whether numbers of another kind stand in the report
    detail: float | None = (
        None  # of means of samples: their differences between neighbouring pixels, as a share of those of data
    )

    @property
    def best_figure(self) -> float | None:
        """The estimate of log p(x) where it was estimated, else the bound."""
        return self.elbo if self.log_likelihood is None else self.log_likelihood


def signed(value: float, digits: int = 2) -> str:
    """A number with a real minus sign."""
    return f"{value:,.{digits}f}".replace("-", "−")


LITTLE_GAIN = 0.02  # share of the baseline's nats below which a gain counts as small


def against_baseline(findings: Findings) -> Remark | None:
    """Whether the model is better than independent cells."""
    figure, baseline = findings.best_figure, findings.baseline
    if figure is None or baseline is None or not math.isfinite(figure):
        return None
    name = "log p(x)" if findings.log_likelihood is not None else f"the {findings.climbed}"
    gain = figure - baseline.log_likelihood
    facts = f"{name} is {signed(figure)} nats per example; {baseline.what}, reach {signed(baseline.log_likelihood)}"
    if gain <= 0:
        advice = "Something is wrong: train longer, lower the learning rate, or try another likelihood."
        if overfitting(findings) is not None:
            advice = f"Training longer does not help, as the model overfits. {findings.subject.remedies}"
        return Remark("baseline", Tone.WARNING, f"{facts}: the model is no better than that. {advice}")
    little = " That is little: there is not much structure in the data, or it was not found yet."
    much = "" if gain > LITTLE_GAIN * abs(baseline.log_likelihood) else little
    subject = findings.subject
    nats = f"{signed(gain)} nats ({signed(gain / math.log(2), 1)} bits) per {subject.example}"
    text = f"{facts}. Modelling dependence between {subject.elements} gains {nats}.{much}"
    return Remark("baseline", Tone.PLAIN if much or blurred(findings) else Tone.GOOD, text)


def against_simplest(findings: Findings) -> Remark | None:
    """Whether the model does what else is asked of it better than the simplest way."""
    if not findings.compared:
        return None
    text = " ".join(f"{one.task[:1].upper()}{one.task[1:]}: {one}." for one in findings.compared)
    if all(one.is_better and one.clear for one in findings.compared):
        return Remark("simplest", Tone.GOOD, text)
    if not any(one.clear for one in findings.compared if not one.is_better):
        return Remark("simplest", Tone.PLAIN, text)
    longer = "" if overfitting(findings) is not None else "longer, or "
    return Remark("simplest", Tone.WARNING, f"{text} Train {longer}with more data, before it is used for that.")


BLURRED = 0.5  # of the differences between neighbouring pixels, below which samples are seen to be blurred


def blurred(findings: Findings) -> Remark | None:
    """Whether means of samples have far less fine detail than the data."""
    if findings.detail is None or findings.detail >= BLURRED:
        return None
    text = (
        f"Samples are blurred: neighbouring pixels of their means differ by {findings.detail:.0%} of what they do in "
        "data. A high log p(x) does not "
        "make samples sharp; train longer, with more images, more latents or a larger network."
    )
    return Remark("detail", Tone.WARNING, text)


COLLAPSED_NATS = 0.1


def collapse(findings: Findings) -> Remark | None:
    """Whether the decoder ignores the latents."""
    none_active, silent = findings.active == 0, findings.divergence is not None and findings.divergence < COLLAPSED_NATS
    if not (none_active or silent):
        return None
    nats = "" if findings.divergence is None else f" (divergence {findings.divergence:.3f} nats)"
    text = (
        f"The posterior has collapsed{nats}: latents say nothing about x, and every reconstruction is the same. Warm β "
        "up over more steps, "
        "give the decoder less capacity of its own, or start from a lower learning rate."
    )
    return Remark("collapse", Tone.WARNING, text)


def unused(findings: Findings) -> Remark | None:
    """Whether there are more latents than are used, or more would be."""
    active, latents = findings.active, findings.latents
    if not active or latents is None:
        return None
    if active < latents:
        text = (
            f"{active} of {latents} latents {'is' if active == 1 else 'are'} in use (variance of the posterior mean "
            f"above {ACTIVE:g}); "
            "the others carry nothing."
        )
        return Remark("latents", Tone.PLAIN, text)
    every = "The one latent is" if latents == 1 else f"All {latents} latents are"
    if overfitting(findings) is not None:
        return Remark("latents", Tone.PLAIN, f"{every} in use.")
    more = "with so few, more latents would very likely help." if latents <= 4 else "a larger latent space may help."
    return Remark("latents", Tone.PLAIN, f"{every} in use: {more}")


OVERFIT_SHARE, FALL_SHARE = 0.05, 0.01  # of the validation bound's size


def fallen(validation: Sequence[float]) -> float | None:
    """By how much what is climbed has fallen on validation since its best; None where that is little, and where a
    longer training may help.
    """
    if not validation:
        return None
    best, last = max(validation), validation[-1]
    return best - last if best - last > FALL_SHARE * max(abs(best), 1.0) else None


def overfitting(findings: Findings) -> Remark | None:
    """Whether the bound on training data leaves the one on validation data behind."""
    if not findings.train or not findings.validation:
        return None
    last, best = findings.validation[-1], max(findings.validation)
    gap, size = findings.train[-1] - last, max(abs(best), 1.0)
    fall = fallen(findings.validation)
    if fall is None and (gap <= OVERFIT_SHARE * size or rising(findings) is not None):
        return None  # what still rises on validation is not hurt by what training has learned by heart
    ahead = f"Training is {signed(gap)} {findings.unit}ahead of validation" if gap > OVERFIT_SHARE * size else ""
    fell = (
        f"the validation {findings.climbed} fell by {signed(fall)} {findings.unit}after its best"
        if fall is not None
        else ""
    )
    text = " and ".join(part for part in (ahead, fell) if part)
    text = text[0].upper() + text[1:] + ": the model overfits. " + findings.subject.remedies
    return Remark("overfitting", Tone.WARNING, text)


RISING_SHARE = 0.02  # of the whole rise, still won in the last fifth of training
RISING_SIZE = 0.005  # of the bound's size, which that is at least
FEWEST_VALIDATIONS = 5


def rising(findings: Findings) -> Remark | None:
    """Whether training was too short."""
    bounds = [one for one in findings.validation if math.isfinite(one)]
    if len(bounds) < FEWEST_VALIDATIONS or max(bounds) > bounds[-1]:
        return None
    start = bounds[-1 - max(len(bounds) // 5, 1)]
    won, whole = bounds[-1] - start, bounds[-1] - bounds[0]
    if whole <= 0 or won < max(RISING_SHARE * whole, RISING_SIZE * abs(bounds[-1])):
        return None
    rose = f"The validation {findings.climbed} still rose by {signed(won)} {findings.unit}in the last fifth of training"
    text = f"{rose}: train for more epochs before anything else."
    return Remark("rising", Tone.WARNING, text)


def doubts(findings: Findings) -> Remark | None:
    """Whether the evaluation itself warns of its numbers: heavy tails of the weights, few effective draws, few
    examples.
    """
    if not findings.warnings:
        return None
    return Remark(
        "doubts", Tone.WARNING, " ".join(f"{one[:1].upper()}{one[1:].rstrip('.')}." for one in findings.warnings)
    )


LOOSE_SHARE = 0.15  # of the divergence


def looseness(findings: Findings) -> Remark | None:
    """Whether the bound is far below log p(x)."""
    if findings.elbo is None or findings.log_likelihood is None or not findings.divergence:
        return None
    gap = findings.log_likelihood - findings.elbo
    if not gap > LOOSE_SHARE * findings.divergence:
        return None
    more = "An" if overfitting(findings) is not None else "A larger encoder, longer training or an"
    text = (
        f"The bound is {signed(gap)} nats below log p(x): that is KL(q(z | x) ‖ p(z | x)). {more} importance-weighted "
        "objective would tighten it."
    )
    return Remark("looseness", Tone.PLAIN, text)


SKIPPED_SHARE = 0.01


def skipped(findings: Findings) -> Remark | None:
    """Whether many steps were not taken."""
    if findings.skipped <= SKIPPED_SHARE * max(findings.steps, 1):
        return None
    share = f"{findings.skipped:,} of {counted(findings.steps, 'step')}"
    text = (
        f"{share} {'was' if findings.skipped == 1 else 'were'} skipped, since a gradient was not finite or leapt: "
        "lower the learning rate."
    )
    return Remark("skipped", Tone.WARNING, text)


def unmeasured(findings: Findings) -> Remark | None:
    """Whether there is no figure on unseen data at all."""
    if findings.best_figure is not None or findings.measured:
        return None
    return Remark(
        "unmeasured",
        Tone.PLAIN,
        "No evaluation stands in this report: `vael evaluate RUN` gives log p(x) with its error bar.",
    )


RULES = (
    against_baseline,
    against_simplest,
    unmeasured,
    blurred,
    collapse,
    unused,
    overfitting,
    rising,
    doubts,
    looseness,
    skipped,
)


def remarks(findings: Findings) -> list[Remark]:
    """What every rule has to say, warnings first; a last word where none of them warns."""
    found = [remark for rule in RULES if (remark := rule(findings)) is not None]
    if findings.best_figure is not None and all(remark.tone is not Tone.WARNING for remark in found):
        found.append(Remark("sound", Tone.GOOD, "Nothing in these numbers points to a fault in training."))
    return sorted(found, key=lambda remark: remark.tone is not Tone.WARNING)


def findings_of(record: ReportInput, seen: Encoded | None) -> Findings:
    """The numbers of a run; activity and divergence from the report's own pass where nothing was evaluated."""
    numbers, history = record.evaluation, record.history
    idle = seen if samples_latents(record.model) else None  # where latents may be idle
    findings = Findings(
        active=None if idle is None else int((idle.variance > ACTIVE).sum()),
        latents=None if idle is None else idle.mean.shape[1],
        divergence=None if idle is None or idle.per_latent is None else float(idle.per_latent.sum()),
        train=tuple(row.elbo for row in history if row.split == "train"),
        validation=tuple(row.elbo for row in history if row.split == "validation"),
        skipped=max((row.skipped for row in history), default=0),
        steps=max((row.step for row in history), default=0),
        baseline=record.view.baseline(record) if is_likelihood(record.model) else None,
        climbed="bound" if is_likelihood(record.model) else "objective",
        subject=record.view.subject(record.splits.train),
        detail=record.view.detail(record),
        unit="nats " if is_likelihood(record.model) or record.has_latents else "",
        compared=record.view.compared(record.model, record.splits.train, record.shown, record.seed),
        measured=numbers is not None,
    )
    if isinstance(numbers, ExactJudgement):
        exact = replace(findings, log_likelihood=numbers.log_likelihood, standard_error=numbers.standard_error)
        return replace(exact, warnings=numbers.warnings)
    if isinstance(numbers, CodeJudgement):
        return replace(findings, elbo=numbers.found.bound, climbed="bound")
    if numbers is None or isinstance(numbers, Judgement):
        return findings
    return replace(
        findings,
        warnings=numbers.warnings,
        elbo=numbers.elbo,
        log_likelihood=numbers.log_likelihood,
        standard_error=numbers.standard_error,
        importance_samples=numbers.importance_samples,
        divergence=numbers.divergence,
        active=numbers.active_units,
        latents=numbers.latent_features,
    )
