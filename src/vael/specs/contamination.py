"""Training on data of which a share does not belong: train, leave the strangest rows out, train again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from vael import files
from vael.applications.anomaly import without_the_strangest
from vael.counting import counted
from vael.data import Source, Splits
from vael.errors import FormatError
from vael.models import Decodes
from vael.stored import present, read_json

FILE = "left-out.json"


@dataclass(frozen=True)
class LeftOut:
    """Rows of the training and validation splits that a run does not learn from, counted from 0 within their split."""

    train: tuple[int, ...]
    validation: tuple[int, ...]

    def without(self, splits: Splits) -> Splits:
        """The splits without those rows; the test split stays whole."""
        return replace(
            splits, train=_without(splits.train, self.train), validation=_without(splits.validation, self.validation)
        )

    def write(self, folder: Path) -> None:
        """Keep them in a run folder."""
        files.write_bytes(folder / FILE, (json.dumps(asdict(self)) + "\n").encode())


def _without(source: Source, rows: tuple[int, ...]) -> Source:
    if not len(set(rows)) == len(rows) < len(source) or max(rows, default=-1) >= len(source):
        raise FormatError(
            f"{FILE} lists {counted(len(rows), 'row')} as left out, of which not all are among "
            f"the {len(source):,} that there are; restore it"
        )
    kept = torch.ones(len(source), dtype=torch.bool)
    kept[torch.tensor(rows, dtype=torch.int64)] = False
    return source.subset(kept.nonzero().squeeze(1))


def strangest(model: Decodes, splits: Splits, share: float) -> LeftOut:
    """The share of the rows of each split that a model takes to be the least probable (trimming, as in Zhou &
    Paffenroth 2017).
    """
    train, validation = (
        _gone(source, without_the_strangest(model, source, share).rows) for source in (splits.train, splits.validation)
    )
    return LeftOut(train, validation)


def _gone(source: Source, kept: Tensor | None) -> tuple[int, ...]:
    whole = torch.arange(len(source.x)) if source.rows is None else source.rows
    left = torch.ones(len(source), dtype=torch.bool) if kept is None else ~torch.isin(whole[: len(source)], kept)
    return tuple(left.nonzero().squeeze(1).tolist())


def left_out(folder: Path) -> LeftOut | None:
    """The rows that the run in a folder leaves out; None where it learns from all.

    Errors: `FormatError` for a damaged file.
    """
    path = folder / FILE
    if not present(path):
        return None
    known = read_json(path)
    parts = ("train", "validation")
    listed = (
        isinstance(known, dict) and known.keys() == set(parts) and all(isinstance(known[part], list) for part in parts)
    )
    if not listed or not all(type(row) is int and 0 <= row < 2**62 for part in parts for row in known[part]):
        raise FormatError(
            f"{path} does not list the rows that were left out, of train and of validation; restore it, or train again"
        )
    return LeftOut(tuple(known["train"]), tuple(known["validation"]))
