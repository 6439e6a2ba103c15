"""What was found about a model whose numbers take no importance sampling: exact log p(x), codes, or an error."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from vael.counting import counted
from vael.evaluation.codes import CodeEvaluation
from vael.evaluation.reconstruction import psnr
from vael.networks import CodeUse


def examples_told(data: str, split: str, examples: int) -> str:
    """Which examples were judged, as a sentence begins: of a split, or of data that have none."""
    return f"{data}, {f'{split} split of ' if split else ''}{counted(examples, 'example')}"


@dataclass(frozen=True)
class KeyFigure:
    """One number for a person: its name, in which unit, and how it came about; `key` names it in JSON."""

    key: str
    name: str
    value: float
    unit: str
    told: str
    digits: int = 2
    standard_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Judgement(ABC):
    """Abstract: what was found about a model on one split without any draw of latents."""

    data: str
    split: str
    examples: int
    seed: int
    seconds: float
    estimator: str  # how the numbers came about, in a sentence
    notes: tuple[str, ...] = ()  # what every figure must say
    warnings: tuple[str, ...] = ()

    @property
    @abstractmethod
    def figures(self) -> tuple[KeyFigure, ...]:
        """The numbers, the most important one first."""

    def __str__(self) -> str:
        """The figures in one line, as a person says them."""
        said = ", ".join(f"{one.name} {one.value:.{one.digits}f} {one.unit}".rstrip() for one in self.figures)
        return f"{examples_told(self.data, self.split, self.examples)}: {said}"


@dataclass(frozen=True, kw_only=True)
class ExactJudgement(Judgement):
    """log p(x) as it is: nothing estimated, so the only error is that of having so many examples."""

    log_likelihood: float  # nats per example
    standard_error: float | None  # over examples; None for a single one
    bits_per_dim: float | None  # None for densities
    log_likelihood_per_example: Float[Tensor, " examples"]

    @property
    def figures(self) -> tuple[KeyFigure, ...]:
        exact = KeyFigure(
            "log_likelihood",
            "log p(x)",
            self.log_likelihood,
            "nats",
            "exact; ± is one standard error over examples",
            standard_error=self.standard_error,
        )
        if self.bits_per_dim is None:
            return (exact,)
        return exact, KeyFigure("bits_per_dim", "bits per dim", self.bits_per_dim, "bits", "from log p(x)", 3)


@dataclass(frozen=True, kw_only=True)
class CodeJudgement(Judgement):
    """A model with codes c(x): log p(x, c(x)), which is at most log p(x) for every example, and how codes are used."""

    found: CodeEvaluation

    @property
    def figures(self) -> tuple[KeyFigure, ...]:
        found = self.found
        bound = "log p(x, c(x)), never above log p(x); exact, no draws"
        figures = [KeyFigure("bound", "bound", found.bound, "nats", bound)]
        if found.bits_per_dim is not None:
            figures.append(KeyFigure("bits_per_dim", "bits per dim", found.bits_per_dim, "bits", "from the bound", 3))
        figures += [
            KeyFigure("distortion", "distortion", found.distortion, "nats", "-log p(x | c(x))"),
            KeyFigure("code_bits", "code bits", found.rate / math.log(2), "bits", "-log₂ p(c(x)) of an example", 1),
        ]
        return (*figures, *evenness(found.use))


@dataclass(frozen=True, kw_only=True)
class ErrorJudgement(Judgement):
    """How far what comes out is from what went in. It says nothing of how probable an example is."""

    squared_error: float  # of an element, mean over elements and examples, in squared units of the data
    standard_error: float | None  # over examples
    peak: float | None  # the largest difference of two elements; None where decibels mean nothing
    use: tuple[CodeUse, ...] = ()  # of each level of codes, where there are any
    squared_error_per_example: Float[Tensor, " examples"]

    @property
    def decibels(self) -> float | None:
        """Peak signal-to-noise ratio."""
        return None if self.peak is None else psnr(self.squared_error, self.peak)

    @property
    def figures(self) -> tuple[KeyFigure, ...]:
        told = "of an element, mean over elements and examples; ± is one standard error over examples"
        figures = [
            KeyFigure(
                "squared_error",
                "squared error",
                self.squared_error,
                "",
                told,
                digits_of(self.squared_error),
                self.standard_error,
            )
        ]
        if self.decibels is not None:
            peak = f"10 log₁₀(peak² / squared error), peak {self.peak:g}"
            figures.append(KeyFigure("decibels", "decibels", self.decibels, "dB", peak))
        return (*figures, *evenness(self.use))


def digits_of(value: float) -> int:
    """Decimals that leave four figures of a number."""
    return max(2, 3 - math.floor(math.log10(value))) if 0 < value < math.inf else 2


def evenness(use: tuple[CodeUse, ...]) -> Iterator[KeyFigure]:
    """Perplexity of the codes of each level."""
    for level, one in enumerate(use, 1):
        which = f" {level}" if len(use) > 1 else ""
        told = f"of {one.size:,} codes: as many as if these were used equally often; {one.used:,} occur"
        key = f"perplexity{which.replace(' ', '_')}"
        yield KeyFigure(key, f"perplexity{which}", one.perplexity, "codes", told, 1)
