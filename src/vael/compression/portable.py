"""The portable level: a model in whole numbers, which gives the same integers on every machine."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vael.compression.integers.integer_heads import HEADS, IntegerHead, quantise_head
from vael.compression.integers.integer_ladder import FINE, HIGH, LOW, LatentUnits, assembled_ladder, quantise_ladder
from vael.compression.integers.integer_ladder import KIND as LADDER
from vael.compression.integers.integer_laws import (
    RATE,
    RAW,
    Curve,
    IndependentNormals,
    IntegerGrid,
    Normals,
    ShearedNormals,
    Whole,
    function_grid,
    normal_curve,
    raw_numbers,
)
from vael.compression.integers.integer_model import VERSION, IntegerModel, integer, part_of
from vael.compression.integers.integer_network import read_network
from vael.compression.integers.quantising import quantise_network
from vael.compression.laws import CodingLaw
from vael.compression.level import Level, Symbols
from vael.compression.safe import BINS, REACH, SafeLevel, at_once, fixed
from vael.data import Batch
from vael.errors import FormatError, ShapeError, StateError, SupportError
from vael.models import (
    CorrelatedGaussianPosterior,
    Decoder,
    GaussianPosterior,
    LatentVector,
    Model,
    StandardNormal,
    needs,
)
from vael.models.hierarchical import HierarchicalVAE
from vael.probability import bounded, draw
from vael.training.checkpoint import read_tensors

FILE = "portable.safetensors"
BITS = BINS.bit_length() - 1  # of the grid of the latents
SHEAR = 1 << 20  # largest entry below the diagonal, in units of 2^-12


@dataclass(frozen=True, eq=False)
class IntegerVAE(IntegerModel):
    """The networks `encoder` and `decoder`, the tables `normal` (Φ) and `rates` (1 / σ of every raw log-deviation) and
    the head of a model in whole numbers; what `quantise` makes and a file holds.
    """

    correlated: bool

    @property
    def facts(self) -> dict[str, object]:
        return {
            "version": VERSION,
            "event": list(self.event),
            "levels": self.levels,
            "features": self.features,
            "correlated": self.correlated,
            "source": self.source,
            "head": {"kind": self.head.kind, **self.head.facts},
            **{name: network.facts for name, network in self.networks.items()},
            "limits": [network.limit for network in self.networks.values()],
        }

    def posterior(self, x: Symbols) -> CodingLaw:
        cells = torch.from_numpy(x.astype(np.float64)).view(len(x), *self.event)
        raw, size = integer(self.networks["encoder"](cells)), self.features
        loc, log_scale, under = np.split(raw, [size, 2 * size], axis=1)
        loc = np.clip(loc, -4 * REACH << RAW, 4 * REACH << RAW)
        rate = IntegerGrid(self.tables["rates"], LOW << (RAW - FINE), FINE)(log_scale)
        independent = IndependentNormals(*self._normals, loc, rate)
        return self._sheared(independent, loc, rate, under) if self.correlated else independent

    @property
    def _normals(self) -> tuple[Curve, int, int]:
        return Curve(self.tables["normal"]), BITS, REACH * BINS

    def _sheared(self, normals: Normals, loc: Whole, rate: Whole, under: Whole) -> CodingLaw:
        shear, size = np.zeros((len(loc), self.features, self.features), np.int64), self.features
        rows, columns = np.tril_indices(size, -1)
        shear[:, rows, columns] = np.clip(under, -SHEAR, SHEAR)
        return ShearedNormals(normals, loc, rate, shear)

    def likelihood(self, z: Symbols) -> CodingLaw:
        return self.head.law(integer(self.networks["decoder"](torch.from_numpy(z.astype(np.float64)))))

    def prior(self, examples: int) -> CodingLaw:
        shape = (examples, self.features)
        return IndependentNormals(*self._normals, np.zeros(shape, np.int64), np.full(shape, 1 << RATE))


def load_portable(path: Path) -> IntegerModel:
    """The model of a file. Errors: `FormatError` for a file that is missing, damaged or of another version."""
    tensors, facts = read_tensors(path)
    if facts.get("version") != VERSION:
        raise FormatError(
            f"{path} holds no integer model of version {VERSION} (it says {facts.get('version')}); use the vael that "
            "wrote it"
        )
    try:
        model = assembled(tensors, facts)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError, IndexError) as error:
        raise FormatError(
            f"{path} is no integer model ({error}); restore the file, or quantise the run again"
        ) from error
    if model.fingerprint != facts.get("fingerprint"):
        raise FormatError(
            f"{path} is damaged: its integers do not give the fingerprint that it states; restore the file"
        )
    return model


def assembled(tensors: Mapping[str, Tensor], facts: Mapping[str, object]) -> IntegerModel:
    """The model from what a file holds."""
    head = assembled_head(tensors, facts)
    if facts.get("kind") == LADDER:
        return assembled_ladder(tensors, facts, head)
    limits: list[int] = facts["limits"]  # type: ignore[assignment]
    networks = {
        name: read_network(limit, facts[name], part_of(tensors, name))  # type: ignore[bad-argument-type]
        for name, limit in zip(("encoder", "decoder"), limits, strict=True)
    }
    tables = {name: tensors[name].long().numpy() for name in ("normal", "rates")}
    event, levels, features = tuple(facts["event"]), int(facts["levels"]), int(facts["features"])  # type: ignore[arg-type, call-overload]
    correlated, source = bool(facts["correlated"]), str(facts["source"])
    return IntegerVAE(head, event, levels, (features,), source, networks, tables, correlated)


def assembled_head(tensors: Mapping[str, Tensor], facts: Mapping[str, object]) -> IntegerHead:
    """The head from what a file holds."""
    said: dict[str, int | str] = dict(facts["head"])  # type: ignore[call-overload]
    kind = HEADS[str(said.pop("kind"))]
    return kind(
        {name: int(value) for name, value in said.items()},
        {name: tensor.long().numpy() for name, tensor in part_of(tensors, "head").items()},
    )


def quantise(model: Model, examples: Tensor, levels: int, *, source: str = "", seed: int = 0) -> IntegerModel:
    """A trained VAE, of one level of latents or several, in whole numbers; some hundred training examples `[batch,
    *event]` show how large its numbers grow.

    Errors: `StateError` for a model without vectors of latents, `SupportError` for a prior, posterior, head or layer
    that has no form in whole numbers.
    """
    if isinstance(model, HierarchicalVAE):
        SafeLevel(model, tuple(examples.shape[1:]), levels, bins=BINS)  # what it refuses has no whole numbers either
        units, copied = LatentUnits(BITS, REACH * BINS), copy.deepcopy(model).cpu().double().eval()
        with fixed():
            return quantise_ladder(copied, examples.double(), levels, units, source=source, seed=seed)
    model = needs(model, LatentVector, "a form in whole numbers")
    posterior, likelihood = model.posterior, model.likelihood
    if not isinstance(model.prior, StandardNormal) or not isinstance(likelihood, Decoder):
        raise SupportError(
            "only a VAE with the prior N(0, I) and a decoder with a head has a form in whole numbers; compress at the "
            "default level"
        )
    if not isinstance(posterior, (GaussianPosterior, CorrelatedGaussianPosterior)):
        raise SupportError(
            f"{type(posterior).__name__} has no form in whole numbers: Gaussian posteriors, diagonal or correlated, "
            "have"
        )
    level = SafeLevel(model, tuple(examples.shape[1:]), levels)  # a copy in float64
    with fixed():
        x = examples.double()
        q = level.model.posterior_at((), Batch(x=x))
        features, generator = q.event_shape[0], torch.Generator().manual_seed(seed)
        z = torch.cat(
            [draw(q, 1, generator)[0], torch.randn(len(x), features, generator=generator, dtype=torch.float64)]
        )
    encoder = quantise_network(level.model.get_submodule("posterior.network"), x, unit=0, limit=levels - 1)
    decoder = quantise_network(level.model.get_submodule("likelihood.network"), z, unit=BITS, limit=REACH * BINS)
    rates = function_grid(torch.exp(-bounded(raw_numbers(LOW, HIGH, FINE), -7.0, 3.0)) * 2.0**RATE, LOW, FINE).values
    correlated = isinstance(posterior, CorrelatedGaussianPosterior)
    return IntegerVAE(
        networks={"encoder": encoder, "decoder": decoder},
        head=quantise_head(likelihood.head),
        tables={"normal": normal_curve().values, "rates": rates},
        event=tuple(examples.shape[1:]),
        levels=levels,
        sizes=(features,),
        correlated=correlated,
        source=source,
    )


class PortableLevel(Level):
    """Prior, likelihood and posterior of an `IntegerModel`: the same integers on any machine, in batches of any size,
    on any number of threads.

    `model` is the same VAE in floating point, for the bound that the length is held against; a decoder needs none.
    """

    name = "portable"

    def __init__(self, integers: IntegerModel, model: Model | None = None, *, batch: int | None = None) -> None:
        self.integers, self.cells, self.levels = integers, int(np.prod(integers.event)), integers.levels
        self.batch = at_once(self.cells) if batch is None else batch
        if self.batch < 1:
            raise ShapeError(f"batch {batch}: expected at least 1")
        self.latents = (integers.features,)
        self._safe = (
            None if model is None else SafeLevel(model, integers.event, integers.levels, batch=self.batch, bins=BINS)
        )

    @property
    def settings(self) -> Mapping[str, int]:
        return {"integers": int(self.integers.fingerprint[:12], 16)}

    @property
    def build(self) -> Mapping[str, str]:
        return {}

    def posterior(self, level: int, below: Symbols) -> CodingLaw:
        return self.integers.posterior(below)

    def likelihood(self, level: int, above: Symbols) -> CodingLaw:
        return self.integers.likelihood(above)

    def prior(self, examples: int) -> CodingLaw:
        return self.integers.prior(examples)

    def ideal(self, x: Symbols, latents: tuple[Symbols, ...]) -> np.ndarray:
        """As `SafeLevel.ideal` of the model in floating point. Errors: `StateError` for a level without it."""
        if self._safe is None:
            raise StateError(
                "a portable level without its model in floating point knows no bound to hold a length against; give it "
                "model="
            )
        return self._safe.ideal(x, latents)
