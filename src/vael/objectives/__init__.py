"""Terms to a bound."""

from vael.objectives.bounds import ELBO, Beta, ImportanceWeighted, SampledELBO, log_weights
from vael.objectives.core import Objective, Value

__all__ = ["ELBO", "Beta", "ImportanceWeighted", "Objective", "SampledELBO", "Value", "log_weights"]
