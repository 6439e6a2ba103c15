"""The portable level: a model in whole numbers, which gives the same integers on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vael.compression.integers.integer_heads import HEADS, IntegerHead, quantise_head
from vael.compression.integers.integer_laws import IndependentNormals, Normals, ShearedNormals
from vael.compression.integers.integer_network import IntegerNetwork, read_network
from vael.compression.integers.integer_tables import (
    RATE,
    RAW,
    Curve,
    IntegerGrid,
    Whole,
    function_grid,
    normal_curve,
    raw_numbers,
)
from vael.compression.integers.quantising import quantise_network
from vael.compression.laws import CodingLaw
from vael.compression.level import Level, Symbols
from vael.compression.safe import BINS, REACH, SafeLevel, fixed
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
from vael.probability import bounded, draw
from vael.training.checkpoint import read_tensors, write_tensors

FILE = "portable.safetensors"
VERSION = 1
FINE, LOW, HIGH = 5, -24, 24  # raw log-deviations are told apart at multiples of 1/128 between these
SHEAR = 1 << 20  # largest entry below the diagonal, in units of 2^-12
MOST_EXAMPLES, MOST_CELLS = 256, 1 << 18  # in one call


@dataclass(frozen=True, eq=False)
class IntegerVAE:
    """Encoder, decoder, head and tables of a model in whole numbers; what `quantise` makes and a file holds."""

    encoder: IntegerNetwork
    decoder: IntegerNetwork
    head: IntegerHead
    normal: Whole  # Φ
    rates: Whole  # 1 / σ of every raw log-deviation
    event: tuple[int, ...]
    levels: int
    features: int
    correlated: bool
    source: str = ""  # fingerprint of the model in floating point that it was made of

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Everything that the integers depend on, as int64."""
        networks = {
            f"{name}.{key}": value
            for name in ("encoder", "decoder")
            for key, value in getattr(self, name).tensors.items()
        }
        tables = {f"head.{key}": torch.from_numpy(value) for key, value in self.head.tables.items()}
        tables |= {"normal": torch.from_numpy(self.normal), "rates": torch.from_numpy(self.rates)}
        return {name: narrowest(tensor.long()) for name, tensor in sorted({**networks, **tables}.items())}

    @property
    def facts(self) -> dict[str, object]:
        """The plain numbers beside them."""
        return {
            "version": VERSION,
            "event": list(self.event),
            "levels": self.levels,
            "features": self.features,
            "correlated": self.correlated,
            "source": self.source,
            "head": {"kind": self.head.kind, **self.head.facts},
            "encoder": self.encoder.facts,
            "decoder": self.decoder.facts,
            "limits": [self.encoder.limit, self.decoder.limit],
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all integers, little-endian, in the order of their names."""
        digest = hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode())
        for name, tensor in self.tensors.items():
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.long().numpy().astype("<i8").tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """As one safetensors file, whole or not at all."""
        write_tensors(path, self.tensors, {**self.facts, "fingerprint": self.fingerprint})


def narrowest(tensor: Tensor) -> Tensor:
    """In the smallest integers that hold it."""
    largest = int(tensor.abs().max()) if tensor.numel() else 0
    return tensor.to(torch.int16 if largest < 1 << 15 else torch.int32 if largest < 1 << 31 else torch.int64)


def load_portable(path: Path) -> IntegerVAE:
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


def assembled(tensors: Mapping[str, Tensor], facts: Mapping[str, object]) -> IntegerVAE:
    """The model from what a file holds."""

    def part(name: str) -> dict[str, Tensor]:
        return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}

    limits: list[int] = facts["limits"]  # type: ignore[assignment]
    networks = [
        read_network(limit, facts[name], part(name))  # type: ignore[bad-argument-type]
        for name, limit in zip(("encoder", "decoder"), limits, strict=True)
    ]
    said: dict[str, int | str] = dict(facts["head"])  # type: ignore[call-overload]
    kind = HEADS[str(said.pop("kind"))]
    head = kind(
        {name: int(value) for name, value in said.items()},
        {name: tensor.long().numpy() for name, tensor in part("head").items()},
    )
    normal, rates = (tensors[name].long().numpy() for name in ("normal", "rates"))
    event, levels, features = tuple(facts["event"]), int(facts["levels"]), int(facts["features"])  # type: ignore[arg-type, call-overload]
    return IntegerVAE(
        networks[0],
        networks[1],
        head,
        normal,
        rates,
        event,
        levels,
        features,
        bool(facts["correlated"]),
        str(facts["source"]),
    )


def quantise(model: Model, examples: Tensor, levels: int, *, source: str = "", seed: int = 0) -> IntegerVAE:
    """A trained VAE in whole numbers; some hundred training examples `[batch, *event]` show how large its numbers grow.

    Errors: `StateError` for a model without one vector of latents, `SupportError` for a prior, posterior, head or layer
    that has no form in whole numbers.
    """
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
    decoder = quantise_network(
        level.model.get_submodule("likelihood.network"), z, unit=BINS.bit_length() - 1, limit=REACH * BINS
    )
    rates = function_grid(torch.exp(-bounded(raw_numbers(LOW, HIGH, FINE), -7.0, 3.0)) * 2.0**RATE, LOW, FINE).values
    correlated = isinstance(posterior, CorrelatedGaussianPosterior)
    return IntegerVAE(
        encoder=encoder,
        decoder=decoder,
        head=quantise_head(likelihood.head),
        normal=normal_curve().values,
        rates=rates,
        event=tuple(examples.shape[1:]),
        levels=levels,
        features=features,
        correlated=correlated,
        source=source,
    )


class PortableLevel(Level):
    """Prior, likelihood and posterior of an `IntegerVAE`: the same integers on any machine, in batches of any size, on
    any number of threads.

    `model` is the same VAE in floating point, for the bound that the length is held against; a decoder needs none.
    """

    name = "portable"

    def __init__(self, integers: IntegerVAE, model: Model | None = None, *, batch: int | None = None) -> None:
        self.integers, self.cells, self.levels = integers, int(np.prod(integers.event)), integers.levels
        self.batch = max(1, min(MOST_EXAMPLES, MOST_CELLS // self.cells)) if batch is None else batch
        if self.batch < 1:
            raise ShapeError(f"batch {batch}: expected at least 1")
        self.latents = (integers.features,)
        self._normals = (Curve(integers.normal), BINS.bit_length() - 1, REACH * BINS)
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
        cells = torch.from_numpy(below.astype(np.float64)).view(len(below), *self.integers.event)
        raw, size = integer(self.integers.encoder(cells)), self.integers.features
        loc, log_scale, under = np.split(raw, [size, 2 * size], axis=1)
        loc = np.clip(loc, -4 * REACH << RAW, 4 * REACH << RAW)
        rate = IntegerGrid(self.integers.rates, LOW << (RAW - FINE), FINE)(log_scale)
        independent = IndependentNormals(*self._normals, loc, rate)
        return self._sheared(independent, loc, rate, under) if self.integers.correlated else independent

    def _sheared(self, normals: Normals, loc: Whole, rate: Whole, under: Whole) -> CodingLaw:
        shear, size = (
            np.zeros((len(loc), self.integers.features, self.integers.features), np.int64),
            self.integers.features,
        )
        rows, columns = np.tril_indices(size, -1)
        shear[:, rows, columns] = np.clip(under, -SHEAR, SHEAR)
        return ShearedNormals(normals, loc, rate, shear)

    def likelihood(self, level: int, above: Symbols) -> CodingLaw:
        return self.integers.head.law(integer(self.integers.decoder(torch.from_numpy(above.astype(np.float64)))))

    def prior(self, examples: int) -> CodingLaw:
        shape = (examples, self.integers.features)
        return IndependentNormals(*self._normals, np.zeros(shape, np.int64), np.full(shape, 1 << RATE))

    def ideal(self, x: Symbols, latents: tuple[Symbols, ...]) -> np.ndarray:
        if self._safe is None:
            raise StateError(
                "a portable level without its model in floating point knows no bound to hold a length against; give it "
                "model="
            )
        return self._safe.ideal(x, latents)


def integer(a: Tensor) -> Whole:
    """Integers held in float64 as int64."""
    return a.numpy().astype(np.int64)
