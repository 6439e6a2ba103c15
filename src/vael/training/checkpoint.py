"""State that a run can go on from, written so that a reader sees the old file or the new one and nothing between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from vael import files
from vael.errors import FormatError

STATE = "state.safetensors"


def write_tensors(path: Path, tensors: dict[str, Tensor], facts: Mapping[str, object] | None = None) -> None:
    """Tensors and JSON facts as one safetensors file."""
    plain = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    files.write_bytes(path, safetensors.torch.save(plain, metadata={"vael": json.dumps(dict(facts or {}))}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a file that `write_tensors` wrote.

    Errors: `FormatError` for a file that is missing, cut short or no safetensors file; nothing in it is ever executed.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("vael", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (not a dict)
    except FileNotFoundError as error:
        raise FormatError(f"{path.name}: no such file in {path.parent}") from error
    except (safetensors.SafetensorError, ValueError) as error:
        raise FormatError(f"{path}: not a whole safetensors file ({error}); restore it from a copy, or train anew (without --resume)") from error
