"""Terms to a bound."""

from vael.objectives.bounds import ELBO, Beta, ImportanceWeighted, SampledELBO, log_weights
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights
from vael.objectives.reconstruction import Reconstruction
from vael.objectives.score_function import ScoreFunction, leave_one_out
from vael.objectives.total_correlation import DivergenceParts, TotalCorrelation

__all__ = [
    "ALL_EXAMPLES",
    "ELBO",
    "Beta",
    "DivergenceParts",
    "ImportanceWeighted",
    "Objective",
    "Reconstruction",
    "SampledELBO",
    "ScoreFunction",
    "TotalCorrelation",
    "Value",
    "Weights",
    "leave_one_out",
    "log_weights",
]
