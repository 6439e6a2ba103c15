"""The textbook's own numerics: finite tables, joint densities, information, quadrature demonstrations, projections,
calculus of variations.
"""

from vael.lectures.decomposition import Decomposition, Iteration, decompose, half_steps
from vael.lectures.estimators import (
    Baseline,
    Estimate,
    EstimatorSpread,
    LeaveOneOut,
    NoBaseline,
    OptimalBaseline,
    dataset_total,
    reparameterized,
    score_function,
    spread,
)
from vael.lectures.information import bits, cross_entropy, discrete_divergence, entropy, self_information
from vael.lectures.joint import DensityOnAxis, JointDensity
from vael.lectures.projections import (
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
from vael.lectures.tables import FiniteTable, Variable, bayes, chain, independent, total_probability
from vael.lectures.variations import (
    Functional,
    Optimum,
    arc_length,
    factor_bound,
    normalized_optimum,
    stationary_density,
)

__all__ = [
    "Baseline",
    "Decomposition",
    "DensityOnAxis",
    "Estimate",
    "EstimatorSpread",
    "FactorizedDensity",
    "FiniteTable",
    "Functional",
    "Iteration",
    "JointDensity",
    "LeaveOneOut",
    "NoBaseline",
    "OptimalBaseline",
    "Optimum",
    "Projection",
    "Variable",
    "arc_length",
    "bayes",
    "bits",
    "chain",
    "cross_entropy",
    "dataset_total",
    "decompose",
    "discrete_divergence",
    "entropy",
    "factor_bound",
    "factorized_projection",
    "forward_divergence",
    "forward_gaussian",
    "forward_projection",
    "half_steps",
    "independent",
    "normalized_optimum",
    "reparameterized",
    "reverse_divergence",
    "reverse_gaussian",
    "reverse_projection",
    "score_function",
    "self_information",
    "spread",
    "stationary_density",
    "total_probability",
]
