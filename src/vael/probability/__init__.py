"""Distributions and numbers; no weights."""

from vael.probability.binary import Bit, independent_bits
from vael.probability.counts import ZeroInflatedPoisson
from vael.probability.divergence import divergence, has_closed_form
from vael.probability.gaussian import bounded, diagonal_gaussian
from vael.probability.joint_gaussian import JointGaussian
from vael.probability.mixture import CoupledLogisticMixture, DiscretizedLogisticMixture
from vael.probability.multivariate import (
    DivergenceTerms,
    cholesky,
    contained,
    divergence_from_standard,
    divergence_terms,
    ellipse,
    gaussian,
    gaussian_divergence,
    gaussian_entropy,
    log_density,
    log_determinant,
    sample_covariance,
    sample_mean,
    squared_mahalanobis,
)
from vael.probability.observation import (
    CodeChoice,
    ContinuousBernoulli,
    DiscretizedLogistic,
    GreyCrossEntropy,
    Law,
    SquaredError,
)
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
from vael.probability.sampling import (
    Common,
    EachLatent,
    Noise,
    PerExample,
    Recorded,
    Replayed,
    Stream,
    as_noise,
    detached,
    draw,
    register_draw,
)
from vael.probability.standard import Standard, standard_gaussian
from vael.probability.tabulated import TabulatedMixture
from vael.probability.totals import total_log_prob
from vael.probability.wasserstein import gaussian_wasserstein
from vael.probability.wide import draw_wide, register_wide, widened

__all__ = [
    "Axis",
    "Bit",
    "CodeChoice",
    "Common",
    "ContinuousBernoulli",
    "Cost",
    "CoupledLogisticMixture",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "DivergenceTerms",
    "EachLatent",
    "GreyCrossEntropy",
    "Grid",
    "JointGaussian",
    "Law",
    "Noise",
    "PerExample",
    "Recorded",
    "Replayed",
    "SquaredError",
    "Standard",
    "Stream",
    "TabulatedMixture",
    "ZeroInflatedPoisson",
    "as_noise",
    "bounded",
    "box",
    "cholesky",
    "contained",
    "detached",
    "diagonal_gaussian",
    "divergence",
    "divergence_from_standard",
    "divergence_terms",
    "draw",
    "draw_wide",
    "ellipse",
    "gauss_hermite",
    "gauss_legendre",
    "gaussian",
    "gaussian_divergence",
    "gaussian_entropy",
    "gaussian_wasserstein",
    "has_closed_form",
    "independent_bits",
    "integrate",
    "log_density",
    "log_determinant",
    "log_integrate",
    "midpoints",
    "register_draw",
    "register_wide",
    "sample_covariance",
    "sample_mean",
    "squared_mahalanobis",
    "standard_gaussian",
    "total_log_prob",
    "trapezoid",
    "widened",
]
