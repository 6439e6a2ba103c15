"""What an evaluation found, and the reasons not to trust it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from vael.counting import counted
from vael.data import Source
from vael.data.summary import elements_of, steps_of
from vael.evaluation.classification import Classification, classification
from vael.evaluation.collapse import collapse
from vael.evaluation.divergence_parts import DecomposedDivergence
from vael.evaluation.estimation import ProposalPlan, Proposals
from vael.evaluation.judgement import examples_told
from vael.evaluation.likelihood import Judged
from vael.evaluation.proposals import HEAVY, MOST_CORRELATED, PILOT, TRIAL, WORTH, widening
from vael.models import LatentModel, head_of, is_likelihood
from vael.models.vae import context_of
from vael.visible import html_table

LEAST_SAMPLES = 100  # fewer than these say little about the tail of the weights
K_HAT_LIMIT = 0.7  # Vehtari et al. 2024
UNTRUSTED_SHARE = 0.1  # of the examples, above which a warning is due
LEAST_EFFECTIVE = 10.0  # draws that the weights are worth on average


@runtime_checkable
class Weighed(Protocol):
    """What is known of the weights of an estimate of log p(x)."""

    @property
    def effective_sample_size(self) -> float | None:
        """Of the K weights, mean over examples."""

    @property
    def k_hat_above_limit(self) -> float | None:
        """Share of examples whose k-hat is above its limit."""


def untrusted(found: Weighed) -> bool:
    """Whether the weights say that log p(x) lacks more than its error bar shows: the one rule for cards, sentences
    and warnings.
    """
    few = found.effective_sample_size is not None and found.effective_sample_size < LEAST_EFFECTIVE
    return few or (found.k_hat_above_limit is not None and found.k_hat_above_limit > UNTRUSTED_SHARE)


def _digits(value: float | None, digits: int, more: str = "") -> str | None:
    """A number with so many decimals; None where there is none."""
    return None if value is None else f"{value:.{digits}f}{more}"


@dataclass(frozen=True)
class Evaluation:
    """Numbers of a model on one split: nats per example, means over all examples, unless the name says otherwise.

    `log_likelihood` and what follows from it are None where the model has no likelihood (`notes` says so); `is_bound`
    is false then, and `elbo` is the objective, minus `distortion` and `divergence`, which bounds nothing.
    """

    data: str
    split: str
    examples: int
    elbo: float
    distortion: float  # -E_q[log p(x | z)]
    divergence: float  # KL(q(z | x) || p(z))
    log_likelihood: float | None  # importance-weighted estimate of log p(x), a lower bound in expectation
    standard_error: float | None  # over examples, of log_likelihood; None for a single example
    importance_samples: int
    bits_per_dim: float | None  # of log_likelihood; None for densities
    effective_sample_size: float | None  # of the K weights, mean over examples
    worst_effective_sample_size: float | None
    k_hat: float | None  # of the weights, median over examples; None where K is too small
    k_hat_above_limit: float | None  # share of examples above 0.7
    active_units: int
    latent_features: int
    divergence_per_latent: Float[Tensor, " features"] | None
    elbo_per_example: Float[Tensor, " examples"]
    log_likelihood_per_example: Float[Tensor, " examples"] | None
    k_hat_per_example: Float[Tensor, " examples"] | None
    seed: int
    seconds: float
    estimator: str  # how the numbers were estimated, in a sentence
    warnings: tuple[str, ...] = ()  # reasons not to trust a number
    notes: tuple[str, ...] = ()  # what every figure must say
    is_bound: bool = True  # whether `elbo` is a lower bound on log p(x)
    conditioned_on: tuple[str, ...] = ()  # what c is made of, where every p(x) is p(x | c)
    classification: Classification | None = None  # of a model of classes, where labels are known
    steps: float | None = None  # of sequences: at how many times something was seen, mean over windows
    fitted_share: float = (
        0.0  # of the examples whose draws for log p(x) came from a proposal fitted to them, not from the encoder
    )

    parts: DecomposedDivergence | None = None  # of the divergence; None where it cannot be taken apart

    @property
    def elbo_per_step(self) -> float | None:
        """`elbo` for each time at which something was seen; None where examples are no sequences."""
        return self.elbo / self.steps if self.steps else None

    @property
    def log_likelihood_per_step(self) -> float | None:
        """`log_likelihood` for each time at which something was seen; None where examples are no sequences."""
        return self.log_likelihood / self.steps if self.steps and self.log_likelihood is not None else None

    def __repr__(self) -> str:
        """Every figure, without what belongs to single examples."""
        known = [(one.name, getattr(self, one.name)) for one in fields(self)]
        said = [
            f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value!r}"
            for name, value in known
            if not isinstance(value, Tensor)
        ]
        return f"Evaluation({', '.join(said)})"

    def _repr_html_(self) -> str:
        """The figures with their errors, and the reasons not to trust them."""
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2f}"
        per = " | c" if self.conditioned_on else ""
        figures = [
            (f"log p(x{per})", _digits(self.log_likelihood, 2, error), "importance-weighted"),
            ("bound" if self.is_bound else "objective", f"{self.elbo:.2f}", ""),
            ("distortion", f"{self.distortion:.2f}", "" if self.log_likelihood is None else "expected -log p(x | z)"),
            ("divergence", f"{self.divergence:.2f}", f"{self.active_units} of {self.latent_features} latents active"),
            ("bits per dimension", _digits(self.bits_per_dim, 4), ""),
            ("effective sample size", _digits(self.effective_sample_size, 1), ""),
            ("k-hat", _digits(self.k_hat, 2), ""),
        ]
        rows = [row for row in figures if row[1] is not None]
        rows += [("warning", one, "") for one in self.warnings] + [("note", one, "") for one in self.notes]
        unit = "nats per example" if self.is_bound else "per example"
        return html_table(
            f"{self.data}, {self.split} split: {counted(self.examples, 'example')}, {unit}, K = "
            f"{self.importance_samples:,}",
            rows,
        )

    def __str__(self) -> str:
        """The figures in one line, as a person says them."""
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2f}"
        given = f" given {', '.join(self.conditioned_on)}" if self.conditioned_on else ""
        weighed = (
            ""
            if self.log_likelihood is None
            else f"log p(x){given} {self.log_likelihood:.2f}{error} (K = {self.importance_samples:,}), "
        )
        what = "bound" if self.is_bound else "objective"
        doubts = f"; {counted(len(self.warnings), 'warning')} in .warnings" if self.warnings else ""
        return (
            f"{examples_told(self.data, self.split, self.examples)}: {weighed}{what} {self.elbo:.2f} = "
            f"−({self.distortion:.2f} distortion + {self.divergence:.2f} divergence) nats, "
            f"{self.active_units} of {counted(self.latent_features, 'latent')} active{doubts}"
        )


def summed_up(model: LatentModel, source: Source, plan: ProposalPlan, judged: Judged, *, discrete: bool) -> Evaluation:
    """The figures of a split from those of its examples, with warnings; bits per dimension of a `discrete` likelihood.

    The divergence is not taken apart yet, and no time is stated.
    """
    usage, how, given = collapse(judged.mean, judged.divergence_per_latent), plan.how, bool(context_of(model))
    found = Evaluation(
        data=source.name,
        split=how.split,
        examples=len(source),
        importance_samples=how.importance_samples,
        elbo=float(-(judged.distortion + judged.divergence).mean()),
        distortion=float(judged.distortion.mean()),
        divergence=float(judged.divergence.mean()),
        log_likelihood=None,
        standard_error=None,
        bits_per_dim=None,
        effective_sample_size=None,
        worst_effective_sample_size=None,
        k_hat=None,
        k_hat_above_limit=None,
        k_hat_per_example=None,
        log_likelihood_per_example=None,
        active_units=usage.active_units,
        latent_features=judged.mean.shape[1],
        divergence_per_latent=usage.divergence,
        elbo_per_example=-(judged.distortion + judged.divergence),
        seed=how.seed,
        seconds=0.0,
        estimator=_estimator(judged, plan, given=given),
        notes=source.notes,
        conditioned_on=source.conditions if given else (),
        fitted_share=float(judged.fitted.mean()),
        steps=steps_of(source),
        classification=None
        if judged.class_bound is None or judged.class_log_probability is None
        else classification(judged.class_log_probability, judged.class_bound, source),
    )
    head = head_of(model)
    if is_likelihood(model):
        found = _with_likelihood(found, judged, discrete, elements_of(source))
        return replace(found, warnings=tuple(_warnings(found, judged, can_fit=plan.can_fit)))
    return replace(
        found,
        is_bound=False,
        notes=(
            *source.notes,
            f"{type(head).__name__} is no likelihood of these data: the objective is given, log p(x) is not",
        ),
    )


def _estimator(judged: Judged, plan: ProposalPlan, *, given: bool) -> str:
    samples = plan.samples
    if judged.class_bound is not None:
        return (
            f"log p(x): classes summed out exactly, importance-weighted over z, K = {samples} draws from "
            "q(z | x, y) for every class y; distortion and divergence: expectations over q(y | x), exact, and over the "
            "same draws; no label is looked at"
        )
    own, density = plan.how.proposals is Proposals.ENCODER, "log p(x | c)" if given else "log p(x)"
    bound = samples if own else PILOT
    divergence = "in closed form" if plan.closed else f"estimated from {bound} draws per example"
    latents = judged.mean.shape[1]
    how = (
        f"Laplace's approximation of p(z | x), corrected by {TRIAL} weighted draws"
        if latents <= MOST_CORRELATED
        else "independent latents, by the bound of the example"
    )
    fitted = f"a Gaussian fitted to the example ({how} and {widening(latents):.2f} times as wide)"
    drawn = {
        Proposals.ENCODER: "q(z | x)",
        Proposals.FITTED: fitted,
        Proposals.ADAPTIVE: f"q(z | x) or, where {PILOT} other draws from it have k-hat above {HEAVY:g} or are worth "
        f"fewer than {WORTH * PILOT:g} ({float(judged.fitted.mean()):.0%} of the examples), from {fitted}",
    }[plan.how.proposals]
    return (
        f"{density}: importance-weighted, K = {samples} draws from {drawn}; distortion: mean over "
        f"{'the same draws' if own else f'{PILOT} draws from q(z | x)'}; divergence: {divergence}"
    )


def _with_likelihood(found: Evaluation, judged: Judged, discrete: bool, cells: float) -> Evaluation:
    log_likelihood, k_hat = judged.log_likelihood, judged.k_hat
    mean = float(log_likelihood.mean())
    return replace(
        found,
        log_likelihood=mean,
        log_likelihood_per_example=log_likelihood,
        standard_error=float(log_likelihood.std() / math.sqrt(found.examples)) if found.examples > 1 else None,
        bits_per_dim=-mean / (cells * math.log(2)) if discrete else None,
        effective_sample_size=float(judged.effective_samples.mean()),
        worst_effective_sample_size=float(judged.effective_samples.min()),
        k_hat=None if k_hat is None else float(k_hat.nanmedian()),
        k_hat_per_example=k_hat,
        k_hat_above_limit=None if k_hat is None else float((~(k_hat <= K_HAT_LIMIT)).double().mean()),
    )


def _warnings(found: Evaluation, judged: Judged, *, can_fit: bool) -> Iterator[str]:
    """Reasons not to trust log p(x), each with the way out: proposals where the model can have them fitted."""
    samples, share = found.importance_samples, found.k_hat_above_limit
    effective, bad = float(judged.effective_samples.mean()), int((~judged.log_likelihood.isfinite()).sum())
    settled = not can_fit or found.fitted_share or found.steps is not None  # no other proposals are left to try
    if bad:
        yield (
            f"log p(x) is not finite for {bad} of {found.examples} examples: look at these rows and at the weights of "
            "the model"
        )
    if samples < LEAST_SAMPLES:
        yield (
            f"K = {samples} draws are few: the estimate lies below log p(x), and its weights cannot be judged; use "
            f"{LEAST_SAMPLES} or more (--importance-samples)"
        )
    elif effective < LEAST_EFFECTIVE:
        yield (
            f"the weights of K = {samples} draws are worth {effective:.1f} equal ones on average, so "
            "log p(x) is a loose lower "
            "bound and its standard error leaves that out; use more draws (--importance-samples)"
        )
    if share is not None and share > UNTRUSTED_SHARE:
        yield (
            f"k-hat is above {K_HAT_LIMIT:g} for {share:.0%} of the examples: their weights have so heavy a tail that "
            "log p(x) is too low by an "
            "unknown amount; use more draws (--importance-samples)"
            f"{'' if settled else ' or proposals fitted to the examples (--proposal adaptive)'}"
        )
    if found.standard_error is None:
        yield "a single example has no standard error; evaluate on more"
