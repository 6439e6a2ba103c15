"""Models of sequences as `vael.applications.export` writes them: a latent for each step of a window of fixed length.

The smoother of linear dynamics asks for factors and exponentials of matrices, which ONNX does not have: its graph has
the matrix of the dynamics as numbers, and inverts precisions by elimination, of which only sums and products are left.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data import Batch
from vael.models import Model, Predicts
from vael.models.core import Conditional, Levels
from vael.models.sequences.jumps import JumpyStateSpace
from vael.models.sequences.linear_dynamics import SmoothingSummary
from vael.models.sequences.state_space import StateSpace
from vael.probability import diagonal_gaussian


def inverse(matrix: Float[Tensor, "*batch d d"]) -> Float[Tensor, "*batch d d"]:
    """The inverse of a positive definite matrix by Gauss-Jordan elimination, which needs no pivots there."""
    size = matrix.shape[-1]
    eye = torch.eye(size, dtype=matrix.dtype)
    both = torch.cat((matrix, eye.expand(matrix.shape)), -1)
    for k in range(size):
        row = both[..., k : k + 1, :] / both[..., k : k + 1, k : k + 1]
        both = both - (both[..., :, k : k + 1] - eye[:, k : k + 1]) * row
    return both[..., size:]


class SmoothingMeans(nn.Module):
    """M_t and m_t of the mean M_t z_{t-1} + m_t of q(z_t | z_{t-1}, x_t ... x_T), as `SmoothingSummary` has them."""

    sees_gaps = True

    def __init__(self, summary: SmoothingSummary) -> None:
        super().__init__()
        transition, self.emission = summary._shared
        self.evidence = summary.evidence
        self.register_buffer("a", transition.matrix.detach())
        self.register_buffer("noise", transition.scale.detach().square().reciprocal())

    def forward(self, x: Tensor, context: Tensor | None = None) -> Float[Tensor, "batch time numbers"]:
        seen, says = self.evidence(x, self.emission.loadings, context)
        leads, found = self.noise[:, None] * self.a, []
        later, told = torch.zeros_like(seen[:, 0]), torch.zeros_like(says[:, 0])
        for t in range(x.shape[1] - 1, -1, -1):
            own, shift = seen[:, t] + later, says[:, t] + told
            covariance = inverse(own + (self.noise if t else torch.ones_like(self.noise)).diag())
            mean = covariance @ shift[..., None]
            moves = covariance @ leads if t else torch.zeros_like(covariance)  # nothing is before the first step
            found.append(torch.cat((moves.flatten(1), mean[..., 0]), -1))
            both = leads.mT @ covariance
            later = both @ (own @ self.a)
            later, told = 0.5 * (later + later.mT), (both @ shift[..., None])[..., 0]
        return torch.stack(found[::-1], 1)


class MeanUpdate(Conditional):
    """N(M_t z_{t-1} + m_t, I), of which only the mean is asked for."""

    def forward(self, z: Tensor, summary: Tensor) -> Distribution:
        size = z.shape[-1]
        moves, mean = summary.split((size * size, size), -1)
        loc = (moves.unflatten(-1, (size, size)) @ z[..., None])[..., 0] + mean
        return diagonal_gaussian(loc, torch.ones_like(loc))


class Stepwise(nn.Module):
    """A model with a latent for each step, as graphs see it: codes and latents are `[batch, time, features]`."""

    states_likelihood = True

    def __init__(self, model: StateSpace | JumpyStateSpace) -> None:
        super().__init__()
        self.model = model
        if isinstance(model, StateSpace) and isinstance(model.summary, SmoothingSummary):
            model.summary, model.update = SmoothingMeans(model.summary), MeanUpdate()

    def encode(self, batch: Batch) -> Float[Tensor, "batch time features"]:
        """The means of q, each given the one before; of a model that `Predicts` what is believed after each step."""
        batch = Batch(x=batch.x, observed=~batch.x.isnan(), context=batch.context)
        if isinstance(self.model, Predicts):
            return self.model.believed(batch)
        return torch.stack(self.model.latents(batch), 2)[0]

    def latents(self, batch: Batch) -> Levels:
        """The same, as `decode` takes them."""
        return (self.encode(batch)[None],)

    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        """p(x | z) of all steps."""
        if isinstance(self.model, JumpyStateSpace):
            return self.model.emitted(latent[0], context)
        return self.model.decode(latent[0].unbind(2), context)


def stepwise(model: Model) -> Stepwise | None:
    """A model of sequences with a latent for each step, as graphs see it; None for another."""
    return Stepwise(model) if isinstance(model, StateSpace | JumpyStateSpace) else None
