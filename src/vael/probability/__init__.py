"""Distributions and numbers; no weights."""

from vael.probability.divergence import divergence, has_closed_form
from vael.probability.gaussian import bounded, diagonal_gaussian
from vael.probability.mixture import CoupledLogisticMixture, DiscretizedLogisticMixture
from vael.probability.observation import Codes, ContinuousBernoulli, DiscretizedLogistic, GreyCrossEntropy, Law, SquaredError
from vael.probability.sampling import Noise, PerExample, Recorded, Replayed, Stream, as_noise, detached, draw, register_draw
from vael.probability.standard import Standard, standard_gaussian

__all__ = [
    "Codes", "ContinuousBernoulli", "CoupledLogisticMixture", "DiscretizedLogistic", "DiscretizedLogisticMixture", "GreyCrossEntropy", "Law",
    "Noise", "PerExample", "Recorded", "Replayed", "SquaredError", "Standard", "Stream", "as_noise", "bounded", "detached", "diagonal_gaussian", "divergence", "draw",
    "has_closed_form", "register_draw", "standard_gaussian",
]  # fmt: skip
