"""Samples from where the codes of data are: a density fitted to the aggregate posterior afterwards, instead of the
prior. No such density is part of the model, its bound or its log p(x).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from vael.applications.generation import batches, drawn_rows, parts, seeded
from vael.applications.latents import aggregate_draws
from vael.counting import Progress
from vael.data import Kind, Source, Splits
from vael.errors import StateError
from vael.inference import AdamW, ExpectationMaximization, GradientAscent
from vael.models import CodeVector, GaussianMixture, LatentModel, LatentVector, Model, Samples, needs
from vael.models.flows.density import FlowDensity
from vael.models.flows.parts import CouplingPart
from vael.networks import seeded as seeded_weights
from vael.probability import draw
from vael.training import Settings, run

COMPONENTS = 20
ROUNDS = 60  # of expectation maximisation, at most
MOST = 20_000  # examples whose codes are fitted
FLOOR = 1e-4  # added to variances: the prior's are 1
STEPS, BATCH, LAYERS = 600, 256, 4  # of a flow


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
    if isinstance(model, LatentModel) and not isinstance(model, LatentVector):
        return aggregate_draws(model, chosen, seed)
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


def fit_aggregate_flow(model: Model, source: Source, seed: int = 0, steps: int = STEPS) -> FlowDensity:
    """A normalising flow (spline couplings), fitted by about so many steps of gradient ascent to the aggregate
    posterior; kept are the weights that are best for a tenth of the codes that it does not learn from. A sampler, as
    `fit_aggregate`.

    Errors: `StateError` for fewer than two examples.
    """
    z = aggregate_codes(model, source, seed).float()
    if len(z) < 2:
        raise StateError(f"{len(z)} examples have codes to fit a flow to; give at least 2")
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))
    held, kept = (z[rows] for rows in order.tensor_split([max(1, len(z) // 10)]))
    with seeded_weights(seed):
        density = FlowDensity(z.shape[1], CouplingPart(map="spline", layers=LAYERS).build(z.shape[1]))
    density.scale_to(kept)
    train, validation = (Source(f"codes of {source.name}", x, Kind.REAL, "") for x in (kept, held))
    batch = min(BATCH, len(kept))
    epochs = max(1, round(steps * batch / len(kept)))
    settings = Settings(epochs=epochs, batch=batch, seed=seed, compiled=False, precision=torch.float32)
    run(GradientAscent(density, optimizer=AdamW(2e-3), ema=0.99), Splits(train, validation, None), settings)
    return density.requires_grad_(False).eval()


SAMPLERS: dict[
    str, Callable[[Model, Source, int], Samples]
] = {  # densities to draw z from, by name: (model, data, seed)
    "gaussian": lambda model, source, seed: fit_aggregate(model, source, 1, seed),
    "mixture": lambda model, source, seed: fit_aggregate(model, source, seed=seed),
    "flow": fit_aggregate_flow,
}


def aggregate_samples(
    model: Model, density: Samples, count: int, seed: int = 0, *, progress: Progress | None = None
) -> Float[Tensor, "examples *event"]:
    """`count` draws of x from p(x | z), z from a density fitted to codes; the same for the same count and seed.

    Errors: `StateError` for fewer than one.
    """
    model, noise = needs(model, CodeVector, "sampling from a density of codes"), seeded(count, seed)
    with torch.no_grad():
        return torch.cat([_drawn(model, density, len(one), noise) for one, _ in parts(count, None, progress)])


def _drawn(model: CodeVector, density: Samples, size: int, noise: torch.Generator) -> Tensor:
    z = density.sample(size, generator=noise).to(next(model.parameters()))
    return drawn_rows(model, z, noise)
