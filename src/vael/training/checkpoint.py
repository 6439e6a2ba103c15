"""State that a run can go on from, written so that a reader sees the old file or the new one and nothing between."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vael import files
from vael.errors import FormatError
from vael.stored import opened, parsed, physical_memory, read_bytes

STATE = "state.safetensors"
KEPT = "kept"  # before the names of the weights that a run would hand over
FACTS, SUM = (
    "vael",
    "sha256",
)  # where the header keeps what is said of the tensors, and among that, the checksum of the file
LENGTH = struct.Struct("<Q")  # of the header
MOST_HEADER = 8 << 20  # bytes: some 80,000 tensors
TOTALS = "totals"  # sums of the epoch so far
LAYOUT = 2  # of a checkpoint: the state of the optimiser has the names of torch.optim
LARGEST = {"int": 2.0**53, "float": 1e12}  # of the numbers of a checkpoint, bounds excepted


@dataclass(frozen=True)
class Standing:
    """Where a run stands, as its checkpoint says it."""

    step: int
    elapsed: float  # seconds
    time_start: float  # seconds of setting up
    best: float  # what is climbed, where it was highest
    best_elbo: float  # nats per example, there
    best_step: int
    kept_step: int
    validation_seconds: float


@dataclass(frozen=True)
class TensorHeader:
    """What a file of tensors says of itself."""

    shapes: dict[str, tuple[int, ...]]
    facts: dict[str, Any]

    @property
    def numbers(self) -> int:
        """How many numbers all tensors have together."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def write_tensors(path: Path, tensors: dict[str, Tensor], facts: Mapping[str, object] | None = None) -> str:
    """Tensors and JSON facts as one safetensors file, with a checksum of both among the facts; gives the sha256 of
    the file.
    """
    plain = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    content = safetensors.torch.save(plain)
    header, data = _apart(content)
    known = dict(facts or {})
    said = {FACTS: json.dumps({**known, SUM: checksum(header, known, data)})}
    text = json.dumps({"__metadata__": said, **header}).encode()
    text += b" " * (-len(text) % 8)
    whole = b"".join((LENGTH.pack(len(text)), text, data))
    files.write_bytes(path, whole)
    return hashlib.sha256(whole).hexdigest()


def checksum(header: Mapping[str, object], facts: Mapping[str, object], data: bytes | memoryview) -> str:
    """The sha256 of names, types, shapes and places of tensors, of what is said of them, and of their numbers, as
    hexadecimal digits.
    """
    told = (
        {name: entry for name, entry in header.items() if name != "__metadata__"},
        {name: fact for name, fact in facts.items() if name != SUM},
    )
    found = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    found.update(data)
    return found.hexdigest()


def _apart(content: bytes) -> tuple[dict[str, Any], memoryview]:
    (length,) = LENGTH.unpack_from(content)
    return json.loads(content[LENGTH.size : LENGTH.size + length]), memoryview(content)[LENGTH.size + length :]


def read_header(path: Path) -> TensorHeader:
    """Names and shapes of the tensors of a file, without reading these.

    Errors: `FormatError` for what is no whole safetensors file.
    """
    with opened(path, physical_memory()) as (file, size):
        first = file.read(LENGTH.size)
        length = LENGTH.unpack(first)[0] if len(first) == LENGTH.size else 0
        if not 2 <= length <= min(MOST_HEADER, size - LENGTH.size):
            raise FormatError(
                f"{path}: not a whole safetensors file (its header cannot have {length:,} bytes); restore it from a "
                "copy"
            )
        text = file.read(length)
    try:
        return _header(parsed(text.decode(), str(path)), str(path))
    except (UnicodeDecodeError, AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise FormatError(
            f"{path}: not a whole safetensors file (its header is damaged: {error}); restore it from a copy"
        ) from error


def _header(found: dict[str, Any], where: str) -> TensorHeader:
    said = found.pop("__metadata__", {})
    facts = parsed(said.get(FACTS, "{}"), f"{where} says of itself what")
    if not isinstance(facts, dict):
        raise TypeError("what it says of itself is no record")
    return TensorHeader({renamed(name): tuple(map(int, entry["shape"])) for name, entry in found.items()}, facts)


def read_tensors(path: Path, sha256: str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a file that `write_tensors` wrote; `sha256` is that of the whole file, where it is known.

    Errors: `FormatError` for a file that is missing, cut short, changed since it was written, or no safetensors file;
    nothing in it is executed.
    """
    facts = read_header(path).facts
    content = read_bytes(path)
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise FormatError(
            f"{path} is not the file that run.json tells of (its sha256 differs): it is damaged or of another run; "
            "restore both"
        )
    header, data = _apart(content)
    known = facts.pop(SUM, None)
    if known is not None and known != checksum(header, facts, data):
        raise FormatError(
            f"{path} is damaged: it does not have the checksum that it was written with; restore it from a copy"
        )
    try:
        return current(safetensors.torch.load(content)), facts
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise FormatError(
            f"{path}: not a whole safetensors file ({error}); restore it from a copy, or train anew (without --resume)"
        ) from error


STARTED, STEPS = ".started", ".steps"  # of a code book: whether it has seen a batch, as earlier versions kept it
SETTLED = 1_000  # steps from which on a code book follows at the pace that it was given


def renamed(name: str) -> str:
    """A tensor's name as this version has it."""
    return name.removesuffix(STARTED) + STEPS if name.endswith(STARTED) else name


def current(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as this version has them: a code book of an earlier one had started or not, and has no steps counted."""
    return {
        renamed(name): tensor.to(torch.int64) * SETTLED if name.endswith(STARTED) else tensor
        for name, tensor in tensors.items()
    }


def unlike(wanted: Mapping[str, Tensor], found: Mapping[str, Sequence[int]]) -> str:
    """What is wrong with names and shapes of tensors that are to take the place of others, or nothing."""
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            return f"it lacks {name}"
        if name not in wanted:
            return f"it has {name[:80]!r}, which the model has not"
        if tuple(wanted[name].shape) != tuple(found[name]):
            return f"{name} has shape {tuple(found[name])} and should have {tuple(wanted[name].shape)}"
    return ""


def misfit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], *, finite: bool = True) -> str:
    """What is wrong with tensors that are to take the place of others, or nothing."""
    trouble = unlike(wanted, {name: tensor.shape for name, tensor in found.items()})
    if trouble:
        return trouble
    for name in sorted(wanted):
        if wanted[name].dtype != found[name].dtype:
            return f"{name} has numbers of type {found[name].dtype} and should have {wanted[name].dtype}"
        if finite and found[name].is_floating_point() and not torch.isfinite(found[name]).all():
            return f"{name} has values that are not finite"
    return ""


def standing_of(facts: Mapping[str, Any], path: Path) -> Standing:
    """Where the run of a checkpoint stands.

    Errors: `FormatError` for a checkpoint that does not say so, or says it in other than numbers.
    """
    for one in fields(Standing):
        value = facts.get(one.name)
        largest = math.inf if one.name in ("best", "best_elbo") else LARGEST[str(one.type)]
        if (
            not isinstance(value, (int, float))
            or isinstance(value, bool)
            or abs(value) > largest
            or (one.type == "int" and not isinstance(value, int))
        ):
            raise FormatError(
                f"{path} says that {one.name} is {str(value)[:80]!r}, which it cannot be; restore it from a copy"
            )
    return Standing(**{one.name: facts[one.name] for one in fields(Standing)})
