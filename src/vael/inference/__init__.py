"""Ways to climb a bound."""

from vael.inference.algorithm import Algorithm, Info, Moment, State, World
from vael.inference.bound import Bound
from vael.inference.decomposition import Decomposition, Iteration, decompose, half_steps
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
from vael.inference.expectation_maximization import Cause, ExpectationMaximization, Rescue
from vael.inference.gradient import GradientAscent
from vael.inference.grid import GridPosterior, posterior_on_grid
from vael.inference.guard import Guard
from vael.inference.laplace import LaplacePosterior, refined
from vael.inference.mean_field import CoordinateAscent, GaussianMeanField
from vael.inference.optimizers import Adagrad, AdamW, Optimizer, RMSprop
from vael.inference.starts import AsGiven, BestOf, KMeans, KMeansPlusPlus, RandomExamples, Start
from vael.inference.variations import Functional, arc_length

__all__ = [
    "Adagrad", "AdamW", "Algorithm", "AsGiven", "Baseline", "BestOf", "Bound", "Cause", "CoordinateAscent", "Decomposition", "Estimate",
    "ExpectationMaximization", "Functional", "GaussianMeanField", "GradientAscent", "GridPosterior", "Guard", "Info", "Iteration", "KMeans",
    "KMeansPlusPlus", "LaplacePosterior", "LeaveOneOut", "Moment", "NoBaseline", "OptimalBaseline", "Optimizer", "RMSprop", "RandomExamples",
    "Rescue", "Spread", "Start", "State", "World", "arc_length", "dataset_total", "decompose", "half_steps", "posterior_on_grid", "refined",
    "reparameterized", "score_function", "spread",
]  # fmt: skip
