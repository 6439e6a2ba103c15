"""Several processes that train one model (`torchrun`): who they are, and how they agree."""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor


def size() -> int:
    """Processes that train together; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number; 0 writes."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the other processes for as long as the block lasts; nothing happens alone.

    The threads of a group end with the last reference to it, and `DistributedDataParallel` holds one in cycles. A
    thread that goes on drops a tensor later, for which it needs the interpreter; where that is ending, the process is
    aborted after its work is done.
    """
    if size() == 1 or dist.is_initialized():
        yield
        return
    # `DistributedDataParallel` imports the compiler, and one that is imported while there is a group keeps hold of it.
    importlib.import_module("torch._dynamo")
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        gc.collect()
        dist.destroy_process_group()


def summed(tensor: Tensor) -> Tensor:
    """The sum over processes, the same in each."""
    if size() > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


def agreed(value: float, device: torch.device) -> float:
    """Process 0's value, in every process."""
    if size() == 1:
        return value
    shared = torch.tensor(value, dtype=torch.float64, device=device)
    dist.broadcast(shared, 0)
    return float(shared)


def any_of(flag: bool, device: torch.device) -> bool:
    """Whether any process says so."""
    if size() == 1:
        return flag
    shared = torch.tensor(float(flag), device=device)
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return bool(shared)
