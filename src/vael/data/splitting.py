"""Which rows are for training, validation and test: a function of a seed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch

from vael.counting import counted
from vael.data.files.material import Material, MaterialPart
from vael.data.keys import counted_keys
from vael.errors import StateError

SHARE = 0.1  # of the examples in validation and in test, where nothing else was asked for
MOST_VALIDATION = 5000  # by default: enough for a standard error of about 0.3 nats on MNIST
STREAM = 0x5B1D  # apart from other uses of the same seed


class ValidateOn(Enum):
    """A split that is the validation split too, where none is set aside."""

    TEST = "test"


@dataclass(frozen=True)
class Sizes:
    """How much to set aside: a share below 1, or a count; None is a tenth. An official split is kept as it is."""

    validation: float | int | ValidateOn | None = None
    test: float | int | None = None


@dataclass(frozen=True)
class SplitParts:
    """The examples of each split; no test split where none was given or asked for."""

    train: MaterialPart
    validation: MaterialPart
    test: MaterialPart | None


def split(material: Material, sizes: Sizes, seed: int) -> SplitParts:
    """Official splits as they are, and rows of the training examples for the others, in the order in which they were
    stored.

    Errors: `StateError` for too few examples, for sizes that leave nothing, and for asking for a test split where an
    official one exists.
    """
    if sizes.test is not None and material.test is not None:
        raise StateError(
            f"{material.name} has its own test split of {len(material.test):,} examples, which is kept; leave the test "
            "size out"
        )
    if sizes.validation is not None and material.validation is not None:
        raise StateError(
            f"{material.name} has its own validation split of {len(material.validation):,} examples; leave the "
            "validation size out"
        )
    if isinstance(sizes.validation, ValidateOn):
        return _validated_by_test(material, sizes, seed)
    whole, left = len(material.train), len(material.train)
    test = 0 if material.test is not None else _count(sizes.test, left, "test", None)
    validation = 0 if material.validation is not None else _count(sizes.validation, left, "validation", MOST_VALIDATION)
    if left - test - validation < 1 or (material.validation is None and not validation):
        raise StateError(
            f"{material.name} has {counted(whole, 'example')} to train on, of which {validation:,} for validation "
            f"and {test:,} for test were to be set aside; "
            "each split needs at least one (two for anything to be learned): give more data, or smaller shares"
        )
    order = torch.randperm(whole, generator=torch.Generator().manual_seed((seed << 16) ^ STREAM)).numpy()
    rows = np.split(order, (test, test + validation))
    part = [rows_of(material.train, np.sort(chosen)) for chosen in rows]
    train = part[2] if test or validation else material.train
    return SplitParts(train, material.validation or part[1], material.test or (part[0] if test else None))


def _validated_by_test(material: Material, sizes: Sizes, seed: int) -> SplitParts:
    """As textbooks have it: figures on the test split are then of weights that may have been chosen on it."""
    whole = len(material.train)
    count = 0 if material.test is not None else _count(sizes.test, whole, "test", None)
    if whole - count < 1 or (material.test is None and not count):
        raise StateError(
            f"{material.name} has {whole:,} examples, which are too few to train on some and test on others"
        )
    order = torch.randperm(whole, generator=torch.Generator().manual_seed((seed << 16) ^ STREAM)).numpy()
    train = rows_of(material.train, np.sort(order[count:])) if count else material.train
    test = material.test or rows_of(material.train, np.sort(order[:count]))
    return SplitParts(train, test, test)


def _count(asked: float | int | None, examples: int, what: str, most: int | None) -> int:
    if asked is None:
        count = max(1, round(SHARE * examples))
        return min(count, most) if most else count
    if asked < 0 or (asked >= 1 and asked != int(asked)):
        raise StateError(
            f"the {what} size is {asked:g}, but a share between 0 and 1 or a whole number of examples was expected"
        )
    return int(asked) if asked >= 1 or asked == 0 else max(1, round(asked * examples))


def rows_of(part: MaterialPart, rows: np.ndarray) -> MaterialPart:
    """Those rows of a part: copied into memory, or noted beside a memory-mapped array."""
    label, keys = None if part.label is None else part.label[rows], (part.keys or counted_keys(len(part))).take(rows)
    return (
        MaterialPart(part.x, label, rows, keys)
        if isinstance(part.x, np.memmap)
        else MaterialPart(part.x[rows], label, None, keys)
    )
