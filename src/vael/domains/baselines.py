"""What a model must beat: every cell independent of every other, fitted to the training data in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vael.data import Kind, Source
from vael.data.source import few
from vael.models import ColumnsHead
from vael.report.gather import model_units
from vael.report.record import ReportInput, TrivialModel

FITTED, JUDGED, MOST_COUNTERS, CELLS = 10_000, 5_000, 4_000_000, 50_000_000


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


@torch.no_grad()
def independent_columns(record: ReportInput, head: ColumnsHead) -> TrivialModel:
    """Mean log p over the cells that were seen, of the law that each column had in the training data before the
    networks learned anything.
    """
    judged = _rows(record.shown, JUDGED, record.seed)
    cells = head(judged.new_zeros(1, len(judged), head.raw_numbers)).log_prob(torch.nan_to_num(judged))[0]
    mean = float(torch.where(torch.isnan(judged), torch.zeros_like(cells), cells).sum(1).mean())
    return TrivialModel(mean, "independent columns, each with its own law")


def independent_elements(record: ReportInput) -> TrivialModel | None:
    """Fit to up to 10,000 training examples, judge on up to 5,000 of the split that is shown; None where elements are
    missing.
    """
    train = record.splits.train
    fitted, judged = _rows(train, FITTED, record.seed), _rows(record.shown, JUDGED, record.seed)
    if not (torch.isfinite(fitted).all() and torch.isfinite(judged).all()):
        return None
    if train.kind is Kind.BINARY:
        return TrivialModel(bernoulli(fitted, judged), "independent cells, each with its own probability")
    if train.kind is Kind.INTEGER and train.levels:
        return TrivialModel(histogram(fitted, judged, train.levels), "independent cells, each with its own histogram")
    return TrivialModel(gaussian(fitted, judged), "independent cells, each with its own normal law")
