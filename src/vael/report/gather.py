"""What the pictures show, computed from the model in bounded memory; every draw comes from a seeded generator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import NormalDist

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.distributions import Independent, kl_divergence

from vael.applications import generation
from vael.counting import counted
from vael.data import Batch, Source
from vael.data.source import few, spread
from vael.evaluation.examples import in_evaluation
from vael.models import (
    Encodes,
    LatentModel,
    LatentVector,
    Model,
    Reconstructs,
    Samples,
    Whitens,
    has,
    needs,
    prior_levels,
)
from vael.probability import PerExample, as_noise, draw
from vael.probability import divergence as kl
from vael.probability.factorization import spectrum
from vael.report.record import Encoded, ReportInput

POINTS = 5000  # of data in a map or a mean over data
CELLS_IN_ALL = 200_000_000  # of data encoded for one report
CELLS_AT_ONCE = 2_000_000  # of data in one pass
ACTIVE = (
    0.01  # variance of the posterior mean over data above which a latent is active (Burda, Grosse & Salakhutdinov 2016)
)
LEVELLED = 1000  # examples in the mean divergence of each level
LOOKED_AT = 64  # images whose detail is measured
REACH = 3.0  # standard deviations of the prior that a traversal goes to either side


@contextmanager
def looking(model: Model) -> Iterator[torch.device]:
    """The model in evaluation mode without gradients, left as it was found; gives its device."""
    with in_evaluation(model), torch.no_grad():
        yield next((w.device for w in model.parameters()), torch.device("cpu"))


def model_units(source: Source, index: Int64[Tensor, " chosen"], seed: int) -> Float[Tensor, "chosen *event"]:
    """Those rows as the model sees them; a stochastic transform takes noise that belongs to the rows."""
    return source.batch(index, PerExample(seed, index)).x


def some_rows(record: ReportInput) -> Float[Tensor, "chosen *event"]:
    """A few of the rows that are shown, as the model sees them."""
    return model_units(record.shown, few(record.shown, record.seed, POINTS), record.seed)


def on_device(source: Source, index: Int64[Tensor, " chosen"], seed: int, device: torch.device) -> Batch:
    """Those rows and their conditions as the model sees them."""
    batch = source.batch(index, PerExample(seed, index))
    context, observed = (None if one is None else one.to(device) for one in (batch.context, batch.observed))
    return Batch(batch.x.to(device), context, observed=observed)


def single_latents(model: Encodes, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Code (the posterior mean where there is one), and the divergence latent by latent where prior and posterior are
    independent over latents.
    """
    if not isinstance(model, LatentVector):
        return model.encode(batch), None
    q, p = model.posterior(batch.x, batch.context), model.prior(batch.context)
    if isinstance(q, Independent) and isinstance(p, Independent):
        return q.mean, kl(q.base_dist, p.base_dist, q.mean[None])[0]
    return q.mean, None


def encoded(record: ReportInput) -> Encoded:
    """The posterior (or codes) of up to 5,000 examples of the split that is shown (fewer where they are very large)."""
    return _encoded(record, record.shown, POINTS, record.shown_line)


def mapped(record: ReportInput) -> Encoded:
    """The posterior of up to 5,000 examples for a map: of the split that is shown and, where it is smaller, of the
    others too.
    """
    parts, trained = [encoded(record)], 0
    for source in (record.splits.validation, record.splits.train):
        room = POINTS - sum(len(part.mean) for part in parts)
        if source is not record.shown and room > 0:
            parts.append(_encoded(record, source, room, ""))
            trained = len(parts[-1].mean) if source is record.splits.train else trained
    if len(parts) == 1:
        return parts[0]
    labels = [part.label for part in parts if part.label is not None]
    told = f"{counted(sum(len(part.mean) for part in parts), 'example')}, {trained:,} of which trained the model"
    return Encoded(
        torch.cat([part.mean for part in parts]), None, torch.cat(labels) if len(labels) == len(parts) else None, told
    )


def _encoded(record: ReportInput, source: Source, most: int, told: str) -> Encoded:
    cells = max(source.x[0].numel(), 1)
    index = few(source, record.seed, max(min(most, CELLS_IN_ALL // cells), 1))
    means, divergences, model = [], [], needs(record.model, Encodes, "a map of codes")
    with looking(model) as device:
        for part in index.split(max(CELLS_AT_ONCE // cells, 1)):
            mean, divergence = single_latents(model, on_device(source, part, record.seed, device))
            means.append(mean.float().cpu())
            divergences.append(None if divergence is None else divergence.cpu())
    known = [one for one in divergences if one is not None]
    whole = torch.cat(known) if known else None
    return Encoded(torch.cat(means), whole, None if source.label is None else source.label[index].cpu(), told)


def has_a_line(record: ReportInput) -> bool:
    """Whether latents are real numbers, so that one can be moved along."""
    support = record.central.prior(None).support
    return support is not None and not support.is_discrete


def decoded(model: LatentVector, z: Float[Tensor, "count latents"]) -> Float[Tensor, "count *event"]:
    """Mean of p(x | z) for each latent point, a few points at a time."""
    with looking(model) as device:
        return torch.cat([model.decode((part[None].to(device),)).mean[0].float().cpu() for part in z.split(64)])


def pairs(record: ReportInput, count: int) -> tuple[Tensor, Tensor]:
    """Examples of the split that is shown, and their reconstructions (mean of p(x | z) at the mean of q(z | x))."""
    source, model = record.shown, needs(record.model, Reconstructs, "a figure of reconstructions")
    index = spread(len(source), count)
    with looking(model) as device:
        parts = [on_device(source, part, record.seed, device) for part in index.split(64)]
        rows = [model.reconstruct(part).float().cpu() for part in parts]
    return model_units(source, index, record.seed), torch.cat(rows)


def prior_samples(record: ReportInput, count: int) -> tuple[Tensor | None, Tensor]:
    """Means of p(x | z) at draws z from the prior, and draws of x at the very same z; with conditions of the split that
    is shown, where there are some. Of a model that samples without such latents the means are None.
    """
    given = record.shown.context
    rows = (torch.arange(count) * len(record.shown)) // count
    with looking(record.model) as device:
        generator = torch.Generator(device).manual_seed(record.seed)
        c = None if given is None else given[rows].to(device)
        if has(record.model, LatentModel):
            return latent_samples(needs(record.model, LatentModel, "samples"), count, generator, record.shown.event, c)
        drawn = needs(record.model, Samples, "a figure of samples").sample(count, generator=generator, context=c)
    return None, drawn.float().cpu()


def divergence_of_levels(record: ReportInput) -> Float[Tensor, " levels"]:
    """KL(q || p) of each level, the top first, in nats: the mean over up to 1,000 examples of the split that is shown,
    one draw of the levels above for each.
    """
    model, found = needs(record.model, Whitens, "a figure of levels"), []
    index = few(record.shown, record.seed, LEVELLED)
    with looking(model) as device:
        for part in index.split(max(CELLS_AT_ONCE // max(record.shown.x[0].numel(), 1), 1)):
            noise = PerExample(record.seed, part)
            terms = model.terms(
                on_device(record.shown, part, record.seed, device), generator=noise, requires=frozenset({"divergence"})
            )
            found.append(terms.divergence[:, 0].cpu())
    return torch.cat(found, 1).double().mean(1)


def divergence_at_top(record: ReportInput) -> Float[Tensor, " latents"] | None:
    """KL(q || p) of each latent of the top level in nats, the mean over up to 1,000 examples of the split that is
    shown; None where that level is no vector of independent Gaussian latents.
    """
    model, found = needs(record.model, LatentModel, "a figure of levels"), []
    index = few(record.shown, record.seed, LEVELLED)
    with looking(model) as device:
        prior = model.prior_at(())
        for part in index.split(max(CELLS_AT_ONCE // max(record.shown.x[0].numel(), 1), 1)):
            law = model.posterior_at((), on_device(record.shown, part, record.seed, device))
            q, p = generation.latent_by_latent(law), generation.latent_by_latent(prior)
            if q is None or p is None:
                return None
            found.append(kl_divergence(q, p).cpu())
    return torch.cat(found).double().mean(0)


def latent_samples(
    model: LatentModel, count: int, generator: torch.Generator, event: Sequence[int], c: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Means and draws at the same latents from the prior."""
    means, draws = [], []
    levels = prior_levels(model, count, as_noise(generator), event=event, context=c)
    for place, part in enumerate(zip(*(level.split(64, 1) for level in levels), strict=True)):
        law = model.decode(part, None if c is None else c.split(64)[place])
        means.append(law.mean[0].float().cpu())
        draws.append(draw(law, 1, generator)[0, 0].float().cpu())
    return torch.cat(means), torch.cat(draws)


def detail_of_samples(record: ReportInput) -> float | None:
    """Differences between neighbouring pixels of means of p(x | z) at z from the prior, as a share of those of data;
    both root mean squares. None where there are no latents to draw.
    """
    if not has(record.model, LatentModel):
        return None
    x = model_units(record.shown, spread(len(record.shown), LOOKED_AT), record.seed)
    data = detail(x)
    means = prior_samples(record, LOOKED_AT)[0]
    return detail(means) / data if data > 0 and means is not None else None


def detail(x: Float[Tensor, "count *event"]) -> float:
    """Root mean square of the differences between pixels beside each other and one above the other."""
    x = x.double()
    parts = [x.diff(dim=axis).square().flatten() for axis in (-1, -2)]
    return float(torch.cat(parts).mean().sqrt())


def quantiles(side: int) -> Float[Tensor, " side"]:
    """Φ⁻¹((i + ½) / side) for i = 0 ... side - 1: the middles of `side` slices of N(0, 1) with equal probability."""
    return torch.tensor([NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)])


def manifold_points(side: int) -> Float[Tensor, "points 2"]:
    """A square of latents row by row as a picture is read: z₁ grows to the right, z₂ upwards."""
    across, up = quantiles(side), quantiles(side).flip(0)
    return torch.stack((across.repeat(side), up.repeat_interleave(side)), dim=1)


def traversal_points(latents: int, chosen: list[int], steps: int) -> Float[Tensor, "rows steps latents"]:
    """For each chosen latent `steps` points from -3 to 3 (σ of the prior N(0, 1)), the other latents at 0."""
    z = torch.zeros(len(chosen), steps, latents)
    for row, latent in enumerate(chosen):
        z[row, :, latent] = torch.linspace(-REACH, REACH, steps)
    return z


def principal(points: Float[Tensor, "examples latents"]) -> tuple[Float[Tensor, "examples 2"], tuple[float, float]]:
    """Two principal components and the share of the variance that each explains; signs fixed by the largest loading."""
    centred = points.double() - points.double().mean(0)
    values, vectors = spectrum(centred.T @ centred)
    axes = vectors.flip(1)[:, :2]
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    shares = values.flip(0).clamp(min=0) / values.clamp(min=0).sum().clamp(min=1e-300)
    return (centred @ axes).float(), (float(shares[0]), float(shares[1]))


def correlations(x: Shaped[Tensor, "examples columns"]) -> Float[Tensor, "columns columns"]:
    """Pearson's correlation of each pair of columns; 0 where a column is constant."""
    centred = x.double() - x.double().mean(0)
    norms = centred.norm(dim=0)
    unit = centred / torch.where(norms > 0, norms, torch.ones_like(norms))
    return (unit.T @ unit).float()
