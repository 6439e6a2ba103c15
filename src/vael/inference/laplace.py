"""The posterior as its own density has it: a Gaussian at the mode of p(z | x), as wide as the curvature there says."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal
from torch.func import grad, jvp

from vael.data import Batch
from vael.errors import StateError
from vael.inference.joint import LatentJoint, LogJoint
from vael.inference.memory import MOST, differentiable_at_once
from vael.inference.optimizers import Optimizer, Updates
from vael.models import VAE, LatentVector, Model, Posterior, needs
from vael.models.vae import context_of, shown
from vael.probability.factorization import factor_of_inverse, spectrum

CLIMB = Optimizer(torch.optim.Adam, options={"betas": (0.9, 0.98), "maximize": True})


class LaplacePosterior(Posterior):
    """q(z | x) = N(z*, H⁻¹): z* is the mode of log p(x, z) in z, H minus its Hessian there (MacKay 2003, chapter 27).

    No network: for every example the mode is looked for anew, from the mean of the model's own posterior, by `steps` of
    Adam in units of that posterior's width and one step of Newton's where it leads up. As a proposal for importance
    weights it knows what a diagonal Gaussian cannot: how latents depend on each other given x. `widen` multiplies its
    deviations, so that its tails are not the thinner ones. Costs about as much as decoding `3 steps + 11 features`
    latents per example. It has no gradient to the model's weights: it judges, it does not train. Where x is NaN no cell
    was seen: the posterior is then that given the others.

    Errors: `StateError` for a model without one vector of latents.
    """

    sees_gaps = True

    def __init__(self, model: Model, *, steps: int = 30, widen: float = 1.1) -> None:
        super().__init__()
        if steps < 1 or not 0 < widen < math.inf:
            raise StateError(f"steps={steps}, widen={widen}: expected at least one step and a finite factor above 0")
        model = needs(model, LatentVector, "Laplace's approximation of the posterior")
        self.prior, self.likelihood, self.posterior = model.prior, model.likelihood, model.posterior
        self.steps, self.widen = steps, widen

    @staticmethod
    def cost(features: int, steps: int = 30) -> int:
        """Latents of one example that could be decoded in the same time."""
        return 3 * steps + 11 * features

    def forward(self, x: Float[Tensor, "batch *event"], context: Tensor | None = None) -> Distribution:
        """N(z*, H⁻¹) at each example, widened; batch shape `[batch]`, event shape `[features]`."""
        with (
            torch.inference_mode(False),
            torch.no_grad(),
        ):  # gradients are needed here even where a number is being judged
            x, context = x.clone(), None if context is None else context.clone()
            observed = ~torch.isnan(x) if bool(torch.isnan(x).any()) else None
            q = self.posterior(shown(x, observed, self.posterior), context)
            if len(q.event_shape) != 1:
                raise StateError(
                    f"latents of shape {tuple(q.event_shape)}: the curvature is known for one vector of latents per "
                    "example only"
                )
            batch = Batch(x, context, observed)
            return approximation(LatentJoint(self.prior, self.likelihood, batch, q), self.steps, self.widen)


def approximation(about: LogJoint, steps: int = 30, widen: float = 1.1) -> MultivariateNormal:
    """N(z*, H⁻¹) of each example, its deviations multiplied by `widen`; called where gradients are possible.

    As many examples at once, and columns of their Hessians, as memory holds (`differentiable_at_once`).
    """
    size = differentiable_at_once(about)
    rows = torch.arange(len(about.own.mean), device=about.own.mean.device)
    found = [_at_modes(about.part(part) if len(part) < len(rows) else about, steps, size) for part in rows.split(size)]
    loc, low = (torch.cat(parts) for parts in zip(*found, strict=True))
    return MultivariateNormal(loc, scale_tril=widen * low, validate_args=False)


def _at_modes(about: LogJoint, steps: int, size: int) -> tuple[Tensor, Tensor]:
    """Modes, and factors L of L Lᵀ = H⁻¹ there, at most `size` latents being differentiated together."""
    q = about.own
    z = climbed(about, q.mean, q.stddev, steps)
    values, vectors = curvature(about, z, size)
    return _newton(about, z, values, vectors), factor_of_inverse(values, vectors).to(z.dtype)


def climbed(about: LogJoint, start: Tensor, width: Tensor, steps: int) -> Tensor:
    """Adam (Kingma & Ba 2015) in units of the posterior's width, its rate falling from 0.3 to 0.03."""
    u = torch.zeros_like(start)
    updates = Updates(CLIMB, {"u": u})
    for step in range(1, steps + 1):
        updates([width * slope(about, start + width * u)], 0.3 * 0.1 ** (step / steps), None, None)
    reached = start + width * u
    return torch.where((about(reached) > about(start))[:, None], reached, start)


def slope(about: LogJoint, z: Float[Tensor, "batch features"]) -> Float[Tensor, "batch features"]:
    """∂ log p(x, z) / ∂z."""
    return grad(lambda point: about(point).sum())(z)


def curvature(about: LogJoint, z: Float[Tensor, "batch features"], size: int = MOST) -> tuple[Tensor, Tensor]:
    """Eigenvalues of minus the Hessian in z, `[batch, features]`, kept above the floor, and its eigenvectors, in
    float64; at most `size` latents are differentiated together.

    Far from all rows of training the slope may be so steep that float32 has no number for it: such an example gets
    the floor in all directions, as the prior would have it.
    """
    parts = torch.arange(len(z), device=z.device).split(max(1, size // z.shape[1]))
    hessian = torch.cat([_hessian(about.part(rows), z[rows], size) for rows in parts])
    known = hessian.isfinite().flatten(1).all(1)[:, None, None]
    values, vectors = spectrum(-torch.where(known, hessian, torch.zeros_like(hessian)))
    return values.clamp(min=about.least), vectors


def _hessian(about: LogJoint, z: Tensor, size: int) -> Tensor:
    """The slope's derivative along each axis, examples repeated once for each axis, as many columns at once as are
    allowed.
    """
    axes = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)[:, None].expand(-1, len(z), -1)
    along = grad(lambda points: about.at(points).sum())
    columns = [
        jvp(along, (z.expand_as(part).contiguous(),), (part.contiguous(),))[1]
        for part in axes.split(max(1, size // len(z)))
    ]
    return torch.cat(columns).movedim(0, 1)


def _newton(about: LogJoint, z: Tensor, values: Tensor, vectors: Tensor) -> Tensor:
    """One step to where the parabola at z has its top, for the examples that it leads up."""
    along = (vectors.mT @ slope(about, z).to(vectors)[..., None])[..., 0] / values
    further = z + (vectors @ along[..., None])[..., 0].to(z.dtype)
    return torch.where((about(further) > about(z))[:, None], further, z)


def refined(model: LatentVector, *, steps: int = 30, widen: float = 1.1) -> VAE:
    """The same prior and likelihood with `LaplacePosterior` in place of the encoder: the same log p(x), with a
    tighter bound on it.
    """
    posterior = LaplacePosterior(model, steps=steps, widen=widen)
    return VAE(model.prior, model.likelihood, posterior, context=context_of(model)).train(model.training)
