"""Windows of sequences under a model: how probable they and their elements are, what fills gaps, codes, what comes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vael.counting import Progress, reported
from vael.data import Batch, Source
from vael.errors import StateError
from vael.evaluation.examples import batch_at, reference
from vael.inference import tempered, weighed
from vael.models import CellWise, Continues, LatentModel, Model, Predicts, has, needs, posterior_levels
from vael.models.core import Levels
from vael.models.vae import filled
from vael.objectives import log_weights
from vael.probability import EachLatent, PerExample, draw

REQUIRES = frozenset({"log_prior", "log_posterior"})
ELEMENTS_AT_ONCE = 2**22  # of all draws of some windows
SAMPLES = 100
WORTH = 50.0  # equal draws that a mean of a window is at least made of: its variance is then 2 % of that of one draw


@dataclass(frozen=True)
class WindowTerms:
    """What K draws from q(z | x), which knows the whole window, say of some windows; in nats."""

    log_likelihood: Float[Tensor, " windows"]  # log 1/K Σ w, importance-weighted, of the elements that were seen
    bound: Float[Tensor, " windows"]  # mean of log w
    # E_q[-log p(x_tc | z)], the mean over the draws, of each element; NaN where it was not seen. The sum over a window
    # is its distortion: what the latents cost (the divergence) is in no element
    surprise: Float[Tensor, "windows time channels"]
    mean: Float[Tensor, "windows time channels"]  # E[x_tc | what was seen], by weights that `tempered` gives

    @property
    def steps(self) -> Float[Tensor, " windows"]:
        """At how many times something was seen."""
        return (~self.surprise.isnan()).any(-1).double().sum(1)

    @property
    def score(self) -> Float[Tensor, " windows"]:
        """-log p(x) for each time at which something was seen: higher is stranger."""
        return -self.log_likelihood / self.steps.clamp(min=1)


def window_terms(model: Model, source: Source, *, samples: int = SAMPLES, seed: int = 0) -> Iterator[WindowTerms]:
    """All windows in order, some at a time; a window has the same figures alone and among others.

    Errors: `StateError` for fewer than one sample, for a source that is no sequences, and for a model without latents
    or whose elements cannot be judged one by one.
    """
    refuse_other(source, samples)
    model = needs(model, LatentModel, "judging windows")
    needs(model, CellWise, "judging single elements")
    for index, batch in window_batches(model, source, ELEMENTS_AT_ONCE // (samples * math.prod(source.event)), seed):
        with torch.inference_mode():
            noise = PerExample(seed, index)
            terms = model.terms(batch, samples=samples, generator=noise, requires=REQUIRES)
            law, log_w = model.decode(terms.latent, batch.context), log_weights(terms).double()
            cells = -law.log_prob(filled(batch.x, batch.observed)).mean(0)
            weights = tempered(log_w, WORTH)[..., None, None].to(law.mean.dtype)
            surprise = cells if batch.observed is None else torch.where(batch.observed, cells, math.nan)
            found = WindowTerms(
                log_w.logsumexp(0).cpu() - math.log(samples),
                log_w.mean(0).cpu(),
                surprise.cpu(),
                (weights * law.mean).sum(0).cpu(),
            )
        yield found


def window_batches(
    model: Model, source: Source, size: int, seed: int, progress: Progress | None = None
) -> Iterator[tuple[Int64[Tensor, " batch"], Batch]]:
    """All windows in order, so many at a time (at least one), with their places; the model in evaluation mode."""
    model.eval()
    for index in reported(torch.arange(len(source)).split(max(1, size)), progress):
        yield index, batch_at(source, index, seed, reference(model))


def refuse_other(source: Source, samples: int, steps: int = 1) -> None:
    """Errors: `StateError` for what is no sequence, and for fewer than one draw or step."""
    if min(samples, steps) < 1 or source.windowing is None:
        raise StateError(
            f"{source.name}: windows of sequences, at least one draw and one step were expected, but got examples of "
            f"shape {source.event}, {samples} draws and {steps} steps; read the data as sequences (--sequence)"
        )


def codes_of(
    model: Model, source: Source, *, seed: int = 0
) -> Float[Tensor, "windows time features"] | Float[Tensor, "windows features"]:
    """Means of q(z | x), or of what a model that `Predicts` believes after each step.

    Of a model with a latent for each step one for each, else a vector for each window.
    """
    if not isinstance(model, Predicts):
        model = needs(model, LatentModel, "encoding windows")
    found = []
    with torch.inference_mode():
        for _, batch in window_batches(model, source, ELEMENTS_AT_ONCE // (8 * math.prod(source.event)), seed):
            if isinstance(model, Predicts):
                found.append(model.believed(batch).float().cpu())
                continue
            levels = model.latents(batch)
            each = len(levels) == source.event[0]
            found.append((torch.stack(levels, 2)[0] if each else torch.cat(levels, -1)[0]).float().cpu())
    return torch.cat(found)


def all_terms(model: Model, source: Source, *, samples: int = SAMPLES, seed: int = 0) -> WindowTerms:
    """`window_terms` of all windows at once."""
    parts = list(window_terms(model, source, samples=samples, seed=seed))
    names = ("log_likelihood", "bound", "surprise", "mean")
    return WindowTerms(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


DRAWS = 1000
NUMBERS_AT_ONCE = 2**20  # of all draws of some series: what networks make of more is fresh pages of the system
LATER = 1 << 40  # numbers of noise between that of the window and that of what comes after it


@dataclass(frozen=True)
class Future:
    """What a model expects after some windows, in the units of the data."""

    draws: Float[Tensor, "draws windows steps channels"]  # of x, noise included
    mean: Float[Tensor, "windows steps channels"]

    def quantiles(self, shares: Sequence[float]) -> Float[Tensor, "shares windows steps channels"]:
        """Quantiles of the draws."""
        points = torch.tensor(shares, dtype=self.draws.dtype)
        parts = [one.quantile(points, dim=0) for one in self.draws.split(64, dim=1)]  # PyTorch takes 2^24 numbers
        return torch.cat(parts, 1)


def future(
    model: Model,
    source: Source,
    steps: int,
    *,
    samples: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Future:
    """`steps` steps after each window, given the window.

    A model that `Predicts` goes on from what it believes. One whose latents move on (`Continues`) is let run from draws
    of its last latents; any other takes a window of which the end was not seen, so that steps have to be fewer than a
    window has. Draws of these two are chosen by as much of their importance weights as leaves 50 equal ones. Noise is a
    function of (seed, window). `progress(done, total)` is called as windows are done.

    Errors: `StateError` for sizes below 1, for what is no sequence, for a model without latents or whose elements
    cannot be left out, and for more steps than such a window allows.
    """
    refuse_other(source, samples, steps)
    if isinstance(model, Predicts):
        return _rollouts(model, source, steps, samples, seed, progress)
    needs(model, CellWise, "forecasting")
    model = needs(model, LatentModel, "forecasting")
    time = source.event[0]
    if not has(model, Continues) and steps >= time:
        raise StateError(
            f"this {type(model).__name__} is over windows of {time} steps and fills in their end, so that it forecasts "
            f"at most {time - 1} steps, but {steps} were asked for; ask for fewer, or train `--model kalman`"
        )
    size = NUMBERS_AT_ONCE // (samples * math.prod(source.event[1:]) * (time + steps))
    with torch.inference_mode():
        parts = [
            _after(model, batch, steps, samples, (PerExample(seed, index), PerExample(seed, index, skip=LATER)))
            for index, batch in window_batches(model, source, size, seed, progress)
        ]
    return Future(torch.cat([one.draws for one in parts], 1), torch.cat([one.mean for one in parts]))


def _rollouts(
    model: Predicts, source: Source, steps: int, samples: int, seed: int, progress: Progress | None
) -> Future:
    """Draws of what comes next of a model that goes on from what it believes, a step at a time."""
    size = NUMBERS_AT_ONCE // (samples * math.prod(source.event[1:]) * steps)
    draws, means = [], []
    with torch.inference_mode():
        for index, batch in window_batches(model, source, size, seed, progress):
            noise = PerExample(seed, index)
            law = model.ahead(batch, steps, samples, noise)
            draws.append(draw(law, 1, EachLatent(noise))[0].cpu())
            means.append(law.mean.mean(0).cpu())
    return Future(torch.cat(draws, 1), torch.cat(means))


def _after(model: LatentModel, batch: Batch, steps: int, samples: int, noise: tuple[PerExample, PerExample]) -> Future:
    """By noise for the latents of the window, and other noise for what comes later: draws that share the latents of
    the window part after it.
    """
    now, later = noise
    given = batch if isinstance(model, Continues) else _moved(batch, steps)
    z = posterior_levels(model, given, samples, now)
    z = _chosen(z, tempered(weighed(model, given, z).log_weight.double(), WORTH), later)
    z = model.after(z, steps, later) if isinstance(model, Continues) else z
    law = model.decode(z, batch.context)
    x = draw(law, 1, EachLatent(later))[0]
    return Future(x[:, :, -steps:].cpu(), law.mean.mean(0)[:, -steps:].cpu())


def _moved(batch: Batch, steps: int) -> Batch:
    """The windows so many steps later, the new ones not seen."""
    nothing = torch.full_like(batch.x[:, :steps], torch.nan)
    x = torch.cat((batch.x[:, steps:], nothing), 1)
    observed = ~x.isnan() if batch.observed is None else torch.cat((batch.observed[:, steps:], nothing == 0), 1)
    return Batch(x=x, observed=observed, context=batch.context, index=batch.index)


def _chosen(z: Levels, shares: Float[Tensor, "draws batch"], noise: PerExample) -> Levels:
    """Latents that come as often as their shares say (systematic resampling), in an order drawn at random: who takes
    the first few draws takes some of all, not one latent again and again.
    """
    count = len(shares)
    start, order = noise.uniform((1, shares.shape[1]), shares), noise.uniform(shares.shape, shares).argsort(0)
    points = ((torch.arange(count, dtype=shares.dtype, device=shares.device)[:, None] + start) / count).gather(0, order)
    which = torch.searchsorted(shares.cumsum(0).mT.contiguous(), points.mT.contiguous()).clamp(max=count - 1).mT
    return tuple(level.gather(0, which.reshape(*which.shape, *[1] * (level.dim() - 2)).expand_as(level)) for level in z)
