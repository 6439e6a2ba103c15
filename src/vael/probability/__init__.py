"""Distributions and numbers; no weights."""

from vael.probability.binary import Bit, independent_bits
from vael.probability.divergence import divergence, has_closed_form
from vael.probability.gaussian import bounded, diagonal_gaussian
from vael.probability.information import bits, cross_entropy, discrete_divergence, entropy, self_information
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
from vael.probability.tables import Table, Variable, bayes, chain, independent, total_probability

__all__ = [
    "Axis", "Bit", "Codes", "ContinuousBernoulli", "Cost", "CoupledLogisticMixture", "DiscretizedLogistic", "DiscretizedLogisticMixture",
    "GreyCrossEntropy", "Grid", "Law", "Noise", "PerExample", "Recorded", "Replayed", "SquaredError", "Standard", "Stream", "Table", "Variable",
    "as_noise", "bayes", "bits", "bounded", "box", "chain", "cross_entropy", "detached", "diagonal_gaussian", "discrete_divergence", "divergence",
    "draw", "entropy", "gauss_hermite", "gauss_legendre", "has_closed_form", "independent", "independent_bits", "integrate", "log_integrate",
    "midpoints", "register_draw", "self_information", "standard_gaussian", "total_probability", "trapezoid",
]  # fmt: skip
