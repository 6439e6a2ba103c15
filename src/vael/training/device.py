"""What the machine can do for training."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

import torch
from torch import nn

from vael.errors import StateError
from vael.models import ColumnsHead
from vael.networks import moving_parts

WORTH_COMPILING = 5e12  # floating-point operations: some 100 seconds of two small cores
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def usable(device: torch.device | str | None) -> torch.device:
    """`device` if it can be used; None: the GPU where there is one, else the processor.

    Errors: `StateError` for a device that PyTorch does not know or that is not there.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(chosen)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise StateError(
            f"device {chosen} cannot be used ({reason}); use cpu, or cuda on a machine with a CUDA build of PyTorch"
        ) from error
    return found


def has_bf16_units(device: torch.device) -> bool:
    """Whether matrix products in bf16 run on units of their own: AMX or AVX-512 BF16 on a processor, compute
    capability 8 on a GPU.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    flags = ("amx_bf16", "avx512_bf16")
    with suppress(OSError), open("/proc/cpuinfo") as lines:
        found = next((line for line in lines if line.startswith("flags")), "").split()
        return any(flag in found for flag in flags)
    return False


def automatic_precision(device: torch.device) -> tuple[torch.dtype, str]:
    """Precision of the networks where none is asked for, and why: what `VAEL_PRECISION` names, else bf16 where there
    are units for it.

    Densities are float32 or better in any case. Errors: `StateError` if the variable names neither float32 nor
    bfloat16.
    """
    named = os.environ.get("VAEL_PRECISION")
    if named:
        if named not in PRECISIONS:
            raise StateError(
                f"the environment variable VAEL_PRECISION is {named!r}; expected {' or '.join(PRECISIONS)}, or that it "
                "is not set"
            )
        return PRECISIONS[named], "as VAEL_PRECISION says"
    return (torch.bfloat16, "bf16 units found") if has_bf16_units(device) else (torch.float32, "no bf16 units found")


def has_compiler(device: torch.device) -> bool:
    """Whether a step could be compiled here: a C++ compiler for the processor, Triton for a GPU."""
    if device.type == "cuda":
        with suppress(ImportError):
            import triton  # noqa: F401

            return True
        return False
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++"))


def work_per_example(model: nn.Module) -> float:
    """Floating-point operations of a step, an example: what its time is reckoned by, never less than one.

    The laws of a table's columns are many small operations, which take as long as the matrix products.
    """
    columns = any(isinstance(part, ColumnsHead) for part in model.modules())
    return max(6.0 * sum(p.numel() for p in model.parameters()), 1.0) * (2 if columns else 1)


def automatic_compilation(device: torch.device, model: nn.Module, examples: float) -> tuple[bool, str]:
    """Whether to compile the step for a run over so many examples, and why, from the amount of work alone, so that
    equal runs choose alike.

    Compilation costs some 10 to 40 seconds of a small processor once; it wins a third on dense networks, three quarters
    on the laws of a table's columns, and next to nothing on convolutions, whose time is spent in kernels that are
    compiled already.
    """
    if moving_parts(model):
        return False, "eager, because every step moves a code book"
    if not has_compiler(device):
        return False, "eager, because no C++ compiler was found; install g++ to make long runs faster"
    convolutions = any(isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)) for m in model.modules())
    work = work_per_example(model) * examples
    if convolutions and device.type == "cpu":
        return False, "eager, because compilation does not speed convolutions up on a processor"
    if work < WORTH_COMPILING:
        return False, "eager, because the run is too short to win back the time that compilation takes"
    return True, "compiled, because the run is long enough to win back the time that compilation takes"
