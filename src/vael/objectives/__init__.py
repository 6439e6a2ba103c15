"""Terms to a bound."""

from vael.objectives.bounds import ELBO, Beta, ImportanceWeighted, SampledELBO, log_weights
from vael.objectives.core import Objective, Value
from vael.objectives.reconstruction import Reconstruction

__all__ = ["ELBO", "Beta", "ImportanceWeighted", "Objective", "Reconstruction", "SampledELBO", "Value", "log_weights"]
