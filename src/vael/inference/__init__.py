"""Ways to climb a bound."""

from vael.inference.algorithm import Algorithm, Info, Moment, State, World
from vael.inference.bound import Bound
from vael.inference.estimators import (
    Baseline,
    Estimate,
    LeaveOneOut,
    NoBaseline,
    OptimalBaseline,
    Spread,
    dataset_total,
    reparameterized,
    score_function,
    spread,
)
from vael.inference.gradient import GradientAscent
from vael.inference.guard import Guard
from vael.inference.optimizers import Adagrad, AdamW, Optimizer, RMSprop

__all__ = [
    "Adagrad", "AdamW", "Algorithm", "Baseline", "Bound", "Estimate", "GradientAscent", "Guard", "Info", "LeaveOneOut", "Moment", "NoBaseline",
    "OptimalBaseline", "Optimizer", "RMSprop", "Spread", "State", "World", "dataset_total", "reparameterized", "score_function", "spread",
]  # fmt: skip
