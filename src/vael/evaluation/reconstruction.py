"""How far a reconstruction is from what it should be: squared error for each cell, and decibels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Batch, Corruption, Source
from vael.errors import StateError, SupportError
from vael.evaluation.examples import looked_at
from vael.models import Encodes, Model, Reconstructs, needs
from vael.probability import PerExample


@dataclass(frozen=True)
class ReconstructionError:
    """What comes out of a model against the clean examples, over a whole split; no likelihood.

    `psnr` is in decibels of the mean squared error over all cells. `given_psnr` is that of what went in: infinite where
    nothing was damaged.
    """

    data: str
    examples: int
    peak: float  # the largest difference that two cells can have, in units of the data
    squared_error: float  # of a cell, mean over cells and examples, in squared units of the data
    given_squared_error: float  # of what went in
    squared_error_per_example: Float[Tensor, " examples"]  # mean over cells

    @property
    def psnr(self) -> float:
        """Of the reconstructions, in decibels."""
        return psnr(self.squared_error, self.peak)

    @property
    def given_psnr(self) -> float:
        """Of what went in, in decibels."""
        return psnr(self.given_squared_error, self.peak)

    @property
    def gain(self) -> float:
        """Decibels by which a reconstruction is nearer to the clean example than what went in."""
        return self.psnr - self.given_psnr


def psnr(squared_error: float, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio 10 log₁₀(peak² / squared error) in decibels; infinite where nothing differs.

    Errors: `SupportError` for a negative error, and for a peak that is not above 0.
    """
    if not squared_error >= 0 or not 0 < peak < math.inf:
        raise SupportError(
            f"a squared error of {squared_error} at a peak of {peak}; expected an error of at least 0 and a finite "
            "peak above 0"
        )
    return 10 * math.log10(peak**2 / squared_error) if squared_error else math.inf


def peak_of(source: Source) -> float:
    """The largest difference of two cells, where the kind of the data says it.

    Errors: `SupportError` for real numbers.
    """
    if source.highest is not None:
        return source.highest
    raise SupportError(
        f"{source.name}: real numbers have no largest value of themselves, so decibels need one; give peak, 1 for grey "
        "values in [0, 1]"
    )


def reconstruction_error(
    model: Model,
    source: Source,
    *,
    corruption: Corruption | None = None,
    peak: float | None = None,
    seed: int = 0,
    batch: int = 512,
) -> ReconstructionError:
    """Squared error and decibels of `model.reconstruct` over all of `source`; with a `corruption`, from damaged
    examples to the clean ones.

    Noise is a function of (seed, example), so `batch`, the examples that go through together, moves no number by more
    than rounding. The model comes back in the mode it was in.

    Errors: `StateError` for an empty split and for a batch below 1, `SupportError` where `peak` is needed and not
    given.
    """
    peak = peak_of(source) if peak is None else peak
    if len(source) == 0 or batch < 1:
        raise StateError(f"{source.name}: {len(source)} examples in batches of {batch}; expected at least one of each")
    model = needs(model, Reconstructs, "The error of a reconstruction")
    with torch.inference_mode(), looked_at(model, source, seed, batch) as blocks:
        pairs = [_errors(model, given, corruption, seed) for given in blocks]
    out, given = (torch.cat(part) for part in zip(*pairs, strict=True))
    return ReconstructionError(source.name, len(source), peak, float(out.mean()), float(given.mean()), out)


def code_sensitivity(model: Model, source: Source, corruption: Corruption, *, seed: int = 0, batch: int = 512) -> float:
    """E‖g(x̃) - g(x)‖² / E‖g(x) - E g(x)‖²: how far damage moves the codes, against how far apart the codes of
    different examples are.

    0: the codes do not notice; 2: the code of a damaged example says no more of it than that of another. Noise is a
    function of (seed, example). Errors: `StateError` for fewer than two examples, for a batch below 1, and for codes
    that are all the same.
    """
    if len(source) < 2 or batch < 1:
        raise StateError(
            f"{source.name}: {len(source)} examples in batches of {batch}; expected at least two examples and a batch "
            "of 1"
        )
    model = needs(model, Encodes, "The sensitivity of codes")
    clean, moved = [], []
    with torch.inference_mode(), looked_at(model, source, seed, batch) as parts:
        for given in parts:
            damaged = corruption(given.x, PerExample(seed + 1, given.rows))[0]
            clean.append(model.encode(given).double())
            moved.append((model.encode(Batch(x=damaged, context=given.context)).double() - clean[-1]).square().sum(1))
    spread = float(torch.cat(clean).var(0, correction=0).sum())
    if not spread:
        raise StateError(
            f"{source.name}: all examples have one and the same code, so nothing can be said of how far damage moves it"
        )
    return float(torch.cat(moved).mean()) / spread


def _errors(model: Reconstructs, clean: Batch, corruption: Corruption | None, seed: int) -> tuple[Tensor, Tensor]:
    """Of what comes out and of what went in, `[batch]`, mean over cells, on the processor."""
    x = clean.x if corruption is None else corruption(clean.x, PerExample(seed + 1, clean.rows))[0]
    out = model.reconstruct(Batch(x=x, context=clean.context))
    return _per_cell(out, clean.x), _per_cell(x, clean.x)


def _per_cell(seen: Tensor, x: Tensor) -> Tensor:
    return (seen - x).double().square().flatten(1).mean(1).cpu()
