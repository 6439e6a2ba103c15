"""What a model can do beside stating its terms: small abstract types that applications ask for, instead of a class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical

from vael.data.batch import Batch
from vael.errors import StateError
from vael.models.core import Conditional, Levels, Model, Terms
from vael.probability import EachLatent, Noise, as_noise, draw
from vael.probability.row_mixture import RowMixture


class Capability(Model, ABC):
    """Abstract: something that a model can do; an application asks for it by `needs`."""

    offers: ClassVar[str]  # what a model that has it can give, in words
    instead: ClassVar[str]  # what to use where it is missing

    def can(self, capability: type[Capability]) -> bool:
        """Whether this very model can do it: its class says so, and its parts allow it."""
        return isinstance(self, capability)


class Samples(Capability):
    """Abstract: new examples can be drawn."""

    offers: ClassVar[str] = "draws of new examples (Samples)"
    instead: ClassVar[str] = "train a model with a prior, such as a VAE, or fit a density to the codes"

    @abstractmethod
    def sample(self, samples: int, *, generator: torch.Generator | Noise, context: Tensor | None = None) -> Tensor:
        """New examples, `[samples, *event]`."""


class Reconstructs(Capability):
    """Abstract: an example goes in, and what the model keeps of it comes out."""

    offers: ClassVar[str] = "reconstructions of examples (Reconstructs)"
    instead: ClassVar[str] = "use a model with latents, such as a VAE or an autoencoder"

    @abstractmethod
    def reconstruct(self, batch: Batch) -> Tensor:
        """What comes out, `[batch, *event]`; with latents the mean of p(x|z) at the mean of q(z|x). Deterministic."""


class Encodes(Capability):
    """Abstract: an example has a code of real numbers."""

    offers: ClassVar[str] = "a vector of numbers for each example (Encodes)"
    instead: ClassVar[str] = "use a model with an encoder, such as a VAE or an autoencoder"

    @abstractmethod
    def encode(self, batch: Batch) -> Tensor:
        """The code, `[batch, features]`; deterministic. With latents: the mean of q(z | x), level by level."""


class Decodes(Reconstructs, Encodes):
    """Abstract: latents or codes of an example, level by level, and the example again from them."""

    offers: ClassVar[str] = "latents or codes of an example from which it comes out again (Decodes)"
    instead: ClassVar[str] = "use a VAE, an autoencoder or a VQ-VAE"

    @abstractmethod
    def latents(self, batch: Batch) -> Levels:
        """What is kept of each example, `[1, batch, *event]` a level; deterministic. With latents the means of q."""

    @abstractmethod
    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        """Element by element, at latents `[samples, batch, *event]`: p(x | z), or what an error costs."""

    def reconstruct(self, batch: Batch) -> Tensor:
        return self.decode(self.latents(batch), batch.context).mean[0]


class CodeVector(Decodes):
    """Abstract: what is kept of an example is one vector of real numbers, from anywhere in whose space is decoded."""

    offers: ClassVar[str] = "one vector of numbers for each example, and examples from such vectors (CodeVector)"
    instead: ClassVar[str] = "use a VAE or an autoencoder"

    def latents(self, batch: Batch) -> Levels:
        return self.in_levels(self.encode(batch)[None])

    def in_levels(self, code: Float[Tensor, "samples batch features"]) -> Levels:
        """Such vectors as `decode` takes them; of several levels of latents, side by side in a vector, each its own."""
        return (code,)


class Codes(Capability):
    """Abstract: an example has codes on grids, whole numbers that follow from it without a draw."""

    offers: ClassVar[str] = "codes on grids (Codes)"
    instead: ClassVar[str] = "use a VQVAE"

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """How many different codes each level has, the coarsest first."""

    @abstractmethod
    def codes(self, batch: Batch) -> Int64[Tensor, "batch positions"]:
        """c(x), all levels side by side, the coarsest first."""


class ExactLikelihood(Capability):
    """Abstract: log p(x) is known exactly, so that nothing about it needs to be estimated."""

    offers: ClassVar[str] = "an exact log p(x) (ExactLikelihood)"
    instead: ClassVar[str] = "estimate it by vael.evaluation.evaluate, or use a mixture"
    told: ClassVar[str] = "log p(x) of the model itself, latents summed out exactly"
    gives_probabilities: ClassVar[bool] = False  # whether log p(x) is of values that can be counted

    @abstractmethod
    def log_prob(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """Log p(x) of each example in nats."""


class ClosedForm(ExactLikelihood):
    """Abstract: p(x) is a mixture of Gaussians over rows, so that any elements given others follow without draws."""

    offers: ClassVar[str] = "elements given others in closed form (ClosedForm)"
    instead: ClassVar[str] = "use a Gaussian mixture"

    @property
    @abstractmethod
    def rows(self) -> RowMixture:
        """The mixture that is drawn from."""


class CellWise(Capability):
    """Abstract: the likelihood is a product over the elements of an example, so that single ones can be left out."""

    offers: ClassVar[str] = "a likelihood whose elements can be left out one by one (CellWise)"
    instead: ClassVar[str] = "use a likelihood without coupling of channels and without full covariance"


class Continues(Capability):
    """Abstract: an example is a sequence of any length, whose latents can be let run on."""

    offers: ClassVar[str] = "steps after those that were seen (Continues)"
    instead: ClassVar[str] = "use a state-space model (kalman)"

    @abstractmethod
    def after(self, latent: Levels, steps: int, noise: Noise) -> Levels:
        """Draws of the latents of so many steps after the last of the given ones, `[samples, batch, *event]` each."""


class Predicts(Samples, Encodes):
    """Abstract: an example is a sequence, and what comes after any part of it has a distribution given that part; what
    is bounded is that of later frames given earlier ones.
    """

    offers: ClassVar[str] = "frames given the frames before them (Predicts)"
    instead: ClassVar[str] = "use a model that jumps ahead (--model td-vae)"
    farthest: int  # steps of a jump

    @abstractmethod
    def believed(self, batch: Batch) -> Float[Tensor, "batch time features"]:
        """What is believed of the latents after each step: means."""

    @abstractmethod
    def ahead(self, batch: Batch, steps: int, samples: int, noise: Noise, jump: int = 1) -> Distribution:
        """p(x | z) at so many draws of the latents of the frames after the last one, `[samples, batch, steps, *space]`:
        those in jumps of `jump` steps.

        Errors: `ShapeError` for fewer than one step, or a jump that was not learned.
        """

    @abstractmethod
    def log_ahead(self, batch: Batch, steps: int, samples: int, noise: Noise) -> Float[Tensor, "samples batch times"]:
        """Logarithms of the weights whose mean is p(x_t+steps | x_1 ... x_t), for t = 0 ... T - steps, in nats."""


class LatentModel(Samples, Decodes):
    """Abstract: p(x, z) = p(z_1) Π p(z_l | z_<l) p(x | z) with q(z | x) = q(z_1 | x) Π q(z_l | z_<l, x).

    Levels are in the order in which they are drawn, the one that nothing stands above first. `terms` at given latents
    has log-densities of every level, so that importance weights follow (`vael.inference.weighed`).
    """

    offers: ClassVar[str] = "latents with a prior and a posterior (LatentModel)"
    instead: ClassVar[str] = "use a VAE"

    @abstractmethod
    def depth(self, event: Sequence[int]) -> int:
        """Levels of latents for examples of this shape."""

    @abstractmethod
    def prior_at(self, above: Levels, context: Tensor | None = None) -> Distribution:
        """p(z_l | z_<l): of the first level without batch shape or `[batch]`, of others `[samples, batch]`."""

    @abstractmethod
    def posterior_at(self, above: Levels, batch: Batch) -> Distribution:
        """q(z_l | z_<l, x): of the first level with batch shape `[batch]`, of others `[samples, batch]`."""

    def posterior_given(self, batch: Batch) -> Callable[[Levels], Distribution]:
        """`posterior_at` as a function of the levels above, for one batch; a model whose levels share what it reads of
        x reads it once.
        """
        return lambda above: self.posterior_at(above, batch)

    def latents(self, batch: Batch) -> Levels:
        return posterior_means(self, batch)

    def sample(self, samples: int, *, generator: torch.Generator | Noise, context: Tensor | None = None) -> Tensor:
        """New examples, each level drawn given those above it; for models whose depth is the same for all shapes."""
        noise = as_noise(generator)
        return draw(self.decode(prior_levels(self, samples, noise, context=context), context), 1, noise)[0, 0]

    def encode(self, batch: Batch) -> Tensor:
        return torch.cat([z[0].flatten(1) for z in posterior_means(self, batch)], 1)


class LatentVector(LatentModel, CodeVector):
    """Abstract: one level, a vector of real numbers with prior p(z), likelihood p(x | z) and posterior q(z | x)."""

    offers: ClassVar[str] = "one vector of latents with a prior, a likelihood and a posterior (LatentVector)"
    instead: ClassVar[str] = "use a VAE with one level of latents"
    prior: Conditional
    likelihood: Conditional
    posterior: Conditional

    @abstractmethod
    def infer(self, batch: Batch) -> Distribution:
        """q(z | x), given the elements that were seen."""

    @abstractmethod
    def at(self, context: Tensor) -> LatentVector:
        """The model of x at one condition c, `[features]`: the same weights, and no condition to be given."""

    def depth(self, event: Sequence[int]) -> int:
        return 1

    def prior_at(self, above: Levels, context: Tensor | None = None) -> Distribution:
        return self.prior(context)

    def posterior_at(self, above: Levels, batch: Batch) -> Distribution:
        return self.infer(batch)


class Whitens(LatentModel):
    """Abstract: draws of all levels from q(z | x) are a function of one vector of standard normal variates.

    u ~ N(0, I) gives z(u) ~ q(z | x), level after level. So in u the posterior that belongs to q is
    p(x, z(u)) / q(z(u) | x) N(u; 0, I), up to a factor: one vector, which a single Gaussian can be fitted to whatever
    stands between the levels.
    """

    offers: ClassVar[str] = "latents of all levels as a function of standard normal variates (Whitens)"
    instead: ClassVar[str] = "use a VAE, or a hierarchy of Gaussian levels"

    @property
    @abstractmethod
    def variates(self) -> int:
        """How many numbers u has: the latents of all levels."""

    @abstractmethod
    def at_variates(self, batch: Batch) -> Callable[[Float[Tensor, "samples batch features"]], Terms]:
        """The terms of a batch at z(u), log-densities of every level among them; what is read of x is read once."""


class Classifies(LatentModel):
    """Abstract: an example is of one of a few classes, a level of latents over which every sum is exact.

    Of an example whose class is known p(x, y) is modelled, of any other p(x). What judges a model gives it no labels.
    """

    offers: ClassVar[str] = "classes of examples with their probabilities (Classifies)"
    instead: ClassVar[str] = "train a semi-supervised model (--model semi-supervised)"
    given: LatentVector  # p(x | y), whose context is the class as a one-hot vector

    @property
    @abstractmethod
    def log_shares(self) -> Float[Tensor, " classes"]:
        """Log p(y)."""

    @property
    @abstractmethod
    def classes(self) -> int:
        """How many there are."""

    @abstractmethod
    def classify(self, batch: Batch) -> OneHotCategorical:
        """q(y | x)."""

    @abstractmethod
    def in_class(self, batch: Batch, place: int) -> Batch:
        """The examples as `given` takes them, all of the class with this number, from 0 on."""

    @abstractmethod
    def at_class(self, place: int) -> LatentVector:
        """The model of x in one class: the same weights, and no class to be given."""


def prior_levels(
    model: LatentModel, samples: int, noise: Noise, *, event: Sequence[int] = (), context: Tensor | None = None
) -> Levels:
    """Draws of all levels from the prior, `[1, samples, *event]` each; `event` where the depth depends on it."""
    found: Levels = ()
    for _ in range(model.depth(event)):
        law = model.prior_at(found, context)
        if found:
            z = draw(law, 1, EachLatent(noise))[0]
        else:  # one law for all, or one for each condition
            z = draw(law, 1, noise) if len(law.batch_shape) else draw(law, samples, noise)[None]
        found = (*found, z)
    return found


def posterior_levels(model: LatentModel, batch: Batch, samples: int, noise: Noise) -> Levels:
    """Draws of all levels from q(z | x), `[samples, batch, *event]` each, every level given the draws above it."""
    found: Levels = ()
    posterior_at = model.posterior_given(batch)
    for _ in range(model.depth(tuple(batch.x.shape[1:]))):
        law = posterior_at(found)
        found = (*found, draw(law, 1, EachLatent(noise))[0] if found else draw(law, samples, noise))
    return found


def posterior_means(model: LatentModel, batch: Batch) -> Levels:
    """The mean of every level given the means above it, `[1, batch, *event]` each; deterministic."""
    found: Levels = ()
    posterior_at = model.posterior_given(batch)
    for _ in range(model.depth(tuple(batch.x.shape[1:]))):
        mean = posterior_at(found).mean
        found = (*found, mean if found else mean[None])
    return found


C = TypeVar("C", bound=Capability)


def has(model: object, capability: type[Capability]) -> bool:
    """Whether a model has a capability: it declares it, and its parts allow it."""
    return isinstance(model, capability) and model.can(capability)


def needs(model: object, capability: type[C], what_for: str) -> C:
    """The model, where it has the capability that something needs.

    Errors: `StateError` where it has not: what the model is, what is missing, and what to use instead.
    """
    if not isinstance(model, capability) or not has(model, capability):
        raise StateError(
            f"{what_for} needs {capability.offers}, which this model, {type(model).__name__}, has not; "
            f"{capability.instead}"
        )
    return model
