"""What a model says of windows of sequences: log p(x), how surprising each element is, and what stands in gaps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vael.counting import Progress, reported
from vael.data import Batch, Source
from vael.errors import StateError
from vael.evaluation.examples import batch_at, reference
from vael.inference import tempered
from vael.models import CellWise, LatentModel, Model, Predicts, needs
from vael.models.vae import filled
from vael.objectives import log_weights
from vael.probability import PerExample

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
