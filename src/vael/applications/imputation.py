"""Cells that are missing, from the cells that were seen: their conditional mean, how sure it is, and draws of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.distributions import Distribution

from vael.data import Batch, Source
from vael.data.batch import some
from vael.errors import StateError
from vael.evaluation import RowKeys, row_batches
from vael.inference import drawn_and_weighed, refined
from vael.models import CellWise, ClosedForm, LatentVector, Model, has, needs
from vael.models.vae import filled
from vael.probability import Common, EachLatent, Noise, PerExample, draw_wide, widened
from vael.probability.columns import Columns
from vael.probability.row_mixture import RowMixture

LATENTS_AT_ONCE = 2**15


@dataclass(frozen=True)
class Imputed:
    """Rows with their gaps filled; cells that were seen are as they came, and certain."""

    x: Float[
        Tensor, "rows columns"
    ]  # E[x_missing | x_seen]; of a column with levels the most probable one, of one with spikes as `Columns.mean`
    deviation: Float[
        Tensor, "rows columns"
    ]  # standard deviation given the seen cells; of levels 1 - probability of the chosen one
    low: Float[Tensor, "rows columns"]  # quantiles given the seen cells
    high: Float[Tensor, "rows columns"]
    draws: Float[Tensor, "draws rows columns"]  # multiple imputations: draws from p(x_missing | x_seen)
    effective_samples: Float[Tensor, " rows"]  # of the weights: near 1 says that few latents carry the answer


@dataclass(frozen=True)
class _Wanted:
    """What is to be found for each row."""

    samples: int  # latents
    draws: int
    interval: float
    seed: int


def impute(
    model: Model,
    source: Source,
    *,
    samples: int = 200,
    draws: int = 0,
    interval: float = 0.9,
    fitted: bool = False,
    seed: int = 0,
    keys: RowKeys | None = None,
) -> Iterator[Imputed]:
    """Every row of a source with gaps, in order, a block at a time.

    z_k ~ q(z | x_seen), w_k ∝ p(x_seen | z_k) p(z_k) / q(z_k | x_seen), and E[x_missing | x_seen] ≈ Σ w_k E[x_missing |
    z_k]: exact as the number of samples grows (self-normalised importance weights, Mattei & Frellsen 2019, section
    3.3). Draws choose a latent with probability w_k and a cell from p(x | z_k) (sampling importance resampling, Rubin
    1987). Cells are taken to be missing at random: whether one is missing depends on nothing but the cells that were
    seen. A number that may stand at a spike has the point estimate of `Columns.mean`.

    With `fitted` latents are proposed by a Gaussian at the mode of p(z | x_seen) instead of by the encoder, which is
    the way for an encoder that was never shown a gap, and is taken for those.

    A row has the same answer alone and among others. Means, deviations and intervals take the same standard variates in
    all rows (`Common`). Draws do not, as statistics combine them over rows (Rubin 1987, chapter 3): each row has
    latents and cells of its own, a function of the seed, the cells of the row and how many rows equal to it came
    before. `keys` counts these over several sources, for data that come in pieces. A model whose elements given others
    follow in closed form needs no latents: all its answers are exact, and `samples` and `fitted` do nothing. Errors:
    `StateError` for numbers that make no sense, for data without gaps, and for a model without one vector of latents or
    whose likelihood joins cells, unless it has a closed form.
    """
    exact = model if isinstance(model, ClosedForm) and has(model, ClosedForm) else None
    if exact is None:
        needs(needs(model, LatentVector, "filling gaps"), CellWise, "filling gaps")
    if samples < 1 or draws < 0 or not 0 < interval < 1:
        raise StateError(
            f"samples={samples}, draws={draws}, interval={interval:g}: expected at least one sample, draws from 0 on, "
            "a share in (0, 1)"
        )
    if not source.gaps:
        raise StateError(f"{source.name} has no gaps, so there is nothing to fill in")
    how, keys = _Wanted(samples, draws, interval, seed), keys or RowKeys()
    if exact is not None:
        yield from (_exactly(exact.rows, batch, how, keys) for batch in row_batches(exact.eval(), source, seed))
        return
    model = needs(model, LatentVector, "filling gaps")
    proposer = model if model.posterior.sees_gaps and not fitted else refined(model, widen=1.1)
    size = max(1, LATENTS_AT_ONCE // samples)
    for batch in row_batches(model.eval(), source, seed):
        for index in torch.arange(len(batch)).split(size):
            with torch.no_grad():
                found = _imputed(model, proposer, cells_of(batch, index), how, keys)
            yield found


def _exactly(rows: RowMixture, batch: Batch, how: _Wanted, keys: RowKeys) -> Imputed:
    seen = torch.ones_like(batch.x, dtype=torch.bool) if batch.observed is None else batch.observed
    found = rows.given(filled(batch.x, seen), seen)
    low, high = (found.quantile(level) for level in ((1 - how.interval) / 2, (1 + how.interval) / 2))
    drawn = found.means[:0]
    if how.draws:
        noise, like = PerExample(how.seed, keys.of(batch.x)), found.weight
        chosen, normal = noise.uniform((how.draws, len(like)), like), noise.normal((how.draws, *batch.x.shape), like)
        drawn = found.draws(chosen, normal)
    effective = torch.full((len(batch),), float(how.samples))
    return Imputed(found.mean, found.deviation, low, high, drawn, effective)


def cells_of(batch: Batch, index: Int64[Tensor, " some"]) -> Batch:
    """These examples of a batch: their elements and conditions alone."""
    return replace(some(batch, index), label=None, index=None, weight=None)


def _imputed(model: LatentVector, proposer: LatentVector, batch: Batch, how: _Wanted, keys: RowKeys) -> Imputed:
    # one answer for each row, which nobody takes for a draw: variates that rows share leave a row its own answer, and
    # cost next to nothing
    noise, observed, x = Common(how.seed), batch.observed, filled(batch.x, batch.observed)
    q = proposer.infer(batch)
    z, share = _weighted_latents(model, batch, q, how.samples, noise)
    law = widened(model.decode((z,), batch.context))  # a filled cell has the digits of its column
    cells = draw_wide(law, 1, EachLatent(noise))[0]  # one of each latent
    mean = law.mean_under(share) if isinstance(law, Columns) else _weighed(share, law.mean)
    deviation = (_weighed(share, cells.square()) - _weighed(share, cells).square()).clamp(min=0).sqrt()
    if isinstance(law, Columns) and len(law.levels):
        deviation = deviation.index_copy(1, law.levels, 1 - _weighed(share, law.log_probs.exp()).amax(-1))
    ends = ((1 - how.interval) / 2, (1 + how.interval) / 2)
    low, high = _quantiles(cells, share, x, observed, ends)
    drawn = _resampled(model, batch, q, how, keys.of(batch.x)) if how.draws else cells[:0]

    def keep(found: Tensor) -> Tensor:
        return torch.where(observed, x, found) if observed is not None else found

    gap = (
        torch.zeros_like(deviation)
        if observed is None
        else torch.where(observed, torch.zeros_like(deviation), deviation)
    )
    return Imputed(keep(mean), gap, keep(low), keep(high), keep(drawn), 1 / share.square().sum(0))


def _weighted_latents(
    model: LatentVector, batch: Batch, q: Distribution, samples: int, noise: Noise
) -> tuple[Tensor, Float[Tensor, "samples batch"]]:
    """Latents from a proposal, and their shares of p(z | x_seen)."""
    found = drawn_and_weighed(model, batch, q, samples, noise)
    log_w = found.log_weight.double().nan_to_num(nan=-torch.inf, posinf=-torch.inf)
    # a row so far out that no latent has a density for it says nothing of its gaps: all candidates count alike
    return found.latent[0], torch.where(log_w.isfinite().any(0), log_w, torch.zeros_like(log_w)).softmax(0).to(
        batch.x.dtype
    )


def _resampled(
    model: LatentVector, batch: Batch, q: Distribution, how: _Wanted, keys: Int64[Tensor, " batch"]
) -> Float[Tensor, "draws batch columns"]:
    """Draws of whole rows. Candidates too are the row's own: what they miss would be missed in one direction by all
    rows otherwise.
    """
    noise = PerExample(how.seed, keys)
    z, share = _weighted_latents(model, batch, q, how.samples, noise)
    point = noise.uniform((how.draws, len(batch)), share)
    chosen = (point.unsqueeze(1) >= share.cumsum(0)).sum(1).clamp(max=how.samples - 1)  # [draws, batch]
    latent = torch.gather(z, 0, chosen.unsqueeze(-1).expand(-1, -1, z.shape[-1]))
    return draw_wide(model.decode((latent,), batch.context), 1, EachLatent(noise))[0]


def _quantiles(
    cells: Float[Tensor, "samples batch columns"],
    share: Float[Tensor, "samples batch"],
    x: Float[Tensor, "batch columns"],
    observed: Bool[Tensor, "batch columns"] | None,
    levels: Sequence[float],
) -> list[Float[Tensor, "batch columns"]]:
    """Quantiles of the gaps, one table for each level; of cells that were seen, the cell. Sorting is most of the work,
    so that only gaps are sorted, once.
    """
    gap = torch.ones_like(x, dtype=torch.bool) if observed is None else ~observed
    row, column = gap.nonzero(as_tuple=True)
    value, order = cells[:, row, column].sort(0)
    reached = share[:, row].gather(0, order).cumsum(0)
    return [x.to(value).index_put((row, column), value.gather(0, _first(reached, one)[None])[0]) for one in levels]


def _weighed(
    share: Float[Tensor, "samples batch"], values: Float[Tensor, "samples batch *cells"]
) -> Float[Tensor, "batch *cells"]:
    """Σ share × values, added up in one order wherever a row stands; a matrix product would round by its place."""
    return (share.reshape(*share.shape, *[1] * (values.dim() - 2)) * values).sum(0)


def _first(reached: Tensor, level: float) -> Tensor:
    """Where a cumulative share first reaches a level."""
    return (reached < level).sum(0).clamp(max=len(reached) - 1)
