"""Which model follows the data, and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch

from vael.counting import counted
from vael.data import ColumnKind, Kind, Schema, Source, Splits, statistics
from vael.data.facts import facts_from
from vael.errors import StateError
from vael.models import Model
from vael.models.families import LikelihoodPart, ModelPart
from vael.models.likelihoods.parts import (
    BernoulliPart,
    ColumnsPart,
    DiscretizedLogisticPart,
    GaussianPerChannelPart,
    TabulatedMixturePart,
)
from vael.models.parts import VAEPart
from vael.models.sequence_parts import StateSpacePart
from vael.networks.parts import ConvolutionalPart, DensePart, NetworkPart

STANDS_OUT, MANY_LEVELS = (
    0.25,
    64,
)  # share of the cells at one level, and number of levels, from which on laws over the levels are shared

STATE_SPACE = "state-space"  # the recipe whose networks are part of the model itself
FEW = 5000  # rows of numbers with gaps below which one σ serves each column


@dataclass(frozen=True)
class Recommendation:
    """Which model follows the data, and why."""

    recipe: str  # by name
    likelihood: LikelihoodPart
    network: NetworkPart
    leaves: Mapping[str, object]  # of the recipe's model, besides its likelihood; cannot be changed
    reasons: tuple[str, ...]  # whole sentences, to be read before training

    @property
    def model(self) -> ModelPart:
        """The recommended model."""
        if "network" not in self.leaves:
            return StateSpacePart.model_validate({**self.leaves, "likelihood": self.likelihood})
        latent, posterior = self.leaves["latent"], self.leaves.get("posterior", "gaussian")
        return VAEPart.model_validate(
            {"latent": latent, "posterior": posterior, "likelihood": self.likelihood, "network": self.network}
        )

    def build(self, source: Source) -> Model:
        """The recommended model for such data, with new weights."""
        return self.model.build(facts_from(source, statistics(source)))


@dataclass(frozen=True)
class Choice:
    """A recipe, the network and the sizes, and a reason."""

    recipe: str
    network: NetworkPart
    leaves: Mapping[str, object]
    reason: str


def recommend(splits: Splits) -> Recommendation:
    """Likelihood, network and sizes that follow the training data; looks at the training split only.

    Errors: `SupportError` where the likelihood cannot take the data (`Head.check`).
    """
    source = splits.train
    if source.schema is not None:
        return columns(source, source.schema)
    part, because = likelihood(source)
    if source.windowing is not None:
        return sequences(source, part, because)
    part.build(facts_from(source, statistics(source))).check(source)
    flat = len(source.event) == 1
    choice = table(source) if flat else grey(source) if small_and_grey(source.event) else colour(source)
    return chosen(choice, part, (described(source), because, choice.reason))


def chosen(choice: Choice, part: LikelihoodPart, reasons: tuple[str, ...]) -> Recommendation:
    """A choice with its likelihood."""
    leaves = {**choice.leaves, **({"network": choice.network} if choice.recipe != STATE_SPACE else {})}
    return Recommendation(choice.recipe, part, choice.network, MappingProxyType(leaves), reasons)


def sequences(source: Source, part: LikelihoodPart, because: str) -> Recommendation:
    """A state-space model: wider where there are many channels and windows."""
    time, channels = source.event
    latent = max(4, min(32, 2 * channels))
    hidden = min(power_of_two(16 * channels, 32, 256), power_of_two(len(source), 32, 256))
    kinds = {Kind.BINARY: "0 or 1", Kind.INTEGER: f"integers of {source.levels} levels", Kind.REAL: "real numbers"}
    missing = float(source.x.isnan().float().mean()) if source.gaps else 0.0
    part = part.settled(facts_from(source, statistics(source)))
    reasons = (
        f"Data: {counted(len(source), 'window')} of {time} steps of {counted(channels, 'channel')}; elements are "
        f"{kinds[source.kind]}" + (f", {missing:.1%} of them were not seen." if source.gaps else "."),
        because,
        f"Model: {counted(latent, 'latent')} that move from step to step, because what comes next depends on what is "
        f"there; sizes by {counted(channels, 'channel')} and {counted(len(source), 'window')}. The posterior is told "
        "which elements were seen.",
    )
    return chosen(
        Choice(STATE_SPACE, DensePart(hidden=(hidden,)), {"latent": latent, "hidden": hidden}, ""), part, reasons
    )


def likelihood(source: Source) -> tuple[LikelihoodPart, str]:
    """The likelihood that follows the kind of the cells, and why."""
    if source.kind is Kind.BINARY:
        return BernoulliPart(), "Likelihood: Bernoulli on logits, because every cell is 0 or 1."
    if source.kind is Kind.INTEGER:
        if source.levels is None:
            raise StateError(
                f"{source.name} holds integers, but its number of levels is not said; make the Source with levels="
            )
        if (
            len(source.event) == 3
            and small_and_grey(source.event)
            and source.levels >= MANY_LEVELS
            and (share := commonest(source)) > STANDS_OUT
        ):
            return TabulatedMixturePart(levels=source.levels), (
                f"Likelihood: eight laws over {source.levels} levels that all cells share, mixed for each cell, "
                "because one level alone holds "
                f"{share:.0%} of the cells: no bell fits that (docs/lab-book.md)."
            )
        return DiscretizedLogisticPart(levels=source.levels), (
            f"Likelihood: discretised logistic over {source.levels} levels, because the cells are the integers 0 ... "
            f"{source.levels - 1}: "
            "its probabilities sum to one over exactly these."
        )
    return GaussianPerChannelPart(channels=source.event[0 if source.windowing is None else -1]), (
        "Likelihood: Gaussian with one learned, bounded σ for each channel or column, because the cells are real "
        "numbers."
    )


def commonest(source: Source) -> float:
    """The share of the cells, in at most 1,000 examples, that are at the level where most are."""
    count = min(1000, len(source))
    x = source.batch((torch.arange(count) * len(source)) // count).x
    return float(x.long().flatten().bincount().max()) / x.numel()


def power_of_two(number: int, low: int, high: int) -> int:
    """The power of two next to `number`, within bounds."""
    return max(low, min(high, 2 ** round(math.log2(max(1, number)))))


def described(source: Source) -> str:
    """Number, size and kind of the examples in a sentence."""
    channels, *size = source.event
    several = "" if channels == 1 else f" of {channels} channels"
    examples = f"{'x'.join(map(str, size))} images{several}" if size else f"rows of {counted(channels, 'column')}"
    cells = {
        Kind.BINARY: "0 or 1",
        Kind.INTEGER: f"integers of {source.levels} levels",
        Kind.REAL: "real numbers",
    }[source.kind]
    return f"Data: {len(source)} {examples}; cells are {cells}."


def table(source: Source) -> Choice:
    """Dense: width by columns and rows, so that few rows are not overfitted."""
    columns, rows = source.event[0], len(source)
    width = min(power_of_two(4 * columns, 32, 512), power_of_two(rows // 16, 32, 512))
    latent = max(
        1, min(max(columns // 2, min(columns, 4)), 32, rows // 50)
    )  # with one latent, three columns of two factors lose 0.3 to 0.6 nats
    reason = (
        f"Network: two dense hidden layers of {width} and {counted(latent, 'latent')}, because a table has no "
        "neighbourhoods; "
        f"width by {counted(columns, 'column')} and {counted(rows, 'row')}."
    )
    return Choice("dense", DensePart(hidden=(width, width)), {"latent": latent}, reason)


def columns(source: Source, schema: Schema) -> Recommendation:
    """A law for each column, and a network by columns and rows; of few rows of numbers with gaps one σ for each
    column.
    """
    if source.gaps and len(source) < FEW and plain_numbers(schema):
        return gapped_numbers(source)
    facts = facts_from(source, statistics(source))
    part = ColumnsPart().settled(facts)
    part.build(facts).check(source)
    number, rows = len(schema.columns), len(source)
    width = min(power_of_two(16 * number, 64, 256), power_of_two(rows // 8, 32, 256))
    latent = max(2, min(max(number, 4), 32, rows // 20))
    kinds = Counter(column.kind.value for column in schema.columns)
    several = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    missing = float(torch.isnan(source.x).float().mean()) if source.gaps else 0.0
    reasons = (
        f"Data: {counted(rows, 'row')} of {counted(number, 'column')}: {several}"
        + (f"; {missing:.1%} of the cells are missing." if source.gaps else "; no cell is missing."),
        "Likelihood: a law for each column by its kind, numbers as mixtures of five logistics, levels by their "
        "probabilities; the bound counts the "
        "cells that were seen.",
        f"Network: two dense hidden layers of {width} and {counted(latent, 'latent')}, by "
        f"{counted(number, 'column')} and {counted(rows, 'row')}; the "
        "encoder sees which cells are "
        "missing.",
    )
    return chosen(Choice("table", DensePart(hidden=(width, width)), {"latent": latent}, ""), part, reasons)


def plain_numbers(schema: Schema) -> bool:
    """Whether columns are nothing but numbers, not all of them whole."""
    kinds = {column.kind for column in schema.columns}
    return kinds <= {ColumnKind.REAL, ColumnKind.POSITIVE, ColumnKind.COUNT} and kinds != {ColumnKind.COUNT}


def gapped_numbers(source: Source) -> Recommendation:
    """What fills gaps best: half of the cells of breast cancer, mean squared error 0.27 where a law for each column
    gives 0.35 (docs/lab-book.md).
    """
    part = GaussianPerChannelPart(channels=source.event[0])
    part.build(facts_from(source, statistics(source))).check(source)
    missing = float(torch.isnan(source.x).float().mean())
    reasons = (
        f"Data: {counted(len(source), 'row')} of {counted(source.event[0], 'column')} of numbers; {missing:.1%} of "
        "the cells are missing.",
        "Likelihood: Gaussian with one learned σ for each column, because rows are few: a law that changes from row to "
        "row overfits them; the "
        "bound, of importance weights, counts the cells that were seen.",
        "Network: one dense hidden layer of 128 and 10 latents, by what fills gaps best; the encoder sees which cells "
        "are missing.",
    )
    return chosen(Choice("gapped", DensePart(hidden=(128,)), {"latent": 10}, ""), part, reasons)


def small_and_grey(event: Sequence[int]) -> bool:
    """Whether a dense network sees the image at a lower price than a convolutional one."""
    return event[0] == 1 and math.prod(event) <= 1024


def grey(source: Source) -> Choice:
    """Dense with a smooth activation, and a posterior with full covariance (docs/lab-book.md: 0.7 to 0.9 nats of
    log p(x) at equal time).
    """
    cells, rows = math.prod(source.event), len(source)
    width = min(300, power_of_two(2 * cells, 32, 512), power_of_two(rows // 12, 32, 512))
    latent = 24 if rows >= 10_000 else max(2, min(16, cells // 4))
    reason = (
        f"Network: two dense hidden layers of {width} SiLU units, because at {counted(cells, 'cell')} of one "
        "channel they learn "
        "more per second than "
        f"convolutions; width by {counted(cells, 'cell')} and {counted(rows, 'example')}. Posterior: full "
        f"covariance over {counted(latent, 'latent')}."
    )
    leaves = {"latent": latent, "posterior": "gaussian-full-covariance"}
    return Choice("dense", DensePart(hidden=(width, width)), leaves, reason)


def colour(source: Source) -> Choice:
    """Convolutions down to about 4 × 4, narrower where the image is large, so that an example costs about the same."""
    height, width = source.event[1:]
    levels = max(1, round(math.log2(max(2.0, min(height, width) / 4))))
    first = 32 if height * width <= 64 * 64 else 16
    widest = 256 if len(source) >= 5000 else 128
    channels = tuple(min(widest, first * 2**level) for level in range(levels))
    latent = 128 if len(source) >= 5000 else 32
    reason = (
        f"Network: convolutions that halve the {height}x{width} image {counted(levels, 'time')}, with "
        f"{', '.join(map(str, channels))} channels and "
        f"{counted(latent, 'latent')}, because neighbouring pixels belong together; sizes by the image and "
        f"{counted(len(source), 'example')}."
    )
    return Choice("convolutional", ConvolutionalPart(channels=channels), {"latent": latent}, reason)
