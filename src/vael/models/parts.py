"""Models by name."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from vael.data.facts import Facts
from vael.data.source import Source
from vael.errors import StateError
from vael.models.assembly import decoder, encoder
from vael.models.core import Model
from vael.models.families import LikelihoodPart, ModelPart, PosteriorPart, PriorPart, Size
from vael.models.likelihoods.columns import ColumnsHead
from vael.models.likelihoods.heads import Head
from vael.models.likelihoods.parts import BernoulliPart
from vael.models.posteriors.gaussian import GaussianPosteriorPart
from vael.models.principal import start_at_principal_components
from vael.models.priors.standard_normal import StandardNormalPart
from vael.models.vae import VAE
from vael.networks.parts import DensePart, NetworkPart


class VAEPart(ModelPart):
    """A variational autoencoder: prior p(z), likelihood p(x | z), posterior q(z | x)."""

    kind: Literal["vae"] = "vae"
    latent: Size = 20
    prior: PriorPart = StandardNormalPart()
    posterior: PosteriorPart = GaussianPosteriorPart()
    likelihood: LikelihoodPart = BernoulliPart()
    network: NetworkPart = DensePart()
    begin: Literal["mean", "principal-components"] = "mean"  # where the decoder starts

    @model_validator(mode="after")
    def _fits(self) -> VAEPart:
        if self.prior.latents != self.posterior.latents:
            raise ValueError(
                f"the prior {self.prior.name} is over {self.prior.latents}, the posterior {self.posterior.name} over "
                f"{self.posterior.latents}; choose two over the same"
            )
        sizes = self.prior.width(self.latent), self.posterior.width(self.latent)
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"{self.latent} latents of the prior {self.prior.name} are {sizes[0]} numbers, of the posterior "
                f"{self.posterior.name} {sizes[1]}; give both as many levels (model.prior.levels, "
                "model.posterior.levels)"
            )
        return self

    @property
    def is_likelihood(self) -> bool:
        return self.likelihood.is_likelihood

    @property
    def trains_on_its_draws(self) -> bool:
        return self.posterior.trains_on_its_draws

    def settled(self, facts: Facts) -> VAEPart:
        network = DensePart(hidden=(2 * self.latent,)) if self.begin == "principal-components" else self.network
        return self.model_copy(update={"likelihood": self.likelihood.settled(facts), "network": network})

    def build(self, facts: Facts) -> VAE:
        """Errors: `StateError` for a condition beside a start at principal components."""
        if facts.context and self.begin == "principal-components":
            raise StateError(
                "a conditional model cannot start at principal components, which know of no condition; choose another "
                "recipe (--model dense) or start (--set model.begin=mean)"
            )
        return self.around(self.likelihood.build(facts), facts)

    def around(self, head: Head, facts: Facts) -> VAE:
        """The model with a likelihood that is there already, whatever the part's own."""
        numbers, sees_gaps = (
            self.posterior.numbers(self.latent),
            facts.gaps or facts.channels_last or isinstance(head, ColumnsHead),
        )
        encode = encoder(self.network, facts, head, numbers)
        decode = decoder(self.network, facts, self.posterior.width(self.latent), head)
        posterior = self.posterior.build(encode, self.latent, sees_gaps=sees_gaps)
        prior = self.prior.build(self.latent, facts, posterior)
        whole = self.posterior.completed(posterior, self.latent, prior, decode)
        return VAE(prior, decode, whole, context=facts.context)

    def start(self, model: Model, source: Source) -> None:
        """Principal components, where they were asked for."""
        if self.begin == "principal-components":
            if not isinstance(model, VAE):
                raise StateError(f"{type(model).__name__} cannot start at principal components; expected a VAE")
            start_at_principal_components(model, source)
