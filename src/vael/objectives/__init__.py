"""Terms to a bound."""

from vael.objectives.bounds import ELBO, Beta, ImportanceWeighted, SampledELBO, log_weights
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights
from vael.objectives.covariance_matching import CovarianceMatching
from vael.objectives.divergence_control import Capacity, FreeBits
from vael.objectives.importance_weighted import (
    CombinationImportanceWeighted,
    DoublyReparameterized,
    MultiplyImportanceWeighted,
    PartiallyImportanceWeighted,
    Renyi,
)
from vael.objectives.labelled import LabelledELBO
from vael.objectives.mean_discrepancy import MeanDiscrepancy
from vael.objectives.multi_sample_score import MultiSampleScoreFunction
from vael.objectives.path_gradients import StickingTheLanding
from vael.objectives.reconstruction import Reconstruction
from vael.objectives.score_function import ScoreFunction, leave_one_out
from vael.objectives.total_correlation import DivergenceParts, TotalCorrelation

__all__ = [
    "ALL_EXAMPLES",
    "ELBO",
    "Beta",
    "Capacity",
    "CombinationImportanceWeighted",
    "CovarianceMatching",
    "DivergenceParts",
    "DoublyReparameterized",
    "FreeBits",
    "ImportanceWeighted",
    "LabelledELBO",
    "MeanDiscrepancy",
    "MultiSampleScoreFunction",
    "MultiplyImportanceWeighted",
    "Objective",
    "PartiallyImportanceWeighted",
    "Reconstruction",
    "Renyi",
    "SampledELBO",
    "ScoreFunction",
    "StickingTheLanding",
    "TotalCorrelation",
    "Value",
    "Weights",
    "leave_one_out",
    "log_weights",
]
