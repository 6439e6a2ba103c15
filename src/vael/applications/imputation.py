"""Cells that are missing, from the cells that were seen: their conditional mean, how sure it is, and draws of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Int64
from torch import Tensor

from vael.applications.gaps import Exact, Filler, Imputed, Wanted, Weighing
from vael.data import Batch, Source
from vael.data.batch import some
from vael.errors import StateError
from vael.evaluation import RowKeys, row_batches
from vael.inference import refined
from vael.models import CellWise, ClosedForm, LatentVector, Model, has, needs


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

    A row has the same answer alone and among others, but for the rounding of matrix products with few rows. Means,
    deviations and intervals take the same standard variates in all rows (`Common`). Draws do not, as statistics
    combine them over rows (Rubin 1987, chapter 3): each row has latents and cells of its own, a function of the
    seed, the cells of the row and how many rows equal to it came before. `keys` counts these over several sources,
    for data that come in pieces. A model whose elements given others follow in closed form needs no latents: all
    its answers are exact, and `samples` and `fitted` do nothing. Errors: `StateError` for numbers that make no
    sense, for data without gaps, and for a model without one vector of latents or whose likelihood joins cells,
    unless it has a closed form.
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
    how, keys = Wanted(samples, draws, interval, seed), keys or RowKeys()
    filler = Exact(exact.rows, how, keys) if exact is not None else _weighing(model, fitted, how, keys)
    for batch in row_batches(model.eval(), source, seed):
        for begin, end, rows in _ranges(batch, filler):
            with torch.no_grad():
                found = filler.filled(cells_of(batch, rows)) if len(rows) else None
            yield _among(batch, range(begin, end), rows - begin, found, how)


def _weighing(model: Model, fitted: bool, how: Wanted, keys: RowKeys) -> Weighing:
    model = needs(model, LatentVector, "filling gaps")
    proposer = model if model.posterior.sees_gaps and not fitted else refined(model, widen=1.1)
    return Weighing(model, proposer, how, keys)


def _ranges(batch: Batch, filler: Filler) -> Iterator[tuple[int, int, Int64[Tensor, " gapped"]]]:
    """Consecutive rows from one number to another, and which of them have gaps: as many as are filled together."""
    gaps = (
        batch.x.new_zeros(len(batch), dtype=torch.bool) if batch.observed is None else ~batch.observed.flatten(1).all(1)
    )
    found, begin = gaps.nonzero().squeeze(1), 0
    parts = found.split(filler.at_once(cells_of(batch, found[:1]))) if len(found) else (found,)
    for number, rows in enumerate(parts, 1):
        end = len(batch) if number == len(parts) else int(rows[-1]) + 1
        yield begin, end, rows
        begin = end


def _among(batch: Batch, part: range, rows: Int64[Tensor, " gapped"], found: Imputed | None, how: Wanted) -> Imputed:
    """Some rows of a batch: those with gaps as they were filled, the others as they came."""
    x = batch.x[part.start : part.stop]
    effective = torch.full((len(x),), float(how.samples), dtype=x.dtype, device=x.device)
    if found is None:
        return Imputed(x, torch.zeros_like(x), x, x, x.expand(how.draws, *x.shape), effective)

    def placed(values: Tensor, others: Tensor) -> Tensor:
        return values if len(rows) == len(x) else others.to(values.dtype).index_copy(-2, rows, values)

    return Imputed(
        placed(found.x, x),
        placed(found.deviation, torch.zeros_like(x)),
        placed(found.low, x),
        placed(found.high, x),
        placed(found.draws, x.expand(how.draws, *x.shape)),
        effective.to(found.effective_samples.dtype).index_copy(0, rows, found.effective_samples),
    )


def cells_of(batch: Batch, index: Int64[Tensor, " some"]) -> Batch:
    """These examples of a batch: their elements and conditions alone."""
    return replace(some(batch, index), label=None, index=None, weight=None)
