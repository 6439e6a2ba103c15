"""Models of sequences."""

from vael.models.sequences.linear_dynamics import linear_dynamics
from vael.models.sequences.state_space import (
    BackwardSummary,
    ForwardSummary,
    GaussianTransition,
    GaussianUpdate,
    StateSpace,
    state_space,
)

__all__ = [
    "BackwardSummary",
    "ForwardSummary",
    "GaussianTransition",
    "GaussianUpdate",
    "StateSpace",
    "linear_dynamics",
    "state_space",
]
