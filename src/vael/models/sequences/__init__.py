"""Models of sequences."""

from vael.models.sequences.state_space import (
    BackwardSummary,
    ForwardSummary,
    GaussianTransition,
    GaussianUpdate,
    StateSpace,
    state_space,
)

__all__ = ["BackwardSummary", "ForwardSummary", "GaussianTransition", "GaussianUpdate", "StateSpace", "state_space"]
