"""Why a row is strange: how surprising each of its cells is given the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from vael.data import Batch, Source
from vael.data.batch import some
from vael.errors import ShapeError, StateError
from vael.evaluation import row_batches
from vael.inference import drawn_and_weighed, refined
from vael.models import CellWise, ClosedForm, LatentVector, Model, has, needs
from vael.models.vae import filled
from vael.probability import Common
from vael.probability.row_mixture import RowMixture

CELLS_AT_ONCE = 2**17
LEFT_OUT = 48  # columns of the widest tables of which every cell is left out in turn: the work grows with their square
CANDIDATES = 16  # cells of a row of a wider table that are left out in turn, those that look strangest
PARTS = 8  # into which the longer side of an image is cut to name a region


def conditional_surprise(
    model: Model, source: Source, *, usual: Float[Tensor, " columns"] | None = None, samples: int = 32, seed: int = 0
) -> Iterator[Float[Tensor, "rows columns"]]:
    """-log p(x_j | x_-j) of every cell in nats, rows in order, a block at a time; 0 where a cell is missing.

    -log p(x_j | x_-j) = log p(x_-j) - log p(x), both by importance weights, log 1/K Σ_k p(x | z_k) p(z_k) / q(z_k | x)
    with z_k ~ q(z | x), the one with the cell hidden (Burda, Grosse & Salakhutdinov 2016; Mattei & Frellsen 2019):
    exact as the number of samples grows. Of the cells of a row the one is named without which the rest becomes most
    probable; a cell that is strange given the others cannot excuse itself, as it can through its own code. An encoder
    that was never shown a gap is replaced by a Gaussian at the mode of p(z | x_-j), which is exact for a linear
    Gaussian model. Where p(x_-j) is known in closed form nothing is drawn.

    That is one pass for each column: for the few rows that are to be explained. Of more than `LEFT_OUT` columns all
    cells of a row share the draws for the whole row, log Σ_k w_k / p(x_j | z_k) - log Σ_k w_k (Gelfand, Dey & Chang
    1992), which has the same limit and can only be wrong where one cell moves the code far; the `CANDIDATES` cells of a
    row that are then most above what is `usual` of their columns, where that is given, are left out as above.

    Errors: `ShapeError` for examples that are no rows of a table, `StateError` for fewer than one sample.
    """
    if len(source.event) != 1:
        raise ShapeError(
            f"{source.name} has examples of shape {source.event}, but cells are judged given each other in rows of a "
            "table"
        )
    if samples < 1:
        raise StateError(f"samples={samples}: expected at least 1")
    if isinstance(model, ClosedForm) and has(model, ClosedForm):
        for batch in row_batches(model.eval(), source, seed):
            yield _in_closed_form(model.rows, batch)
        return
    model = needs(model, LatentVector, "judging elements given the others")
    needs(model, CellWise, "judging elements given the others")
    proposer = model if model.posterior.sees_gaps else refined(model, widen=1.1)
    columns = source.event[0]
    wide = columns > LEFT_OUT
    left_out = columns if not wide else 0 if usual is None else CANDIDATES
    size = max(1, CELLS_AT_ONCE // (samples * columns * (left_out + 1)))
    for batch in row_batches(model.eval(), source, seed):
        for index in torch.arange(len(batch)).split(size):
            whole = functional.pad(
                index, (0, size - len(index)), value=int(index[-1])
            )  # blocks of one size, so that all round alike
            with torch.no_grad():
                if wide:
                    found = _by_shared_draws(model, proposer, some(batch, whole), usual, samples, seed)
                else:
                    each = torch.arange(columns, device=batch.x.device).expand(size, -1)
                    found = _given_the_others(model, proposer, some(batch, whole), each, samples, seed)
            yield found[: len(index)]


def _in_closed_form(rows: RowMixture, batch: Batch) -> Float[Tensor, "rows columns"]:
    seen = _seen(batch)
    return rows.surprise_given_the_others(filled(batch.x, seen), seen).to(batch.x.dtype)


def _by_shared_draws(
    model: LatentVector, proposer: LatentVector, batch: Batch, usual: Tensor | None, samples: int, seed: int
) -> Float[Tensor, "rows columns"]:
    """The surprise of all cells by draws for the whole row, and of those that are most above the usual, if that is
    known, by draws for the row without them.
    """
    seen = _seen(batch)
    # a score that is compared with that of other rows, and nothing that a person combines over rows
    found = drawn_and_weighed(model, batch, proposer.infer(batch), samples, Common(seed))
    cells = model.decode(found.latent, batch.context).log_prob(filled(batch.x, seen)).double()
    log_w = found.log_weight.double()
    shared = torch.logsumexp(log_w[..., None] - cells, 0) - torch.logsumexp(log_w, 0)[:, None]
    shared = shared.to(batch.x.dtype).masked_fill(~seen, 0.0)
    if usual is None:
        return shared
    strange = (shared - usual).nan_to_num(-torch.inf).masked_fill(~seen, -torch.inf).topk(CANDIDATES).indices
    return shared.scatter(1, strange, _given_the_others(model, proposer, batch, strange, samples, seed))


def _given_the_others(
    model: LatentVector,
    proposer: LatentVector,
    batch: Batch,
    cells: Int64[Tensor, "rows cells"],
    samples: int,
    seed: int,
) -> Float[Tensor, "rows cells"]:
    """The surprise of some cells of each row, by their columns, each left out in turn."""
    x, seen = batch.x, _seen(batch)
    rows, columns = x.shape
    copies = cells.shape[1] + 1  # of each row: one whole, one without each of the cells
    hidden = functional.pad(functional.one_hot(cells, columns).bool(), (0, 0, 1, 0)).flatten(0, 1)
    observed = seen.repeat_interleave(copies, 0) & ~hidden
    without = filled(x, seen).repeat_interleave(copies, 0).masked_fill(~observed, torch.nan)
    context = None if batch.context is None else batch.context.repeat_interleave(copies, 0)
    copied = replace(batch, x=without, observed=observed, context=context, label=None, index=None, weight=None)
    q = proposer.infer(copied)
    # shared by all rows and by the copies of a row: a score, whose difference between copies is wanted and not its
    # error
    log_w = drawn_and_weighed(model, copied, q, samples, Common(seed)).log_weight.double()
    log_p = torch.logsumexp(log_w, 0).view(rows, copies)
    return (log_p[:, 1:] - log_p[:, :1]).to(x.dtype).masked_fill(~seen.gather(1, cells), 0.0)


def _seen(batch: Batch) -> Bool[Tensor, "rows columns"]:
    return batch.seen


def regional(
    surprise: Float[Tensor, "images channels height width"],
) -> tuple[Float[Tensor, "images regions"], tuple[str, ...]]:
    """The surprise of images summed over squares, rows of squares one after another, and what to call each."""
    height, width = surprise.shape[2:]
    side = -(-max(height, width) // PARTS)
    whole = functional.pad(surprise.sum(1, keepdim=True), (0, -width % side, 0, -height % side))
    sums = functional.avg_pool2d(whole, side)[:, 0] * side**2
    down, across = (
        _spans(what, count, side, size)
        for what, count, size in zip(("row", "column"), sums.shape[1:], (height, width), strict=True)
    )
    return sums.flatten(1), tuple(f"{one}, {other}" for one in down for other in across)


def _spans(what: str, count: int, side: int, size: int) -> list[str]:
    """Lines of pixels from 1 on, in groups: row 3, or rows 5-8."""
    ends = ((place * side + 1, min((place + 1) * side, size)) for place in range(count))
    return [f"{what} {first}" if first == last else f"{what}s {first}-{last}" for first, last in ends]
