"""Samples from where the codes of data are: a mixture of Gaussians fitted to the aggregate posterior, instead of
the prior.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from vael.applications.generation import batches, blocks, drawn_rows, seeded
from vael.data import Kind, Source, Splits
from vael.inference import ExpectationMaximization
from vael.models import CodeVector, GaussianMixture, LatentVector, Model, needs
from vael.probability import draw
from vael.training import Settings, run

COMPONENTS = 20
ROUNDS = 60  # of expectation maximisation, at most
MOST = 20_000  # examples whose codes are fitted
FLOOR = 1e-4  # added to variances: the prior's are 1


@torch.no_grad()
def aggregate_codes(model: Model, source: Source, seed: int = 0) -> Float[Tensor, "examples features"]:
    """One draw from q(z | x) for each example, so draws from the aggregate posterior q(z), or its code where there is
    no posterior; at most `MOST` examples, chosen by `seed`.
    """
    model = needs(model, CodeVector, "the distribution of codes")
    noise = torch.Generator().manual_seed(seed)
    chosen = (
        source
        if len(source) <= MOST
        else source.subset(torch.randperm(len(source), generator=noise)[:MOST].sort().values)
    )
    if not isinstance(model, LatentVector):
        return torch.cat([model.encode(batch) for batch in batches(chosen, seed=seed)])
    return torch.cat([draw(model.infer(batch), 1, noise)[0] for batch in batches(chosen, seed=seed)])


def fit_aggregate(model: Model, source: Source, components: int = COMPONENTS, seed: int = 0) -> GaussianMixture:
    """A mixture of Gaussians with full covariances, fitted by EM to the aggregate posterior (Ghosh et al. 2020 fit it
    to codes).

    It is a sampler: the prior, and with it the bound of the model, stay as they are. Fewer components are taken where
    there are fewer than 20 examples for each.
    """
    z = aggregate_codes(model, source, seed).double()
    mixture = GaussianMixture(max(1, min(components, len(z) // 20)), z.shape[1])
    codes = Source(name=f"codes of {source.name}", x=z, kind=Kind.REAL, fingerprint="")
    settings = Settings(epochs=ROUNDS, batch=len(z), seed=seed)
    run(
        ExpectationMaximization(mixture, floor=FLOOR, tolerance=1e-4, seed=seed),
        Splits(codes, replace(codes), None),
        settings,
    )
    return mixture


def aggregate_samples(
    model: Model, mixture: GaussianMixture, count: int, seed: int = 0
) -> Float[Tensor, "examples *event"]:
    """`count` draws of x from p(x | z), z from the mixture; the same for the same count and seed.

    Errors: `StateError` for fewer than one.
    """
    model, noise = needs(model, CodeVector, "sampling from a mixture of codes"), seeded(count, seed)
    with torch.no_grad():
        return torch.cat([_drawn(model, mixture, size, noise) for size in blocks(count)])


def _drawn(model: CodeVector, mixture: GaussianMixture, size: int, noise: torch.Generator) -> Tensor:
    z = mixture.sample(size, generator=noise).to(next(model.parameters()))
    return drawn_rows(model, z, noise)
