"""A model of sequences against the simplest that does the same: hidden elements filled in again, and log p(x)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vael.applications.sequences import all_terms
from vael.counting import counted
from vael.data import Source
from vael.models import CellWise, LatentModel, Model, has

LAST = 4  # the last of so many parts of a window is hidden as its future
WINDOWS = 200  # that are looked at
DRAWS = 200
ENOUGH = 100  # hidden elements; of fewer all others are hidden too, a tenth at a time
SURE = 0.999  # correlation of neighbours up to which a stationary process is taken


@dataclass(frozen=True)
class Comparison:
    """How well a model does one thing, and how well the simplest way does it, in the same unit."""

    task: str
    told: str  # what was done, in words
    model: float
    baseline: float
    simplest: str  # the simplest way, in words
    elements: int
    clear: bool  # whether the mean squared errors differ by more than two standard errors over windows

    @property
    def is_better(self) -> bool:
        """Whether the model is; its error is the smaller one."""
        return self.model < self.baseline

    def __str__(self) -> str:
        verdict = "better than" if self.is_better else "WORSE than"
        doubt = "" if self.clear else ", by less than two standard errors"
        return f"{self.model:.3f}, {verdict} {self.simplest} ({self.baseline:.3f}){doubt}: {self.told}"


def comparisons(model: Model, train: Source, source: Source, seed: int = 0) -> tuple[Comparison, ...]:
    """Root mean squared errors of hidden elements, in standard deviations that their channels have in training: a tenth
    of the elements at random, or all of them a tenth at a time where a tenth is few, against lines between their
    neighbours; the last quarter of every window, against the last value. Nothing for whole numbers, and for models
    that cannot leave elements out.
    """
    can = has(model, LatentModel) and has(model, CellWise)
    if not can or not source.x.is_floating_point() or source.event[0] < LAST:
        return ()
    chosen = torch.linspace(0, len(source) - 1, min(WINDOWS, len(source))).round().long()
    x, scale, usual = source.batch(chosen).x, *channel_moments(train)
    there, drawn = ~x.isnan(), torch.rand(x.shape, generator=torch.Generator().manual_seed(seed))
    tenths = [(drawn >= low / 10) & (drawn < (low + 1) / 10) for low in range(10)]
    few = int((tenths[0] & there).sum()) < ENOUGH
    later = (torch.arange(x.shape[1]) >= x.shape[1] - x.shape[1] // LAST)[None, :, None].expand(x.shape)
    found = []
    for task, hidden, what, simplest in (
        (
            "gaps",
            tenths if few else tenths[:1],
            "all, a tenth at a time" if few else "a tenth of all, at random",
            "a line between neighbours",
        ),
        ("future", [later], f"the last {x.shape[1] // LAST} of {x.shape[1]} steps of a window", "the last value"),
    ):
        hidden = [mask & there for mask in hidden if bool((mask & there).any())]
        if not hidden:
            continue
        both = [_errors(model, source.subset(chosen), mask, (scale, usual), seed) for mask in hidden]
        own, other = (torch.stack(parts).sum(0) for parts in zip(*both, strict=True))  # squared, of each window
        count = sum(int(mask.sum()) for mask in hidden)
        told = f"root mean squared error of {counted(count, 'hidden element')}, in standard deviations of channels"
        mine, lined = (float((one.double().sum() / count).sqrt()) for one in (own, other))
        clear = is_clear(own - other)
        found.append(Comparison(task, f"{told} ({what})", mine, lined, simplest, count, clear))
    return tuple(found)


def is_clear(more: Float[Tensor, " windows"]) -> bool:
    """Whether differences between two ways, one for each window, are other than chance: |Σ d| > 2 √(Σ d²).

    Of n independent Gaussian differences about 0 this is said with probability P(B > 4/n), B ~ Beta(1/2, (n - 1)/2):
    never of up to four, 1.6 % of five, 3.7 % of ten, 4.6 % of many. Of windows that depend on each other it is said
    oftener.
    """
    return bool(more.double().sum().abs() > 2 * more.double().square().sum().sqrt())


def _errors(
    model: Model,
    source: Source,
    hidden: Bool[Tensor, "windows time channels"],
    moments: tuple[Float[Tensor, " channels"], Float[Tensor, " channels"]],
    seed: int,
) -> tuple[Float[Tensor, " windows"], Float[Tensor, " windows"]]:
    """The sum of the squared errors of hidden elements of each window, in variances of their channels: filled by the
    model, and by lines.
    """
    x, (scale, usual) = source.batch(torch.arange(len(source))).x, moments
    shown = torch.where(hidden, torch.nan, x)
    filled = all_terms(model, replace(source, x=shown, rows=None, gaps=True), samples=DRAWS, seed=seed).mean
    both = (torch.where(hidden, (one - x) / scale, 0.0).square().sum((1, 2)) for one in (filled, lines(shown, usual)))
    mine, simple = both
    return mine, simple


def channel_moments(train: Source) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"]]:
    """Standard deviation of each channel over what was seen of it, 1 where it never varies, and its mean."""
    x = train.stored
    flat, there = x.flatten(0, 1), ~x.flatten(0, 1).isnan()
    count = there.sum(0).clamp(min=1)
    mean = flat.nan_to_num().double().sum(0) / count
    spread = (torch.where(there, flat - mean, 0).double().square().sum(0) / count).sqrt()
    return torch.where(spread > 0, spread, torch.ones_like(spread)).to(x.dtype), mean.to(x.dtype)


def lines(
    x: Float[Tensor, "windows time channels"], usual: Float[Tensor, " channels"]
) -> Float[Tensor, "windows time channels"]:
    """Gaps (NaN) filled by lines between what was seen before and after, by the nearest value at the ends, and by
    `usual` where nothing was seen.
    """
    there, time = ~x.isnan(), torch.arange(x.shape[1], device=x.device)[None, :, None]
    before = torch.where(there, time, -1).cummax(1).values
    after = torch.where(there, time, x.shape[1]).flip(1).cummin(1).values.flip(1)
    known = x.nan_to_num()
    left, right = (known.gather(1, at.clamp(0, x.shape[1] - 1)) for at in (before, after))
    share = ((time - before) / (after - before).clamp(min=1)).to(x.dtype)
    share = torch.where(before < 0, 1.0, torch.where(after >= x.shape[1], 0.0, share))
    return torch.where((before < 0) & (after >= x.shape[1]), usual, left + share * (right - left))


def autoregression(
    fitted: Float[Tensor, "windows time channels"], judged: Float[Tensor, "others time channels"]
) -> Float[Tensor, " others"]:
    """Log p(x) of windows, in nats, where every channel is by itself a stationary AR(1): x_t - m = φ (x_{t-1} - m) + e.

    m, φ and the variance of e by least squares over neighbours that were both seen; across a gap of k steps φ^k and the
    variance (1 - φ^2k) / (1 - φ²) of e hold.
    """
    total = torch.zeros(len(judged), dtype=torch.float64)
    for channel in range(judged.shape[-1]):
        known, x = fitted[..., channel].double(), judged[..., channel].double()
        mean = known.nanmean()
        level = float((known - mean).square().nanmean()) or 1e-12
        first, second = known[:, :-1] - mean, known[:, 1:] - mean
        both = ~(first.isnan() | second.isnan())
        first, second = first[both], second[both]
        slope = float((first @ second) / first.square().sum().clamp(min=1e-300)) if len(first) else 0.0
        slope = max(-SURE, min(SURE, slope))
        noise = float((second - slope * first).square().mean()) if len(first) > 1 else level
        noise = max(noise, 1e-9 * level)
        total += chain_log_prob(x - mean, slope, noise, level)
    return total


def chain_log_prob(x: Float[Tensor, "windows time"], slope: float, noise: float, level: float) -> Tensor:
    """Log-density of an AR(1) of mean 0 at what was seen of it: noise is the variance of its steps, level its own."""
    total, last, since = torch.zeros(3, len(x), dtype=torch.float64)
    begun: Bool[Tensor, " windows"] = torch.zeros(len(x), dtype=torch.bool)
    for now in x.unbind(1):
        there, since = ~now.isnan(), since + 1
        decay = slope**since if slope >= 0 else abs(slope) ** since * torch.where(since % 2 > 0, -1.0, 1.0)
        spread = noise * (1 - decay.square()) / (1 - slope**2)
        mean, spread = torch.where(begun, decay * last, 0.0), torch.where(begun, spread, level)
        said = -0.5 * ((now.nan_to_num() - mean).square() / spread + (2 * math.pi * spread).log())
        total = total + torch.where(there, said, 0.0)
        last, since = torch.where(there, now.nan_to_num(), last), torch.where(there, 0.0, since)
        begun = begun | there
    return total
