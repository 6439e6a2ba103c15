"""scikit-learn estimators over one variational autoencoder: transformer, density, outlier detector, imputer."""

from vael.estimators.density import VAEDensity
from vael.estimators.imputer import VAEImputer
from vael.estimators.outliers import VAEOutlierDetector
from vael.estimators.transformer import VAETransformer

__all__ = ["VAEDensity", "VAEImputer", "VAEOutlierDetector", "VAETransformer"]
