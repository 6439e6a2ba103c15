"""Models that live in the tests only: what the package says of a capability has to hold for them all the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution

from vael.data import Batch
from vael.models import CellWise, LatentModel, Terms
from vael.models.core import EVERYTHING, Levels
from vael.models.vae import filled, seen
from vael.probability import Noise, as_noise, diagonal_gaussian, divergence, draw


class TwoStoreys(LatentModel, CellWise):
    """p(z_1) p(z_2 | z_1) p(x | z_1, z_2) of pixels 0 and 1, with q(z_1 | x) q(z_2 | z_1, x): linear maps throughout.

    z_1 ~ N(0, I); z_2 | z_1 ~ N(A z_1, 0.5² I). The sizes of the two levels differ, so that no one can mix them up.
    """

    def __init__(self, event: Sequence[int], top: int = 2, bottom: int = 3) -> None:
        super().__init__()
        self.event, self.top, cells = tuple(event), top, torch.Size(event).numel()
        self.between = nn.Linear(top, bottom)
        self.out = nn.Linear(top + bottom, cells)
        self.first = nn.Linear(cells, 2 * top)
        self.second = nn.Linear(cells + top, 2 * bottom)
        with torch.no_grad():
            for layer in (self.first, self.second):
                layer.weight.mul_(0.3)

    def depth(self, event: Sequence[int]) -> int:
        assert tuple(event) in ((), self.event)  # of one example, or none where the depth is the same for all
        return 2

    def prior_at(self, above: Levels, context: Tensor | None = None) -> Distribution:
        if not above:
            zero = torch.zeros(self.top, dtype=self.out.weight.dtype, device=self.out.weight.device)
            return diagonal_gaussian(zero, torch.ones_like(zero))
        loc = self.between(above[0])
        return diagonal_gaussian(loc, torch.full_like(loc, 0.5))

    def posterior_at(self, above: Levels, batch: Batch) -> Distribution:
        x = filled(batch.x, batch.observed).to(self.out.weight.dtype).flatten(1)
        raw = self.second(torch.cat([x.expand(*above[0].shape[:2], -1), above[0]], -1)) if above else self.first(x)
        loc, log_scale = raw.chunk(2, -1)
        loc = loc + self.between(above[0]) if above else loc
        width = 0.6 if above else 1.2  # about that of the prior, so that importance weights are worth something
        return diagonal_gaussian(loc, width * (0.3 * log_scale.tanh()).exp())

    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        return Bernoulli(logits=self.out(torch.cat(latent, -1)).unflatten(-1, self.event), validate_args=False)

    def forward(
        self,
        batch: Batch,
        *,
        samples: int = 1,
        generator: torch.Generator | Noise,
        requires: frozenset[str] = EVERYTHING,
        posterior: tuple[Distribution, ...] | None = None,
        latent: Levels | None = None,
    ) -> Terms:
        top = self.posterior_at((), batch)
        first = latent[0] if latent else draw(top, samples, noise := as_noise(generator))
        bottom = self.posterior_at((first,), batch)
        second = latent[1] if latent else bottom.mean + bottom.stddev * noise.normal(bottom.mean.shape, bottom.mean)
        z, q, p = (first, second), (top, bottom), (self.prior_at(()), self.prior_at((first,)))
        log_q = [law.log_prob(level) for law, level in zip(q, z, strict=True)]
        log_p = [law.log_prob(level) for law, level in zip(p, z, strict=True)]
        apart = [divergence(top, p[0], first), divergence(bottom, p[1], second[None])[0]]
        return Terms(
            log_likelihood=seen(self.decode(z).log_prob(filled(batch.x, batch.observed)), batch.observed),
            log_prior=torch.stack(log_p),
            log_posterior=torch.stack(log_q),
            divergence=torch.stack([one.expand_as(log_q[0]) for one in apart]),
            latent=z,
            prior=p,
            posterior=q,
        )
