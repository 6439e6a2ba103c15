"""What a model must beat: every cell independent of every other, fitted to the training data in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vael.data import Kind, Source, Splits
from vael.models import ColumnsHead, head_of, is_likelihood
from vael.report.gather import few, model_units
from vael.report.record import ReportInput
from vael.report.series import baseline_of

FITTED, JUDGED, MOST_COUNTERS, CELLS = 10_000, 5_000, 4_000_000, 50_000_000


@dataclass(frozen=True)
class TrivialModel:
    """Log-likelihood of the independent-cells model in nats per example, and what that model is in words."""

    log_likelihood: float
    what: str


def _rows(source: Source, wanted: int, seed: int) -> Tensor:
    wanted = max(min(wanted, CELLS // max(source.x[0].numel(), 1)), 1)
    return model_units(source, few(source, seed, wanted), seed).cpu()


def bernoulli(fitted: Tensor, judged: Tensor) -> float:
    """Each cell is one with the share of ones it had, (ones + ½) / (examples + 1)."""
    share = (fitted.double().sum(0) + 0.5) / (len(fitted) + 1)
    x = judged.double()
    return float((x * share.log() + (1 - x) * (1 - share).log()).flatten(1).sum(1).mean())


def histogram(fitted: Tensor, judged: Tensor, levels: int) -> float:
    """Each cell follows its own histogram, smoothed by `levels` pseudo-counts spread like the histogram of its
    channel.
    """
    cells, x = fitted.long().transpose(0, 1).flatten(1), judged.long().transpose(0, 1).flatten(1)
    total = 0.0
    for channel, seen in zip(cells, x, strict=True):
        pooled = torch.bincount(channel, minlength=levels).double() + 1 / levels
        pooled = pooled / pooled.sum()
        places = channel.numel() // len(fitted)
        prior, weight = pooled.expand(places, levels), float(levels)
        if fitted[0].numel() * levels > MOST_COUNTERS:  # too many cells for a histogram each
            total += float(pooled.log()[seen].sum()) / len(judged)
            continue
        offset = torch.arange(places) * levels
        counts = torch.bincount((channel.view(-1, places) + offset).flatten(), minlength=places * levels).view(
            places, levels
        )
        log = ((counts + weight * prior) / (len(fitted) + weight)).log().flatten()
        total += float(log[(seen.view(-1, places) + offset).flatten()].sum()) / len(judged)
    return total


def gaussian(fitted: Tensor, judged: Tensor) -> float:
    """Each cell is normal with its mean and standard deviation; constant cells take 1e-3 of the overall spread."""
    fitted, judged = fitted.double(), judged.double()
    floor = 1e-3 * float(fitted.std(correction=0)) or 1e-3
    scale = fitted.std(0, correction=0).clamp(min=floor)
    cells = -0.5 * ((judged - fitted.mean(0)) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)
    return float(cells.flatten(1).sum(1).mean())


def independent_cells(record: ReportInput) -> TrivialModel | None:
    """The baseline on the split that is shown; None where the model states no likelihood, or where cells are
    missing.
    """
    if not is_likelihood(record.model):
        return None
    if record.shown.windowing is not None:
        found = baseline_of(record.splits.train, record.shown, record.seed)
        return None if found is None else TrivialModel(*found)
    head = head_of(record.model)
    if isinstance(head, ColumnsHead):
        return TrivialModel(
            columns(head, _rows(record.shown, JUDGED, record.seed)), "independent columns, each with its own law"
        )
    return of_splits(record.splits, record.shown, record.seed)


@torch.no_grad()
def columns(head: ColumnsHead, judged: Tensor) -> float:
    """Mean log p over the cells that were seen, of the law that each column had in the training data before the
    networks learned anything.
    """
    cells = head(judged.new_zeros(1, len(judged), head.raw_numbers)).log_prob(torch.nan_to_num(judged))[0]
    return float(torch.where(torch.isnan(judged), torch.zeros_like(cells), cells).sum(1).mean())


def of_splits(splits: Splits, shown: Source, seed: int) -> TrivialModel | None:
    """Fit to up to 10,000 training examples, judge on up to 5,000 of `shown`."""
    fitted, judged = _rows(splits.train, FITTED, seed), _rows(shown, JUDGED, seed)
    if not (torch.isfinite(fitted).all() and torch.isfinite(judged).all()):
        return None
    if splits.train.kind is Kind.BINARY:
        return TrivialModel(bernoulli(fitted, judged), "independent cells, each with its own probability")
    if splits.train.kind is Kind.INTEGER and splits.train.levels:
        return TrivialModel(
            histogram(fitted, judged, splits.train.levels), "independent cells, each with its own histogram"
        )
    return TrivialModel(gaussian(fitted, judged), "independent cells, each with its own normal law")
