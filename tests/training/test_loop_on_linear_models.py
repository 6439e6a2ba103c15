"""A trained VAE with linear parts reaches the maximum likelihood of probabilistic PCA from below and never passes it.

Lucas, Tucker, Grosse & Norouzi (2019): the bound of a linear VAE has no local maxima beyond those of pPCA, whose
maximum is closed form (Tipping & Bishop 1999). Bounds are computed in closed form too, so no sampling noise hides a
violation.
"""

import math

import pytest
import torch

from vael.data import Kind, Source, Splits
from vael.inference import AdamW, GradientAscent
from vael.models import GaussianHead
from vael.objectives import ELBO, SampledELBO
from vael.recipes import linear
from vael.training import Callback, Settings, run

FEATURES, LATENT, EXAMPLES = 6, 2, 400


def data() -> torch.Tensor:
    """Two well separated directions, variances 5 and 2 over noise of 0.25: the rotation of the latents is then
    learnt quickly.
    """
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(FEATURES, FEATURES, generator=generator, dtype=torch.float64)).Q
    scales = torch.tensor([5.0, 2.0, 0.25, 0.25, 0.25, 0.25], dtype=torch.float64).sqrt()
    return torch.randn(EXAMPLES, FEATURES, generator=generator, dtype=torch.float64) * scales @ basis.T


def ppca_maximum(x: torch.Tensor, latent: int) -> float:
    """Mean log-likelihood of x at the maximum (Tipping & Bishop 1999, eq. 8), covariance with divisor N."""
    values = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    noise = values[latent:].mean()
    return float(
        -0.5
        * (
            FEATURES * math.log(2 * math.pi)
            + values[:latent].log().sum()
            + (FEATURES - latent) * noise.log()
            + FEATURES
        )
    )


def exact_bound(model, x: torch.Tensor) -> float:
    """Mean ELBO of a linear-Gaussian VAE: E_q ‖x - Wz - b‖² = ‖x - Wm - b‖² + Σ_i ‖w_i‖² s_i²."""
    with torch.no_grad():
        q = model.posterior(x).base_dist
        mean = lambda z: model.decode((z[None],)).mean[0]  # noqa: E731
        offset = mean(torch.zeros(1, LATENT, dtype=x.dtype))
        columns = mean(torch.eye(LATENT, dtype=x.dtype)) - offset
        variance = model.decode((q.loc[None, :1],)).variance[0, 0, 0]
        error = (x - mean(q.loc)).square().sum(1) + (q.scale**2 * columns.square().sum(1)).sum(1)
        likelihood = -0.5 * (FEATURES * torch.log(2 * math.pi * variance) + error / variance)
        divergence = 0.5 * (q.scale**2 + q.loc**2 - 1 - 2 * q.scale.log()).sum(1)
        return float((likelihood - divergence).mean())


class Bounds(Callback):
    """The exact bound of the live weights at the end of every tenth epoch."""

    def __init__(self, model, x) -> None:
        self.model, self.x, self.values = model, x, []

    def row(self, row) -> None:
        if row.split == "train" and row.epoch % 10 == 0:
            self.values.append(exact_bound(self.model, self.x))


@pytest.mark.parametrize("objective", [ELBO(), SampledELBO()], ids=["closed-form", "sampled"])
def test_a_trained_linear_vae_reaches_ppca_from_below(objective):
    x = data()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = linear((FEATURES,), GaussianHead(), latent=LATENT).double()
    source = Source("linear", x, Kind.REAL, "linear")
    bounds = Bounds(model, x)
    ascent = GradientAscent(model, objective, samples=4, optimizer=AdamW(0.05), ema=0.98)
    fit = run(ascent, Splits(source, source, None), Settings(epochs=120, batch=400, compiled=False), callbacks=[bounds])
    maximum = ppca_maximum(x, LATENT)
    assert max(bounds.values) <= maximum + 1e-9
    assert exact_bound(fit.model, x) <= maximum + 1e-9
    assert exact_bound(fit.model, x) > maximum - 0.01
    assert bounds.values[0] < maximum - 0.5  # it had something to learn
