"""Cells that are missing, from the cells that were seen: their conditional mean, how sure it is, and draws of them.

They are known in closed form of a mixture, else by latents with their weights given the seen cells.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
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
from vael.models import VAE, CellWise, ClosedForm, Conditional, LatentVector, Likelihood, Model, has, needs
from vael.models.vae import context_of, filled
from vael.probability import Common, EachLatent, Noise, PerExample, draw_wide, widened
from vael.probability.column_cells import VECTOR, ChosenCells, parts_of
from vael.probability.columns import Columns
from vael.probability.row_mixture import RowMixture
from vael.probability.totals import shared_out, summed


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


LATENTS_AT_ONCE = 2**15
NUMBERS_AT_ONCE = 2**26  # parameters of laws: 256 MiB in float32, of which several copies stand at a time
FACTORS_AT_ONCE = 2**25  # numbers of the factors that a mixture has for rows with gaps, 256 MiB in float64


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
    effective_samples: Float[
        Tensor, " rows"
    ]  # of the weights: near 1 says that few latents carry the answer; of rows without a gap, which need none, all


@dataclass(frozen=True)
class Wanted:
    """What is to be found for each row."""

    samples: int  # latents
    draws: int
    interval: float
    seed: int

    @property
    def ends(self) -> tuple[float, float]:
        """The levels of the quantiles that an interval has at its ends."""
        return (1 - self.interval) / 2, (1 + self.interval) / 2


class Filler(ABC):
    """Abstract: what fills gaps."""

    def __init__(self, how: Wanted, keys: RowKeys) -> None:
        self.how, self.keys = how, keys

    @abstractmethod
    def at_once(self, batch: Batch) -> int:
        """How many rows are filled together, where they are like these."""

    @abstractmethod
    def filled(self, batch: Batch) -> Imputed:
        """Answers for rows each of which has a gap."""


class Exact(Filler):
    """Elements given others follow in closed form."""

    def __init__(self, rows: RowMixture, how: Wanted, keys: RowKeys) -> None:
        super().__init__(how, keys)
        self.rows = rows

    def at_once(self, batch: Batch) -> int:
        """As many as there is memory for the factors of, as if no two of them had the same gaps."""
        return max(1, FACTORS_AT_ONCE // self.rows.covariance.numel())

    def filled(self, batch: Batch) -> Imputed:
        seen, how = batch.seen, self.how
        found = self.rows.given(filled(batch.x, seen), seen)
        low, high = map(found.quantile, how.ends)
        drawn = found.means[:0]
        if how.draws:
            noise, like = PerExample(how.seed, self.keys.of(batch.x)), found.weight
            chosen, normal = (
                noise.uniform((how.draws, len(like)), like),
                noise.normal((how.draws, *batch.x.shape), like),
            )
            drawn = found.draws(chosen, normal)
        effective = torch.full((len(batch),), float(how.samples))
        return Imputed(found.mean, found.deviation, low, high, drawn, effective)


class KeptLaw(Likelihood):
    """p(x | z) that is still there after it was asked for: of latents that were weighed, without decoding them once
    more.
    """

    def __init__(self, inner: Conditional) -> None:
        super().__init__()
        self.inner = inner
        self.laws: list[Distribution] = []

    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        self.laws.append(self.inner(z, context))
        return self.laws[-1]


class Weighing(Filler):
    """Latents of each row, from a proposal, by their weights given its seen cells."""

    def __init__(self, model: LatentVector, proposer: LatentVector, how: Wanted, keys: RowKeys) -> None:
        super().__init__(how, keys)
        self.model, self.proposer, self.kept, self.size = model, proposer, KeptLaw(model.likelihood), 0
        self.keeping = VAE(model.prior, self.kept, model.posterior, context=context_of(model)).eval()
        # with so many rows, or a multiple, no loop over vectors has a remainder, which would round otherwise; nor have
        # matrix products with a multiple of `VECTOR`, which a few rows alone would pay for dearly
        self.even = VECTOR // math.gcd(VECTOR, how.samples, how.draws)

    @torch.no_grad()
    def at_once(self, batch: Batch) -> int:
        """So many that `LATENTS_AT_ONCE` are decoded, or fewer where the law of a row has many parameters."""
        if not self.size:
            law = self.model.decode((self.model.infer(batch).mean[None],), batch.context)
            numbers = max(1, sum(one.numel() for one in vars(law).values() if isinstance(one, Tensor)) // len(batch))
            together = min(LATENTS_AT_ONCE, NUMBERS_AT_ONCE // numbers) // self.how.samples
            self.size = max(1, together - together % VECTOR if together > VECTOR else together)
        return self.size

    def filled(self, batch: Batch) -> Imputed:
        even = VECTOR if len(batch) >= VECTOR else self.even
        rows = torch.arange(len(batch) + -len(batch) % even, device=batch.x.device).clamp(max=len(batch) - 1)
        whole, keys = some(batch, rows), self.keys.of(batch.x)[rows.cpu()] if self.how.draws else rows
        q = self.proposer.infer(whole)
        # one answer for each row, which nobody takes for a draw: variates that rows share leave a row its own answer,
        # and cost next to nothing
        noise = Common(self.how.seed)
        _, share = self._weighted_latents(whole, q, noise)
        found = _gaps(self.kept.laws.pop(), batch, EachLatent(noise)).answer(share, self.how.ends)
        return replace(found, draws=self._resampled(batch, whole, q, keys)) if self.how.draws else found

    def _weighted_latents(
        self, batch: Batch, q: Distribution, noise: Noise
    ) -> tuple[Tensor, Float[Tensor, "samples batch"]]:
        """Latents from a proposal, and their shares of p(z | x_seen)."""
        found = drawn_and_weighed(self.keeping, batch, q, self.how.samples, noise)
        log_w = found.log_weight.double().nan_to_num(nan=-torch.inf, posinf=-torch.inf)
        # a row so far out that no latent has a density for it says nothing of its gaps: all candidates count alike
        known = torch.where(log_w.isfinite().any(0), log_w, torch.zeros_like(log_w))
        return found.latent[0], shared_out(known).to(batch.x.dtype)

    def _resampled(
        self, batch: Batch, whole: Batch, q: Distribution, keys: Int64[Tensor, " whole"]
    ) -> Float[Tensor, "draws batch columns"]:
        """Draws of rows, cells that were seen as they came. Candidates too are the row's own: what they miss would be
        missed in one direction by all rows otherwise.
        """
        how, noise = self.how, PerExample(self.how.seed, keys)
        z, share = self._weighted_latents(whole, q, noise)
        self.kept.laws.pop()
        point = noise.uniform((how.draws, len(whole)), share)
        chosen = (point.unsqueeze(1) >= share.cumsum(0)).sum(1).clamp(max=how.samples - 1)  # [draws, whole]
        latent = torch.gather(z, 0, chosen.unsqueeze(-1).expand(-1, -1, z.shape[-1]))
        return _gaps(self.model.decode((latent,), whole.context), batch, EachLatent(noise)).drawn()


def _gaps(law: Distribution, batch: Batch, noise: Noise) -> _Gaps:
    """The gaps of a batch under a law of its rows, behind which others may stand."""
    x, gaps = filled(batch.x, batch.seen), ~batch.seen
    return _OfColumns(law, gaps, x, noise) if isinstance(law, Columns) else _OfElements(law, gaps, x, noise)


class _Gaps(ABC):
    """Abstract: the gaps of some rows under a law `[samples, rows, columns]` of these and perhaps of others behind
    them, cells that were seen being known.
    """

    def __init__(
        self, law: Distribution, gaps: Bool[Tensor, "batch columns"], x: Float[Tensor, "batch columns"], noise: Noise
    ) -> None:
        self.gaps, self.x, self.noise = gaps, x, noise

    @abstractmethod
    def answer(self, share: Float[Tensor, "samples rows"], ends: tuple[float, float]) -> Imputed:
        """Means, deviations and quantiles where samples have these shares; no draws."""

    @abstractmethod
    def drawn(self) -> Float[Tensor, "samples batch columns"]:
        """One draw from each sample."""

    def _worth(self, share: Tensor) -> Float[Tensor, " batch"]:
        """How many equal samples those of each row are worth."""
        return (1 / summed(share.square()))[: len(self.x)]


class _OfColumns(_Gaps):
    """Each gap by the law of its column alone: what was seen costs nothing."""

    def __init__(self, law: Columns, gaps: Tensor, x: Tensor, noise: Noise) -> None:
        super().__init__(law, gaps, x, noise)
        self.law, self.known = law, x.double()  # a filled cell has the digits of its column

    def answer(self, share: Tensor, ends: tuple[float, float]) -> Imputed:
        mean, low, high = (self.known.clone() for _ in range(3))
        deviation = torch.zeros_like(mean)
        for cells, law, drawn in self._each():
            weight, at = share[:, cells.rows], (cells.row, cells.column)
            spread = (summed(weight * drawn.square()) - summed(weight * drawn).square()).clamp(min=0).sqrt()
            if len(law.levels):
                spread = 1 - summed(weight[..., None] * law.log_probs[:, 0].exp()).amax(-1)
            quantiles = _quantiles(drawn, weight, ends)
            found = (law.mean_under(weight[:, None])[0], spread, *quantiles)
            for table, values in zip((mean, deviation, low, high), found, strict=True):
                table[at] = values[: len(cells.row)]
        return Imputed(mean, deviation, low, high, mean.new_empty((0, *mean.shape)), self._worth(share))

    def drawn(self) -> Tensor:
        found = self.known.repeat(len(self.law.log_probs), 1, 1)
        for cells, _, drawn in self._each():
            found[:, cells.row, cells.column] = drawn[:, : len(cells.row)]
        return found

    def _each(self) -> Iterator[tuple[ChosenCells, Columns, Float[Tensor, "samples cells"]]]:
        """A few gaps at a time, their law `[samples, 1, cells]`, and a draw of each."""
        narrow = self.law.log_probs.new_empty(0, dtype=torch.float32)
        variates = self.law.variates(torch.Size((1, *self.law.batch_shape)), self.noise, narrow)
        for cells in parts_of(self.law, self.gaps):
            law = cells.law(self.law)
            yield cells, law, law.made_of(cells.variates(variates, law.log_probs))[0, :, 0]


class _OfElements(_Gaps):
    """All elements of the rows with gaps, where their law is of another kind."""

    def __init__(self, law: Distribution, gaps: Tensor, x: Tensor, noise: Noise) -> None:
        super().__init__(law, gaps, x, noise)
        self.law = widened(law)

    def answer(self, share: Tensor, ends: tuple[float, float]) -> Imputed:
        drawn, weight, rows = draw_wide(self.law, 1, self.noise)[0], share[..., None], len(self.x)  # one of each latent
        deviation = (summed(weight * drawn.square()) - summed(weight * drawn).square()).clamp(min=0).sqrt()[:rows]
        row, column = self.gaps.nonzero(as_tuple=True)
        low, high = (
            self.x.to(drawn).index_put((row, column), found)
            for found in _quantiles(drawn[:, row, column], share[:, row], ends)
        )
        mean = torch.where(self.gaps, summed(weight * self.law.mean)[:rows], self.x)
        deviation = torch.where(self.gaps, deviation, torch.zeros_like(deviation))
        return Imputed(mean, deviation, low, high, drawn[:0, :rows], self._worth(share))

    def drawn(self) -> Tensor:
        return torch.where(self.gaps, draw_wide(self.law, 1, self.noise)[0][:, : len(self.x)], self.x)


def _quantiles(
    drawn: Float[Tensor, "samples cells"], share: Float[Tensor, "samples cells"], levels: Sequence[float]
) -> list[Float[Tensor, " cells"]]:
    """Quantiles of draws with these shares, for each level. Sorting is most of the work, and is done once."""
    value, order = drawn.sort(0)
    reached = share.gather(0, order).cumsum(0)
    return [value.gather(0, _first(reached, one)[None])[0] for one in levels]


def _first(reached: Tensor, level: float) -> Tensor:
    """Where a cumulative share first reaches a level."""
    return (reached < level).sum(0).clamp(max=len(reached) - 1)
