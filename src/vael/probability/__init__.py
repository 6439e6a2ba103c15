"""Distributions and numbers; no weights."""

from vael.probability.binary import Bit, independent_bits
from vael.probability.divergence import divergence, has_closed_form
from vael.probability.gaussian import bounded, diagonal_gaussian
from vael.probability.mixture import CoupledLogisticMixture, DiscretizedLogisticMixture
from vael.probability.observation import Codes, ContinuousBernoulli, DiscretizedLogistic, GreyCrossEntropy, Law, SquaredError
from vael.probability.quadrature import (
    Axis,
    Cost,
    Grid,
    box,
    gauss_hermite,
    gauss_legendre,
    integrate,
    log_integrate,
    midpoints,
    trapezoid,
)
from vael.probability.sampling import Noise, PerExample, Recorded, Replayed, Stream, as_noise, detached, draw, register_draw
from vael.probability.standard import Standard, standard_gaussian

__all__ = [
    "Axis", "Bit", "Codes", "ContinuousBernoulli", "Cost", "CoupledLogisticMixture", "DiscretizedLogistic", "DiscretizedLogisticMixture",
    "GreyCrossEntropy", "Grid", "Law", "Noise", "PerExample", "Recorded", "Replayed", "SquaredError", "Standard", "Stream", "as_noise", "bounded",
    "box", "detached", "diagonal_gaussian", "divergence", "draw", "gauss_hermite", "gauss_legendre", "has_closed_form", "independent_bits",
    "integrate", "log_integrate", "midpoints", "register_draw", "standard_gaussian", "trapezoid",
]  # fmt: skip
