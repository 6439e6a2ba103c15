"""Latents that can be counted: zeros and ones, and categories as one-hot vectors."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, Independent, constraints
from torch.distributions.kl import register_kl
from torch.nn.functional import softplus

from vael.probability.sampling import Noise, as_one_hot, draw_of_shape, register_draw


class Bit(Bernoulli):
    """0 or 1 under logits; its divergence broadcasts, which PyTorch's for Bernoulli does not, so that a prior
    serves a whole batch.
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits, validate_args=False)


@register_kl(Bit, Bit)
def _divergence(q: Bit, p: Bit) -> Tensor:
    """KL = q (l_q - l_p) + log(1 + e^l_p) - log(1 + e^l_q), with q the probability of a 1 and l the logits."""
    return q.probs * (q.logits - p.logits) + softplus(p.logits) - softplus(q.logits)


@register_draw(Bit)
def _draw(law: Bit, shape: torch.Size, noise: Noise) -> Tensor:
    return (noise.uniform(shape, law.logits) < law.probs).to(law.logits.dtype)


def independent_bits(logits: Tensor) -> Independent:
    """Zeros and ones over the last axis, independent of each other: batch shape `[*batch]`, event shape
    `[features]`.
    """
    return Independent(Bit(logits), 1, validate_args=False)


class OneHotVectors(Distribution):
    """Abstract: independent categories with P(z_j = k) = softmax(logits_j)_k, their one-hot vectors side by side.

    `log_prob` is that of one-hot vectors, whatever the draws are.
    """

    support = constraints.independent(constraints.boolean, 1)

    def __init__(self, logits: Float[Tensor, "*batch categories levels"]) -> None:
        *batch, categories, levels = logits.shape
        super().__init__(torch.Size(batch), torch.Size((categories * levels,)), validate_args=False)
        self.logits = logits

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """Numbers are taken as they come."""
        return {}

    @property
    def log_probs(self) -> Float[Tensor, "*batch categories levels"]:
        """Of every level of every category."""
        return self.logits.log_softmax(-1)

    @property
    def mean(self) -> Tensor:
        return self.logits.softmax(-1).flatten(-2)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean)

    def log_prob(self, value: Float[Tensor, "*some numbers"]) -> Float[Tensor, "*rows"]:
        return (value.unflatten(-1, self.logits.shape[-2:]) * self.log_probs).sum((-2, -1))

    def shaped(self, shape: torch.Size) -> torch.Size:
        """The shape of draws with an axis for categories and one for levels."""
        return torch.Size((*shape[:-1], *self.logits.shape[-2:]))


class OneHots(OneHotVectors):
    """Draws are one-hot vectors, through which no gradient passes."""


class GumbelOneHots(OneHotVectors):
    """Draws are softmax((logits + g) / τ), g ~ Gumbel, if `relaxed`; else the one-hot vectors of its largest entries,
    with its gradient.
    """

    def __init__(self, logits: Float[Tensor, "*batch categories levels"], temperature: float, relaxed: bool) -> None:
        super().__init__(logits)
        self.temperature, self.relaxed = temperature, relaxed

    def from_uniform(self, uniform: Float[Tensor, "*rows categories levels"]) -> Float[Tensor, "*rows numbers"]:
        """A draw from variates in (0, 1)."""
        tiny = torch.finfo(uniform.dtype).tiny
        moved = self.logits - (-uniform.clamp(min=tiny, max=1 - 1e-7).log()).log()
        soft = (moved / self.temperature).softmax(-1)
        if self.relaxed:
            return soft.flatten(-2)
        hard = as_one_hot(moved.argmax(-1), moved.shape[-1]).to(soft.dtype)
        return (hard + (soft - soft.detach())).flatten(-2)


@register_kl(OneHotVectors, OneHotVectors)
def _divergence_of_categories(q: OneHotVectors, p: OneHotVectors) -> Tensor:
    """Σ_j Σ_k q_jk (log q_jk - log p_jk)."""
    return (q.log_probs.exp() * (q.log_probs - p.log_probs)).sum((-2, -1))


@register_draw(OneHots)
def _draw_categories(law: OneHots, shape: torch.Size, noise: Noise) -> Tensor:
    each = Categorical(logits=law.logits.detach(), validate_args=False)
    code = draw_of_shape(each, law.shaped(shape)[:-1], noise)
    return as_one_hot(code, law.logits.shape[-1]).to(law.logits.dtype).flatten(-2)


@register_draw(GumbelOneHots)
def _draw_softmax(law: GumbelOneHots, shape: torch.Size, noise: Noise) -> Tensor:
    return law.from_uniform(noise.uniform(law.shaped(shape), law.logits))
