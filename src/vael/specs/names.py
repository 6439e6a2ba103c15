"""Names that a person may write, and what they stand for."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from pathlib import Path

import torch

import vael
from vael.data.catalog.named import is_name
from vael.errors import FormatError
from vael.nearest import did_you_mean
from vael.specs.spec import Versions
from vael.training.device import PRECISIONS
from vael.training.schedules import Constant, WarmupCosine
from vael.training.settings import Keep

SCHEDULES = {"warmup-cosine": WarmupCosine, "constant": Constant}
KEPT = {kept.value: kept for kept in Keep}
SHORT = {"fp32": "float32", "bf16": "bfloat16"}
ESTIMATORS = {  # what `--estimator` names, as objectives
    "closed-form": "elbo",
    "sampled": "sampled-elbo",
    "importance-weighted": "importance-weighted",
}


def meant(name: str, known: Iterable[str], what: str) -> str:
    """`name` as it is known: case, hyphens and underscores are equal.

    Errors: `FormatError` with the nearest name for one that is not known.
    """
    names = list(known)
    wanted = name.lower().replace("_", "-")
    if wanted in names:
        return wanted
    raise FormatError(f"no {what} is called {name!r}; {did_you_mean(wanted, names)}there are {', '.join(names)}")


def precision(name: str) -> torch.dtype:
    """The data type of a precision's name. Errors: `FormatError` for an unknown one."""
    return PRECISIONS[meant(SHORT.get(name.lower(), name), PRECISIONS, "precision")]


def taken(data: str) -> tuple[str, ...]:
    """What is meant, where a name could mean two things."""
    if not is_name(data) or not Path(data).exists():
        return ()
    return (f"{data} is the data set of that name, not what is called so in this folder; for that, write ./{data}",)


def versions() -> Versions:
    """What runs here."""
    return Versions(vael=vael.__version__, torch=str(torch.__version__), python=platform.python_version())
