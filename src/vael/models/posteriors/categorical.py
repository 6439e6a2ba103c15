"""Posteriors over categories: without a gradient through a draw, and with a biased one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.models.core import Conditional, Posterior, given
from vael.models.families import Categories, PosteriorPart
from vael.models.likelihoods.heads import at_least_float32
from vael.probability.binary import GumbelOneHots, OneHots


class CategoricalPosterior(Posterior):
    """Encoder q(z | x) = Π_j Categorical(z_j; softmax of `levels` outputs of the network), z as one-hot vectors side by
    side; climb it by `objectives.ScoreFunction` or `objectives.MultiSampleScoreFunction`.
    """

    def __init__(self, network: nn.Module, levels: int, *, sees_gaps: bool = False) -> None:
        super().__init__()
        self.network, self.levels, self.sees_gaps = network, levels, sees_gaps

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        return OneHots(at_least_float32(given(self.network, x, context)).unflatten(-1, (-1, self.levels)))


class GumbelSoftmaxPosterior(Posterior):
    """As `CategoricalPosterior`, with a gradient through a draw while it is trained: that of softmax((logits + g) / τ),
    g ~ Gumbel (Jang, Gu & Poole 2017; Maddison, Mnih & Teh 2017).

    The draw itself is the one-hot vector (straight-through: what is climbed is a draw of the bound of the discrete
    model, with a biased gradient) or, `relaxed`, the softmax (an unbiased gradient of something that is no bound). When
    it is not trained, draws are one-hot: what is judged is the discrete model.
    """

    def __init__(
        self, network: nn.Module, levels: int, *, temperature: float, relaxed: bool, sees_gaps: bool = False
    ) -> None:
        super().__init__()
        self.network, self.levels, self.sees_gaps = network, levels, sees_gaps
        self.temperature, self.relaxed = temperature, relaxed

    @property
    def trains_on_its_draws(self) -> bool:
        return not self.relaxed

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        logits = at_least_float32(given(self.network, x, context)).unflatten(-1, (-1, self.levels))
        return GumbelOneHots(logits, self.temperature, self.relaxed) if self.training else OneHots(logits)


class CategoricalPosteriorPart(PosteriorPart):
    """Independent categories; `latent` is how many there are."""

    kind: Literal["categorical"] = "categorical"
    levels: Categories = 10
    reparameterized: ClassVar[bool] = False
    latents: ClassVar[str] = "categories"

    def numbers(self, features: int) -> int:
        return features * self.levels

    def width(self, features: int) -> int:
        return features * self.levels

    def build(self, network: nn.Module, features: int, *, sees_gaps: bool) -> Conditional:
        return CategoricalPosterior(network, self.levels, sees_gaps=sees_gaps)


class GumbelSoftmaxPosteriorPart(PosteriorPart):
    """Independent categories with the gradient of a softmax: straight-through, or relaxed in training."""

    kind: Literal["gumbel-softmax"] = "gumbel-softmax"
    levels: Categories = 10
    temperature: Annotated[float, Field(ge=0.01, le=100)] = 0.67
    relaxed: bool = False  # whether training sees the softmax instead of its largest entry: then no bound is climbed
    latents: ClassVar[str] = "categories"
    exact_paths: ClassVar[bool] = False

    @property
    def trains_on_its_draws(self) -> bool:
        return not self.relaxed

    def numbers(self, features: int) -> int:
        return features * self.levels

    def width(self, features: int) -> int:
        return features * self.levels

    def build(self, network: nn.Module, features: int, *, sees_gaps: bool) -> Conditional:
        how = {"temperature": self.temperature, "relaxed": self.relaxed}
        return GumbelSoftmaxPosterior(network, self.levels, sees_gaps=sees_gaps, **how)
