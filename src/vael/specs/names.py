"""Names that a person may write, and what they stand for."""

from __future__ import annotations

import inspect
import math
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch

import vael
from vael import objectives, recipes
from vael.data import Source
from vael.data.named import is_name
from vael.errors import FormatError, StateError
from vael.models import VAE
from vael.models.principal import start_at_principal_components
from vael.objectives import Beta, Objective
from vael.specs.spec import Versions
from vael.training.device import PRECISIONS

RECIPES: dict[str, Callable[..., VAE]] = {
    "dense": recipes.dense,
    "table": recipes.table,
    "gapped": recipes.gapped,
    "convolutional": recipes.convolutional,
    "residual": recipes.residual,
    "linear": recipes.linear,
    "principal": recipes.principal,
    "lecture": recipes.lecture,
    "kingma-welling": recipes.kingma_welling,
    "burda": recipes.burda,
}


# weights from the data themselves, where a recipe has them
STARTS: dict[str, Callable[[VAE, Source], None]] = {"principal": start_at_principal_components}


@dataclass(frozen=True)
class Habits:
    """How a recipe is trained unless something else is asked for."""

    learning_rate: int | float = 1e-3
    weight_decay: int | float = 0.0
    warmup: int | float = 0.0  # share of training in which the weight of the divergence rises to its final value
    batch: int = 128  # for many examples
    steps: int = 2000  # at least, where no length is asked for
    estimator: str = "closed-form"
    samples: int | None = None  # None: what the estimator takes


# chosen on validation data of dynamically binarised MNIST (docs/lab-book.md); published networks keep the usual ones
HABITS = {
    "principal": Habits(learning_rate=2e-5, batch=64),
    "dense": Habits(learning_rate=4e-3, weight_decay=0.1, warmup=0.2, batch=256),
    "table": Habits(
        learning_rate=2e-3, weight_decay=0.01, warmup=0.1, batch=256, steps=7000
    ),  # as TVAE: 6,000 on 10,000 rows
    "gapped": Habits(
        learning_rate=2e-3, weight_decay=0.1, estimator="importance-weighted", samples=20
    ),  # benchmarks/imputation.py
}
MANY = 20_000  # examples from which on the larger batch pays


def batch_for(examples: int) -> int:
    """The usual batch, smaller where an epoch would have fewer than sixteen steps: a power of two from 16 on."""
    return min(Habits().batch, max(16, 2 ** int(math.log2(max(examples, 16) / 16))))


ESTIMATORS = {
    "closed-form": "expected log-likelihood sampled, divergence in closed form (SGVB-B)",
    "sampled": "all three log terms sampled (SGVB-A)",
    "importance-weighted": "logarithm of the mean importance weight of several samples (IWAE)",
}
SHORT = {"fp32": "float32", "bf16": "bfloat16"}
OWN = (
    "event",
    "head",
    "statistics",
    "activation",
    "stage",
)  # arguments of a recipe that no one writes on a command line


def meant(name: str, known: Iterable[str], what: str) -> str:
    """`name` as it is known: case, hyphens and underscores are equal.

    Errors: `FormatError` with the nearest name for one that is not known.
    """
    names = list(known)
    wanted = name.lower().replace("_", "-")
    if wanted in names:
        return wanted
    near = get_close_matches(wanted, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise FormatError(f"no {what} is called {name!r}; {hint}there are {', '.join(names)}")


def arguments_of(recipe: str) -> dict[str, inspect.Parameter]:
    """The arguments of a recipe that a spec can set."""
    return {
        name: parameter for name, parameter in inspect.signature(RECIPES[recipe]).parameters.items() if name not in OWN
    }


def untaken(make: Callable[..., object], arguments: Iterable[str], error: TypeError) -> str:
    """What is wrong with arguments of run.json that a maker refused, in words of ours where a name is not known."""
    known = inspect.signature(make).parameters
    unknown = [name for name in arguments if name not in known]
    return f"it has none called {', '.join(map(repr, unknown))[:200]}" if unknown else str(error)


def name_of(recipe: Callable[..., VAE]) -> str:
    """The name of a recipe. Errors: `FormatError` for one that has none."""
    for name, known in RECIPES.items():
        if known is recipe:
            return name
    raise FormatError(
        f"the recipe {getattr(recipe, '__name__', recipe)} has no name, so it cannot stand in run.json; build the "
        "model in Python"
    )


def precision(name: str) -> torch.dtype:
    """The data type of a precision's name. Errors: `FormatError` for an unknown one."""
    return PRECISIONS[meant(SHORT.get(name.lower(), name), PRECISIONS, "precision")]


TERMS = {
    "both": 1.0,
    "reconstruction": 0.0,
    "divergence": math.inf,
}  # which terms of the bound are climbed, as a weight of the divergence


def objective(estimator: str, beta: int | float = 1.0, warmup: int | float = 0.0, terms: str = "both") -> Objective:
    """The objective of an estimator's name.

    Errors: `FormatError` for an unknown name, `StateError` for a weight where there is no divergence.
    """
    estimator = meant(estimator, ESTIMATORS, "estimator")
    weight = TERMS[meant(terms, TERMS, "choice of terms")]
    if weight != 1:
        if beta != 1:
            raise StateError(
                f"beta {beta:g} weighs two terms against each other, but of the two only the {terms} is to be climbed; "
                "leave one out"
            )
        beta, warmup = weight, 0.0
    if estimator == "importance-weighted":
        if (beta, warmup) != (1.0, 0.0):
            raise StateError(
                "the importance-weighted bound has no divergence term that beta or a warm-up could weigh; leave them "
                "out"
            )
        return objectives.ImportanceWeighted()
    kind = objectives.SampledELBO if estimator == "sampled" else objectives.ELBO
    return kind(Beta(beta, warmup))


def taken(data: str) -> tuple[str, ...]:
    """What is meant, where a name could mean two things."""
    if not is_name(data) or not Path(data).exists():
        return ()
    return (f"{data} is the data set of that name, not what is called so in this folder; for that, write ./{data}",)


def versions() -> Versions:
    """What runs here."""
    return Versions(vael=vael.__version__, torch=str(torch.__version__), python=platform.python_version())
