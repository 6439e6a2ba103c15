"""Train, judge and use variational autoencoders.

`vael.train` and `vael.load` give a `Run`; `vael.evaluate` judges its model. The parts are in the modules: `vael.data`,
`vael.models`, `vael.recipes`, `vael.objectives`, `vael.training`, `vael.evaluation`, `vael.report`. Nothing heavy is
imported before it is used.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from vael.moved import MovedModules

if TYPE_CHECKING:
    from vael.evaluation import evaluate as evaluate
    from vael.specs import Run as Run
    from vael.specs import RunSpec as RunSpec
    from vael.specs import load as load
    from vael.specs import train as train

__version__ = "0.1.0"

PUBLIC = {
    "train": "vael.specs",
    "load": "vael.specs",
    "Run": "vael.specs",
    "RunSpec": "vael.specs",
    "evaluate": "vael.evaluation",
}
MODULES = (
    "applications",
    "data",
    "domains",
    "errors",
    "evaluation",
    "inference",
    "models",
    "networks",
    "objectives",
    "probability",
    "recipes",
    "report",
    "specs",
    "training",
)

__all__ = ["Run", "RunSpec", "evaluate", "load", "train"]

sys.meta_path.append(MovedModules())


def __getattr__(name: str) -> object:
    """Import what is asked for, now."""
    if name in PUBLIC:
        return getattr(importlib.import_module(PUBLIC[name]), name)
    if name in MODULES:
        return importlib.import_module(f"vael.{name}")
    raise AttributeError(f"module 'vael' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC, *MODULES])
