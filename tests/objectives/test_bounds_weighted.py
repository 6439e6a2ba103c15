"""β-VAE of linear parts with a fixed σ: what is best is known; latents in use are the eigenvalues above β σ²."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from oracles import Given
from vael.data import Batch
from vael.evaluation.collapse import collapse
from vael.models import VAE, Decoder, FixedScale, GaussianHead, StandardNormal
from vael.objectives import ELBO, Beta
from vael.probability import diagonal_gaussian

EIGENVALUES = torch.tensor([4.0, 2.0, 1.0, 0.3], dtype=torch.float64)
SIGMA = math.sqrt(0.5)
WEIGHTS = {0.5: 4, 1.0: 3, 3.0: 2, 5.0: 1, 10.0: 0}  # β: how many eigenvalues are above β σ²


def data() -> Tensor:
    """Eight rows whose covariance (divided by their number) has exactly these eigenvalues, in directions that no axis
    has.
    """
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    hadamard = torch.kron(torch.kron(signs, signs), signs)[:, 1:5]  # orthogonal columns of mean 0
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    return hadamard * EIGENVALUES.sqrt() @ turn.T + 1.5


class Linear(nn.Module):
    """p(x|z) = N(W z + b, σ² I), q(z|x) = N(V x + c, diag exp(2 l)), as many latents as elements."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(4, 4).double(), nn.Linear(4, 4).double()
        self.log_scale = nn.Parameter(torch.zeros(4, dtype=torch.float64))
        with torch.no_grad():
            for place, weights in enumerate(self.parameters()):
                weights.normal_(0, 0.3, generator=torch.Generator().manual_seed(place))
        decoder = Decoder(self.decode, GaussianHead(spread=FixedScale(SIGMA)))
        self.vae = VAE(StandardNormal(4).double(), decoder, Given(self.posterior))

    def posterior(self, x: Tensor) -> Distribution:
        return diagonal_gaussian(self.encode(x), self.log_scale.exp().expand(len(x), 4))

    def climbed(self, x: Tensor, beta: float) -> Tensor:
        """The mean of the surrogate, exactly: the expectation over q of a square is that over 2 × 4 points z = m ± √4 s
        in one latent at a time, which have its mean and its covariance.
        """
        points = 2.0 * torch.cat((torch.eye(4), -torch.eye(4))).double()
        z = self.encode(x) + points[:, None] * self.log_scale.exp()
        terms = self.vae.terms(Batch(x=x), generator=torch.Generator(), latent=(z,))
        return ELBO(Beta(beta))(terms).surrogate.mean()


def best(beta: float) -> float:
    """The surrogate where it is highest, with s = β σ²: -½ [d log 2πσ² + β Σ_{λ_j > s} (1 + log λ_j / s) + Σ_{λ_j ≤ s}
    λ_j / σ²]; a latent in use brings λ_j / σ² down to β and costs ½ β log λ_j / s.
    """
    s = beta * SIGMA**2
    used = EIGENVALUES[s < EIGENVALUES]
    rest = EIGENVALUES[s >= EIGENVALUES]
    nats = 4 * math.log(2 * math.pi * SIGMA**2) + beta * float((used / s).log().sum() + len(used))
    return -0.5 * (nats + float(rest.sum()) / SIGMA**2)


@pytest.mark.parametrize(("beta", "expected"), WEIGHTS.items())
def test_as_many_latents_are_used_as_eigenvalues_are_above_beta_times_the_variance(beta, expected):
    """Trained from random weights on the exact expectation: what is reached is what is best, and not above it."""
    x, model = data(), Linear()
    covariance = torch.cov(x.T, correction=0)
    torch.testing.assert_close(torch.linalg.eigvalsh(covariance).flip(0), EIGENVALUES)
    climber = torch.optim.LBFGS(model.parameters(), max_iter=400, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def step():
        climber.zero_grad()
        loss = -model.climbed(x, beta)
        loss.backward()
        return loss

    climber.step(step)
    with torch.no_grad():
        reached = float(model.climbed(x, beta))
        means = model.encode(x)
    assert reached <= best(beta) + 1e-9
    assert reached == pytest.approx(best(beta), abs=1e-4)
    assert collapse(means, None).active_units == expected
