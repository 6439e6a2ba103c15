"""Latent-variable models: conditionals composed, terms stated."""

from vael.models.core import Conditional, Model, Terms
from vael.models.heads import BernoulliHead, Head
from vael.models.vae import VAE, Decoder, GaussianPosterior, StandardNormal

__all__ = ["VAE", "BernoulliHead", "Conditional", "Decoder", "GaussianPosterior", "Head", "Model", "StandardNormal", "Terms"]
