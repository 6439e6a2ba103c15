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
from vael.inference.projections import (
    FactorizedDensity,
    Projection,
    factorized_projection,
    forward_divergence,
    forward_gaussian,
    forward_projection,
    reverse_divergence,
    reverse_gaussian,
    reverse_projection,
)
from vael.inference.starts import AsGiven, BestOf, KMeans, KMeansPlusPlus, RandomExamples, Start
from vael.inference.variations import Functional, Optimum, arc_length, factor_bound, normalized_optimum, stationary_density

__all__ = [
    "Adagrad", "AdamW", "Algorithm", "AsGiven", "Baseline", "BestOf", "Bound", "Cause", "CoordinateAscent", "Decomposition", "Estimate",
    "ExpectationMaximization", "FactorizedDensity", "Functional", "GaussianMeanField", "GradientAscent", "GridPosterior", "Guard", "Info",
    "Iteration", "KMeans", "KMeansPlusPlus", "LaplacePosterior", "LeaveOneOut", "Moment", "NoBaseline", "OptimalBaseline", "Optimizer",
    "Optimum", "Projection", "RMSprop", "RandomExamples", "Rescue", "Spread", "Start", "State", "World", "arc_length", "dataset_total",
    "decompose", "factor_bound", "factorized_projection", "forward_divergence", "forward_gaussian", "forward_projection", "half_steps",
    "normalized_optimum", "posterior_on_grid", "refined", "reparameterized", "reverse_divergence", "reverse_gaussian", "reverse_projection",
    "score_function", "spread", "stationary_density",
]  # fmt: skip
