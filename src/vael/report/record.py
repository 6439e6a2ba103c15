"""What a report is made from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vael.applications.comparing import Comparison
from vael.counting import counted
from vael.data import Source, Splits
from vael.evaluation import Evaluation, Judgement
from vael.models import LatentModel, LatentVector, Model, has, needs
from vael.report.grid import Display, display_of
from vael.report.style import Drawing
from vael.training import Row


@dataclass(frozen=True)
class TrivialModel:
    """Log-likelihood of the independent-cells model in nats per example, and what that model is in words."""

    log_likelihood: float
    what: str


@dataclass(frozen=True)
class Subject:
    """What the data are, in words, and what helps a model that overfits them."""

    elements: str = "elements"
    example: str = "example"
    remedies: str = "More data, weight decay (`--weight-decay`) or a smaller network help."


@dataclass(frozen=True)
class Encoded:
    """Posterior of a part of the data."""

    mean: Float[Tensor, "examples latents"]
    divergence: (
        Float[Tensor, "examples latents"] | None
    )  # nats; None where the posterior does not fall into single latents
    label: Int64[Tensor, " examples"] | None
    told: str = ""  # which examples they are, for captions

    @property
    def per_latent(self) -> Float[Tensor, " latents"] | None:
        """Mean divergence of each latent in nats."""
        return None if self.divergence is None else self.divergence.mean(0)

    @property
    def variance(self) -> Float[Tensor, " latents"]:
        """Variance over the data of each latent's posterior mean."""
        return self.mean.var(0, correction=0)

    @property
    def order(self) -> list[int]:
        """Latents from the most informative one to the least: by divergence, or by variance where there is none."""
        measure = self.variance if self.per_latent is None else self.per_latent
        return torch.argsort(measure, descending=True, stable=True).tolist()


JudgedNumbers = Evaluation  # what a report prints of an evaluation
Facts = tuple[tuple[str, str], ...]
Headed = Sequence[tuple[str, Sequence[Drawing | None]]]  # drawings under their headings; None where one does not apply


class View(ABC):
    """Abstract: what a report shows and says of one kind of data; `vael.domains` has one for each."""

    maps_codes: ClassVar[bool] = True  # whether an example has one vector of codes, which a map can show
    pictured: ClassVar[bool] = False  # whether an example can be looked at as an image

    @abstractmethod
    def example(self, source: Source) -> str:
        """What one example is, in a line of facts."""

    @abstractmethod
    def subject(self, source: Source) -> Subject:
        """Words for the data, and what helps a model that overfits them."""

    @abstractmethod
    def names(self, source: Source) -> tuple[str, ...]:
        """What the columns or channels of an example are called, by number where they have no names."""

    @abstractmethod
    def baseline(self, record: ReportInput) -> TrivialModel | None:
        """What a model of these data must beat, fitted to training data in closed form and judged on the split that is
        shown; None where there is none.
        """

    @abstractmethod
    def figures(self, record: ReportInput, seen: Encoded | None, folder: Path) -> Headed:
        """The figures that fit model and data; `seen` are codes of examples, where they are mapped."""

    def compared(self, model: Model, train: Source, shown: Source, seed: int) -> tuple[Comparison, ...]:
        """How well the model does what else is asked of models of these data, beside the simplest way to do it."""
        return ()

    def simplest(self, train: Source, shown: Source, seed: int) -> TrivialModel | None:
        """The baseline of any two splits, where it hangs on nothing else."""
        return None

    def detail(self, record: ReportInput) -> float | None:
        """Fine detail of samples as a share of that of data; None where that says nothing."""
        return None


@dataclass(frozen=True)
class ReportInput:
    """One finished run: a report reads it and never trains.

    `facts` are (name, value) pairs for the header, in order; a fact of the report's own with the same name gives way.
    """

    model: Model
    splits: Splits
    history: tuple[Row, ...] = ()
    evaluation: JudgedNumbers | Judgement | None = None
    facts: Facts = ()
    display: Display | None = None  # None: from the data
    title: str = "A variational autoencoder"
    seed: int = 0
    view: View = field(kw_only=True)  # what is shown of this kind of data: `vael.domains.of(splits.train)`

    @property
    def came_out(self) -> str:
        """What a reconstruction is."""
        return "the mean of p(x | z) at the mean of q(z | x)" if self.has_latents else "what comes out of the model"

    @property
    def coordinates(self) -> str:
        """What the numbers of a code are called."""
        return "latents" if self.has_latents else "numbers of each code"

    @property
    def has_latents(self) -> bool:
        """Whether there are a prior and a posterior."""
        return has(self.model, LatentModel)

    @property
    def shown(self) -> Source:
        """The split that pictures are made from: test where there is one, else validation."""
        return self.splits.test or self.splits.validation

    @property
    def central(self) -> LatentVector:
        """The model of pictures of the latent space: of a conditional one that at the condition of the first example
        that is shown.
        """
        model = needs(self.model, LatentVector, "a picture of the latent space")
        return model if self.shown.context is None else model.at(self.shown.context[0])

    @property
    def scale(self) -> Display:
        """Black and white of the pictures."""
        return self.display or display_of(self.splits.train)

    @property
    def shown_line(self) -> str:
        """What a caption says of the data that it shows: the split and its size.

        What else belongs to them stands once, in `source_line`.
        """
        return f"the {'test' if self.splits.test else 'validation'} split of {counted(len(self.shown), 'example')}"

    @property
    def source_line(self) -> str:
        """What the page says of the data, once and above everything: name, split, size, and the notes that belong
        to them.
        """
        notes = "".join(f" {sentence(note)}" for note in self.shown.notes)
        return f"Data: {self.shown.name}, {self.shown_line}.{notes}{self.condition_line}"

    @property
    def condition_line(self) -> str:
        """What the page says of the condition, where the model has one."""
        if self.shown.context is None:
            return ""
        return (
            f" The model is conditioned on {', '.join(self.shown.conditions)}: every p(x) on this page is p(x | c), "
            "where c is the example's own; samples take conditions of examples that are shown, pictures of the "
            "latent space that of the first."
        )


def sentence(text: str) -> str:
    """A note as a sentence: with a capital letter in front and one full stop at the end."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
